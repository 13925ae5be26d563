"""Images of eight bands of 16 bits go the whole road, by the configs that docs/images.md prints."""
from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmdense  # noqa: F401
from mmdense.engine.check import check_config
from mmdense.engine.recipe import read_facts

BANDS = 8
#: small and short; the same for every run
SHORT = {'model.backbone.depth': 18, 'model.backbone.base_channels': 8,
         'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'train_dataloader.num_workers': 0,
         'train_dataloader.persistent_workers': False, 'train_dataloader.batch_size': 4,
         'default_hooks.logger.interval': 1, 'env_cfg.cudnn_benchmark': False}


def printed_configs(repo: Path) -> list[str]:
    """The Python blocks of docs/images.md."""
    return re.findall(r'```python\n(.*?)```', (repo / 'docs/images.md').read_text(), re.DOTALL)


def make_data(root: Path) -> Path:
    """Eight 16-bit TIFFs, pixel-interleaved or band-sequential, whose bands tell the class."""
    for folder in ('images', 'labels'):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(8):
        label = rng.integers(0, 3, (4, 4), np.uint8).repeat(16, 0).repeat(16, 1)
        image = rng.integers(0, 1500, (64, 64, BANDS))
        for band in range(BANDS):
            image[..., band] += 2500 * (label == band % 3)
        image = image.astype(np.uint16)
        sequential = number % 2
        tifffile.imwrite(root / f'images/{number}.tif',
                         np.moveaxis(image, -1, 0) if sequential else image,
                         photometric='minisblack',
                         planarconfig='separate' if sequential else 'contig')
        cv2.imwrite(str(root / f'labels/{number}.png'), label)
    return root


def read_printed(text: str, tmp_path: Path, repo: Path, name: str, **changes) -> Config:
    """The printed config with its bases found from here, its data in ``tmp_path``."""
    text = text.replace("'../_base_", f"'{repo}/configs/_base_")
    text = text.replace("'densecl_", f"'{repo}/configs/densecl_")
    text = text.replace("'data/bands", f"'{tmp_path}/bands")
    path = tmp_path / f'{name}.py'
    path.write_text(text)
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({**SHORT, **changes})
    cfg.work_dir, cfg.experiment_name = str(tmp_path / name), f'bands_{tmp_path.name}_{name}'
    return cfg


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory, repo) -> tuple[Path, Config, Path]:
    """A folder with data and two steps of DenseCL, the config, and the checkpoint."""
    tmp_path = tmp_path_factory.mktemp('bands')
    make_data(tmp_path / 'bands')
    cfg = read_printed(
        printed_configs(repo)[0], tmp_path, repo, 'pretrain', **{
            'model.projector.in_channels': 64, 'model.projector.hidden_channels': 32,
            'model.dense_projector.in_channels': 64, 'model.dense_projector.hidden_channels': 32,
            'model.queue.size': 16, 'model.twin.bn': 'plain'})
    for step in cfg.train_dataloader.dataset.pipeline[2].views[0]:
        if step.type.endswith('RandomResizedCrop'):
            step.size = 64
    cfg.param_scheduler = []
    Runner.from_cfg(cfg).train()
    return tmp_path, cfg, tmp_path / 'pretrain/iter_2.pth'


@pytest.fixture(scope='module')
def finetuning(pretrained, repo) -> Config:
    tmp_path, _, checkpoint = pretrained
    cfg = read_printed(
        printed_configs(repo)[1], tmp_path, repo, 'finetune', **{
            'model.backbone.init_cfg.checkpoint': str(checkpoint),
            'model.decode_head.in_channels': 64, 'model.decode_head.channels': 16,
            'model.decode_head.norm_cfg.type': 'BN', 'model.backbone.norm_cfg.type': 'BN',
            'model.data_preprocessor.size': (64, 64), 'model.decode_head.num_convs': 1,
            'val_dataloader.num_workers': 0, 'val_dataloader.persistent_workers': False})
    cfg.train_dataloader.dataset.pipeline[3].crop_size = (64, 64)
    cfg.param_scheduler = []
    cfg.test_dataloader = cfg.val_dataloader
    return cfg


