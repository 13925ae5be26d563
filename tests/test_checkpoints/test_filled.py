"""A network is measured or drawn only if its checkpoint fills it."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from references import tiny
from references.labelled import blocks, loader, write
from references.run_tool import experiment, quickly, run_tool

from mmdense.checkpoints.filled import examine_model, refuse_unfilled
from mmdense.errors import user_message
from mmdense.evaluation.from_config import build_random

COMMON = '''
_base_ = ['{root}/configs/_base_/mmdense.py', '{root}/configs/_base_/default_runtime.py']
test_dataloader = {query}
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
model = {model}
'''
FROZEN = COMMON + '''
test_cfg = dict(type='mmdense.DenseKNNTestLoop', k=5, stride=8, memory={query})
train_dataloader = dict(dataset={images}, batch_size=2)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
'''
TTA = '''
tta_model = dict(type='SegTTAModel')
tta_pipeline = [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=[
    [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
    [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
'''
HEAD = dict(type='FCNHead', in_channels=64, in_index=0, channels=8, num_convs=1, num_classes=3,
            concat_input=False, dropout_ratio=0., norm_cfg=dict(type='BN'), align_corners=False)


def segmentor(backbone: str = 'ResNet', depth: int = 18) -> dict:
    return dict(
        type='EncoderDecoder', backbone=dict(tiny.BACKBONE, type=backbone, depth=depth),
        decode_head=HEAD, auxiliary_head=dict(HEAD, channels=4), train_cfg={},
        test_cfg=dict(mode='whole'), data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[0.] * 3, std=[255.] * 3, size_divisor=8))


def save(path: Path, state: dict) -> None:
    torch.save(dict(meta={}, state_dict=state), path)


@pytest.fixture(scope='module')
def folder(tmp_path_factory, repo) -> Path:
    """Configs of a segmentor and of a pretrained network, and checkpoints of many kinds."""
    folder = tmp_path_factory.mktemp('filled')
    query = loader(write(folder, 'query', [blocks(n, size=(64, 64)) for n in range(3)]))
    pretrained = tiny.config(data_preprocessor=dict(type='mmdense.ViewsPreprocessor'))
    view = [dict(type='mmdense.RandomResizedCrop', size=64)]
    images = dict(type='mmdense.UnlabelledDataset', data_root=str(folder / 'query/images'),
                  pipeline=[dict(type='mmdense.LoadImage'), dict(
                      type='mmdense.MultiView', views=[view], num_views=[2]),
                      dict(type='mmdense.PackViews')])
    names = dict(root=repo, query=query, images=images)
    (folder / 'segmentor.py').write_text(COMMON.format(model=segmentor(), **names) + TTA + (
        "test_cfg = dict(type='TestLoop')"))
    (folder / 'pretrain.py').write_text(FROZEN.format(model=pretrained, **names))
    with DefaultScope.overwrite_default_scope('mmseg'):
        states = {name: build_random(Config(dict(model=model)), 7).state_dict() for name, model in (
            ('fits', segmentor()), ('deeper', segmentor(depth=34)), ('pretrained', pretrained),
            ('stem', segmentor('ResNetV1c')))}
    for name, state in states.items():
        save(folder / f'{name}.pth', state)
    fits = states['fits']
    torch.save({name.removeprefix('backbone.'): tensor for name, tensor in fits.items()
                if name.startswith('backbone.')}, folder / 'torchvision.pth')
    save(folder / 'no_head.pth', {n: t for n, t in fits.items() if 'auxiliary' not in n})
    save(folder / 'wrapped.pth', {f'module.{n}': t for n, t in fits.items()})
    save(folder / 'classes.pth', {n: t[:2] if 'conv_seg' in n else t for n, t in fits.items()})
    save(folder / 'no_queue.pth', {n: t for n, t in states['pretrained'].items()
                                   if n.startswith(('backbone', 'twin.backbone'))})
    return folder


def run(tool: str, config: str, checkpoint: str, folder: Path, work: Path, *words: str) -> None:
    given = (['--work-dir', work, '--cfg-options', experiment()] if tool == 'test'
             else ['--out', work, '--num', 1])
    with quickly():
        run_tool(tool, folder / f'{config}.py', folder / f'{checkpoint}.pth', *words, *given)


@pytest.mark.parametrize('checkpoint, message', [
    pytest.param('torchvision', r'fills 0 of \d+ tensors \(0.0 %\) of EncoderDecoder\n.*missing: '
                 r'backbone \(\d+\), decode_head .*the file has the backbone without prefix',
                 id='torchvision', marks=pytest.mark.situation(
                     'weights', "`test.py`, `visualize.py`: a backbone's file, as torchvision's, "
                     'for a segmentor', 'error', 'what it fills, what is missing, and its use')),
    pytest.param('pretrained', r'missing: decode_head \(\d+\), auxiliary_head .*the file holds a '
                 'pretrained backbone: fine-tune from it', id='pretrained',
                 marks=pytest.mark.situation(
                     'weights', '`test.py`, `visualize.py`: a pretraining checkpoint for a '
                     'segmentor', 'error', 'it is to be fine-tuned first')),
    pytest.param('deeper', 'seems to be of depth 34, the model is of depth 18', id='deeper',
                 marks=pytest.mark.situation(
                     'weights', '`test.py`, `visualize.py`: a checkpoint of another depth', 'error',
                     'both depths, and the setting')),
    pytest.param('stem', "set backbone.type='ResNetV1c'", id='stem'),
    pytest.param('no_head', r'missing: auxiliary_head \(\d+\)', id='no-head'),
    pytest.param('classes', r'of another shape, such as decode_head.conv_seg.weight: \[2, 8, 1, 1\]'
                 r' in the file, \[3, 8, 1, 1\] in the model\n.*another number of classes',
                 id='classes',
                 marks=pytest.mark.situation(
                     'weights', '`test.py`: a checkpoint with another number of classes', 'error',
                     'both shapes of the last layer'))])
@pytest.mark.parametrize('tool', ['test', 'visualize'])
def test_what_does_not_fill_a_segmentor_is_not_measured(folder, tmp_path, tool, checkpoint,
                                                        message):
    with pytest.raises(ValueError, match=f'(?s){message}') as info:
        run(tool, 'segmentor', checkpoint, folder, tmp_path / 'out')
    assert user_message(info.value)
    assert not list(tmp_path.rglob('*.png')) and not list(tmp_path.rglob('*/scalars.json'))


@pytest.mark.parametrize('tool, config, checkpoint, words', [
    ('test', 'segmentor', 'fits', ()), ('test', 'segmentor', 'wrapped', ()),
    ('test', 'segmentor', 'fits', ('--tta',)), ('test', 'pretrain', 'no_queue', ()),
    ('visualize', 'segmentor', 'fits', ()), ('visualize', 'pretrain', 'no_queue', ()),
    ('test', 'pretrain', 'fits', ())])
def test_what_fills_is_measured(folder, tmp_path, capsys, tool, config, checkpoint, words):
    run(tool, config, checkpoint, folder, tmp_path / 'out', *words)
    assert list(tmp_path.rglob('*.png' if tool == 'visualize' else '*.json'))


@pytest.mark.situation('weights', '`test.py` with augmentation (`--tta`): a file that fills '
                       'nothing', 'error', 'as without')
def test_augmentation_hides_nothing(folder, tmp_path):
    with pytest.raises(ValueError, match=r'fills 0 of \d+ tensors'):
        run('test', 'segmentor', 'torchvision', folder, tmp_path, '--tta')


@pytest.mark.situation('weights', "frozen evaluation of a backbone's file without prefix in "
                       '`test.py`', 'error', 'where the backbone is, and that `evaluate.py` '
                       'finds it')
@pytest.mark.parametrize('tool', ['test', 'visualize'])
def test_frozen_features_need_the_backbone(folder, tmp_path, tool):
    with pytest.raises(ValueError, match=r'(?s)of DenseCL \(backbone.*without prefix.*'
                       'evaluate.py find it there'):
        run(tool, 'pretrain', 'torchvision', folder, tmp_path)


class Converting(torch.nn.Module):
    """Renames what an older version saved, as some heads and transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.new = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        self._register_load_state_dict_pre_hook(self.rename)

    @staticmethod
    def rename(state, *args) -> None:
        for name in [name for name in state if name.startswith('old.')]:
            state[name.replace('old.', 'new.')] = state.pop(name)


def test_what_a_model_converts_as_it_loads_is_not_missing():
    model = Converting()
    old = {name.replace('new.', 'old.'): tensor for name, tensor in model.state_dict().items()}
    assert examine_model(model, old, 'old.pth')[0].coverage == 0.5
    refuse_unfilled(model, old, 'old.pth')
    old.pop('old.bias')
    with pytest.raises(ValueError, match='old.pth fills 2 of 4'):
        refuse_unfilled(model, old, 'old.pth')
