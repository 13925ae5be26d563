"""Every runner counts the classes of its labels: before a training, after an evaluation."""
from __future__ import annotations

import logging

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from references import labelled
from references.labelled import blocks, loader, write

from mmdense.engine import LabelCountsHook
from mmdense.engine.label_counts_hook import labelled_samples

HALF = np.where(np.arange(16 * 24).reshape(16, 24) % 4 == 0, 0, 255).astype(np.uint8)
SEGMENTOR = dict(
    type='EncoderDecoder', backbone=dict(type='PlantedBackbone'),
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[0] * 3, std=[255] * 3,
                           size=(16, 24)),
    decode_head=dict(type='FCNHead', in_channels=3, channels=3, num_convs=1, num_classes=3,
                     norm_cfg=dict(type='BN'), loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))


@pytest.fixture
def said(monkeypatch):
    """What the hook logs."""
    lines = []
    monkeypatch.setattr('mmdense.engine.label_counts_hook.print_log',
                        lambda line, logger, level: lines.append((level, line)))
    return lines


def segmentor(tmp_path, train: dict, val: dict, **changes) -> Runner:
    return Runner.from_cfg(Config(dict(
        model=SEGMENTOR, work_dir=str(tmp_path / 'work'), default_scope='mmseg',
        experiment_name=tmp_path.name, train_dataloader=loader(train),
        val_dataloader=loader(val), test_dataloader=loader(val),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=1, val_interval=1),
        val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'),
        val_evaluator=dict(type='IoUMetric'), test_evaluator=dict(type='IoUMetric'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), **changes)))


@pytest.fixture
def good(tmp_path):
    return write(tmp_path, 'good', [blocks(number, (16, 24)) for number in range(4)])


@pytest.fixture
def one_class(tmp_path):
    return write(tmp_path, 'one', [HALF] * 21)


def test_a_run_says_once_what_its_labels_hold(tmp_path, good, said):
    runner = segmentor(tmp_path, good, good)
    runner.train()
    runner.test()
    assert said == [(logging.INFO, f'labels of the {part} dataset: 4 maps, 0.0% of the pixels '
                                   'ignored, every class occurs')
                    for part in ('train', 'val', 'test')]
    assert sum(isinstance(hook, LabelCountsHook) for hook in runner.hooks) == 1


@pytest.mark.situation('labels', 'masks of 0 and 255, fine-tuning', 'error',
                       'before the first step: one class in all masks, and what to write instead')
def test_training_on_a_single_class_does_not_start(tmp_path, good, one_class):
    with pytest.raises(ValueError, match='labels of the train dataset: 21 maps, 75.0% of the .* '
                                         'blue is the only one of 3 .* rewrite masks of 0 and 255'):
        segmentor(tmp_path, one_class, good).train()


def test_a_single_class_in_the_validation_set_stops_before_training(tmp_path, good, one_class):
    with pytest.raises(ValueError, match='labels of the val dataset: 21 maps'):
        segmentor(tmp_path, good, one_class).train()


@pytest.mark.situation('labels', 'masks of 0 and 255, tools/test.py on a segmentor', 'error',
                       'instead of an mIoU of 100')
def test_a_score_of_a_single_class_is_refused(tmp_path, good, one_class):
    with pytest.raises(ValueError, match='labels of the test dataset: 21 maps, .*allow_one_class'):
        segmentor(tmp_path, good, one_class).test()


@pytest.mark.situation('labels', 'one class in 20 masks or fewer', 'warning', 'the class')
def test_a_single_class_in_few_maps_is_a_warning(tmp_path, good, said):
    segmentor(tmp_path, good, write(tmp_path, 'few', [HALF] * 3)).test()
    assert [level for level, _ in said] == [logging.WARNING]


def test_a_hook_of_the_config_lets_a_single_class_pass(tmp_path, good, one_class, said):
    hook = dict(type='mmdense.LabelCountsHook', allow_one_class=True)
    segmentor(tmp_path, good, one_class, custom_hooks=[hook]).test()
    assert [level for level, _ in said] == [logging.WARNING]


@pytest.mark.situation('labels', 'a dataset without class names and a label that the head does not '
                                 'have', 'error', 'file and number, before the first step')
def test_without_class_names_the_heads_classes_count(tmp_path, good):
    train = write(tmp_path, 'nameless', [blocks(0, (16, 24)), blocks(1, (16, 24)) + 1])
    train['metainfo'] = None
    with pytest.raises(ValueError, match=r'labels/001.png: label 3 .*; expected 0\.\.2 or 255'):
        segmentor(tmp_path, train, good).train()


def test_a_bad_file_stops_before_training(tmp_path, good):
    labelled.cv2.imwrite(f"{good['data_root']}/labels/003.png", np.full((16, 24), 9, np.uint8))
    with pytest.raises(ValueError, match=r'labels/003.png: label 9'):
        segmentor(tmp_path, good, good).train()


@pytest.mark.parametrize('part', ['memory', 'query'])
def test_dense_knn_counts_memory_and_queries(tmp_path, good, one_class, part):
    given = dict(memory=good, query=good) | {part: one_class}
    name = dict(memory='memory', query='val')[part]
    with pytest.raises(ValueError, match=f'labels of the {name} dataset: 21 maps, 75.0%'):
        labelled.runner(tmp_path, **given, k=3, memory_size=100).val()


def test_test_time_augmentation_counts_each_map_once(good):
    """Its batches hold, for each view, a list of samples."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        sample = DATASETS.build(good)[0]['data_samples']
    assert len(labelled_samples(dict(data_samples=[[sample, sample], [sample, sample]]))) == 2
    assert len(labelled_samples(dict(data_samples=[sample]))) == 1
    assert labelled_samples(dict(data_samples=[])) == labelled_samples(None) == []


def test_runs_without_label_maps_are_left_alone(tmp_path, good, said):
    plain = {**good, 'pipeline': [good['pipeline'][0], good['pipeline'][2]]}
    runner = Runner.from_cfg(Config(dict(
        model=dict(type='PlantedModel', backbone=dict(type='PlantedBackbone')),
        work_dir=str(tmp_path), default_scope='mmseg', experiment_name=tmp_path.name,
        train_dataloader=loader(plain), train_cfg=dict(by_epoch=False, max_iters=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)))))
    runner.train()
    assert said == []
