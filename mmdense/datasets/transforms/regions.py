"""Region ids of an image in the pipeline: from files, made on the fly, or from its labels.

Each sets ``results['regions']``, (H, W) of the image's size, int32 or, from files of 8 bits, uint8;
0 = no region. It stands before `MultiView`, whose views then carry their part of it.
"""
from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmdense.images.decoding import turn_colours
from mmdense.mistakes import MissingFile, WrongValue
from mmdense.regions import (
    instance_regions,
    make_regions,
    read_regions,
    resolve_options,
    semantic_regions,
)
from mmdense.regions.files import FORMATS, read_ids, region_stem
from mmdense.regions.folder import noted_settings
from mmdense.registry import TRANSFORMS


def make_command(images: str, folder: str, source: dict[str, Any] | None = None) -> str:
    """Return the command that makes the region files of ``images`` in ``folder``.

    Args:
        source: ``dict(method='fh', scale=300, …)``; what the folder notes goes before it.
    """
    options = dict(source or {})
    settings = dict(method=options.pop('method', 'fh'), options=options, suffix='.png')
    settings |= noted_settings(folder)
    options = [f'{name}={json.dumps(value)}' for name, value in settings['options'].items()]
    parts = ['python', 'tools/make_regions.py', images, folder, '--method', settings['method']]
    parts += ['--options', *options] if options else []
    load = [f'{name}={json.dumps(value)}' for name, value in settings.get('load', {}).items()]
    parts += ['--load', *load] if load else []
    parts += ['--format', settings['suffix'][1:]] if settings['suffix'] != '.png' else []
    return shlex.join(parts)


@TRANSFORMS.register_module()
class LoadRegions(BaseTransform):
    """Read the region file of each image, such as ``tools/make_regions.py`` writes them.

    The file of ``IMAGES/a/b.jpg`` is ``FOLDER/a/b.png`` or ``.npz``. Where a sample has a
    ``region_path``, that file is read, whatever the folders.

    Args:
        images: folder of the images.
        folder: folder of the region files; of several, one is drawn for each sample.
        max_regions: how many regions an image may have; any number by default.
        source: where the files come from, told where one is missing: ``dict(method='fh', …)``
            becomes the command that makes them (DetCon's own settings by default), a text is told
            as it stands.

    Raises:
        FileNotFoundError: there is no such file; the message says how to get it.
        RegionFileError: the file is damaged, of another size than its image, or of too many
            regions.
        ValueError: the image is not below ``images``.
    """

    def __init__(self, images: str | None = None, folder: str | Sequence[str] | None = None,
                 max_regions: int | None = None, source: dict | str | None = None) -> None:
        if (images is None) != (folder is None):
            raise WrongValue(f'LoadRegions: images={images!r}, folder={folder!r}; expected both, '
                             'or none where samples have a region_path')
        if not isinstance(source, dict | str | None):
            raise WrongValue(f"LoadRegions: source={source!r}; expected dict(method='fh', …), or a "
                             'text')
        self.images = images
        self.folders = [folder] if isinstance(folder, str) else list(folder or ())
        if isinstance(source, dict) and len(self.folders) > 1:
            raise WrongValue(f'LoadRegions: source={source} of {len(self.folders)} folders; '
                             'expected a text, since files of several are made otherwise')
        self.max_regions = max_regions
        self.source = source

    def read(self, results: dict) -> np.ndarray:
        """Return the regions (H, W) of a sample."""
        options = dict(size=results['img'].shape[:2], max_regions=self.max_regions,
                       keep_8_bits=True)
        if 'region_path' in results:
            return read_regions(results['region_path'], **options)
        image = results['img_path']
        if not self.folders:
            raise WrongValue(f'LoadRegions: {image} has no region_path; expected one, or images '
                             'and folder')
        drawn = np.random.randint(len(self.folders)) if len(self.folders) > 1 else 0
        folder = self.folders[drawn]
        stem = region_stem(image, self.images, folder)
        for suffix in FORMATS:
            try:
                return read_regions(stem + suffix, **options)
            except FileNotFoundError:
                pass
        if isinstance(self.source, str):
            advice = f'expected {self.source}'
        else:
            advice = f'make the regions with: {make_command(self.images, folder, self.source)}'
        raise MissingFile(f'{stem}.png: no region file of {image}; {advice}')

    def transform(self, results: dict) -> dict:
        """Add ``regions``."""
        results['regions'] = self.read(results)
        return results


