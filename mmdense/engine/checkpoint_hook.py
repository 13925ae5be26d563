"""Checkpoints that are whole or not there, whenever the run is killed."""
from __future__ import annotations

from pathlib import Path

import torch
from mmengine import hooks
from mmengine.dist import broadcast, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import BaseLoop, Runner

from mmdense.checkpoints.contents import require_fit
from mmdense.checkpoints.filled import bare
from mmdense.checkpoints.values import not_finite
from mmdense.files import write_whole
from mmdense.mistakes import WrongValue
from mmdense.models.starting import start_anew
from mmdense.registry import HOOKS
from mmdense.termination import TERMINATION, defer_termination

from .due_evaluation import make_up_evaluation, note_evaluation
from .finite_loss_hook import last_good


def refuse_broken_weights(runner: Runner, step: int, together: bool = True) -> None:
    """Compare the model's tensors with what a checkpoint may hold; all processes ``together``.

    Raises:
        ValueError: on every process, if one of the first process's tensors holds nan or infinity.
    """
    bad = not_finite(bare(runner.model).state_dict()) if is_main_process() else []
    count = torch.tensor(len(bad))
    if together:
        broadcast(count)
    if count:
        raise WrongValue(
            f'training stops: after iteration {step} {int(count)} tensors of the model hold nan or '
            f'infinity{", e.g. " if bad else ""}{", ".join(bad[:3])}; they are not saved; '
            f'{last_good(runner.work_dir)}')


