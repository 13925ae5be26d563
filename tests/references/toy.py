"""A network and a dataset that train in a second, random in every way that a real run is."""
from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, TRANSFORMS
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]

CONFIG = '''
_base_ = ['{root}/configs/_base_/mmdense.py', '{root}/configs/_base_/default_runtime.py']
custom_imports = dict(imports=['mmdense', 'references.toy'])
model = dict(type='mmengine.ToyModel')
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='mmdense.ResumableSampler'),
    dataset=dict(type='mmengine.ToyDataset', pipeline=[
        dict(type='mmdense.SeedSample'), dict(type='mmengine.ToyNoise')]))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=12, val_interval=1000)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
param_scheduler = [dict(type='PolyLR', by_epoch=False, eta_min=0., power=0.9, end=12)]
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=1))
'''


def write_config(folder: Path, changes: str = '', name: str = 'toy.py') -> Path:
    """Write the toy's config, or one that inherits it and changes it; return its path."""
    path = folder / name
    path.write_text(f"_base_ = 'toy.py'\n{changes}" if changes else CONFIG.format(root=ROOT))
    return path


@DATASETS.register_module()
class ToyDataset(BaseDataset):
    """``size`` samples that know their number."""

    def __init__(self, size: int = 13, **kwargs) -> None:
        self.size = size
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        return [dict(number=number) for number in range(self.size)]


@TRANSFORMS.register_module()
class ToyNoise:
    """Makes an image of the number and of every source of random numbers."""

    def __call__(self, results: dict) -> dict:
        noise = np.random.rand(3, 6, 6).astype(np.float32) * random.random()
        return dict(inputs=torch.from_numpy(noise) + torch.rand(3, 6, 6) + results['number'])


@MODELS.register_module()
class ToyModel(BaseModel):
    """Convolution, BatchNorm, dropout, a linear map."""

    def __init__(self, norm: str = 'BatchNorm2d') -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), getattr(nn, norm)(4), nn.ReLU(),
                                  nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 5))

    def forward(self, inputs: list[Tensor], mode: str) -> dict[str, Tensor]:
        out = self.body(torch.stack(list(inputs)))
        return dict(loss=(out - torch.randn_like(out)).pow(2).mean())
