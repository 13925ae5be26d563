"""Label maps that do not fit are told where they are loaded, in stock pipelines."""
from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from PIL import Image


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def run(tmp_path):
    """Write an image 40x30 and a label map; run a stock pipeline with the check."""
    def _run(labels: np.ndarray, test: bool = False, num_classes: int = 5, zero: bool = False):
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / 'image.png')
        Image.fromarray(labels).save(tmp_path / 'label.png')
        resize = dict(type='Resize', scale=(80, 60))
        load = [dict(type='LoadAnnotations'),
                dict(type='mmdense.CheckAnnotations', num_classes=num_classes)]
        steps = [resize, *load] if test else [*load, resize]
        pipeline = Compose([dict(type='LoadImageFromFile'), *steps])
        return pipeline(dict(img_path=str(tmp_path / 'image.png'), reduce_zero_label=zero,
                             seg_map_path=str(tmp_path / 'label.png'), seg_fields=[]))
    return _run


@pytest.mark.parametrize('test', [False, True])
def test_right_labels_pass(run, test):
    labels = np.arange(1200).reshape(30, 40) % 5
    labels[0] = 255
    assert run(labels.astype(np.uint8), test)['gt_seg_map'].max() == 255


@pytest.mark.parametrize('test', [False, True])
def test_label_outside_the_classes(run, test):
    labels = np.zeros((30, 40), np.uint8)
    labels[0, :3], labels[1, 0] = 5, 200
    with pytest.raises(ValueError, match=r'label\.png: label 5 \(3 pixels\), 200 \(1 pixels\); '
                                         r'expected 0\.\.4 or 255'):
        run(labels, test)


def test_zero_label_reduced_before(run):
    labels = np.arange(1200).reshape(30, 40) % 6
    run(labels.astype(np.uint8), zero=True)             # 1..5 become 0..4, 0 is ignored
    with pytest.raises(ValueError, match='label 5'):
        run(labels.astype(np.uint8), zero=False)


@pytest.mark.parametrize('test', [False, True])
def test_another_size(run, test):
    with pytest.raises(ValueError, match=r'label\.png: a label map of 40x31 pixels; expected '
                                         r'40x30, the size of .*image\.png'):
        run(np.zeros((31, 40), np.uint8), test)


def test_colour_image_as_label_map(run):
    with pytest.raises(ValueError, match=r'label\.png: a label map of shape \(30, 40, 3\)'):
        run(np.zeros((30, 40, 3), np.uint8))
