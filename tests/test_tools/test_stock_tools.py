"""mmseg's own installed tools run configs that inherit from mmseg, mmpretrain and us."""
from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from references.configs import build
from references.tiny import build_moco
from references.toy import ROOT

import mmdense

STOCK = Path(mmseg.__file__).parent / '.mim/tools'

#: a stock config of each decoder family that needs no compiled ops, and what it must be told: that
#: nothing is downloaded
FAMILIES = {
    'pspnet': ('pspnet/pspnet_r50-d8_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'deeplabv3plus': ('deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py',
                      'pretrained=None'),
    'nonlocal': ('nonlocal_net/nonlocal_r50-d8_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'fcn': ('fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'upernet': ('upernet/upernet_r50_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'danet': ('danet/danet_r50-d8_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'encnet': ('encnet/encnet_r50-d8_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'segformer': ('segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
                  'backbone=dict(init_cfg=None)'),
    'ocrnet': ('ocrnet/ocrnet_hr18s_4xb4-20k_voc12aug-512x512.py', 'pretrained=None'),
    'knet': ('knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py', 'pretrained=None'),
    'fast_scnn': ('fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py', ''),
    'segnext': ('segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py',
                'backbone=dict(init_cfg=None)'),
    'convnext': ('convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py',
                 'backbone=dict(init_cfg=None)'),
}

#: what makes a stock config small, and its data that in a folder
SMALL = '''
data_preprocessor = dict(size=(64, 64))
model = dict({model})
model.update(data_preprocessor=data_preprocessor)
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
test_dataloader = dict(
    _delete_=True, batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='BaseSegDataset', data_root='{data}', img_suffix='.png',
                 metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]]),
                 data_prefix=dict(img_path='images', seg_map_path='labels'),
                 pipeline=pipeline))
train_dataloader = dict(test_dataloader, batch_size=2,
                        sampler=dict(type='InfiniteSampler', shuffle=True))
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2)
optim_wrapper = dict(_delete_=True, type='OptimWrapper',
                     optimizer=dict(type='AdamW', lr=1e-5))
default_hooks = dict(logger=dict(interval=1))
val_dataloader = val_cfg = val_evaluator = None
'''

#: one interpreter trains with each config in turn: importing costs more than training
DRIVER = '''
import runpy, sys
tool, *configs = sys.argv[1:]
for config in configs:
    # no checkpoint: those of whole networks are large
    sys.argv = [tool, config, '--work-dir', config.removesuffix('.py'),
                '--cfg-options', 'default_hooks.checkpoint=None']
    runpy.run_path(tool, run_name='__main__')
'''


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Three images with labels, far from any checkout."""
    folder = tmp_path_factory.mktemp('stock')
    random = np.random.default_rng(0)
    for name, high, shape in (('images', 256, (64, 64, 3)), ('labels', 2, (64, 64))):
        (folder / name).mkdir()
        for number in range(3):
            image = random.integers(0, high, shape, dtype=np.uint8)
            assert cv2.imwrite(str(folder / name / f'{number}.png'), image)
    return folder


def write_family(folder: Path, name: str) -> Path:
    """Write a user's config of a decoder family, as the README says; return its path."""
    base, model = FAMILIES[name]
    path = folder / f'{name}.py'
    first = re.search(r"__import__\('mmdense'\)\.BASE", (ROOT / 'README.md').read_text())[0]
    path.write_text(f"_base_ = [{first}, 'mmseg::{base}']\n"
                    + SMALL.format(model=model, data=folder))
    return path


def run_stock(*arguments: object) -> str:
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run([sys.executable, '-W', 'ignore', *map(str, arguments)],
                          env={**environment, 'OMP_NUM_THREADS': '1'}, capture_output=True,
                          text=True, cwd=Path(arguments[-1]).parent)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.mark.situation('the road', "a stock decoder in a user's config, mmseg's own train.py and "
                       "test.py", 'works', 'with `mmdense.BASE` as first base; the config that the '
                       'run writes imports MMDense')
def test_mmsegs_own_train_and_test(folder):
    """The written config has our initialiser, which test.py has to find."""
    config = write_family(folder, 'fast_scnn')
    weights = "dict(init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None))"
    config.write_text(f"{config.read_text()}\nmodel.update(backbone={weights})\n")
    assert 'labels of the train dataset: 3 maps' in run_stock(
        STOCK / 'train.py', '--work-dir', folder / 'run', config)
    checkpoint, written = folder / 'run/iter_2.pth', folder / 'run/fast_scnn.py'
    assert '_base_' not in written.read_text()
    said = run_stock(STOCK / 'test.py', '--work-dir', folder / 'test', written, checkpoint)
    assert 'mIoU' in said and 'labels of the test dataset: 3 maps' in said


@pytest.mark.situation('the road', 'a pretrained decoder (EDMoCo, PLEDMoCo, CP2) in a stock '
                       "segmentor, by `load_from` and mmseg's own train.py", 'works', 'the report '
                       'says that only `conv_seg` is random')
def test_a_pretrained_decoder_is_handed_on(folder):
    """Backbone and decoder of an EDMoCo checkpoint, in one line of a stock config."""
    head = dict(type='FCNHead', in_channels=64, in_index=3, channels=12, num_convs=2, dilation=6,
                concat_input=False, norm_cfg=dict(type='BN'))
    backbone = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8,
                    norm_cfg=dict(type='BN'), out_indices=(0, 1, 2, 3))
    method = build_moco(backbone=backbone, decode_head=head, projector=dict(
        type='mmdense.Projector', hidden_channels=8, out_channels=16))
    torch.save(dict(meta={}, state_dict=method.state_dict()), folder / 'edmoco.pth')
    config = folder / 'handed_on.py'
    config.write_text(
        "_base_ = [__import__('mmdense').BASE, "
        "'mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py']\n"
        + SMALL.format(model='pretrained=None, auxiliary_head=None', data=folder)
        + f"""
model.update(backbone=dict(_delete_=True, **{backbone!r}),
             decode_head=dict(_delete_=True, num_classes=2, **{head!r}))
custom_hooks = [dict(type='mmdense.LoadReportHook')]
load_from = '{folder}/edmoco.pth'
""")
    said = ' '.join(run_stock(STOCK / 'train.py', '--work-dir', folder / 'handed', config).split())
    assert re.search(r'edmoco.pth fills (\d+) of \1 tensors \(100.0 %\) of ResNetV1c', said)
    assert ('weights of the decode head: 12 of 14 tensors of FCNHead are those of '
            f'{folder}/edmoco.pth; random: conv_seg.weight, conv_seg.bias') in said
    trained = torch.load(folder / 'handed/iter_2.pth', weights_only=False)['state_dict']
    for name, tensor in method.named_parameters():
        if name.startswith('decode_head.'):
            torch.testing.assert_close(trained[name], tensor.data, atol=1e-3, rtol=0)


@pytest.mark.parametrize('name', FAMILIES)
def test_a_stock_decoder_family_is_read_and_built(folder, name):
    """Also those whose bases import modules of their own; and again from the text of a run."""
    cfg = Config.fromfile(write_family(folder, name))
    assert build(cfg.model).decode_head is not None
    given = (cfg.get('custom_imports') or {}).get('imports')
    assert given == ('mmpretrain.models' if name == 'convnext' else None)
    text = cfg.pretty_text if name in ('convnext', 'pspnet') else ''
    if text:
        again = Config.fromstring(text, '.py')
        assert again.custom_imports.imports == [*([given] if given else []), 'mmdense']
        assert again.model == cfg.model


@pytest.mark.full
@pytest.mark.situation('the road', 'PSPNet, DeepLabv3+, NonLocal, FCN, UPerNet, DANet, EncNet, '
                       'SegFormer, OCRNet, K-Net, Fast-SCNN, SegNeXt, ConvNeXt-UPerNet from '
                       "`mmseg::…`, mmseg's own train.py", 'works', 'two steps each')
def test_every_stock_decoder_family_trains_with_mmsegs_own_tool(folder, tmp_path):
    (tmp_path / 'driver.py').write_text(DRIVER)
    run_stock(tmp_path / 'driver.py', STOCK / 'train.py',
              *(write_family(folder, name) for name in FAMILIES))
    for name in FAMILIES:
        logged = next((folder / name).glob('*/*.log')).read_text()
        losses = re.findall(r'Iter\(train\) \[([12])/2\].*  loss: (\S+)', logged)
        assert [step for step, _ in losses] == ['1', '2']
        assert all(math.isfinite(float(loss)) for _, loss in losses)


def test_a_text_that_does_not_name_mmdense_is_left_alone(tmp_path):
    path = tmp_path / 'plain.py'
    path.write_text("a = dict(b=1)\ncustom_imports = dict(imports=['json'])\n")
    cfg = Config.fromfile(path)
    assert Config.fromstring(cfg.pretty_text, '.py').custom_imports.imports == ['json']
    cfg.a.type = 'mmdense.InfoNCE'
    assert Config.fromstring(cfg.pretty_text, '.py').custom_imports.imports == ['json', 'mmdense']
    assert cfg.custom_imports.imports == ['json']


def scopes(node) -> set[str]:
    """Every scope that mmengine marked a part of a config with."""
    if isinstance(node, dict):
        own = {node['_scope_']} if '_scope_' in node else set()
        return own.union(*map(scopes, node.values()))
    return set().union(*map(scopes, node)) if isinstance(node, (list, tuple)) else set()


@pytest.mark.parametrize('base, key', [
    ('mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py', 'EncoderDecoder'),
    ('mmpretrain::_base_/models/resnet50.py', 'ImageClassifier'),
    ('mmdense::finetune/mocofcn_r50_voc12aug.py', 'EncoderDecoder'),
    ('mmdense::densecl_r18_shapes.py', 'mmdense.DenseCL'),
    ('mmdense::_base_/methods/densecl', 'mmdense.DenseCL')])
def test_each_packages_configs_are_inherited(tmp_path, base, key):
    path = tmp_path / 'leaf.py'
    path.write_text(f"_base_ = [__import__('mmdense').BASE, '{base}']\n")
    cfg = Config.fromfile(path)
    assert cfg.model.type == key
    assert 'mmdense' not in scopes(cfg.to_dict())


@pytest.mark.parametrize('base, said', [
    pytest.param('mmdense::densecl_r50_vok.py', 'nearest: mmdense::densecl_r50_voc.py',
                 id='ours', marks=pytest.mark.situation(
                     'the road', 'a base `mmdense::NAME` that is not there', 'error',
                     'the nearest names are listed')),
    ('mmseg::fcn_r50-d8.py', 'expected PACKAGE::FOLDER/NAME.py'),
    ('mmseg::fcn/none.py', r'none.py" does not exist; expected PACKAGE::FOLDER/NAME.py'),
    ('mmdet::fcn/none.py', r'mmdet is not installed.*; expected PACKAGE::FOLDER/NAME.py'),
    ('nothing::fcn/none.py', 'expected PACKAGE::FOLDER/NAME.py')])
def test_a_base_that_is_not_there_is_named(tmp_path, base, said):
    path = tmp_path / 'leaf.py'
    path.write_text(f"_base_ = [__import__('mmdense').BASE, '{base}']\n")
    with pytest.raises(FileNotFoundError, match=f'config {re.escape(base)}: .*{said}'):
        Config.fromfile(path)


def test_the_first_base_sets_nothing():
    """So that it stands beside any other."""
    assert Config.fromfile(mmdense.BASE).to_dict() == {}