@TRANSFORMS.register_module()
class MakeRegions(BaseTransform):
    """Compute the regions of each image on the fly.

    Args:
        sources: ``dict(method='fh', scale=1000, …)``, see :func:`mmdense.regions.make_regions`;
            of several, such as several scales, one is drawn for each sample.

    Raises:
        ValueError: an unknown method or option.
    """

    def __init__(self, sources: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
        sources = [sources] if isinstance(sources, dict) else list(sources)
        if not sources or any('method' not in source for source in sources):
            raise WrongValue(f"MakeRegions: sources={sources}; expected dict(method='fh', …), or "
                             'several')
        # fh is compiled in here, before workers are forked
        self.sources = [dict(method=source['method'],
                             **resolve_options(source['method'], {
                                 name: value for name, value in source.items()
                                 if name != 'method'})) for source in sources]

    def transform(self, results: dict) -> dict:
        """Add ``regions``."""
        drawn = np.random.randint(len(self.sources)) if len(self.sources) > 1 else 0
        image = turn_colours(results['img'])        # to RGB
        results['regions'] = make_regions(image, **self.sources[drawn])
        return results


@TRANSFORMS.register_module()
class RegionsFromAnnotations(BaseTransform):
    """Take the labels of any mmseg dataset for regions.

    Args:
        kind: ``'semantic'``: each class is a region, class 0, too; put it after
            ``LoadAnnotations``. ``'instance'``: each id is one, 0 is none; put it directly after
            ``LoadImage``: ids are read from the sample's ``seg_map_path`` itself, since
            ``LoadAnnotations`` keeps 8 bits of them.
        key: where else in the sample the map (H, W) stands.
        ignore_index: the number that becomes 0, no region; None for none.
        background: a class that becomes 0, too; by default none does.

    Raises:
        ValueError: the sample has no such map, or it is no map of whole numbers of the image's
            size.
        RegionFileError, FileNotFoundError: ids of instances cannot be read.
    """

    def __init__(self, kind: str = 'semantic', key: str | None = None,
                 ignore_index: int | None = 255, background: int | None = None) -> None:
        if kind not in ('semantic', 'instance') or (kind == 'instance' and background is not None):
            raise WrongValue(f"RegionsFromAnnotations: kind={kind!r}, background={background}; "
                             "expected kind 'semantic', or 'instance' without a background, which "
                             'is 0 there')
        self.kind, self.key = kind, key
        self.ignore_index, self.background = ignore_index, background

    def read(self, results: dict) -> np.ndarray:
        """Return the map of labels (H, W) of a sample."""
        path = results.get('img_path')
        if self.kind == 'instance' and self.key is None:
            if 'seg_map_path' not in results:
                raise WrongValue(f"RegionsFromAnnotations: {path} has no 'seg_map_path'; expected "
                                 'a labelled dataset, whose label maps hold ids of instances')
            if results.get('flip'):
                raise WrongValue(f'RegionsFromAnnotations: {path} is mirrored already, the ids in '
                                 'its file are not; put it directly after LoadImage')
            return read_ids(results['seg_map_path'])
        key = self.key or 'gt_seg_map'
        if key not in results:
            raise WrongValue(f'RegionsFromAnnotations: {results.get("seg_map_path") or path} has '
                             f'no {key!r}; put LoadAnnotations before it')
        return results[key]

    def transform(self, results: dict) -> dict:
        """Add ``regions``."""
        path = results.get('seg_map_path') or results.get('img_path')
        labels = self.read(results)
        if labels.shape != results['img'].shape[:2]:
            raise WrongValue(f'{path}: a label map of shape {labels.shape}; expected '
                             f'{results["img"].shape[:2]}, the size of its image (what resizes '
                             'comes after the regions)')
        if self.kind == 'semantic':
            regions = semantic_regions(labels, self.ignore_index, self.background)
        else:
            regions = instance_regions(labels, self.ignore_index)
        results['regions'] = regions
        return results
