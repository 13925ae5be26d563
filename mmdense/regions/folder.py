"""Region files of a whole folder of images: in parallel, resumable, one kind of settings."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmdense.files import LOCK, locked, remove_partials, write_whole
from mmdense.images.decoding import turn_colours
from mmdense.images.reading import ImageReadError, check_options, image_size, read_image
from mmdense.mistakes import LostWorker, WrongValue
from mmdense.parallel import map_in_processes

from .files import FORMATS, RegionFileError, read_regions, region_file, write_regions
from .methods import METHODS, make_regions, resolve_options
from .motion import frames_of, mask_of_frame

#: keeps the settings of the region files beside it
SIDECAR = 'regions.json'
#: images that a worker takes at once
CHUNK = 4
#: settings of LoadImage that regions may be made with: they need uint8
LOAD = {'channels', 'value_range', 'percentiles', 'page', 'max_pixels'}


@dataclass
class Made:
    """What became of one image.

    Attributes:
        image: its path.
        regions: how many there are.
        shares: (regions,) float64, each one's share of the image's area.
        new: whether they were made now, or were there and current.
        error: why there are none.
    """

    image: str
    regions: int = 0
    shares: np.ndarray | None = None
    new: bool = False
    error: str | None = None


def settings_of(method: str, options: dict[str, Any], suffix: str,
                load: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what decides the content of region files, as it comes back from JSON.

    Raises:
        ValueError: an unknown method, option, suffix or way to load.
    """
    unknown = sorted({*(load or {})} - LOAD)
    if unknown:
        raise WrongValue(f'images are read by {", ".join(sorted(LOAD))}, not by {unknown[0]!r}')
    check_options(**(load or {}))
    if suffix not in FORMATS:
        raise WrongValue(f'region files end in {" or ".join(FORMATS)}, not in {suffix!r}')
    settings = dict(method=method, options=resolve_options(method, options), suffix=suffix)
    if load:
        settings['load'] = load
    return json.loads(json.dumps(settings, default=np.generic.item))


def noted_settings(folder: str) -> dict[str, Any]:
    """Return what ``folder`` notes of how its region files were made; {} without a note."""
    try:
        settings = json.loads(Path(folder, SIDECAR).read_bytes())
    except (OSError, ValueError):
        return {}
    whole = (isinstance(settings, dict) and isinstance(settings.get('options'), dict)
             and settings.get('method') in list(METHODS)
             and settings.get('suffix') in list(FORMATS))
    return settings if whole else {}


def claim_folder(out: str | Path, settings: dict[str, Any], images: str | Path) -> None:
    """Note ``settings`` and, beside them, ``images`` in ``out``, or check that they are the same.

    Raises:
        ValueError: they were made with others or of others, or the folder holds files without any
            note.
    """
    out = Path(out)
    sidecar = out / SIDECAR
    if not sidecar.exists():
        if out.is_dir() and any(path.suffix in FORMATS for path in out.rglob('*')):
            raise WrongValue(f'{out} holds {" or ".join(FORMATS)} files, but no {SIDECAR} that '
                             'says how they were made; choose another folder')
        note = settings | dict(images=os.path.realpath(images))
        write_whole(json.dumps(note, indent=1).encode(), sidecar)
        return
    try:
        there = json.loads(sidecar.read_bytes())
    except ValueError:
        raise WrongValue(f'{sidecar} is damaged: it should be JSON that says how the region files '
                         'beside it were made; choose another folder') from None
    source = there.pop('images', None) if isinstance(there, dict) else None
    if there != settings:
        raise WrongValue(f'{out} holds regions made with other settings: {json.dumps(there)}; '
                         f'asked for: {json.dumps(settings)}. Choose another folder')
    if source is not None and source != os.path.realpath(images):
        raise WrongValue(f'{out} holds regions of the images in {source}, not of those in '
                         f'{os.path.realpath(images)}. Choose another folder; if it is the images '
                         f'that moved, change "images" in {sidecar}')


def _is_current(path: Path, image: str) -> bool:
    try:
        return path.stat().st_mtime_ns >= os.stat(image).st_mtime_ns
    except OSError:
        return False


def _fit(regions: np.ndarray, image: str) -> bool:
    """Whether regions have the size in the head of an image file, which EXIF may have turned.

    An image that was replaced by an older one, as archives and copies leave it, has another size.
    """
    try:
        return sorted(image_size(image)) == sorted(regions.shape)
    except ImageReadError:
        return True                     # of a kind that only the decoder reads


#: from an image's path and the settings to its region ids (H, W)
Maker = Callable[[str, dict[str, Any]], np.ndarray]


def image_regions(image: str, settings: dict[str, Any]) -> np.ndarray:
    """Return the regions of an image file, by :func:`mmdense.regions.make_regions`."""
    pixels = turn_colours(read_image(image, **settings.get('load', {})))            # to RGB
    return make_regions(pixels, settings['method'], **settings['options'])


def frame_regions(image: str, settings: dict[str, Any]) -> np.ndarray:
    """Return the motion mask of a frame's file, :func:`mmdense.regions.motion.mask_of_frame`."""
    return mask_of_frame(image, **settings['options'])