@pytest.mark.situation('images', 'eight bands of uint16 in TIFFs: pretrain, fine-tune, mIoU',
                       'works', 'with `mmdense.LoadImage(channels=8, value_range=…)` in every '
                       'pipeline, by the configs in docs/images.md')
def test_eight_bands_go_the_whole_road(pretrained, finetuning):
    _, _, checkpoint = pretrained
    weights = torch.load(checkpoint, weights_only=False)['state_dict']
    assert weights['backbone.conv1.weight'].shape[1] == BANDS
    runner = Runner.from_cfg(finetuning)
    runner.model.init_weights()
    assert torch.equal(runner.model.backbone.conv1.weight.cpu(), weights['backbone.conv1.weight'])
    runner.train()
    assert 0 <= runner.test()['mIoU'] <= 100


@pytest.mark.situation('images', 'eight bands: frozen dense k-NN', 'works',
                       'the bands that tell the classes give a high mIoU')
def test_eight_bands_are_evaluated_frozen(pretrained, finetuning):
    tmp_path, cfg, checkpoint = pretrained
    cfg = Config(cfg.to_dict())
    loader = finetuning.val_dataloader
    cfg.merge_from_dict(dict(
        test_dataloader=loader, test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        test_cfg=dict(type='mmdense.DenseKNNTestLoop', memory=loader, memory_size=1000, k=3,
                      out_index='C2')))
    cfg.load_from, cfg.experiment_name = str(checkpoint), f'{cfg.experiment_name}_knn'
    metrics = Runner.from_cfg(cfg).test()
    assert metrics['mIoU'] > metrics['position_prior_mIoU'] + 10


@pytest.mark.situation('images', "three means, or a first convolution of three bands, and images "
                       'of eight', 'error', 'names both numbers and the setting, in pretraining '
                       'and fine-tuning')
def test_bands_that_do_not_fit_are_told_with_the_setting(pretrained, finetuning):
    for cfg in (pretrained[1], finetuning):
        cfg = Config(cfg.to_dict())
        cfg.model.backbone.in_channels = 3
        cfg.model.backbone.init_cfg = None
        cfg.experiment_name += '_narrow'
        with pytest.raises(ValueError, match=r'images have 8 channels.*\(conv1\) takes 3: set '
                                             r'model\.backbone\.in_channels=8'):
            Runner.from_cfg(cfg).train()
    cfg.model.data_preprocessor = dict(type='SegDataPreProcessor', mean=[0] * 3, std=[1] * 3)
    cfg.experiment_name += '_stock'
    with pytest.raises(ValueError, match=r'images have 8 channels, but mean of the '
                                         r'data_preprocessor \(SegDataPreProcessor\) has 3'):
        Runner.from_cfg(cfg).train()


@pytest.mark.situation('images', 'check.py on eight bands', 'works', 'range, mean and std of each '
                       'band are measured through the config\'s loader, as lines to copy')
def test_check_measures_eight_bands(pretrained):
    cfg = Config(pretrained[1].to_dict())
    found = {f.subject: f for f in check_config(cfg, read_facts(cfg, 1), measure=False)}
    assert found['values'].fits and 'uint8, 8 channels' in found['values'].text
    lines = re.findall(r'data_preprocessor=dict\(mean=\[(.*?)\], std=\[(.*?)\]\)',
                       found['normalisation'].text)
    mean, std = ([float(value) for value in values.split(',')] for values in lines[0])
    # 750 of 10000 and a third of 2500 more, on 255 levels
    assert np.allclose(mean, 255 * (750 + 2500 / 3) / 10_000, atol=4) and len(std) == 8
    cfg.model.backbone.in_channels, cfg.model.backbone.init_cfg = 3, None
    cfg.model.data_preprocessor.update(mean=[1] * 3, std=[1] * 3)
    said = {f.subject: f.text for f in check_config(cfg, read_facts(cfg, 1), measure=False)
            if not f.fits}
    assert 'model.backbone.in_channels=8' in said['first convolution']
    assert 'mean has 3 and std 3 numbers, the images 8 channels' in said['normalisation']
