"""Every way into a checkpoint reads mmengine's own and never runs a hostile one."""
from __future__ import annotations

import http.server
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from references.hostile import hostile, told
from torch import nn
from torch.utils.data import Dataset

from mmdense.checkpoints import read_checkpoint  # and with it the reader of all others


class Toy(BaseModel):
    """One number that learns."""

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return dict(loss=(self.weight - 1).square().sum())
        return [self.weight]


class Numbers(Dataset):
    metainfo: dict = {}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.ones(1), data_samples=index)


class Nothing(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(seen=len(results))


RUNS = itertools.count()


def run(work_dir: Path, steps: int = 2, init_cfg: dict | None = None, **kwargs) -> Runner:
    loader = dict(dataset=Numbers(), batch_size=1, sampler=dict(type='DefaultSampler'))
    return Runner(
        Toy(init_cfg), str(work_dir), train_dataloader=loader, test_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=steps), test_cfg={}, test_evaluator=Nothing(),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)), default_scope='mmengine',
        param_scheduler=dict(type='LinearLR', by_epoch=False, end=10),
        default_hooks=dict(checkpoint=dict(type='mmdense.CheckpointHook', interval=1,
                                           by_epoch=False)),
        log_level='ERROR', experiment_name=f'doors-{next(RUNS)}', **kwargs)


def segmentor(checkpoint: str) -> None:
    from mmseg.apis import init_model
    init_model(Config(dict(default_scope='mmseg', model=dict(
        type='EncoderDecoder', backbone=dict(type='mmpretrain.LeNet5', num_classes=-1),
        decode_head=dict(type='FCNHead', in_channels=6, channels=6, num_convs=0, num_classes=3,
                         concat_input=False)))), checkpoint, device='cpu')


def swin(init_type: str, checkpoint: str) -> None:
    from mmseg.models.backbones import SwinTransformer
    SwinTransformer(embed_dims=4, depths=(1,), num_heads=(1,), strides=(4,), out_indices=(0,),
                    init_cfg=dict(type=init_type, checkpoint=checkpoint)).init_weights()


def vit(checkpoint: str) -> None:
    from mmseg.models.backbones import VisionTransformer
    VisionTransformer(img_size=8, patch_size=4, embed_dims=4, num_layers=1, num_heads=1,
                      out_indices=0, init_cfg=dict(type='Pretrained_Part', checkpoint=checkpoint)
                      ).init_weights()


def timm_backbone(checkpoint: str) -> None:
    from mmseg.models.backbones import TIMMBackbone
    TIMMBackbone('resnet10t', features_only=False, pretrained=False, checkpoint_path=checkpoint)


def classifier(checkpoint: str) -> None:
    from mmpretrain import get_model
    get_model('resnet18_8xb16_cifar10', pretrained=checkpoint)


def auto_resume(checkpoint: str) -> None:
    folder = Path(checkpoint).parent
    (folder / 'last_checkpoint').write_text(checkpoint)
    run(folder, steps=3, resume=True).train()


def published(checkpoint: str) -> None:
    from mmengine.hooks import CheckpointHook
    CheckpointHook(published_keys=['state_dict'])._publish_model(None, checkpoint)


def pretrained(kind: str, checkpoint: str, **kwargs) -> None:
    run(Path(checkpoint).parent / 'work',
        init_cfg=dict(type=kind, checkpoint=checkpoint, **kwargs)).train()


def inferencer(checkpoint: str) -> None:
    from mmseg.apis import MMSegInferencer
    MMSegInferencer(None, weights=checkpoint, device='cpu')


def evaluated(checkpoint: str) -> None:
    from mmdense.checkpoints import PretrainedBackbone
    PretrainedBackbone(checkpoint).load(Toy())


