"""The configs of this repository, read so that a test can build and train them."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from math import prod
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmdense  # noqa: F401
from mmdense.datasets.generate import ensure_scenes
from mmdense.models.selfsup.traits import method_class
from mmdense.regions import grid_regions, write_regions
from mmdense.teacher_maps import TeacherMaps
from references.commands import ROOT, call_tool
from steps.options import format_options
from tables.definition import read_table
from tables.row_config import config_file

CONFIGS = ROOT / 'configs'
PRETRAINING = sorted(CONFIGS.glob('*.py')) + sorted((CONFIGS / 'continue').glob('*.py'))
FINETUNING = sorted((CONFIGS / 'finetune').glob('*.py'))
TABLES = sorted((CONFIGS / 'tables').glob('*.py'))


def row_file(table: str, row: str, folder: Path) -> Path:
    """Return the config of a table's row; one of bases and settings is written to ``folder``."""
    found, = read_table(CONFIGS / f'tables/{table}.py').chosen([row])
    return config_file(found.pretrain, folder, 'row')


#: images of a stand-in
NAMES = tuple('abcdef')
#: classes in the stand-ins' label maps, each in every one
CLASSES = dict(voc=21, camvid=11, animals=7)


def make_data(root: Path) -> Path:
    """Write a few images into ``root`` in every layout that the configs name; return it.

    Configs find them as they are in the folder above, where ``root`` is named ``data``.
    """
    ensure_scenes(root / 'shapes', counts=dict(unlabelled=6, labelled=12, val=2))
    voc, camvid, animals = (root / name for name in ('VOCdevkit/VOC2012', 'camvid',
                                                     'voc_animals'))
    for folder in ('SegmentationClass', 'SegmentationClassAug'):
        write_labels(voc / folder, CLASSES['voc'])
    write_labels(camvid / 'annotations/train', CLASSES['camvid'])
    write_labels(animals / 'annotations', CLASSES['animals'])
    for path in (voc / 'ImageSets/Segmentation', camvid / 'splits', animals / 'splits'):
        path.mkdir(parents=True)
        for name in ('train', 'val', 'aug', 'trainaug', 'bank', 'bank_1of8', 'newdrive',
                     'unlabeled', 'train_1of16'):
            (path / f'{name}.txt').write_text('\n'.join(NAMES))
    for folder in ('VOCdevkit/VOC2012/JPEGImages', 'camvid/images/train', 'imagenet/train/n0',
                   'clips/frames/one',
                   'coco/train2017', 'mine', 'bsds/images/train', 'voc_animals/images'):
        write_images(root / folder)
    for folder in ('imagenet/regions_fh/n0', 'coco/regions_fh', 'VOCdevkit/VOC2012/regions_fh',
                   'bsds/regions/train', 'bsds_regions_fh/train', 'clips/motion/one'):
        (root / folder).mkdir(parents=True)
        for name in NAMES:
            image = np.zeros((90, 120), np.uint8)
            write_regions(root / folder / f'{name}.png', grid_regions(image, cells=3))
    write_teacher_maps(root / 'animals_lite0', animals / 'images')
    torch.save(timm.create_model('test_vit').state_dict(), root / 'teacher.pth')
    return root


def write_teacher_maps(folder: Path, images: Path) -> None:
    """Write random maps, of two levels, of the images in a folder."""
    shapes = [(112, 14, 14), (320, 7, 7)]
    note = dict(key='', name='a stand-in', licence='none', size=[224, 224], shapes=shapes)
    paths = [str(images / f'{name}.jpg') for name in NAMES]
    rows = np.random.default_rng(0).normal(size=(len(NAMES), sum(map(prod, shapes))))
    TeacherMaps.begin(folder, note, paths).write(np.arange(len(NAMES)), rows)


def write_images(folder: Path) -> None:
    """Write one JPEG image of random pixels for each name."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        image = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)
        cv2.imwrite(str(folder / f'{name}.jpg'), image)


def write_labels(folder: Path, classes: int) -> None:
    """Write one label map of random classes for each name."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        label = np.random.default_rng(seed).integers(0, classes, (90, 120), np.uint8)
        cv2.imwrite(str(folder / f'{name}.png'), label)


_read = lru_cache(maxsize=None)(Config.fromfile)


def parsed(leaf: Path | str) -> Config:
    """Return a config of this repository, whose files are read once."""
    return copy.deepcopy(_read(str(leaf)))


#: parts of a model that take the backbone's maps
BEHIND = ('projector', 'dense_projector', 'neck', 'head', 'decode_head', 'regions')
NARROW = 8


def nodes(node: dict | list | tuple, name: str = '') -> Iterator[tuple[str, dict]]:
    """Yield each dict in a config with its dotted name."""
    items = enumerate(node) if isinstance(node, (list, tuple)) else node.items()
    if isinstance(node, dict):
        yield name, node
    for key, child in items:
        if isinstance(child, (dict, list, tuple)):
            yield from nodes(child, f'{name}.{key}'.removeprefix('.'))


