"""A run that stays below its start is stopped, not before, and not otherwise after a kill."""
from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from references import planted
from references.labelled import blocks, write
from references.planted import ScriptedValLoop, scripted

from mmdense.engine import StopBelowStartHook


@pytest.fixture(autouse=True)
def _no_runs():
    ScriptedValLoop.runs.clear()


def given(values: list[float], patience: int = 2, rule: str = 'greater', **loop) -> dict:
    return dict(scripted(values, **loop), custom_hooks=[dict(
        type='mmdense.StopBelowStartHook', monitor='score', patience=patience, rule=rule)])


@pytest.mark.parametrize(('values', 'rule', 'patience', 'last'), [
    ([5, 4, 4, 4, 4, 4, 4], 'greater', 2, 2),
    ([5, 4, 5, 4, 6, 4, 4], 'greater', 2, 6),          # the equal value breaks the row
    ([5, 4, 5, 4, 6, 4, 4], 'greater', 1, 1),
    ([5, 4, 5, 4, 6, 4, 4], 'greater', 3, 6),
    ([5, 4, 4, 6, 6, 7, 6], 'less', 3, 5),
    ([5, math.nan, math.nan, 6, 6, 6, 6], 'greater', 2, 2)])
def test_it_stops_after_n_in_a_row_and_not_before(tmp_path, values, rule, patience, last):
    run = planted.runner(tmp_path, 'run', **given(values, patience, rule))
    run.train()
    assert run.iter == last and ScriptedValLoop.runs == list(range(last + 1))
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'score of the start: 5.0000 (iteration 0)' in log
    stopped = values[1:patience + 1] if last == patience else None
    if stopped:
        assert (f'training stops at iteration {last}: score was 5.0000 at the start (iteration 0) '
                f'and {", ".join(f"{value:.4f}" for value in stopped)} in the last') in log
    assert log.count('training stops') == (last < 6 or values[5:] == [4, 4] and patience == 2)


def test_measuring_the_start_leaves_no_trace(tmp_path):
    states = []
    for name, settings in (('without', {}), ('with', given([0] * 7, 1))):
        run = planted.runner(tmp_path, name, **settings)
        run.train()
        states.append((run.model.backbone.scale.detach(), torch.load(
            tmp_path / name / 'iter_6.pth', weights_only=False)['state_dict']))
    assert torch.equal(states[0][0], states[1][0])
    assert states[0][1].keys() == states[1][1].keys()


def resumed(folder: Path, values: list[float], dies_at: int, **settings) -> int:
    with pytest.raises(KeyboardInterrupt):
        planted.runner(folder, 'run', **given(values, **settings, dies_at=dies_at)).train()
    run = planted.runner(folder, 'run', resume=True, **given([-1, *values[1:]], **settings))
    run.train()
    return run.iter


@pytest.mark.parametrize('dies_at', [3, 4, 5])
def test_start_and_counter_survive_a_kill(tmp_path, dies_at):
    """The start would be -1 if it were measured anew; without a counter it would end at 6."""
    assert resumed(tmp_path, [5, 6, 4, 4, 4, 4, 4], dies_at, patience=4) == 5
    assert ScriptedValLoop.runs.count(0) == 1


def test_a_run_that_was_stopped_stays_stopped(tmp_path):
    settings = given([5, 4, 4, 4, 4, 4, 4], 2)
    planted.runner(tmp_path, 'run', **settings).train()
    again = planted.runner(tmp_path, 'run', resume=True, **settings)
    again.train()
    assert again.iter == 2
    more = planted.runner(tmp_path, 'run', resume=True, **given([5, 4, 4, 4, 4, 4, 4], 4))
    more.train()
    assert more.iter == 4


@pytest.mark.parametrize('monitor', ['mIoU', 'correspondence_accuracy'])
def test_features_that_become_noise_are_stopped(tmp_path, monitor):
    """Measured, not scripted: a real loop before the first iteration, and after each."""
    memory, query = (write(tmp_path, name, [blocks(seed, (64, 96), cell=12)
                                            for seed in range(start, start + 2)])
                     for start, name in ((0, 'memory'), (50, 'query')))
    run = planted.runner(
        tmp_path, 'run', val_dataloader=planted.loader(query), val_cfg=dict(
            type='mmdense.DenseKNNValLoop', memory=planted.loader(memory), label_free=True),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']), custom_hooks=[
            dict(type='ChangeKind', kinds=[1, 2, 2, 2, 2, 2]),
            dict(type='mmdense.StopBelowStartHook', monitor=monitor, patience=2)])
    run.train()
    assert run.iter == 3
    state = run.message_hub.get_info('stop_below_start')
    assert state['iter'] == 0 and max(state['below']) < state['start'] / 2


def test_the_start_is_a_candidate_for_the_best(tmp_path):
    planted.runner(tmp_path, 'run', **given([5, 4, 4, 4, 4, 4, 4]), **{
        'default_hooks.checkpoint.save_best': 'score',
        'default_hooks.checkpoint.rule': 'greater'}).train()
    assert [path.name for path in (tmp_path / 'run').glob('best_*')] == ['best_score_iter_0.pth']
    weights = torch.load(tmp_path / 'run/best_score_iter_0.pth', weights_only=False)['state_dict']
    assert weights['backbone.scale'] == 1


def test_mistakes_are_said(tmp_path):
    for wrong in (dict(patience=0), dict(rule='more')):
        with pytest.raises(ValueError, match='patience of 1 or more and rule'):
            StopBelowStartHook(**wrong)
    hooks = dict(custom_hooks=[dict(type='mmdense.StopBelowStartHook')])
    with pytest.raises(ValueError, match='no validation loop .*LabelFreeValLoop'):
        planted.runner(tmp_path, 'none', **hooks).train()
    with pytest.raises(ValueError, match="'mIoU' is no metric of ScriptedValLoop; there are score"):
        planted.runner(tmp_path, 'name', **scripted([0] * 7), **hooks).train()
    with pytest.raises(ValueError, match='score of the start is nan'):
        planted.runner(tmp_path, 'nan', **given([math.nan] * 7)).train()