DOORS: dict[str, Callable[[str], object]] = {
    'Runner.test, as test.py': lambda c: run(Path(c).parent / 'w', load_from=c).test(),
    'load_from': lambda c: run(Path(c).parent / 'w', load_from=c).train(),
    'resume': lambda c: run(Path(c).parent / 'w', steps=3, load_from=c, resume=True).train(),
    'auto resume': auto_resume,
    'Pretrained': partial(pretrained, 'Pretrained'),
    'Pretrained with prefix': partial(pretrained, 'Pretrained', prefix='backbone.'),
    'ours': partial(pretrained, 'mmdense.PretrainedBackbone'),
    'load_checkpoint': lambda c: load_checkpoint(Toy(), c),
    'CheckpointLoader': CheckpointLoader.load_checkpoint,
    'publishing hook': published,
    'mmseg init_model': segmentor,
    'mmseg Swin': partial(swin, 'Pretrained'),
    'mmseg ViT': vit,
    'timm checkpoint_path': timm_backbone,
    'mmpretrain get_model': classifier,
    'mmseg inferencer without a config': inferencer,
    'evaluate.py': evaluated,
    'read_checkpoint': read_checkpoint,
}


#: doors that mmengine's own checkpoint of the toy passes
FITS = ('Runner.test, as test.py', 'load_from', 'resume', 'auto resume', 'Pretrained', 'ours',
        'load_checkpoint', 'CheckpointLoader', 'publishing hook', 'evaluate.py', 'read_checkpoint')


@pytest.mark.parametrize('door', DOORS)
def test_hostile_file_never_runs(tmp_path, door):
    trace, path = tmp_path / 'trace', tmp_path / 'evil.pth'
    torch.save(hostile(trace, 'message_hub'), path)
    with pytest.raises((ValueError, RuntimeError), match=r'(posix|nt)\.mkdir|config in .* not run'):
        DOORS[door](str(path))
    assert not trace.exists()


@pytest.mark.parametrize('place', ['top', 'meta', 'history', 'state_dict'])
@pytest.mark.parametrize('door', ['Runner.test, as test.py', 'load_from', 'resume', 'ours'])
def test_hostile_at_any_place(tmp_path, door, place):
    trace, path = tmp_path / 'trace', tmp_path / 'evil.pth'
    torch.save(hostile(trace, place), path)
    with pytest.raises(ValueError, match=r'(posix|nt)\.mkdir'):
        DOORS[door](str(path))
    assert not trace.exists()


@pytest.fixture(scope='module')
def own(tmp_path_factory) -> Path:
    """A checkpoint that mmengine wrote: log, optimiser, scheduler and all."""
    folder = tmp_path_factory.mktemp('own')
    run(folder).train()
    return folder / 'iter_2.pth'


@pytest.mark.parametrize('door', ['Runner.test, as test.py', 'load_from', 'Pretrained', 'ours',
                                  'load_checkpoint', 'publishing hook'])
def test_mmengines_own_checkpoint_loads(own, tmp_path, door):
    path = shutil.copy(own, tmp_path / 'own.pth')
    DOORS[door](str(path))


@pytest.mark.parametrize('auto', [True, False])
def test_resume_is_complete(own, tmp_path, auto):
    """Three steps at once, and two then one more, end alike in weights, log and optimiser."""
    straight = run(tmp_path / 'straight', steps=3)
    straight.train()
    if auto:
        folder = Path(shutil.copytree(own.parent, tmp_path / 'again'))
        (folder / 'last_checkpoint').write_text(str(folder / own.name))
        resumed = run(folder, steps=3, resume=True)
    else:
        resumed = run(tmp_path / 'other', steps=3, load_from=str(own), resume=True)
    resumed.train()
    assert torch.equal(resumed.model.weight, straight.model.weight)
    logs = [r.message_hub.get_scalar('train/loss') for r in (straight, resumed)]
    assert type(logs[1]) is HistoryBuffer
    for one, other in zip(logs[0].data, logs[1].data, strict=True):
        assert one.tolist() == other.tolist() and len(one) == 3
    states = [r.optim_wrapper.state_dict()['state'][0] for r in (straight, resumed)]
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=0)


