"""Which classes label maps show, and what is said of it."""
from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, DefaultScope
from references.labelled import CLASSES, blocks, write

from mmdense.datasets import label_counts
from mmdense.datasets.label_counts import LabelCounts, count_before, label_readers, spread


def counted(*labels: np.ndarray, classes=CLASSES, **changes) -> LabelCounts:
    counts = LabelCounts(classes, 'the set', **changes)
    for one in labels:
        counts.add(one)
    return counts


HALF = np.where(np.arange(64).reshape(8, 8) % 4 == 0, 0, 255).astype(np.uint8)
ZERO = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize('learnt', [False, True])
def test_share_of_ignored_pixels_and_absent_classes(learnt):
    assert counted(HALF, ZERO + 2).judge(learnt) == (
        logging.INFO, 'labels of the set: 2 maps, 37.5% of the pixels ignored; 1 of 3 classes '
                      'never occur: green')
    assert counted(HALF, ZERO + 2, ZERO + 1).judge(learnt) == (
        logging.INFO, 'labels of the set: 3 maps, 25.0% of the pixels ignored, every class occurs')
    assert counted(*[ZERO] * 30, classes=('a',)).judge(learnt)[0] == logging.INFO


@pytest.mark.parametrize('labels, classes, learnt', [
    (HALF, CLASSES, False), (HALF, CLASSES[:2], False), (HALF, CLASSES[:2], True),
    (ZERO, CLASSES, False), (ZERO, CLASSES[:2], True)])
def test_a_single_class(labels, classes, learnt):
    level, line = counted(*[labels] * 20, classes=classes).judge(learnt)
    assert level == logging.WARNING and 'blue is the only one of' in line
    many = counted(*[labels] * 21, classes=classes)
    with pytest.raises(ValueError, match='blue is the only one of .* in 21 label maps'):
        many.judge(learnt)
    assert many.judge(learnt, allow_one_class=True)[0] == logging.WARNING


def test_masks_of_0_and_255_are_told_what_to_do():
    assert 'rewrite masks of 0 and 255' in counted(HALF).judge(True)[1]
    assert 'masks of 0 and 255' not in counted(ZERO).judge(True)[1]


@pytest.mark.situation('labels', 'a two-class set of which one class is truly absent from what is '
                                 'measured', 'warning', 'the absent class; the score stands')
def test_one_of_two_classes_may_be_absent_from_what_is_measured():
    level, line = counted(*[ZERO] * 99, classes=CLASSES[:2]).judge(learnt=False)
    assert level == logging.WARNING and 'blue is the only one of 2 classes' in line


@pytest.mark.parametrize('maps', [1, 30])
def test_no_labelled_pixel_is_an_error(maps):
    with pytest.raises(ValueError, match=f'no pixel of the {maps} label maps of the set'):
        counted(*[ZERO + 255] * maps).judge(False)


def test_another_ignore_index_counts_for_no_class():
    counts = counted(ZERO, ZERO + 1, ZERO + 2, ZERO + 254, ignore_index=0)
    assert counts.by_class.tolist() == [0, 64, 64] and counts.ignored == 0.5


@pytest.mark.parametrize('total, chunk', [(0, 3), (3, 3), (4, 3), (11, 3), (1000, 200)])
def test_spread_takes_each_once_and_begins_all_over_the_set(total, chunk):
    parts = spread(total, chunk)
    assert sorted(np.concatenate([*parts, np.empty(0)])) == list(range(total))
    assert all(len(part) == chunk for part in parts[:-1])
    if total > chunk:
        assert parts[0].max() >= total - total // chunk - 1


@pytest.fixture
def build(tmp_path):
    def _build(labels: list[np.ndarray], **changes):
        cfg = {**write(tmp_path, 'set', labels), **changes}
        with DefaultScope.overwrite_default_scope('mmseg'):
            return DATASETS.build(copy.deepcopy(cfg))
    return _build


def test_a_sample_is_read_and_where_it_shows_one_class_the_rest(build, monkeypatch):
    monkeypatch.setattr(label_counts, 'SAMPLE', 4)
    counts = counted()
    count_before(build([blocks(number) for number in range(9)]), counts)
    assert counts.maps == 4
    counts = counted()
    last = np.full((8, 8), 2, np.uint8)
    count_before(build([ZERO] * 5 + [last] + [ZERO] * 7), counts)
    assert counts.maps in (8, 12) and counts.by_class.tolist()[2] == 64
    counts = counted()
    count_before(build([ZERO] * 13), counts)
    assert counts.maps == 13


def test_processes_share_the_maps(build, monkeypatch):
    sets, seen = build([blocks(number) for number in range(7)]), []
    for rank in range(3):
        monkeypatch.setattr(label_counts, 'get_dist_info', lambda rank=rank: (rank, 3))
        counts = counted()
        count_before(sets, counts)
        seen.append(counts)
    assert [counts.maps for counts in seen] == [3, 2, 2]
    whole = counted(*[blocks(number) for number in range(7)])
    torch.testing.assert_close(sum(counts.pixels for counts in seen), whole.pixels)


def test_counts_of_all_processes_are_added(monkeypatch):
    monkeypatch.setattr(label_counts, 'all_reduce', lambda total, how: total.mul_(2))
    counts = counted(ZERO, HALF)
    counts.reduce()
    assert counts.maps == 4 and counts.by_class.tolist() == [160, 0, 0]


def test_datasets_inside_others_are_found(tmp_path):
    one, two = (write(tmp_path, name, [ZERO]) for name in ('one', 'two'))
    plain = {**one, 'pipeline': [dict(type='LoadImageFromFile')]}
    with DefaultScope.overwrite_default_scope('mmseg'):
        found = DATASETS.build(dict(type='RepeatDataset', times=3, dataset=dict(
            type='ConcatDataset', datasets=[one, plain, dict(
                type='mmdense.LabelFraction', dataset=two, fraction='1/2')])))
    assert [part.data_root for part, _ in label_readers(found)] == [one['data_root'],
                                                                    two['data_root']]
