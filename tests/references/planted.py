"""Evaluations whose outcome is known: a backbone that changes in training, scripted values."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, LOOPS, MODELS
from mmengine.runner import BaseLoop, Runner
from torch import nn

import mmdense  # noqa: F401

from . import labelled

UNLABELLED = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def write_ramps(folder: Path, count: int = 6, size: tuple[int, int] = (64, 96)) -> dict:
    """Write images whose colours tell the place; return the config of their dataset."""
    folder.mkdir(parents=True)
    height, width = size
    place = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    image = np.concatenate([place * 2 + 20, np.full((height, width, 1), 100)], 2)
    for number in range(count):
        cv2.imwrite(str(folder / f'{number}.png'), image.astype(np.uint8))
    return dict(type='mmdense.UnlabelledDataset', data_root=str(folder), pipeline=UNLABELLED)


@MODELS.register_module()
class ChangingBackbone(nn.Module):
    """Its buffer ``kind`` says what its maps are: 0 one direction, 1 mean colours, 2 noise."""

    def __init__(self, kind: int = 1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer('kind', torch.tensor(kind))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        maps = F.avg_pool2d(images, 8, ceil_mode=True) * self.scale
        if self.kind == 0:
            maps = maps.sum(1, keepdim=True).expand(-1, 3, -1, -1)
        elif self.kind == 2:      # of the image, not of the global random state
            generator = torch.Generator().manual_seed(int(images.sum()) % 2 ** 31)
            maps = self.scale * torch.randn(len(maps), 16, *maps.shape[2:], generator=generator)
        return (maps,)


@HOOKS.register_module()
class ChangeKind(Hook):
    """Sets the backbone's kind at an iteration: ``kinds[0]`` at the first."""

    def __init__(self, kinds: list[int]) -> None:
        self.kinds = kinds

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.model.backbone.kind.fill_(self.kinds[runner.iter])


@LOOPS.register_module()
class ScriptedValLoop(BaseLoop):
    """Returns ``values[iteration]`` as ``score``, and counts how often it was run."""
    runs: list[int] = []

    def __init__(self, runner, dataloader, evaluator, values: dict, dies_at: int = -1) -> None:
        super().__init__(runner, dataloader)
        self.values, self.dies_at = values, dies_at

    def run(self) -> dict[str, float]:
        iteration = self.runner.iter
        if iteration == self.dies_at:
            raise KeyboardInterrupt
        self.runs.append(iteration)
        self.runner.call_hook('before_val')
        torch.rand(3)      # as a loader of the training's own state would
        self.runner.call_hook('after_val_epoch', metrics=dict(score=self.values[iteration]))
        self.runner.call_hook('after_val')


class QuickConfig(Config):
    """Is not formatted for the log and for every checkpoint, which takes seconds."""
    pretty_text = ''


def runner(folder: Path, name: str, resume: bool = False, **changes) -> Runner:
    """Return a runner of planted maps on three small images; checkpoints are in folder/name."""
    work, images = folder / name, folder / 'train'
    if not images.exists():
        write_ramps(images, 3, (16, 24))
    cfg = dict(
        model=dict(type='PlantedModel', backbone=dict(type='ChangingBackbone')),
        work_dir=str(work), default_scope='mmseg', randomness=dict(seed=3),
        experiment_name=f'{folder.name}{name}{len(ScriptedValLoop.runs)}{resume}',
        train_dataloader=dict(batch_size=2, num_workers=0, dataset=dict(
            type='mmdense.UnlabelledDataset', data_root=str(images), pipeline=UNLABELLED),
            sampler=dict(type='mmdense.ResumableSampler')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        log_processor=dict(by_epoch=False), default_hooks=dict(checkpoint=dict(
            type='mmdense.CheckpointHook', by_epoch=False, interval=2)))
    cfg = QuickConfig(cfg)
    cfg.merge_from_dict(changes)
    if resume:
        cfg.resume, cfg.load_from = True, (work / 'last_checkpoint').read_text()
    return Runner.from_cfg(cfg)


def scripted(values: list[float], **loop) -> dict:
    """Return the settings of a loop that measures ``values[n]`` at iteration n."""
    return dict(val_cfg=dict(type='ScriptedValLoop', values=dict(enumerate(values)), **loop),
                val_dataloader=dict(batch_size=1, num_workers=0, sampler=dict(
                    type='DefaultSampler', shuffle=False), dataset=dict(
                        type='mmdense.UnlabelledDataset', data_root='.', lazy_init=True,
                        serialize_data=False)), val_evaluator=[])


def loader(dataset: dict, batch_size: int = 2) -> dict:
    return labelled.loader(dataset, batch_size)
