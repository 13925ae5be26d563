"""What a look at the images of a config finds: their numbers and bands, and label maps."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image

import mmdense  # noqa: F401
from mmdense.engine.check import check_data, image_sides
from mmdense.engine.check_images import check_images, look_at_images
from mmdense.engine.recipe import RunFacts

PHOTO = np.random.default_rng(0).normal(110, 50, (48, 64, 3)).clip(0, 255).astype(np.uint8)
MASK = np.kron(np.arange(12).reshape(3, 4), np.ones((16, 16))).astype(np.uint8)
PREPROCESSOR = dict(type='mmdense.ViewsPreprocessor')


def config(root: Path, mean=None, std=None, dataset: dict | None = None, **load) -> Config:
    view = [dict(type='mmdense.RandomResizedCrop', size=32)]
    pipeline = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage', **load),
                dict(type='mmdense.MultiView', views=[view]), dict(type='mmdense.PackViews')]
    own = dict(type='mmdense.UnlabelledDataset', data_root=str(root), pipeline=pipeline)
    preprocessor = PREPROCESSOR if mean is None else dict(PREPROCESSOR, mean=mean, std=std)
    return Config(dict(default_scope='mmseg', model=dict(data_preprocessor=preprocessor),
                       train_dataloader=dict(dataset=dataset(own) if dataset else own)))


class Model:
    """No more of a method than is looked at: its data preprocessor."""

    def __init__(self, cfg: Config) -> None:
        self.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)


def look(cfg: Config) -> dict:
    return {finding.subject: finding for finding in check_images(cfg, Model(cfg))}


def put(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, pixels) if path.suffix == '.npy' else cv2.imwrite(str(path), pixels)
    return path


@pytest.mark.parametrize('dataset', [
    None, lambda own: dict(type='RepeatDataset', times=3, dataset=own),
    lambda own: dict(type='ConcatDataset', datasets=[own, dict(own, data_root=own['data_root'])])])
@pytest.mark.situation('images', "check.py on photographs with ImageNet's mean and std", 'works',
                       'range, mean and std are measured, and fit')
def test_photographs_fit(tmp_path, dataset):
    for number in range(4):
        image = np.clip(PHOTO.astype(int) + [0, 10, 20], 0, 255).astype(np.uint8)
        put(tmp_path / f'{number}.png', image)
    found = look(config(tmp_path, dataset=dataset))
    assert all(finding.fits for finding in found.values())
    assert 'uint8, 3 channels' in found['values'].text
    mean = [float(part) for part in
            found['normalisation'].text.split('mean=[')[1].split(']')[0].split(', ')]
    assert mean == sorted(mean, reverse=True)       # as the preprocessor has them: R, G, B


@pytest.mark.parametrize(('mean', 'std', 'load', 'subject', 'said'), [
    pytest.param([0.485] * 3, [0.229] * 3, {}, 'normalisation', 'the config has mean=[0.485',
                 id='0-1', marks=pytest.mark.situation(
                     'images', 'mean and std that are not those of the images (0 to 1, say)',
                     'warning', 'check.py prints the measured ones as lines to copy')),
    pytest.param([500] * 3, [50] * 3, {}, 'normalisation', 'the config has mean=[500',
                 id='far-off'),
    pytest.param(None, None, dict(value_range=(0, 60)), 'values', 'value_range cuts off 0% below',
                 id='narrow', marks=pytest.mark.situation(
                     'images', 'a `value_range` that cuts off a fifth or leaves most levels unused',
                     'warning', 'check.py says how much')),
    pytest.param(None, None, dict(value_range=(0, 65535)), 'values', 'value_range is too wide',
                 id='wide')])
def test_what_does_not_fit_is_told(tmp_path, mean, std, load, subject, said):
    put(tmp_path / 'a.png', PHOTO)
    found = look(config(tmp_path, mean, std, **load))[subject]
    assert not found.fits and said in found.text


@pytest.mark.situation('images', 'check.py on npy, on images above 179 megapixels, on broken links',
                       'works', "they are read by the config's own transforms; what cannot be used "
                       'is counted and the first is named')
def test_every_kind_of_file_is_looked_at(tmp_path, monkeypatch):
    put(tmp_path / 'a.npy', PHOTO)
    put(tmp_path / 'b.png', PHOTO)
    put(tmp_path / 'c.tiff', PHOTO.astype(np.uint16))
    (tmp_path / 'd.png').symlink_to(tmp_path / 'gone.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)      # a photo is above twice of it
    cfg = config(tmp_path)
    assert image_sides(cfg) == [48, 48]         # of those that the config's loader takes
    found = look(cfg)
    assert '2 of 4 looked at cannot be used: ' in found['images'].text
    assert 'c.tiff: holds uint16 numbers' in found['images'].text and found['values'].fits
    put(tmp_path / 'a.npy', PHOTO[..., :2])
    assert 'of 3 channel(s)' in look(cfg)['images'].text
    for name in ('a.npy', 'b.png'):
        (tmp_path / name).write_bytes(b'')
    assert set(look(cfg)) == {'images'}
    (tmp_path / 'c.tiff').unlink()
    facts = RunFacts(images=3, per_process=2, processes=1, accumulation=1, iterations=10)
    assert {finding.subject for finding in check_data(cfg, facts)} == {'run'}


@pytest.mark.parametrize(('name', 'pixels', 'said'), [
    pytest.param('{}.png', PHOTO, 'names have two files', id='twins', marks=pytest.mark.situation(
        'images', 'label maps beside images: a.jpg and a.png, folders named masks, pictures of few '
        'colours', 'warning', 'check.py names them and how to leave them out')),
    pytest.param('{}_mask.jpg', PHOTO, 'names have two files', id='endings'),
    pytest.param('masks/x{}.png', PHOTO, "3 files lie in folders named 'masks'", id='folders'),
    pytest.param('train/Annotations/x{}.png', PHOTO, "folders named 'Annotations'", id='below'),
    pytest.param('other/x{}.png', MASK, 'of 6 have 32 colours or fewer', id='few-colours')])
def test_label_maps_among_the_images(tmp_path, name, pixels, said):
    for number in range(3):
        put(tmp_path / f'{number}.jpg', PHOTO)
        put(tmp_path / name.format(number), pixels)
    found = look(config(tmp_path))['label maps']
    assert not found.fits and said in found.text and 'data_prefix.img_path' in found.text


def test_no_label_maps(tmp_path):
    """Not where the way to the dataset, or all of it, is named so, nor for one blank image."""
    root = tmp_path / 'labels/set'
    for number in range(3):
        put(root / f'gt/{number}.png', PHOTO)
    put(root / 'gt/blank.png', np.zeros_like(PHOTO))
    cfg = config(root)
    assert 'label maps' not in look(cfg)
    assert len(look_at_images(cfg, count=2).loaded) == 2
