from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from references import tiny
from references.known_backbones import KNOWN
from torch.utils.data import Dataset

from mmdense.datasets import collate_views
from mmdense.evaluation import monitor_hook
from mmdense.evaluation.monitor_hook import FeatureMonitorHook, batch_statistics
from mmdense.registry import DATASETS
from mmdense.structures import Views, ViewSample


@DATASETS.register_module()
class TwoViews(Dataset):
    """Both views show the whole image."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        image = torch.from_numpy(np.random.default_rng(index).integers(
            0, 256, (3, 64, 64), dtype=np.uint8))
        sample = ViewSample(metainfo=dict(img_path=f'{index}.png', ori_shape=(64, 64),
                                          index=index))
        sample.boxes = torch.tensor([[0., 0, 64, 64]] * 2)
        sample.flips = torch.tensor([False, False])
        return dict(inputs=[image, image], data_samples=sample)


PREPROCESSOR = dict(type='mmdense.ViewsPreprocessor')
NAMES = {'feature_std', 'effective_rank', 'place_share', 'positive_similarity',
         'negative_similarity', 'correspondence_accuracy'}


def test_statistics_are_in_the_log_line_and_the_log_file(tmp_path):
    runner = Runner.from_cfg(Config(dict(
        model=tiny.config(data_preprocessor=PREPROCESSOR),
        work_dir=str(tmp_path), default_scope='mmseg',
        experiment_name=tmp_path.name, randomness=dict(seed=0),
        train_dataloader=dict(dataset=dict(type='mmdense.TwoViews'), batch_size=4, num_workers=0,
                              sampler=dict(type='InfiniteSampler', shuffle=False),
                              collate_fn=dict(type='mmdense.collate_views')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=100),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        log_processor=dict(by_epoch=False),
        default_hooks=dict(checkpoint=None, logger=dict(type='LoggerHook', interval=2)),
        custom_hooks=[dict(type='mmdense.FeatureMonitorHook', interval=2)],
        vis_backends=[dict(type='LocalVisBackend')])))
    runner.train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'correspondence_accuracy: 100.0000' in log.split('Iter(train) [2/4]')[1].split('\n')[0]
    scalars = next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    assert NAMES <= set(json.loads(scalars[0]))


def test_nothing_changes_but_the_log(tmp_path):
    model = tiny.build(data_preprocessor=PREPROCESSOR)
    model.train()
    model.backbone.layer1.eval()                          # frozen stages stay frozen
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    hub = MessageHub.get_instance(tmp_path.name)
    data = collate_views([TwoViews()[0], TwoViews()[1]])
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    hook = FeatureMonitorHook(interval=3)
    for iteration in range(3):
        assert not hub.log_scalars, iteration
        hook.after_train_iter(SimpleNamespace(model=model, message_hub=hub, iter=iteration),
                              iteration, data)
    assert {f'train/{name}' for name in NAMES} == set(hub.log_scalars)
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(states[0], torch.get_rng_state()) and states[2] == random.getstate()
    assert (states[1] == np.random.get_state()[1]).all()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_geometry_only_spread_is_measured():
    model = tiny.build().requires_grad_(False)
    model.eval()
    images = torch.randn(2, 3, 64, 64)
    assert set(batch_statistics(model, [images], None)) == {'feature_std', 'effective_rank',
                                                              'place_share'}
    boxes = torch.tensor([0., 0, 64, 64]).expand(2, 2, 4)
    geometry = Views(boxes=boxes, flips=torch.zeros(2, 2, dtype=torch.bool),
                     index=torch.arange(2))
    found = batch_statistics(model, [images, images], geometry)
    assert found['correspondence_accuracy'] == 100 and found['positive_similarity'] > 0.999


@pytest.mark.situation('numbers', 'the feature monitor meets features that are not finite',
                       'warning', 'it logs nan for each of its statistics, and training goes on')
def test_features_that_are_not_finite_are_nan_in_the_log(tmp_path):
    model = tiny.build(data_preprocessor=PREPROCESSOR)
    model.backbone.layer4[0].conv1.weight.data[0, 0, 0, 0] = torch.nan
    hub = MessageHub.get_instance(tmp_path.name)
    FeatureMonitorHook(interval=1).after_train_iter(
        SimpleNamespace(model=model, message_hub=hub, iter=0), 0,
        collate_views([TwoViews()[0], TwoViews()[1]]))
    assert {f'train/{name}' for name in NAMES} == set(hub.log_scalars)
    assert all(np.isnan(scalar.current()) for scalar in hub.log_scalars.values())


def test_large_maps_are_looked_at_coarsely(monkeypatch):
    cfg = next(known.cfg for known in KNOWN if known.name == 'UNet')
    head = dict(type='mmdense.Projector', in_channels=4, hidden_channels=8, out_channels=8)
    model = tiny.build(backbone=cfg, projector=head, dense_projector=head)
    model.eval()
    sizes = []
    monkeypatch.setattr(monitor_hook, 'spread_of', lambda maps: sizes.append(maps.shape) or {})
    with torch.no_grad():
        found = batch_statistics(model, [torch.randn(2, 3, 64, 48)] * 2,
                                 tiny.views_of(torch.arange(2)))
    assert sizes == [(2, 4, 32, 32)] and found['correspondence_accuracy'] > 50