@pytest.mark.parametrize('door', [
    pytest.param('Runner.test, as test.py', id='test', marks=pytest.mark.situation(
        'numbers', 'test.py of a checkpoint with NaN weights', 'error', 'refused by name')),
    pytest.param('load_from', id='load_from', marks=pytest.mark.situation(
        'numbers', 'load_from of a checkpoint with NaN weights', 'error', 'refused by name')),
    pytest.param('auto resume', id='resume', marks=pytest.mark.situation(
        'numbers', '--resume from a checkpoint with NaN weights', 'error', 'refused by name')),
    pytest.param('Pretrained', id='Pretrained', marks=pytest.mark.situation(
        'numbers', 'init_cfg of type Pretrained with NaN weights', 'error', 'refused by name')),
    pytest.param('ours', id='ours', marks=pytest.mark.situation(
        'numbers', 'init_cfg of type mmdense.PretrainedBackbone with NaN weights', 'error',
        'refused by name'))])
@pytest.mark.parametrize('kind', ['nan', 'inf', 'whole'])
def test_weights_that_are_no_numbers_come_through_no_door(own, tmp_path, door, kind):
    content = torch.load(own, weights_only=False)
    weight = content['state_dict']['weight']
    content['state_dict']['weight'] = weight.int() if kind == 'whole' else weight * float(kind)
    torch.save(content, tmp_path / 'broken.pth')
    with pytest.raises(ValueError, match=r'broken.pth is .*\(weight\)'):
        DOORS[door](str(tmp_path / 'broken.pth'))


@pytest.mark.situation(
    'security', 'a checkpoint that has Python programs as its texts, at every door', 'works',
    "the texts are never run: meta['config'] is left out, and an inferencer asks for a config")
@pytest.mark.parametrize('door', DOORS)
def test_texts_of_a_checkpoint_are_never_run(own, tmp_path, door):
    trace, path = tmp_path / 'trace', tmp_path / 'told.pth'
    torch.save(told(read_checkpoint(own), trace), path)
    # behind the others is another network, which may or may not take it
    with nullcontext() if door in FITS else suppress(Exception):
        DOORS[door](str(path))
    assert not trace.exists()


def test_the_program_of_a_config_is_left_out_and_the_text_of_cfg_stays(own, tmp_path):
    path = tmp_path / 'told.pth'
    torch.save(told(read_checkpoint(own), tmp_path / 'trace'), path)
    meta = read_checkpoint(path)['meta']
    assert 'config' not in meta and meta['cfg'].startswith('import os')


def test_an_inferencer_asks_for_its_config(own):
    with pytest.raises(ValueError, match=r'iter_2\.pth: the config in a checkpoint is not run'):
        inferencer(str(own))


@pytest.mark.parametrize('content, message', [
    pytest.param([torch.ones(1)], 'holds a list; expected a checkpoint', id='list'),
    pytest.param(torch.ones(1), 'holds a Tensor; expected a checkpoint', id='tensor'),
    pytest.param(dict(a='text', b=1), r'holds no weights: no tensor among its keys \(a, b\)',
                 id='text'),
    pytest.param(dict(state_dict='text'), "its 'state_dict' is a str", id='text-as-weights'),
    pytest.param(dict(state_dict=[torch.ones(1)]), "its 'state_dict' is a list", id='list-inside'),
    pytest.param(dict(state_dict=None), "its 'state_dict' is a NoneType", id='none'),
    pytest.param(dict(state_dict={}, meta={}), r'holds no weights: .*\(none\)', id='no-weights'),
    pytest.param({}, r'holds no weights: .*\(none\)', id='nothing'),
    pytest.param(dict(meta=dict(cfg='')), r'holds no weights: .*\(meta\)', id='meta-alone'),
    pytest.param({1: torch.ones(1)}, 'a weight is named 1', id='numbers-as-names'),
    pytest.param(dict(state_dict=dict(weight=torch.ones(1).to_sparse())),
                 'weight is a sparse_coo tensor', id='sparse')])
@pytest.mark.parametrize('door', ['Runner.test, as test.py', 'load_from', 'Pretrained', 'ours'])
@pytest.mark.situation(
    'weights', 'load_from, init_cfg or test with a list, texts, sparse tensors or no weights',
    'error', 'names the file, what it holds and what was expected')
