"""Say where a dataset was looked for and what it should look like, before anything is built."""
from __future__ import annotations

import os
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import mmseg
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmdense.mistakes import MissingFile

from .dataset_configs import changed, inside
from .generate.writing import is_there
from .text_files import read_text

_CONVERTERS = Path(mmseg.__file__).parent / '.mim/tools/dataset_converters'


def absent_files(paths: Iterable[str]) -> list[str]:
    """Return those of ``paths`` that are not there, in order; each folder is listed once."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_folder[os.path.dirname(path)].append(path)
    absent = []
    for folder, members in by_folder.items():
        known = set(os.listdir(folder or '.')) if os.path.isdir(folder or '.') else set()
        absent += [path for path in members
                   if os.path.basename(path) not in known and not os.path.exists(path)]
    return absent


def name_some(paths: list[str], most: int = 5, longest: int = 200) -> str:
    """Return the first few of ``paths`` and how many more there are; long ones are cut."""
    more = f' and {len(paths) - most} more' if len(paths) > most else ''
    return ', '.join(path if len(path) <= longest else f'{path[:longest]}… ({len(path)} letters)'
                     for path in paths[:most]) + more


def why_no_folder(path: str) -> str | None:
    """Return why ``path`` is no folder to read, as the end of a sentence, or None if it is one."""
    if os.path.isdir(path):
        return None
    if os.path.islink(path) and not os.path.exists(path):
        return f'which is a link to {os.readlink(path)}, which is not there'
    # data_root=set.zip and img_path=images make set.zip/images
    above = os.path.normpath(path)
    while not os.path.exists(above) and os.path.dirname(above) != above:
        above = os.path.dirname(above)
    if not os.path.isfile(above):
        return 'which is not there'
    subject = 'which' if above == os.path.normpath(path) else f'which is not there: {above}'
    if zipfile.is_zipfile(above) or tarfile.is_tarfile(above):
        return f'{subject} is an archive: unpack it and name the folder'
    return f'{subject} is a file, no folder'


def without_pipelines(dataset_cfg: dict) -> dict:
    """Return the config of a dataset, and of all datasets inside, with empty pipelines."""
    # of the wrappers only some have a pipeline of their own (RepeatDataset refuses one)
    return changed(dataset_cfg, lambda cfg: {**cfg, 'pipeline': []}
                   if 'pipeline' in cfg or not inside(cfg) else cfg)


def _class_of(kind: str | type, scope: str | None) -> type | None:
    """Return the class that a name means in ``scope`` (None: in the default scope, or mmseg's)."""
    if not isinstance(kind, str):
        return kind
    with DATASETS.switch_scope_and_registry(scope) as registry:
        return registry.get(kind)


def _leaves(dataset_cfg: dict, labels: bool,
            scope: str | None = None) -> Iterator[tuple[type, dict, bool]]:
    """Yield (class, config, whether its labels are read) of each dataset that reads files.

    ``_scope_``, which mmengine puts into what comes from another package's config, says where
    names are looked up, in the datasets inside as well; it is left out of what is yielded.
    """
    cls = None
    if isinstance(dataset_cfg, dict):
        scope = dataset_cfg.get('_scope_', scope)
        dataset_cfg = {key: value for key, value in dataset_cfg.items() if key != '_scope_'}
        cls = _class_of(dataset_cfg['type'], scope)
    if cls is None:     # built already, or an unknown name, which is told where it is built
        return
    labels = labels and cls.__name__ != 'UnlabelledDataset'
    for part in inside(dataset_cfg):
        yield from _leaves(part, labels, scope)
    if not inside(dataset_cfg):
        yield cls, dataset_cfg, labels and 'LoadAnnotations' in repr(
            dataset_cfg.get('pipeline'))


def _resolve(cls: type, cfg: dict) -> BaseSegDataset:
    """Return the dataset with its paths joined and no file read."""
    dataset = cls.__new__(cls)
    arguments = {key: value for key, value in cfg.items() if key != 'type'}
    try:
        dataset.__init__(**{**arguments, 'pipeline': [], 'lazy_init': True})
    except AssertionError:
        pass        # some stock datasets end by asserting, wordlessly, what is checked below
    return dataset


def _layout(dataset: BaseSegDataset, labels: bool) -> str:
    """Return the expected layout, one absolute path per line."""
    lines = [f'{os.path.abspath(dataset.data_prefix["img_path"])}/*{dataset.img_suffix}']
    if labels and dataset.data_prefix.get('seg_map_path'):
        folder = os.path.abspath(dataset.data_prefix['seg_map_path'])
        lines.append(f'{folder}/*{dataset.seg_map_suffix}')
    if dataset.ann_file:
        lines.append(f'{os.path.abspath(dataset.ann_file)} (one name without suffix per line)')
    return 'Expected layout:\n' + '\n'.join(f'  {line}' for line in lines)


def _advice(cls: type, dataset: BaseSegDataset) -> str:
    """Return the command that makes files that cannot be downloaded, if we know one."""
    wanted = f'{dataset.ann_file} {dataset.data_prefix.get("seg_map_path")}'
    root = dataset.data_root or '.'
    if cls.__name__ == 'PascalVOCDataset' and 'aug' in wanted.lower():
        devkit = os.path.dirname(os.path.normpath(root)) or '.'
        return (f'\nWith VOC 2012 in {devkit}/VOC2012 and the extra masks (SBD) in {devkit}/VOCaug,'
                f' the augmented masks and lists are made by:\n  python '
                f'{_CONVERTERS / "voc_aug.py"} {devkit} {devkit}/VOCaug --nproc 8')
    if cls.__name__ == 'CityscapesDataset':
        return (f'\nThe *_labelTrainIds.png are made by:\n  python '
                f'{_CONVERTERS / "cityscapes.py"} {root} --nproc 8')
    return ''


def _problem(dataset: BaseSegDataset, labels: bool) -> str | None:
    """Return what is missing, or None."""
    images, masks = (dataset.data_prefix.get(key) for key in ('img_path', 'seg_map_path'))
    labels = labels and bool(masks)
    folders = [images, *([masks] if labels else [])]
    absent = [os.path.abspath(path) for path in folders if not os.path.isdir(path)]
    if dataset.ann_file and not os.path.exists(dataset.ann_file):
        absent.append(os.path.abspath(dataset.ann_file))
    if absent:
        return f'there is no {", no ".join(absent)}'
    if dataset.ann_file and os.path.isfile(dataset.ann_file):
        read_text(dataset.ann_file, mark=False)
    samples = dataset.load_data_list()
    if not samples:
        return f'no image is named in {os.path.abspath(dataset.ann_file or images)}'
    for key, kind in (('img_path', 'images'), ('seg_map_path', 'label maps'))[:1 + labels]:
        absent = absent_files(sample[key] for sample in samples)
        if absent:
            return f'{len(absent)} of {len(samples)} {kind} are not there: {name_some(absent)}'
    return None


def _check_leaf(cls: type, cfg: dict, name: str, labels: bool) -> None:
    root = cfg.get('data_root')
    if not issubclass(cls, BaseSegDataset):     # its layout is its own; a root is all we know of
        problem = why_no_folder(root) if root and '://' not in root else None
        if problem and not getattr(cls, 'GENERATED', False):
            raise MissingFile(f'{name}: {cls.__name__} was looked for in '
                              f'{os.path.abspath(root)}, {problem}')
        return
    dataset = _resolve(cls, cfg)
    if getattr(cls, 'GENERATED', False) and not is_there(Path(dataset.data_root)):
        return                                  # written when it is built
    if '://' in str(dataset.data_prefix.get('img_path')):
        return                                  # not on this machine: its reader will tell
    root = dataset.data_root or '.'
    problem = why_no_folder(root) if os.path.isfile(root) else _problem(dataset, labels)
    if problem is not None:
        raise MissingFile(
            f'{name}: {cls.__name__} was looked for in '
            f'{os.path.abspath(root)}: {problem}.\n'
            f'{_layout(dataset, labels)}{_advice(cls, dataset)}')


def check_dataset_paths(dataset_cfg: dict, name: str, labels: bool = True) -> None:
    """Check that the files of a dataset config are there, those of wrapped datasets too.

    Knows every dataset on mmseg's ``BaseSegDataset``; of others only ``data_root`` is checked.
    ``UnlabelledDataset`` checks its folder or list itself, when it is built.

    Args:
        dataset_cfg: the ``dataset`` of a dataloader.
        name: what the message calls it, such as ``'train_dataloader'``.
        labels: whether label maps are needed where the pipeline loads them.

    Raises:
        FileNotFoundError: something is not there; the message says where it was looked for, the
            layout expected and, where there is one, the command that makes it.
        ValueError: a list is no UTF-8.
    """
    for cls, cfg, needs_labels in _leaves(dataset_cfg, labels):
        _check_leaf(cls, cfg, name, needs_labels)