class WholeFileBackend(LocalBackend):
    """The local disk, with whole writes, and with removals that wait for :meth:`drop_outdated`."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.outdated: list[Path] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write_whole(obj, filepath)

    def remove(self, filepath: str | Path) -> None:
        self.outdated.append(Path(filepath))

    def drop_outdated(self, keep: tuple[str | None, ...] = ()) -> None:
        """Remove what was to be removed, except the files in ``keep``."""
        kept = {Path(path) for path in keep if path}
        for path in self.outdated:
            if path not in kept:
                path.unlink(missing_ok=True)
        self.outdated.clear()


register_backend('mmdense_whole_files', WholeFileBackend, force=True)


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's hook, safe against a kill at any moment, also in the middle of saving.

    A checkpoint and the file ``last_checkpoint`` are written beside their place and renamed; old
    checkpoints (``max_keep_ckpts``, the previous best one) are removed after that. So a run that
    is killed loses at most the iterations since its last checkpoint. Folders behind a URL keep
    mmengine's own behaviour.

    ``save_best='mIoU'``, or a metric that needs no labels (``correspondence_accuracy``,
    ``effective_rank``, ``feature_std``), also keeps ``best_<metric>_iter_<n>.pth``, the weights
    of the best evaluation so far. A resumed run first makes up for an evaluation that a kill took
    away, so that it keeps the same file as a run that was not killed.

    Only files in the run's own folder are removed, whatever a checkpoint names. What is loaded
    must have weights of the model; a run that starts from another run's checkpoint takes the
    weights, those of the twin too, and begins its queue and its counts anew.

    On SIGTERM (Slurm takes the node back) a training ends its optimiser step, saves, says so and
    ends with exit code 143; one that counts epochs ends without saving: it could not go on from
    the middle of one.

    Raises:
        ValueError: before training, if a checkpoint would fall into the middle of an accumulated
            gradient, which a checkpoint does not hold; at an evaluation, if it has no metric
            ``save_best``.
    """
    _default_greater_keys = [*hooks.CheckpointHook._default_greater_keys,
                             'correspondence_accuracy', 'effective_rank', 'feature_std']
    _began = _alone = False

    def before_train(self, runner: Runner) -> None:
        self._check_accumulation(runner)
        local = '://' not in str(self.out_dir or runner.work_dir)
        if local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend='mmdense_whole_files')
        self._keep_numbers_only(runner)
        super().before_train(runner)
        self._take_own_best(runner)
        if local and is_main_process():
            self._drop_old_best(runner)
        if runner.iter == 0:
            start_anew(runner.model)
        self._drop_outdated()

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        if not self.by_epoch:
            defer_termination()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Save where it is due, or if this process is to end."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        step, counts = runner.iter + 1, getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        # the others wait for the first process, which may not know yet
        if not (TERMINATION.requested and TERMINATION.deferred and is_main_process()) \
                or step % counts:
            return
        path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))
        if self.last_ckpt != path:
            self._alone = True
            self._save_checkpoint(runner)
        TERMINATION.obey(f'ended by SIGTERM at iteration {step}: {path} is saved, --resume goes on '
                         'from it')

    def before_val(self, runner: Runner) -> None:
        """An evaluation ends at once: it can be long, and a resumed run makes up for it."""
        TERMINATION.deferred = False
        if TERMINATION.requested and is_main_process():
            TERMINATION.obey('ended by SIGTERM')

    def after_train(self, runner: Runner) -> None:
        TERMINATION.deferred = False
        super().after_train(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look whether the file that a training starts from has weights of the model.

        Raises:
            ValueError: it has none.
        """
        if not isinstance(runner._train_loop, BaseLoop):    # built: a training, not a test
            return
        require_fit(bare(runner.model), checkpoint, str(runner._load_from or runner.work_dir))

    def _keep_numbers_only(self, runner: Runner) -> None:
        """Drop what a checkpoint names as old checkpoints and is no iteration."""
        kept = runner.message_hub.runtime_info.get('keep_ckpt_ids')
        if kept is not None:
            steps = kept if isinstance(kept, (list, tuple)) else []
            runner.message_hub.update_info(
                'keep_ckpt_ids', [step for step in steps if type(step) is int and step >= 0])

    def _take_own_best(self, runner: Runner) -> None:
        """Take the best checkpoint of this run's folder in place of the path that was saved.

        A copied folder would remove its original's file, a hostile checkpoint any file.
        """
        for key in self.key_indicators or [] if self.save_best else []:
            single = len(self.key_indicators) == 1
            info = 'best_ckpt' if single else f'best_ckpt_{key}'
            named = runner.message_hub.runtime_info.get(info)
            if named is None:
                continue
            name = Path(str(named)).name
            own = self.file_backend.join_path(self.out_dir, name)
            if not (name.startswith(f'best_{key}_'.replace('/', '_'))
                    and self.file_backend.isfile(own)):
                runner.logger.warning(f'the best checkpoint so far, {named}, is not in '
                                      f'{self.out_dir}: it stays where it is')
                own = None
                runner.message_hub.runtime_info.pop(info)
            else:
                runner.message_hub.update_info(info, own)
            if single:
                self.best_ckpt_path = own
            else:
                self.best_ckpt_path_dict[key] = own

    def before_train_epoch(self, runner: Runner) -> None:
        """Make up for the evaluation of the checkpoint that the run goes on from."""
        if self.save_best and not self._began:
            make_up_evaluation(runner)
        self._began = True

    def _check_accumulation(self, runner: Runner) -> None:
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if counts == 1:
            return
        steps = len(runner.train_dataloader) if self.by_epoch else 1
        intervals = {'default_hooks.checkpoint.interval': self.interval}
        if self.save_best:      # a new best value saves the run's state, too
            intervals['train_cfg.val_interval'] = runner.train_loop.val_interval
        for name, interval in intervals.items():
            if interval > 0 and (interval * steps) % counts:
                raise WrongValue(
                    f'checkpoint interval {interval * steps} (iterations) is not a multiple of '
                    f'optim_wrapper.accumulative_counts={counts}: a run resumed from it would '
                    f'lose part of a gradient; change {name}')

    def _drop_old_best(self, runner: Runner) -> None:
        """Remove best checkpoints that were to be removed when a kill came."""
        if not self.save_best or not runner.iter:
            return
        for key in self.key_indicators:
            best = (self.best_ckpt_path if len(self.key_indicators) == 1
                    else self.best_ckpt_path_dict[key])
            if not best or not Path(best).is_file():
                continue
            start = f'best_{key}_'.replace('/', '_')
            for path in Path(self.out_dir).glob(f'{start}*.pth'):
                number = path.stem.rpartition('_')[2]
                done = runner.epoch if self.by_epoch else runner.iter
                known = path.name == start + self.filename_tmpl.format(number)
                # one of a later iteration will be written anew
                if known and number.isdigit() and int(number) <= done and path != Path(best):
                    path.unlink()

    def _drop_outdated(self) -> None:
        # a validation without training comes here before any backend is made
        backend = getattr(self, 'file_backend', None)
        if is_main_process() and isinstance(backend, WholeFileBackend):
            best = getattr(self, 'best_ckpt_path', None)
            others = getattr(self, 'best_ckpt_path_dict', {}).values()
            backend.drop_outdated(keep=(self.last_ckpt, best, *others))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save, then point to the new file, then remove what became outdated."""
        refuse_broken_weights(runner, meta['iter'], together=not self._alone)
        outdated = self._enlist(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if not is_main_process():
            return
        write_whole(self.last_ckpt.encode(), Path(runner.work_dir) / 'last_checkpoint')
        for path in outdated:
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
        self._drop_outdated()

    def _enlist(self, runner: Runner, step: int) -> list[str]:
        """Note ``step`` as kept; return the paths of the checkpoints that make room for it.

        The checkpoint itself lists these too: a run killed before it removed them does so when it
        is resumed.
        """
        if self.max_keep_ckpts <= 0:
            return []
        steps = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
        runner.message_hub.update_info('keep_ckpt_ids', steps)
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(steps[-self.max_keep_ckpts:])
        return [self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
                for old in steps[:-self.max_keep_ckpts]]

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # an evaluation without training keeps nothing
        if self.save_best and hasattr(self, 'file_backend'):
            absent = [key for key in self.key_indicators if key != 'auto' and key not in metrics]
            if absent:
                raise WrongValue(f'default_hooks.checkpoint.save_best={absent[0]!r} is no metric '
                                 f'of the validation loop; there are {", ".join(sorted(metrics))}')
            refuse_broken_weights(runner, runner.iter)
            note_evaluation(runner)
            super()._save_best_checkpoint(runner, metrics)
        self._drop_outdated()
