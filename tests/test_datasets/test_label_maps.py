"""Label maps that are not what the dataset says are told as they are read, by every door."""
from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import DATASETS, DefaultScope
from mmseg.datasets import BaseSegDataset
from PIL import Image
from references.labelled import write
from torch.utils.data import DataLoader

from mmdense import compat
from mmdense.datasets.label_maps import LabelMapError, allowed_values, in_words, label_table
from mmdense.errors import user_message

SHAPE = (30, 40)
LABELS = (np.arange(1200).reshape(SHAPE) % 3).astype(np.uint8)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def cfg(tmp_path):
    """The config of a dataset of one image of 40x30 and its label map of three classes."""
    return write(tmp_path, 'set', [LABELS])


def read(cfg: dict, **changes) -> np.ndarray:
    """Return the labels of a dataset's first sample."""
    sample = DATASETS.build({**copy.deepcopy(cfg), **changes})[0]
    return sample['data_samples'].gt_sem_seg.data[0].numpy()


def mask(cfg: dict) -> Path:
    return Path(cfg['data_root'], 'labels/000.png')


def save(cfg: dict, labels: np.ndarray, kind: str = 'PNG', **options) -> None:
    Image.fromarray(labels).save(mask(cfg), kind, **options)


def by_mmseg(raw: np.ndarray, reduce_zero_label: bool, label_map: dict | None) -> np.ndarray:
    """What mmseg's ``LoadAnnotations`` made of raw labels, step by step as it does it."""
    labels = raw.copy()
    if reduce_zero_label:
        labels[labels == 0] = 255
        labels = labels - 1
        labels[labels == 254] = 255
    before = labels.copy()
    for old, new in (label_map or {}).items():
        labels[before == old] = new
    return labels


@pytest.mark.parametrize('reduces', [False, True])
@pytest.mark.parametrize('label_map', [None, {255: 1}, {0: 255, 1: 0, 2: 1}, {0: 1, 1: 0}])
def test_the_table_is_what_mmseg_does(reduces, label_map):
    raw = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(label_table(reduces, label_map),
                                  by_mmseg(raw, reduces, label_map))


@pytest.mark.parametrize('table, classes, ignore, words', [
    (label_table(), 5, 255, '0..4 or 255'), (label_table(True), 5, 255, '0..5 or 255'),
    (label_table(label_map={255: 1}), 2, 255, '0..1 or 255'),
    (label_table(), 2, 7, '0..1, 7 or 255'),
    (label_table(label_map={0: -1, 1: 0, 2: 1, 3: 255}), 2, 255, '0..3 or 255'),
    (label_table(), None, 255, '0..255')])
def test_what_a_file_may_hold(table, classes, ignore, words):
    assert in_words(allowed_values(table, classes, ignore)) == words


def test_right_labels_are_read_as_they_are(cfg):
    labels = LABELS.copy()
    labels[0] = 255
    save(cfg, labels)
    np.testing.assert_array_equal(read(cfg), labels)
    palette = Image.fromarray(labels)
    palette.putpalette([7, 9, 200] * 256)
    palette.save(mask(cfg))
    np.testing.assert_array_equal(read(cfg), labels)
    save(cfg, labels.astype(np.uint16))
    np.testing.assert_array_equal(read(cfg), labels)
    save(cfg, labels % 2 == 0)
    np.testing.assert_array_equal(read(cfg), labels % 2 == 0)


def colour(cfg: dict) -> None:
    save(cfg, np.stack([LABELS, LABELS, LABELS], axis=-1))


def alpha(cfg: dict) -> None:
    save(cfg, np.stack([LABELS, np.full(SHAPE, 255, np.uint8)], axis=-1))


def cut(cfg: dict) -> None:
    mask(cfg).write_bytes(mask(cfg).read_bytes()[:-30])


def palette_by_cv2(cfg: dict) -> None:
    image = Image.fromarray(LABELS)
    image.putpalette([7, 9, 200] * 256)
    image.save(mask(cfg))
    cfg['pipeline'][1]['imdecode_backend'] = 'cv2'


