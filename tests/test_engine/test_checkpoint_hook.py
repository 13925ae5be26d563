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

from mmdense.engine.checkpoint_hook import CheckpointHook, write_whole


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
    (tmp_path / '.iter_2.pth.partial').write_bytes(b'half')
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


def test_write_whole_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    write_whole(b'old', path)
    monkeypatch.setattr(os, 'fsync', lambda descriptor: (_ for _ in ()).throw(OSError('full')))
    with pytest.raises(OSError, match='full'):
        write_whole(b'new', path)
    assert path.read_bytes() == b'old'
