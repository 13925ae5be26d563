"""From a config file and a command line to the config of a run."""
from __future__ import annotations

import logging
import os
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmdense.checkpoints import read_checkpoint
from mmdense.config_files import read_config
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.files import LOCK, locked, remove_partials
from mmdense.mistakes import WrongValue
from mmdense.outputs import make_output_folder

from .launch import check_launcher, own_number, say, start_processes
from .launcher_watch import end_with_launcher
from .options import merge_options
from .settings import fit_workers
from .wrappers import gpu_has_bfloat16

#: a name that ends in its iteration or epoch: not the best one, and not a published copy
SAVED = re.compile(r'(?!best_|.*-[0-9a-f]{8}$).*?(\d+)')


def load_config(args: Namespace) -> Config:
    """Read ``args.config`` with ``cfg_options``, ``launcher`` and ``work_dir`` of ``args``.

    ``args.cfg_options`` become values with the types that the config gives them.

    Raises:
        FileNotFoundError, ValueError: what :func:`mmdense.config_files.read_config` raises, or an
            option that would change nothing, or that does not fit the config.
    """
    cfg = read_config(args.config)
    args.cfg_options = merge_options(cfg, args.cfg_options)
    cfg.launcher = getattr(args, 'launcher', 'none')
    cfg.work_dir = (getattr(args, 'work_dir', None) or cfg.get('work_dir')
                    or os.path.join('work_dirs', Path(cfg.filename).stem))
    return cfg