def cut_by_cv2(cfg: dict) -> None:
    cut(cfg)
    cfg['pipeline'][1]['imdecode_backend'] = 'cv2'


def values(number: int, kind: type = np.uint8):
    def change(cfg: dict) -> None:
        labels = LABELS.astype(kind)
        labels[0, :2] = number
        save(cfg, labels, 'TIFF' if kind in (np.float32, np.int32) else 'PNG')
    return change


WRONG = [
    pytest.param(values(7), r'label 7 \(2 pixels\); expected 0\.\.2 or 255\.', id='range',
                 marks=pytest.mark.situation(
                     'labels', 'a label map with a number that is no class', 'error',
                     'file, number, how many pixels have it, what was expected')),
    pytest.param(values(258, np.uint16), r'label 258 \(2 pixels\); expected 0\.\.2 or 255',
                 id='16-bits', marks=pytest.mark.situation(
                     'labels', 'a 16-bit mask with ids above 255, whose lower bits look right',
                     'error', 'file and id')),
    pytest.param(values(-1, np.int32), r'label -1 \(2 pixels\)', id='negative',
                 marks=pytest.mark.situation('labels', 'a 32-bit TIFF mask with -1', 'error',
                                             'file and number')),
    pytest.param(values(1.5, np.float32), r'a label map of float32, values from 0\.0 to 2\.0; '
                                          'expected whole numbers', id='float',
                 marks=pytest.mark.situation('labels', 'a TIFF mask of float32', 'error',
                                             'file, type and values')),
    pytest.param(colour, r'a label map of shape \(30, 40, 3\); expected \(H, W\), one channel',
                 id='colour', marks=pytest.mark.situation(
                     'labels', 'colour images (RGB) as masks', 'error', 'file and shape')),
    pytest.param(alpha, r'a label map of shape \(30, 40, 2\)', id='alpha',
                 marks=pytest.mark.situation('labels', 'masks with an alpha channel', 'error',
                                             'file and shape')),
    pytest.param(palette_by_cv2, r"shape \(30, 40, 3\).*imdecode_backend='pillow' gives the class",
                 id='palette-cv2', marks=pytest.mark.situation(
                     'labels', "PNG masks with a palette, decoded by OpenCV as colours", 'error',
                     'file, shape, and the decoder to set')),
    pytest.param(lambda cfg: mask(cfg).write_bytes(b''), 'a label map of 0 bytes', id='empty',
                 marks=pytest.mark.situation('labels', 'a mask of 0 bytes', 'error', 'the file')),
    pytest.param(cut, 'a PNG of .* bytes without its end', id='cut', marks=pytest.mark.situation(
        'labels', 'a mask whose file is cut off', 'error', 'the file')),
    pytest.param(cut_by_cv2, 'a PNG of .* bytes without its end', id='cut-cv2'),
    pytest.param(lambda cfg: np.save(mask(cfg).open('wb'), LABELS), 'pillow cannot read the label',
                 id='npy', marks=pytest.mark.situation(
                     'labels', 'a mask that is no image (npy)', 'error', 'the file')),
    pytest.param(lambda cfg: save(cfg, LABELS, 'JPEG', quality=95), 'a JPEG as label map',
                 id='jpeg', marks=pytest.mark.situation(
                     'labels', 'a JPEG as mask, whose compression changes class numbers', 'error',
                     'the file, and what to do')),
    pytest.param(lambda cfg: mask(cfg).unlink(), 'cannot be read .No such file', id='missing',
                 marks=pytest.mark.situation('labels', 'a mask that is gone while the run goes on',
                                             'error', 'the file')),
    pytest.param(lambda cfg: save(cfg, LABELS[:29]),
                 r'a label map of 40x29 pixels; expected 40x30, the size of .*images/000\.png',
                 id='size', marks=pytest.mark.situation(
                     'labels', 'a mask of another size than its image', 'error',
                     'both files and sizes')),
    pytest.param(lambda cfg: cfg['data_prefix'].pop('seg_map_path'), 'finds no label map',
                 id='no-folder')]


