"""A small labelled dataset on disk, models whose features are known, and a runner for both."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn

import mmdense  # noqa: F401
from mmdense.evaluation.knn_loops import DenseKNNLoop

CLASSES = ('blue', 'green', 'red')


def blocks(seed: int, size: tuple[int, int] = (32, 48), cell: int = 8) -> np.ndarray:
    """Random label map (H, W) uint8 of blocks of ``cell`` pixels, half of them class 0."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(3, p=(0.5, 0.3, 0.2), size=[-(-side // cell) for side in size])
    return coarse.repeat(cell, 0).repeat(cell, 1)[:size[0], :size[1]].astype(np.uint8)


def write(root: Path, name: str, labels: list[np.ndarray]) -> dict:
    """Write images whose colour is their label, and the labels; return the dataset's config."""
    for part in ('images', 'labels'):
        (root / name / part).mkdir(parents=True, exist_ok=True)
    for number, label in enumerate(labels):
        image = np.zeros((*label.shape, 3), np.uint8)
        for channel in range(3):
            image[..., channel] = 255 * (label == channel)
        cv2.imwrite(str(root / name / 'images' / f'{number:03d}.png'), image)
        cv2.imwrite(str(root / name / 'labels' / f'{number:03d}.png'), label)
    return dict(
        type='BaseSegDataset', data_root=str(root / name), img_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='labels'), reduce_zero_label=False,
        metainfo=dict(classes=CLASSES, palette=[[0, 0, 255], [0, 255, 0], [255, 0, 0]]),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                  dict(type='PackSegInputs')])


def loader(dataset: dict, batch_size: int = 2, **changes) -> dict:
    return dict(dataset=dataset, batch_size=batch_size, num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False), **changes)


@MODELS.register_module()
class PlantedBackbone(nn.Module):
    """Mean colour of squares of ``cell`` pixels: the class shares of :func:`write`'s images."""

    def __init__(self, cell: int = 8, noise: bool = False) -> None:
        super().__init__()
        self.cell, self.noise, self.calls = cell, noise, 0
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        maps = F.avg_pool2d(images, self.cell, ceil_mode=True) * self.scale
        if self.noise:      # not from the global random state
            self.calls += 1
            generator = torch.Generator().manual_seed(self.calls)
            maps = torch.randn(len(maps), 16, *maps.shape[2:], generator=generator)
        return (maps,)


@MODELS.register_module()
class PlantedModel(BaseModel):
    """The planted backbone as a model that can be trained on its own mean."""

    def __init__(self, backbone: dict, data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmengine.ImgDataPreprocessor',
                                                   std=[255] * 3, mean=[0] * 3))
        self.backbone = MODELS.build(backbone)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        loss = self.backbone(inputs)[0].mean()
        return dict(loss=loss + torch.rand(()) * 0)


def runner(tmp_path: Path, memory: dict, query: dict, model: dict | None = None, mode: str = 'val',
           **loop) -> Runner:
    """A runner whose ``mode`` loop is dense k-NN."""
    name = {'val': 'mmdense.DenseKNNValLoop', 'test': 'mmdense.DenseKNNTestLoop'}[mode]
    return Runner.from_cfg(Config({
        'model': model or dict(type='PlantedModel', backbone=dict(type='PlantedBackbone')),
        'work_dir': str(tmp_path / 'work'), 'default_scope': 'mmseg', 'log_level': 'INFO',
        'experiment_name': tmp_path.name, 'randomness': dict(seed=0),
        f'{mode}_dataloader': loader(query), f'{mode}_cfg': dict(type=name, memory=loader(memory),
                                                                 **loop),
        f'{mode}_evaluator': dict(type='IoUMetric', iou_metrics=['mIoU'])}))


RESNET = dict(type='PlantedModel', backbone=dict(
    type='mmseg.ResNet', depth=18, base_channels=8, norm_cfg=dict(type='BN')))


def measure_in_process(tmp_path: Path, datasets: tuple[dict, dict], rank: int,
                       world_size: int) -> None:
    """Save what one of ``world_size`` processes has in memory and its metrics."""
    measured = runner(tmp_path / f'{world_size}', *datasets, model=RESNET, memory_size=100,
                      stride=8, k=5)
    remembered = []
    remember = DenseKNNLoop._remember

    def spy(self, encoder):
        remembered.append(remember(self, encoder))
        return remembered[0]

    DenseKNNLoop._remember = spy
    metrics = measured.val()
    DenseKNNLoop._remember = remember
    (segmenter, beside), = remembered
    torch.save((segmenter.keys, segmenter.shares, beside.prior.counts,
                torch.tensor([metrics[key] for key in sorted(metrics)])),
               tmp_path / f'{world_size}_{rank}.pt')
