"""The hook sees whether a run's backbone has the weights that its config names."""
from __future__ import annotations

import itertools
import shutil

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch.utils.data import Dataset

from mmdense.checkpoints import load_report_hook

register_all_modules(init_default_scope=False)
R18 = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
RUNS = itertools.count()


class Images(Dataset):
    metainfo: dict = {}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return dict(inputs=torch.ones(3, 8, 8), data_samples=index)


class Segmentor(BaseModel):
    """A backbone and a loss."""

    def __init__(self, backbone: dict | None) -> None:
        super().__init__()
        if backbone is not None:
            with DefaultScope.overwrite_default_scope('mmseg'):
                self.backbone = MODELS.build(dict(backbone))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=self.backbone(torch.stack(inputs))[-1].mean())


class Spoiler(Hook):
    """Initialises something again, as a careless hook or method may."""

    def before_run(self, runner):
        forward = runner._init_model_weights

        def spoiled():
            forward()
            runner.model.backbone.layer1[0].conv1.weight.data.zero_()
        runner._init_model_weights = spoiled


@pytest.fixture
def printed(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(load_report_hook, 'print_log', lambda text, *args, **kw: lines.append(text))
    return lines


@pytest.fixture(scope='module')
def file(tmp_path_factory) -> str:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp('file') / 'densecl.pth'
    with DefaultScope.overwrite_default_scope('mmseg'):
        state = MODELS.build(R18).state_dict()
    torch.save(dict(meta={}, state_dict={f'backbone.{n}': t for n, t in state.items()}), path)
    return str(path)


def train(work_dir, backbone, hooks=(), steps=1, **kwargs) -> Runner:
    loader = dict(dataset=Images(), batch_size=2, sampler=dict(type='DefaultSampler'),
                  collate_fn=dict(type='pseudo_collate'))
    runner = Runner(
        Segmentor(backbone), str(work_dir), train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=steps), default_scope='mmseg',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), log_level='ERROR',
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)),
        custom_hooks=[dict(type='mmdense.LoadReportHook'), *hooks],
        experiment_name=f'report-{next(RUNS)}', **kwargs)
    runner.train()
    return runner


@pytest.mark.parametrize('init_cfg', [
    dict(type='mmdense.PretrainedBackbone'), dict(type='Pretrained', prefix='backbone.')])
def test_prints_the_report_of_init_cfg(tmp_path, file, printed, init_cfg):
    train(tmp_path, dict(R18, init_cfg=dict(init_cfg, checkpoint=file)))
    assert len(printed) == 1
    assert f'{file} fills 100 of 100 tensors (100.0 %) of ResNet\n' in printed[0]


def test_prints_the_report_of_load_from(tmp_path, file, printed):
    train(tmp_path, R18, load_from=file)
    assert f'{file} fills 100 of 100 tensors' in printed[0]


def test_random_weights_are_said(tmp_path, printed):
    train(tmp_path, R18)
    train(tmp_path, dict(R18, init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)))
    assert printed == ['weights of the backbone: ResNet starts from random weights'] * 2


def test_overwritten_weights_raise(tmp_path, file):
    init_cfg = dict(type='mmdense.PretrainedBackbone', checkpoint=file)
    with pytest.raises(ValueError, match=r'1 of 100 tensors of the backbone are not those of .*'
                                         r'layer1.0.conv1.weight: something initialised'):
        train(tmp_path, dict(R18, init_cfg=init_cfg), [Spoiler()])


def test_load_from_a_file_of_bare_names_raises(tmp_path, file):
    """mmengine reads it without a word and leaves the backbone random."""
    state = torch.load(file, weights_only=True)['state_dict']
    bare = {n.removeprefix('backbone.'): t for n, t in state.items()}
    torch.save(bare, tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='tensors of the backbone are not those of .*load_from '
                                         'reads names as they are, use model.backbone.init_cfg'):
        train(tmp_path, R18, load_from=str(tmp_path / 'bare.pth'))


def test_stock_pretrained_into_another_stem_is_told(tmp_path, file, printed):
    init_cfg = dict(type='Pretrained', checkpoint=file, prefix='backbone.')
    train(tmp_path, dict(R18, type='ResNetV1c', init_cfg=init_cfg))
    assert '95 of 110 tensors (86.3 %)' in printed[0]
    assert "set backbone.type='ResNet'" in printed[0]


def test_stock_pretrained_that_loads_nothing_raises(tmp_path, file):
    """Without its prefix the stock initialiser takes no tensor of our file."""
    with pytest.raises(ValueError, match='tensors of the backbone are not those of'):
        train(tmp_path, dict(R18, init_cfg=dict(type='Pretrained', checkpoint=file)))


def test_resumed_run_is_left_alone(tmp_path, file, printed):
    backbone = dict(R18, init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=file))
    train(tmp_path, backbone)
    printed.clear()
    assert train(tmp_path, backbone, steps=2, resume=True).iter == 2
    copied = shutil.copy(tmp_path / 'iter_1.pth', tmp_path / 'c.pth')
    assert train(tmp_path / 'b', backbone, steps=2, resume=True, load_from=str(copied)).iter == 2
    assert not printed


def test_model_without_backbone(tmp_path):
    class Nothing:
        iter, model = 0, Segmentor(None)
    with pytest.raises(ValueError, match='LoadReportHook: Segmentor has no backbone'):
        load_report_hook.LoadReportHook().before_train(Nothing())