@pytest.mark.parametrize('change, message', WRONG)
def test_wrong_label_maps(cfg, change, message):
    change(cfg)
    with pytest.raises(LabelMapError, match=message) as caught:
        read(cfg)
    assert '000.png' in str(caught.value) and user_message(caught.value) == str(caught.value)


def test_zero_label_reduced(cfg):
    save(cfg, LABELS + 1)
    assert read(cfg, reduce_zero_label=True).max() == 2
    with pytest.raises(LabelMapError, match=r'label 3 \(400 pixels\); expected 0\.\.2 or 255'):
        read(cfg)
    save(cfg, LABELS + 2)
    with pytest.raises(LabelMapError, match=r'label 4 .* expected 0\.\.3 or 255 '
                                            r'\(reduce_zero_label=True\)'):
        read(cfg, reduce_zero_label=True)


def test_the_transform_may_not_say_other_than_the_dataset(cfg):
    cfg['pipeline'][1]['reduce_zero_label'] = True
    with pytest.raises(LabelMapError, match='LoadAnnotations has reduce_zero_label=True, the data'):
        read(cfg)


@pytest.mark.situation('labels', 'a stock dataset with some of its classes only', 'works',
                       'files hold all classes; those left out are ignored')
def test_a_part_of_the_classes(cfg):
    class Three(BaseSegDataset):
        METAINFO = dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]])

    cfg.update(type=Three, metainfo=dict(classes=('c', 'a')))
    np.testing.assert_array_equal(read(cfg), np.array([1, 255, 0])[LABELS])
    values(3)(cfg)
    with pytest.raises(LabelMapError, match=r'label 3 .*; expected 0\.\.2 or 255 \(label_map of'):
        read(cfg)


@pytest.mark.situation('labels', 'another number than 255 for ignored pixels', 'works',
                       '`ignore_index` of the dataset says which')
def test_another_ignore_index(cfg):
    values(254)(cfg)
    assert (read(cfg, ignore_index=254) == 254).sum() == 2
    with pytest.raises(LabelMapError, match='label 254 .* ignore_index of the dataset'):
        read(cfg)


def test_mmcvs_transform_does_the_same_on_a_dataset_of_mmsegs(cfg):
    cfg['pipeline'][1] = dict(type='mmcv.LoadAnnotations', with_bbox=False, with_label=False,
                              with_seg=True, imdecode_backend='pillow')
    save(cfg, LABELS + 1)
    assert read(cfg, reduce_zero_label=True).max() == 2
    colour(cfg)
    with pytest.raises(LabelMapError, match='shape'):
        read(cfg)


def test_mmcvs_transform_is_left_alone_elsewhere(cfg):
    save(cfg, LABELS.astype(np.uint16) + 999)
    found = Compose([dict(type='mmcv.LoadAnnotations', with_bbox=False, with_label=False,
                          with_seg=True)])(dict(seg_map_path=str(mask(cfg))))
    assert found['gt_seg_map'].max() == 1001


def test_without_class_names_the_rest_is_checked(cfg):
    cfg['metainfo'] = None
    values(200)(cfg)
    assert read(cfg).max() == 200
    colour(cfg)
    with pytest.raises(LabelMapError, match='shape'):
        read(cfg)


@pytest.mark.parametrize('test', [False, True])
def test_a_resized_image_is_compared_at_its_own_size(cfg, test):
    steps = [dict(type='LoadAnnotations'), dict(type='Resize', scale=(80, 60))]
    cfg['pipeline'][1:2] = steps[::-1] if test else steps
    assert read(cfg).shape == (SHAPE if test else (60, 80))
    save(cfg, np.zeros((60, 80), np.uint8))
    with pytest.raises(LabelMapError, match='80x60 pixels; expected 40x30'):
        read(cfg)


def test_the_message_comes_through_a_worker_process(cfg):
    colour(cfg)
    with pytest.raises(ValueError) as caught:
        next(iter(DataLoader(DATASETS.build(cfg), num_workers=1)))
    assert user_message(caught.value).startswith(f'{mask(cfg)}: a label map of shape (30, 40, 3)')


def test_installing_twice_changes_nothing():
    before = BaseSegDataset.get_data_info
    compat.install_label_checks()
    assert BaseSegDataset.get_data_info is before
