"""The best checkpoint by each signal is kept, over kills and resumes."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from references import planted
from references.labelled import blocks, write
from references.planted import ScriptedValLoop, scripted

KINDS = [0, 1, 2, 0]      # by iteration: one direction, the image's colours, noise


def best_of(folder: Path, name: str = 'run') -> list[str]:
    return sorted(path.name for path in (folder / name).glob('best_*'))


def save_best(metric: str | list[str], **changes) -> dict:
    return {'default_hooks.checkpoint.save_best': metric, **changes}


@pytest.mark.parametrize(('metric', 'best'), [
    ('mIoU', 2), ('correspondence_accuracy', 2), ('effective_rank', 3)])
def test_the_better_checkpoint_by_each_signal_is_kept(tmp_path, metric, best):
    memory, query = (write(tmp_path, name, [blocks(seed, (64, 96), cell=12)
                                            for seed in range(start, start + 3)])
                     for start, name in ((0, 'memory'), (50, 'query')))
    run = planted.runner(
        tmp_path, 'run', val_dataloader=planted.loader(query), val_cfg=dict(
            type='mmdense.DenseKNNValLoop', memory=planted.loader(memory), label_free=True),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        custom_hooks=[dict(type='ChangeKind', kinds=KINDS)],
        **save_best(metric, **{'train_cfg.max_iters': 4}))
    run.train()
    assert best_of(tmp_path) == [f'best_{metric}_iter_{best}.pth']
    kept = torch.load(tmp_path / 'run' / best_of(tmp_path)[0], weights_only=False)
    assert kept['state_dict']['backbone.kind'] == KINDS[best - 1]


def test_without_labels_the_same_hook_keeps_the_best(tmp_path):
    cfg = planted.write_ramps(tmp_path / 'val', 3)
    run = planted.runner(
        tmp_path, 'run', val_dataloader=dict(batch_size=2, num_workers=0, dataset=cfg),
        val_cfg=dict(type='mmdense.LabelFreeValLoop'), val_evaluator=[],
        custom_hooks=[dict(type='ChangeKind', kinds=KINDS)],
        **save_best(['effective_rank', 'correspondence_accuracy'],
                    **{'train_cfg.max_iters': 4}))
    run.train()
    assert best_of(tmp_path) == ['best_correspondence_accuracy_iter_2.pth',
                                 'best_effective_rank_iter_3.pth']


def died_and_resumed(folder: Path, values: list[float], dies_at: int, **changes) -> list[str]:
    given = dict(scripted(values), **save_best('score', **changes),
                 **{'default_hooks.checkpoint.rule': 'greater'})
    with pytest.raises(KeyboardInterrupt):
        planted.runner(folder, 'run', **{**given, 'val_cfg': dict(given['val_cfg'],
                                                                  dies_at=dies_at)}).train()
    planted.runner(folder, 'run', resume=True, **given).train()
    return best_of(folder)


@pytest.mark.parametrize('dies_at', [3, 4, 5, 6])
def test_a_kill_does_not_lose_the_best(tmp_path, dies_at):
    """Also not in the evaluation that would have found it: iteration 4 is saved before that."""
    values = [0, 1, 3, 2, 9, 4, 5]
    assert died_and_resumed(tmp_path, values, dies_at) == ['best_score_iter_4.pth']


def test_an_evaluation_that_was_done_is_not_repeated(tmp_path):
    ScriptedValLoop.runs.clear()
    died_and_resumed(tmp_path, [0, 1, 2, 3, 9, 4, 5], dies_at=5)
    assert ScriptedValLoop.runs == [1, 2, 3, 4, 5, 6]


def test_old_best_files_that_a_kill_left_are_removed(tmp_path):
    given = dict(scripted([0, 1, 3, 2, 9, 4, 5], dies_at=5), **save_best('score'),
                 **{'default_hooks.checkpoint.rule': 'greater'})
    with pytest.raises(KeyboardInterrupt):
        planted.runner(tmp_path, 'run', **given).train()
    folder = tmp_path / 'run'
    for name in ('best_score_iter_2.pth', 'best_score_iter_6.pth', 'best_score_mine_1.pth',
                 'best_scores_iter_1.pth'):
        (folder / name).write_bytes(b'')
    resumed = planted.runner(tmp_path, 'run', resume=True, **{**given, **scripted([0] * 7)})
    resumed.train()
    # one of a later iteration, and what is not ours, is left
    assert best_of(tmp_path) == ['best_score_iter_4.pth', 'best_score_iter_6.pth',
                                 'best_score_mine_1.pth', 'best_scores_iter_1.pth']
    assert (folder / 'best_score_iter_4.pth').stat().st_size


def test_an_unknown_metric_names_the_known_ones(tmp_path):
    run = planted.runner(tmp_path, 'run', **scripted([0] * 7), **save_best('mIoU'))
    with pytest.raises(ValueError, match="save_best='mIoU' is no metric .* there are score"):
        run.train()


def test_a_best_checkpoint_inside_an_accumulated_gradient_is_refused(tmp_path):
    run = planted.runner(tmp_path, 'run', **scripted([0] * 7),
                         **save_best('mIoU', **{'optim_wrapper.accumulative_counts': 2}))
    with pytest.raises(ValueError, match=r'interval 1 .*change train_cfg.val_interval'):
        run.train()