def small_options(leaf: Path) -> dict[str, int | str | bool | list[int]]:
    """Return options that make a leaf's network narrow, its batches two images, its loaders plain.

    What the config itself does not say, the folder of images, is among them.
    """
    cfg = parsed(leaf)
    batch = 3 if cfg.model.type == 'mmdense.CP2' else 2     # it pastes onto two other images
    options = {'train_dataloader.batch_size': batch, 'model.backbone.base_channels': 64 // NARROW}
    if '_r50_folder' in leaf.stem:
        options['train_dataloader.dataset.data_root'] = 'data/mine'
    for name in ('val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            options[f'{name}.dataset.indices'] = 2
            for place, step in enumerate(cfg[name].dataset.pipeline):
                if step.type == 'Resize':
                    options[f'{name}.dataset.pipeline.{place}.scale'] = (128, 96)
    for name, node in nodes(cfg._cfg_dict):
        plain = dict(num_workers=0, persistent_workers=False, num_images=6, memory_size=200)
        if name != 'model' and not name.startswith('_'):
            options.update({f'{name}.{key}': value for key, value in plain.items() if key in node})
    if 'teacher' in cfg.model:
        options.update({'model.teacher.checkpoint': 'data/teacher.pth', 'model.teacher.size': 32,
                        'model.teacher.backbone.model_name': 'test_vit',
                        'model.teacher.backbone.dynamic_img_size': True})
    for name, node in nodes(cfg.model, 'model'):
        part = name.rpartition('.')[2]
        for key, value in node.items():
            if key in ('in_channels', 'c1_in_channels') and part in BEHIND:
                options[f'{name}.{key}'] = [one // NARROW for one in value] \
                    if isinstance(value, list) else value // NARROW
            elif key in ('hidden_channels', 'hid_channels'):
                options[f'{name}.{key}'] = 32
            elif key in ('channels', 'c1_channels') and part == 'decode_head':
                options[f'{name}.{key}'] = 16
            elif key == 'queue_len' or part in ('queue', 'image_queue') and key == 'size':
                options[f'{name}.{key}'] = 8
            elif key == 'num_cells':
                options[f'{name}.{key}'] = 4
    return options


def short_options(leaf: Path) -> dict[str, int]:
    """Return options that end a run after two steps, with its validation.

    The auto recipe's warm-up takes two, and a step has to come after it.
    """
    steps = 3 if parsed(leaf).get('recipe') == 'auto' else 2
    return {'train_cfg.max_iters': steps, 'train_cfg.val_interval': steps,
            'default_hooks.logger.interval': 1}


def views_of(model: dict) -> int:
    """Return how many views of an image a method takes whose regions come with them."""
    number = 1 if model.get('cache') else method_class(model).num_views
    return number if isinstance(number, int) else 2


def words(options: dict) -> list[str]:
    """Return options as a command line has them."""
    return ['--cfg-options', *format_options(options, 'the tests')] if options else []


def read(leaf: Path, data: Path) -> Config:
    """Read a config with its data in the folder ``data``, no workers, and a folder named."""
    cfg = parsed(leaf)
    if '_r50_folder' in leaf.stem:
        cfg.merge_from_dict({'train_dataloader.dataset.data_root': 'data/mine'})
    move(cfg._cfg_dict, data)
    return cfg


def move(node: dict | list | tuple, data: Path) -> None:
    """Change every folder of data in a config, take few images, and let loaders work here."""
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            move(child, data)
    if isinstance(node, dict):
        for name in ('data_root', 'images', 'folder'):
            root = node.get(name)
            if isinstance(root, str) and root.startswith('data/'):
                node[name] = str(data / root.removeprefix('data/'))
        if 'num_images' in node:
            node['num_images'] = 6
        if 'num_workers' in node:
            node.update(num_workers=0, persistent_workers=False)


def build(cfg: dict, kind=MODELS, scope: str = 'mmseg'):
    with DefaultScope.overwrite_default_scope(scope):
        return kind.build(copy.deepcopy(cfg))


def build_shapes(model: dict) -> torch.nn.Module:
    """Build a model without time for random numbers, where that can be done."""
    # mmpretrain's ResNet takes numbers out of tensors as it is built
    with torch.device('cpu' if model.get('_scope_') == 'mmpretrain' else 'meta'):
        return build(model)


def two_steps(leaf: Path, data: Path, work_dir: Path, **options: object) -> Path:
    """Train a leaf at small size with tools/train.py for two steps; return the checkpoint.

    Of a run with the auto recipe it is three, see :func:`short_options`.
    """
    short = short_options(leaf)
    call_tool('train', leaf, '--work-dir', work_dir,
              *words({**small_options(leaf), **short, **options}), cwd=data.parent)
    return work_dir / f'iter_{short["train_cfg.max_iters"]}.pth'
