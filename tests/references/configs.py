"""The configs of this repository, read so that a test can build and train them."""
from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

import mmdense  # noqa: F401
from mmdense.datasets.generate import ensure_scenes
from mmdense.regions import grid_regions, write_regions

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
PRETRAINING = sorted(CONFIGS.glob('*.py'))
STOCK = sorted((CONFIGS / 'mmpretrain').glob('*.py'))
FINETUNING = sorted((CONFIGS / 'finetune').glob('*.py'))
TABLES = sorted((CONFIGS / 'tables').glob('*.py'))


def make_data(root: Path) -> Path:
    """Write a few images into ``root`` in every layout that the configs name; return it."""
    ensure_scenes(root / 'shapes', counts=dict(unlabelled=6, labelled=12, val=2))
    voc, camvid = root / 'VOCdevkit/VOC2012', root / 'camvid'
    for folder in ('JPEGImages', 'SegmentationClass', 'SegmentationClassAug'):
        write_images(voc / folder, ('a', 'b'))
    write_images(camvid / 'images/train', ('a', 'b'))
    write_images(camvid / 'annotations/train', ('a', 'b'))
    for path in (voc / 'ImageSets/Segmentation', camvid / 'splits'):
        path.mkdir(parents=True)
        for name in ('train', 'val', 'aug', 'trainaug', 'bank', 'bank_1of8', 'newdrive'):
            (path / f'{name}.txt').write_text('a\nb\n')
    for folder in ('imagenet/train/n0', 'coco/train2017', 'mine', 'bsds/images/train'):
        write_images(root / folder, ('a', 'b'))
    for folder in ('imagenet/regions_fh/n0', 'coco/regions_fh', 'VOCdevkit/VOC2012/regions_fh',
                   'bsds/regions/train', 'bsds_regions_fh/train'):
        (root / folder).mkdir(parents=True)
        for name in ('a', 'b'):
            image = np.zeros((90, 120), np.uint8)
            write_regions(root / folder / f'{name}.png', grid_regions(image, cells=3))
    return root


def write_images(folder: Path, names: tuple[str, ...]) -> None:
    """Write images, or class ids where the folder is one of annotations."""
    folder.mkdir(parents=True)
    label = 'Segmentation' in folder.name or 'annotations' in str(folder)
    for name in names:
        image = np.random.default_rng(0).integers(0, 5 if label else 256, (90, 120, 3), np.uint8)
        cv2.imwrite(str(folder / f'{name}{".png" if label else ".jpg"}'),
                    image[..., 0] if label else image)


def read(leaf: Path, data: Path) -> Config:
    """Read a config with its data in the folder ``data``, no workers, and a folder named."""
    cfg = Config.fromfile(leaf)
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


def two_steps(cfg: Config, work_dir: Path, name: str) -> Path:
    """Train two iterations as a runner does; return the checkpoint."""
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = name
    cfg.merge_from_dict({
        'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'train_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1})
    Runner.from_cfg(cfg).train()
    return work_dir / 'iter_2.pth'
