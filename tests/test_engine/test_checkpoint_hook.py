"""At every moment of a save, `last_checkpoint` and what it names are whole."""
from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import save_checkpoint
from references.full_disk import full_disk
from torch import nn

from mmdense.engine.checkpoint_hook import CheckpointHook


class FakeRunner(SimpleNamespace):
    """The part of a runner that the hook talks to; its checkpoints hold their iteration."""

    def save_checkpoint(self, out_dir, filename, file_client_args=None, backend_args=None,
                        meta=None, **kwargs):
        kept = self.message_hub.runtime_info.get('keep_ckpt_ids')
        save_checkpoint(dict(iter=meta['iter'], kept=list(kept or [])),
                        os.path.join(out_dir, filename), backend_args=backend_args)


def make_runner(folder: Path, accumulative_counts: int = 1) -> FakeRunner:
    hub = MessageHub(f'hub{folder}')
    return FakeRunner(work_dir=str(folder), message_hub=hub, logger=logging.getLogger('test'),
                      optim_wrapper=SimpleNamespace(_accumulative_counts=accumulative_counts),
                      train_dataloader=range(6), epoch=0, iter=0, max_iters=1000,
                      model=torch.nn.Linear(2, 2))


def started(folder: Path, **settings) -> tuple[CheckpointHook, FakeRunner]:
    hook = CheckpointHook(by_epoch=False, interval=1, **settings)
    runner = make_runner(folder)
    hook.before_train(runner)
    return hook, runner


def save_at(hook: CheckpointHook, runner: FakeRunner, step: int) -> None:
    runner.iter = step - 1
    hook.after_train_iter(runner, step - 1)
    runner.iter = step


@pytest.fixture
def moments(tmp_path, monkeypatch):
    """Look at the folder before and after whatever changes it; return what was seen."""
    seen = []

    def look() -> None:
        pointer = tmp_path / 'last_checkpoint'
        named = pointer.read_text() if pointer.exists() else None
        seen.append(None if named is None else torch.load(named)['iter'])

    def around(owner, name):
        function = getattr(owner, name)

        def watched(*args, **kwargs):
            look()
            result = function(*args, **kwargs)
            look()
            return result
        monkeypatch.setattr(owner, name, watched)
    for owner, name in ((os, 'replace'), (os, 'fsync'), (Path, 'unlink')):
        around(owner, name)
    return seen


def test_the_named_checkpoint_is_whole_at_every_moment(tmp_path, moments):
    hook, runner = started(tmp_path, max_keep_ckpts=1)
    for step in (1, 2, 3):
        save_at(hook, runner, step)
    seen = [step for step in moments if step is not None]
    assert seen == sorted(seen) and set(seen) == {1, 2, 3}
    assert None not in moments[moments.index(1):]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_3.pth']


def test_keeps_as_many_as_asked(tmp_path):
    hook, runner = started(tmp_path, max_keep_ckpts=2)
    for step in (5, 10, 15, 20):
        save_at(hook, runner, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'iter_15.pth', 'iter_20.pth', 'last_checkpoint']
    assert list(hook.keep_ckpt_ids) == [15, 20]


def test_a_resumed_run_removes_what_the_killed_one_left(tmp_path):
    hook, runner = started(tmp_path, max_keep_ckpts=1)
    save_at(hook, runner, 1)
    stray = (tmp_path / 'iter_1.pth').read_bytes()
    save_at(hook, runner, 2)
    # killed after `last_checkpoint` was written and before iter_1 was removed
    (tmp_path / 'iter_1.pth').write_bytes(stray)
    resumed = CheckpointHook(by_epoch=False, interval=1, max_keep_ckpts=1)
    runner.message_hub.update_info('keep_ckpt_ids', torch.load(tmp_path / 'iter_2.pth')['kept'])
    resumed.before_train(runner)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_2.pth', 'last_checkpoint']


def test_best_checkpoint_is_replaced_only_by_a_whole_one(tmp_path, monkeypatch):
    hook, runner = started(tmp_path, save_best='mIoU', max_keep_ckpts=1)
    removed = []
    unlink = Path.unlink

    def watched(path, **kwargs):
        removed.append((path.name, [p.name for p in sorted(tmp_path.glob('best*'))]))
        unlink(path, **kwargs)
    monkeypatch.setattr(Path, 'unlink', watched)
    for step, score in ((1, 10.0), (2, 20.0), (3, 15.0)):
        save_at(hook, runner, step)
        hook.after_val_epoch(runner, dict(mIoU=score))
    assert ('best_mIoU_iter_1.pth', ['best_mIoU_iter_1.pth', 'best_mIoU_iter_2.pth']) in removed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'best_mIoU_iter_2.pth', 'iter_3.pth', 'last_checkpoint']


