"""From a config file and a command line to the config of a run."""
from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmdense.config_files import read_config
from mmdense.datasets.checks import check_dataset_paths
from mmdense.outputs import make_output_folder

from .launch import check_launcher, start_processes
from .options import merge_options
from .settings import fit_workers


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
    start_processes(cfg)
    fit_workers(cfg)
    for name in loaders:
        if cfg.get(name):
            check_dataset_paths(cfg[name].dataset, name)
    make_output_folder(cfg.work_dir, 'work_dir')


def use_amp(cfg: Config, wanted: bool) -> None:
    """Train in mixed precision if ``wanted`` or if the config asks for it.

    float16 with a loss scale on a GPU (mmengine's AmpOptimWrapper), bfloat16 on CPU.

    Raises:
        ValueError: the config has an optimiser wrapper that mixed precision cannot replace.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.setdefault('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        if wanted:
            raise ValueError(f"--amp: optim_wrapper.type is {kind!r}, expected 'OptimWrapper'")
        return
    if kind == 'OptimWrapper' and not wanted:
        return
    if get_device() == 'cpu':
        for name in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(name, None)
        wrapper.type = 'mmdense.BFloat16OptimWrapper'
        print_log('mixed precision on CPU: bfloat16', 'current')
    elif kind == 'OptimWrapper':
        wrapper.type, wrapper.loss_scale = 'AmpOptimWrapper', 'dynamic'


def use_tta(cfg: Config) -> None:
    """Test with the config's test time augmentation.

    Raises:
        ValueError: the config has none.
    """
    if not (cfg.get('tta_model') and cfg.get('tta_pipeline')):
        raise ValueError('--tta: the config has no tta_model and tta_pipeline; '
                         'mmseg::_base_/default_runtime.py shows how they look')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, 'module': cfg.model}


def latest_checkpoint(work_dir: str) -> str | None:
    """Return the checkpoint that ``work_dir/last_checkpoint`` names, or None.

    A folder that was moved since is searched for the file of the same name.
    """
    pointer = Path(work_dir) / 'last_checkpoint'
    named = pointer.read_text().strip() if pointer.is_file() else ''
    if not named:
        return None
    moved = Path(work_dir) / Path(named).name
    return next((str(path) for path in (named, moved) if os.path.isfile(path)), None)


def resume_latest(cfg: Config) -> None:
    """Let the run go on from the latest checkpoint in its work_dir, or start as configured.

    ``load_from`` counts for the start only. (mmengine's own ``--resume`` takes it for the
    checkpoint to resume from.)
    """
    latest = latest_checkpoint(cfg.work_dir)
    cfg.resume = latest is not None
    if latest is not None:
        cfg.load_from = latest
    if is_main_process():
        print_log(f'resuming from {latest}' if latest else
                  f'--resume: no checkpoint in {cfg.work_dir} yet, starting from the beginning',
                  'current')
