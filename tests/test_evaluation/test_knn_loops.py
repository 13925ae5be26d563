from __future__ import annotations

import copy
import random
from functools import partial

import numpy as np
import pytest
import torch
from jobs.processes import run_processes
from mmengine.config import Config
from mmengine.runner import Runner
from references import labelled
from references.labelled import blocks, runner, write

NOISE = dict(type='PlantedModel', backbone=dict(type='PlantedBackbone', noise=True))


@pytest.fixture
def datasets(tmp_path):
    """Memory and query of random blocks that do not fit the 8-pixel cells."""
    memory = write(tmp_path, 'memory', [blocks(seed, cell=12) for seed in range(8)])
    return memory, write(tmp_path, 'query', [blocks(100 + seed, cell=12) for seed in range(5)])


@pytest.mark.parametrize('mode', ['val', 'test'])
def test_features_that_hold_the_labels_reach_the_ceiling(tmp_path, datasets, mode):
    measured = runner(tmp_path, *datasets, mode=mode)
    if mode == 'test':
        metrics = measured.test()
    else:
        metrics = measured.val()
    assert {'mIoU', 'position_prior_mIoU', 'ceiling_mIoU'} <= set(metrics)
    assert metrics['ceiling_mIoU'] - 2 < metrics['mIoU'] <= metrics['ceiling_mIoU'] + 1
    assert 70 < metrics['ceiling_mIoU'] < 100
    assert metrics['position_prior_mIoU'] < 45


def test_labels_that_fit_the_cells_are_found_exactly(tmp_path):
    memory = write(tmp_path, 'memory', [blocks(seed) for seed in range(4)])
    query = write(tmp_path, 'query', [blocks(50), blocks(51, size=(64, 40))])
    metrics = runner(tmp_path, memory, query, k=3).val()
    assert metrics['ceiling_mIoU'] > 85 and metrics['mIoU'] == metrics['ceiling_mIoU']


def test_noise_is_no_better_than_the_most_common_class(tmp_path, datasets):
    memory, query = datasets
    metrics = runner(tmp_path, memory, query, model=NOISE, k=100, beta=10.).val()
    common = np.mean([np.mean(blocks(100 + seed, cell=12) == 0) for seed in range(5)]) * 100
    assert metrics['mIoU'] == pytest.approx(common / 3, abs=3)


def test_a_position_that_tells_the_class_is_seen_by_the_prior(tmp_path):
    label = np.repeat(np.arange(3, dtype=np.uint8), 16)[None].repeat(32, 0)     # three stripes
    memory, query = (write(tmp_path, name, [label] * 3) for name in ('memory', 'query'))
    metrics = runner(tmp_path, memory, query, model=NOISE).val()
    assert metrics['position_prior_mIoU'] == 100 and metrics['mIoU'] < 60


def test_ignored_pixels_count_nowhere(tmp_path, datasets):
    memory, query = datasets
    path = f"{query['data_root']}/labels/000.png"
    labels = np.full((32, 48), 255, np.uint8)
    labelled.cv2.imwrite(path, labels)
    kept = {**query, 'indices': [1, 2, 3, 4]}
    assert runner(tmp_path, memory, query).val() == runner(tmp_path / 'b', memory, kept).val()


def test_bounded_memory_keeps_what_it_can(tmp_path, datasets):
    loop = runner(tmp_path, *datasets, memory_size=40)
    metrics = loop.val()
    assert loop.val_loop.per_image == 5
    assert metrics['mIoU'] > metrics['position_prior_mIoU'] + 20
    assert loop.val() == metrics                              # the same cells every time


def train(tmp_path, datasets, val: bool) -> tuple[torch.Tensor, torch.Tensor]:
    memory, query = datasets
    evaluation = dict(
        val_dataloader=labelled.loader(query),
        val_cfg=dict(type='mmdense.DenseKNNValLoop', memory=labelled.loader(memory)),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU'])) if val else {}
    trained = Runner.from_cfg(Config(dict(
        model=dict(type='PlantedModel', backbone=dict(type='PlantedBackbone')),
        work_dir=str(tmp_path / f'{val}'), default_scope='mmseg', randomness=dict(seed=3),
        experiment_name=f'{tmp_path.name}{val}',
        train_dataloader=dict(labelled.loader(query), sampler=dict(type='InfiniteSampler')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[dict(type='mmdense.FeatureMonitorHook', interval=1)] if val else [],
        **evaluation)))
    trained.train()
    state = torch.rand(3), np.random.rand(), random.random()
    if val:
        assert trained.message_hub.get_scalar('val/mIoU').current() > 70
    return trained.model.backbone.scale.detach(), state


def test_evaluation_leaves_no_trace_in_training(tmp_path, datasets):
    weight, state = train(tmp_path, datasets, val=False)
    other_weight, other_state = train(tmp_path, datasets, val=True)
    assert torch.equal(weight, other_weight)
    assert torch.equal(state[0], other_state[0]) and state[1:] == other_state[1:]


def test_two_processes_give_what_one_gives(tmp_path, datasets):
    labelled.measure_in_process(tmp_path, datasets, 0, 1)
    run_processes(partial(labelled.measure_in_process, tmp_path, datasets))
    expected = torch.load(tmp_path / '1_0.pt')
    assert len(expected[0]) == 96
    for rank in range(2):
        for ours, one in zip(torch.load(tmp_path / f'2_{rank}.pt'), expected, strict=True):
            torch.testing.assert_close(ours, one, atol=1e-5, rtol=0)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(memory=dict(metainfo=dict(classes=('a', 'b', 'c'), palette=[[0] * 3] * 3))),
     r"different classes: \('a', 'b', 'c'\) and \('blue'"),
    (dict(query=dict(indices=0)), 'the query dataset .* has no images'),
    (dict(memory=dict(indices=0)), 'the memory dataset .* has no images'),
    (dict(query=dict(metainfo=None)), "has no metainfo 'classes'"),
    (dict(k=0), 'k=0, beta'),
    (dict(memory_size=7), 'memory_size=7: .* one cell for each of 8 memory images')])
def test_mistakes_are_said_before_training(tmp_path, datasets, change, message):
    memory, query = ({**part, **change.pop(name, {})}
                     for name, part in zip(('memory', 'query'), datasets, strict=True))
    measured = runner(tmp_path, memory, query, **change)
    with pytest.raises(ValueError, match=message):
        measured.val()


def test_a_label_outside_the_classes_names_its_file(tmp_path, datasets):
    memory, query = datasets
    path = f"{query['data_root']}/labels/003.png"
    labelled.cv2.imwrite(path, np.full((32, 48), 7, np.uint8))
    with pytest.raises(ValueError, match=rf'{path}: label 7 \(1536 pixels\); expected 0..2 or 255'):
        runner(tmp_path, memory, query).val()


def test_a_pipeline_without_annotations_is_said(tmp_path, datasets):
    memory, query = datasets
    query = copy.deepcopy(query)
    del query['pipeline'][1]
    with pytest.raises(ValueError, match='000.png comes without labels: .* LoadAnnotations'):
        runner(tmp_path, memory, query).val()
