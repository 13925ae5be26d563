"""mmseg's own installed tools run a config that inherits from mmseg, mmpretrain and us."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
from mmengine.config import Config
from references.toy import ROOT

STOCK = Path(mmseg.__file__).parent / '.mim/tools'

CONFIG = '''
_base_ = ['{root}/configs/_base_/mmdense.py', 'mmseg::_base_/models/fcn_r50-d8.py',
          'mmdense::_base_/default_runtime.py']
norm_cfg = dict(type='BN')
data_preprocessor = dict(size=(32, 32))
model = dict(
    data_preprocessor=data_preprocessor, pretrained=None, auxiliary_head=None,
    backbone=dict(depth=18, base_channels=4, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=32, channels=8, num_classes=2, norm_cfg=norm_cfg))
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
test_dataloader = dict(
    batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='BaseSegDataset', data_root='{data}', img_suffix='.png',
                 metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]]),
                 data_prefix=dict(img_path='images', seg_map_path='labels'),
                 pipeline=pipeline))
train_dataloader = dict(test_dataloader, batch_size=2,
                        sampler=dict(type='mmdense.ResumableSampler'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='IoUMetric')
'''


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('stock')
    random = np.random.default_rng(0)
    for name, high, shape in (('images', 256, (32, 32, 3)), ('labels', 2, (32, 32))):
        (folder / name).mkdir()
        for number in range(3):
            image = random.integers(0, high, shape, dtype=np.uint8)
            assert cv2.imwrite(str(folder / name / f'{number}.png'), image)
    path = folder / 'fcn_tiny.py'
    path.write_text(CONFIG.format(root=ROOT, data=folder))
    return path


def run_stock(tool: str, *arguments: object) -> str:
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run([sys.executable, '-W', 'ignore', STOCK / tool, *map(str, arguments)],
                          env={**environment, 'OMP_NUM_THREADS': '1'}, capture_output=True,
                          text=True, cwd=arguments[0].parent)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_mmsegs_own_train_and_test(config):
    work_dir = config.parent / 'run'
    assert 'labels of the train dataset: 3 maps' in run_stock('train.py', config, '--work-dir',
                                                              work_dir)
    checkpoint = work_dir / 'iter_2.pth'
    assert (work_dir / 'last_checkpoint').read_text() == str(checkpoint)
    out = run_stock('test.py', config, checkpoint, '--work-dir', work_dir / 'test')
    assert 'mIoU' in out and 'labels of the test dataset: 3 maps' in out


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
    ('mmdense::_base_/models/densecl_r50.py', 'mmdense.DenseCL')])
def test_each_packages_configs_are_inherited(tmp_path, base, key):
    path = tmp_path / 'leaf.py'
    path.write_text(f"_base_ = ['{ROOT}/configs/_base_/mmdense.py', '{base}']\n")
    if base.startswith('mmdense::finetune'):  # a leaf of ours names the first base itself
        path.write_text(f"__import__('mmdense')\n_base_ = '{base}'\n")
    cfg = Config.fromfile(path)
    assert cfg.model.type == key
    assert 'mmdense' not in scopes(cfg.to_dict())