def test_files_that_are_no_weights(tmp_path, door, content, message):
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match=rf'odd\.pth:? {message}'):
        DOORS[door](str(tmp_path / 'odd.pth'))


@pytest.mark.parametrize('name, size', [('other', 1), ('weight', 7), ('module.weight', 7)])
@pytest.mark.parametrize('door', ['load_from', 'resume'])
@pytest.mark.situation('weights', "load_from with another network's weights", 'error',
                       'nothing of it fits: names the file, and names on both sides')
def test_weights_of_which_none_fits(own, tmp_path, door, name, size):
    content = read_checkpoint(own) | dict(state_dict={name: torch.ones(size)})
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match=r'odd\.pth has no tensor of Toy, whose weights would stay '
                       rf'random: expected names such as weight, the file has {name[-6:]}'
                       if 'module' in name else rf'the file has {name}'):
        DOORS[door](str(tmp_path / 'odd.pth'))


@pytest.mark.situation('security', 'a named pipe in place of a checkpoint', 'error',
                       'says so at once, and does not wait for a writer')
@pytest.mark.parametrize('door', ['load_from', 'evaluate.py', 'load_checkpoint'])
def test_a_pipe_is_no_checkpoint(tmp_path, door):
    os.mkfifo(tmp_path / 'pipe.pth')
    with pytest.raises(FileNotFoundError, match=r'pipe\.pth is a pipe, device or socket'):
        DOORS[door](str(tmp_path / 'pipe.pth'))


@pytest.fixture
def web(tmp_path, monkeypatch):
    """An address of ``tmp_path`` on this machine; downloads go to a folder of their own."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, 'log_message', lambda *a: None)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def named_address(scheme: str, address: str, monkeypatch) -> str:
    """Return a name of ``scheme`` that mmengine resolves to ``address``."""
    from mmengine.runner import checkpoint
    resolver = {'torchvision': 'get_torchvision_models', 'open-mmlab': 'get_external_models',
                'openmmlab': 'get_external_models', 'mmcls': 'get_mmcls_models'}.get(scheme)
    if resolver is None:
        return address
    monkeypatch.setattr(checkpoint, resolver, lambda: {'net': address})
    return f'{scheme}://net'


@pytest.mark.parametrize('scheme', ['http', 'torchvision', 'open-mmlab', 'openmmlab', 'mmcls'])
def test_downloads(web, own, tmp_path, monkeypatch, scheme):
    shutil.copy(own, tmp_path / 'own.pth')
    name = named_address(scheme, f'{web}/own.pth', monkeypatch)
    assert 'state_dict' in CheckpointLoader.load_checkpoint(name)
    trace = tmp_path / 'trace'
    torch.save(hostile(trace), tmp_path / 'evil.pth')
    name = named_address(scheme, f'{web}/evil.pth', monkeypatch)
    with pytest.raises(ValueError, match=r'(posix|nt)\.mkdir'):
        CheckpointLoader.load_checkpoint(name)
    assert not trace.exists()


def test_address_without_a_file(web):
    with pytest.raises(ConnectionError, match=r'nothing.pth could not be fetched: .*404'):
        CheckpointLoader.load_checkpoint(f'{web}/nothing.pth')


def test_local_file_of_open_mmlab_and_stores(tmp_path, monkeypatch):
    """``open-mmlab://`` with a file of MMENGINE_HOME, and what ``s3://`` and ``pavi://`` call."""
    from mmengine.runner import checkpoint
    trace = tmp_path / 'trace'
    torch.save(hostile(trace), tmp_path / 'evil.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setattr(checkpoint, 'get_external_models', lambda: {'net': 'evil.pth'})
    with pytest.raises(ValueError, match=r'(posix|nt)\.mkdir'):
        CheckpointLoader.load_checkpoint('open-mmlab://net')
    with (tmp_path / 'evil.pth').open('rb') as stream, \
            pytest.raises(ValueError, match=r'(posix|nt)\.mkdir'):
        checkpoint._safe_torch_load(stream)
    assert not trace.exists()