def _make_file(image: str, images: str, out: str, settings: dict[str, Any], maker: Maker) -> Made:
    """Write one image's region file, unless a whole one of its size and newer is there."""
    path = region_file(image, images, out, settings['suffix'])
    regions, new = None, False
    try:
        if _is_current(path, image):
            try:
                regions = read_regions(path)
            except RegionFileError:
                pass                    # damaged: made anew
        if regions is None or not _fit(regions, image):
            new = True
            regions = maker(image, settings)
            write_regions(path, regions)
    except (OSError, ValueError) as error:
        return Made(image, error=str(error))
    shares = np.bincount(regions.ravel())[1:] / regions.size
    return Made(image, len(shares), shares, new)


def _check_names(files: Sequence[str], images: str, out: str, suffix: str) -> None:
    if Path(out).resolve().is_relative_to(Path(images).resolve()):
        raise WrongValue(f'{out} lies in {images}: its region files would be taken for images; '
                         'choose a folder outside')
    seen: dict[Path, str] = {}
    for file in files:
        path = region_file(file, images, out, suffix)
        if path in seen:
            raise WrongValue(f'{seen[path]} and {file} would both get {path}; give one of them '
                             'another name')
        seen[path] = file


def make_folder(images: str, files: Sequence[str], out: str, method: str = 'fh',
                options: dict[str, Any] | None = None, suffix: str = '.png', workers: int = 1,
                on_image: Callable[[Made], None] = lambda made: None,
                load: dict[str, Any] | None = None) -> list[Made]:
    """Write the region files of ``files``, images below ``images``, into ``out``.

    The folders below ``out`` are those below ``images``. Each file is written whole or not at all,
    and what is there, whole, of its image's size and newer, is left: a run that was killed is
    continued.

    Args:
        images: folder of the images.
        files: image files in it.
        out: folder of the region files.
        method, options: see :func:`mmdense.regions.make_regions`.
        suffix: ``.png`` or ``.npz``.
        workers: processes.
        on_image: called with each `Made` as it comes.
        load: how images are read: ``channels``, ``value_range``, ``percentiles``, ``page``,
            ``max_pixels`` of :func:`~mmdense.images.reading.read_image`, as in the
            pipeline.

    Returns:
        One `Made` per image, in the order of ``files``; unreadable images have their ``error``.

    Raises:
        ValueError: ``out`` holds regions made with other settings or of other images, or lies in
            ``images``, two images would share a file, or an option is wrong.
        ChildProcessError: a worker was killed.
    """
    # fh is compiled in here, so that the forked workers need not
    settings = settings_of(method, options or {}, suffix, load)
    return fill_folder(images, files, out, settings, image_regions, workers, on_image)


def make_motion_folder(images: str, files: Sequence[str], out: str, options: dict[str, Any],
                       workers: int = 1, on_image: Callable[[Made], None] = lambda made: None
                       ) -> list[Made]:
    """Write the motion masks of ``files``, frames in folders below ``images``, into ``out``.

    As :func:`make_folder`; a folder of ``images`` is a clip.

    Args:
        options: of :func:`mmdense.regions.motion.mask_of_frame`.

    Raises:
        ValueError: as of :func:`make_folder`, or frames whose order is not known.
    """
    for folder in sorted({os.path.dirname(file) for file in files}):
        frames_of(folder)                           # told before the first mask is made
    settings = dict(method='motion', options=options, suffix='.png')
    return fill_folder(images, files, out, settings, frame_regions, workers, on_image)


def fill_folder(images: str, files: Sequence[str], out: str, settings: dict[str, Any],
                maker: Maker, workers: int, on_image: Callable[[Made], None]) -> list[Made]:
    """Write what ``maker`` makes of each file, as :func:`make_folder` says.

    Args:
        settings: decide the content of the files, and are noted beside them; ``suffix`` is theirs.
    """
    _check_names(files, images, out, settings['suffix'])
    claim_folder(out, settings, images)             # no lock file in somebody else's folder
    job = partial(_make_file, images=images, out=out, settings=settings, maker=maker)
    found = []
    try:
        with (locked(Path(out) / LOCK),
              closing(map_in_processes(job, files, workers, CHUNK)) as results):
            claim_folder(out, settings, images)     # another run may have been as quick
            remove_partials(out, below=True)
            for made in results:
                found.append(made)
                on_image(made)
    except ChildProcessError as error:
        raise LostWorker(f'{error}. What is written stays, and the same command goes on '
                         'from there') from None
    return found


def summary(made: Sequence[Made]) -> dict[str, float]:
    """Return statistics of the images that have regions: counts, areas in per cent, coverage."""
    good = [one for one in made if one.error is None]
    result = dict(images=len(good), new=sum(one.new for one in good),
                  failed=len(made) - len(good))
    if good:
        counts = np.array([one.regions for one in good])
        shares = np.concatenate([one.shares for one in good])
        result |= dict(
            regions_mean=float(counts.mean()), regions_median=float(np.median(counts)),
            regions_min=int(counts.min()), regions_max=int(counts.max()),
            images_of_one_region=int((counts < 2).sum()),
            area_median=float(100 * np.median(shares)) if len(shares) else 0.0,
            area_min=float(100 * shares.min(initial=1.0)) if len(shares) else 0.0,
            covered=float(100 * np.mean([one.shares.sum() for one in good])))
    return result