@pytest.mark.situation('numbers', 'a checkpoint is due when weights are NaN or infinite', 'error',
                       'it is not saved and the run stops; the message names the tensors and the '
                       'last good checkpoint, which stays')
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_push_out_nothing(tmp_path, value):
    hook, runner = started(tmp_path, max_keep_ckpts=1, save_best='mIoU')
    save_at(hook, runner, 1)
    hook.after_val_epoch(runner, dict(mIoU=1.0))
    before = sorted(path.name for path in tmp_path.iterdir())
    runner.model.weight.data[1, 0] = value
    message = rf'iteration 2 1 tensors .*weight; they are not saved; .*{tmp_path}/iter_1.pth'
    with pytest.raises(ValueError, match=message):
        save_at(hook, runner, 2)
    runner.iter = 2
    with pytest.raises(ValueError, match=message):
        hook.after_val_epoch(runner, dict(mIoU=2.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_interval_inside_an_accumulated_gradient_is_refused(tmp_path):
    hook = CheckpointHook(by_epoch=False, interval=3)
    with pytest.raises(ValueError, match='interval 3 .*accumulative_counts=2'):
        hook.before_train(make_runner(tmp_path, accumulative_counts=2))
    CheckpointHook(by_epoch=True, interval=1).before_train(make_runner(tmp_path, 3))
    with pytest.raises(ValueError, match='interval 6 .*accumulative_counts=4'):
        CheckpointHook(by_epoch=True, interval=1).before_train(make_runner(tmp_path, 4))


def best_after_resume(folder: Path, named: object, metric: str | list[str] = 'mIoU',
                      info: str = 'best_ckpt') -> CheckpointHook:
    """Resume in ``folder`` from a checkpoint that names its best file so, and improve on it."""
    hook = CheckpointHook(by_epoch=False, interval=1, save_best=metric, rule='greater')
    runner = make_runner(folder)
    runner.iter = 1
    for name, value in ((info, named), (info.replace('ckpt', 'score'), 1.0)):
        runner.message_hub.update_info(name, value)
    hook.before_train(runner)
    save_at(hook, runner, 2)
    hook.after_val_epoch(runner, dict(mIoU=2.0, mAcc=2.0))
    return hook


@pytest.mark.parametrize('name', [
    pytest.param('elsewhere/precious.txt', id='any', marks=pytest.mark.situation(
        'security', "a checkpoint that names any file as the run's best one", 'warning',
        'the file stays, and the log names it')),
    pytest.param('elsewhere/best_mIoU_iter_1.pth', id='original', marks=pytest.mark.situation(
        'lost runs', 'a copied work_dir is resumed and finds a better checkpoint', 'warning',
        "the best checkpoint of the original stays; only the copy's own is replaced")),
    pytest.param('work/own.txt', id='own-folder'),
    pytest.param('work/../elsewhere/precious.txt', id='dots')])
@pytest.mark.parametrize('metric, info', [('mIoU', 'best_ckpt'),
                                          (['mAcc', 'mIoU'], 'best_ckpt_mIoU')])
def test_no_file_outside_the_runs_own_is_removed(tmp_path, name, metric, info):
    paths = [tmp_path / path for path in ('elsewhere/precious.txt', 'work/own.txt',
                                          'elsewhere/best_mIoU_iter_1.pth')]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    best_after_resume(tmp_path / 'work', str(tmp_path / name), metric, info)
    assert all(path.exists() for path in paths)
    assert (tmp_path / 'work' / 'best_mIoU_iter_2.pth').exists()


def test_the_copys_own_best_file_is_replaced(tmp_path):
    for folder in ('original', 'copy'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'best_mIoU_iter_1.pth').touch()
    best_after_resume(tmp_path / 'copy', str(tmp_path / 'original' / 'best_mIoU_iter_1.pth'))
    assert (tmp_path / 'original' / 'best_mIoU_iter_1.pth').exists()
    assert [path.name for path in (tmp_path / 'copy').glob('best*')] == ['best_mIoU_iter_2.pth']


@pytest.mark.parametrize('kept', [
    ['../elsewhere/5', 1], [True, -1, 1, 1.5, None], 'text', {'1': 1}, [[1], 1]])
@pytest.mark.situation('security', 'a checkpoint that lists paths as its old checkpoints', 'works',
                       'only numbers of iterations count; nothing else is removed')
def test_only_iterations_are_old_checkpoints(tmp_path, kept):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / '5.pth').touch()
    (tmp_path / 'work' / 'iter_').mkdir(parents=True)
    runner = make_runner(tmp_path / 'work')
    runner.iter = 7
    runner.message_hub.update_info('keep_ckpt_ids', kept)
    hook = CheckpointHook(by_epoch=False, interval=1, max_keep_ckpts=1)
    hook.before_train(runner)
    save_at(hook, runner, 8)
    assert (tmp_path / 'elsewhere' / '5.pth').exists() and list(hook.keep_ckpt_ids) == [8]


def test_a_full_disk_keeps_the_checkpoint_before_it(tmp_path):
    hook, runner = started(tmp_path, max_keep_ckpts=1)
    save_at(hook, runner, 1)
    with full_disk(), pytest.raises(OSError, match=(
            r'iter_2\.pth could not be written: .*: it needs [\d,]+ bytes, [\d,]+ are free')):
        save_at(hook, runner, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_1.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_1.pth')


@pytest.mark.parametrize('done, calls', [(0, 1), (5, 0)])
def test_counts_begin_anew_in_a_new_run_only(tmp_path, done, calls):
    """At iteration 0 whatever was loaded is another run's; a resumed run goes on."""
    class Part(nn.Linear):
        called = 0

        def start_anew(self) -> None:
            self.called += 1

    runner = make_runner(tmp_path)
    runner.iter, runner.model = done, nn.Sequential(Part(1, 1))
    CheckpointHook(by_epoch=False, interval=1).before_train(runner)
    assert runner.model[0].called == calls