def prepare(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Do what comes before the runner: processes, workers, a look for the datasets, the work_dir.

    Args:
        loaders: the data loaders that this run reads, such as ``('train_dataloader',)``.

    Raises:
        FileNotFoundError, OSError, ValueError: the launcher's environment, a dataset or the
            work_dir is not as it should be.
    """
    check_launcher(cfg.launcher)
    end_with_launcher(cfg.launcher)
    start_processes(cfg)
    fit_workers(cfg)
    for name in loaders:
        if cfg.get(name):
            check_dataset_paths(cfg[name].dataset, name)
    make_output_folder(cfg.work_dir, 'work_dir')


def use_amp(cfg: Config, wanted: bool) -> None:
    """Train in mixed precision if ``wanted`` or if the config asks for it.

    bfloat16 where the GPU has it, and on CPU; else float16 with a loss scale (mmengine's
    AmpOptimWrapper). A config that itself asks for AmpOptimWrapper keeps it on a GPU.

    Raises:
        ValueError: the config has an optimiser wrapper that mixed precision cannot replace.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.setdefault('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        if wanted:
            raise WrongValue(f"--amp: optim_wrapper.type is {kind!r}, expected 'OptimWrapper'")
        return
    if kind == 'OptimWrapper' and not wanted:
        return
    device = get_device()
    if device == 'cpu' or kind == 'OptimWrapper' and gpu_has_bfloat16():
        for name in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(name, None)
        wrapper.type = 'mmdense.BFloat16OptimWrapper'
        say(f'mixed precision: bfloat16 on {device}', cfg.get('launcher'))
    elif kind == 'OptimWrapper':
        wrapper.type, wrapper.loss_scale = 'AmpOptimWrapper', 'dynamic'
        say(f'mixed precision: float16 with a loss scale on {device}, which has no bfloat16',
            cfg.get('launcher'))


def use_tta(cfg: Config) -> None:
    """Test with the config's test time augmentation.

    Raises:
        ValueError: the config has none.
    """
    if not (cfg.get('tta_model') and cfg.get('tta_pipeline')):
        raise WrongValue('--tta: the config has no tta_model and tta_pipeline; '
                         'mmseg::_base_/default_runtime.py shows how they look')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, 'module': cfg.model}


def pointed_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """Return the file in ``work_dir`` that its ``last_checkpoint`` names, there or not, or None.

    Only the name counts: the path in a folder that was copied or moved is that of the original.
    """
    pointer = Path(work_dir) / 'last_checkpoint'
    named = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    return Path(work_dir) / Path(named).name if Path(named).name else None


def latest_checkpoint(work_dir: str | os.PathLike) -> str | None:
    """Return the file in ``work_dir`` that its ``last_checkpoint`` names, if it is there."""
    path = pointed_checkpoint(work_dir)
    return str(path) if path is not None and path.is_file() else None


def checkpoints_in(work_dir: str | os.PathLike) -> list[Path]:
    """Return the checkpoints of a run's folder: the one that it points to, then from the newest."""
    found = {path: int(number[1]) for path in Path(work_dir).glob('*.pth') if path.is_file()
             and (number := SAVED.fullmatch(path.stem))}
    pointed = pointed_checkpoint(work_dir)
    return sorted(found, key=lambda path: (path == pointed, found[path], path.stat().st_mtime),
                  reverse=True)


def holds_run_state(checkpoint: Mapping) -> bool:
    """Return whether a checkpoint has what a run needs to go on, not weights alone."""
    return ({'iter', 'epoch'} <= set(checkpoint.get('meta') or ())
            and 'message_hub' in checkpoint)


def whole_checkpoint(work_dir: str | os.PathLike) -> tuple[Path | None, list[str]]:
    """Return the first of :func:`checkpoints_in` that reads whole and holds the state of a run.

    Returns:
        its path, or None where the folder has no checkpoints; and what is wrong with the others
        before it, and with what the folder points to.

    Raises:
        ValueError: none of the checkpoints that are there can be used.
    """
    wrong, pointed = [], pointed_checkpoint(work_dir)
    if pointed is not None and not pointed.is_file():
        wrong.append(f'{pointed}, which last_checkpoint names, is not there')
    there = checkpoints_in(work_dir)
    for path in there:
        try:
            content = read_checkpoint(path)
        except (ValueError, OSError) as error:
            wrong.append(str(error))
            continue
        # ResumeHook refuses the one that was meant
        if holds_run_state(content) or path == pointed:
            return path, wrong
        wrong.append(f'{path} holds weights and no state of a run')
    if there:
        raise WrongValue(f'--resume: no checkpoint in {work_dir} can be used: {"; ".join(wrong)}. '
                         'To start from the beginning, leave --resume out or choose another '
                         '--work-dir')
    return None, wrong


def resume_latest(cfg: Config) -> None:
    """Let the run go on from the latest checkpoint in its work_dir, or start as configured.

    Where the file that ``last_checkpoint`` names is gone or damaged, the newest other one is
    taken, and the log says so. ``load_from`` counts for the start only. (mmengine's own
    ``--resume`` takes it for the checkpoint to resume from.)

    Raises:
        ValueError: there are checkpoints, and none can be used.
    """
    latest, wrong = whole_checkpoint(checkpoint_folder(cfg))
    cfg.resume = latest is not None
    if latest is not None:
        cfg.load_from = str(latest)
    if is_main_process():
        for text in wrong:
            print_log(f'--resume: {text}', 'current', logging.WARNING)
        print_log(f'resuming from {latest}' if latest else
                  f'--resume: no checkpoint in {cfg.work_dir} yet, starting from the beginning',
                  'current')


def checkpoint_folder(cfg: Config) -> Path:
    """Return where a run's checkpoints lie: its work_dir, or what ``out_dir`` makes of it."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    out_dir = hook.get('out_dir')
    return Path(out_dir) / Path(cfg.work_dir).name if out_dir else Path(cfg.work_dir)


@contextmanager
def owned_work_dir(cfg: Config) -> Iterator[None]:
    """Let this run alone write into its work_dir while the context lasts.

    What a killed run left unfinished there is removed: it may be what fills the disk.

    Raises:
        ValueError: another run owns it.
    """
    # on GPUs the process group comes later, with the runner
    if own_number(cfg.launcher):
        yield
        return
    with locked(Path(cfg.work_dir) / LOCK):
        for folder in {Path(cfg.work_dir), checkpoint_folder(cfg)}:
            remove_partials(folder)
        yield
