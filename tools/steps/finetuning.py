"""Fine-tuning of one checkpoint with a segmentor's config, by a user's commands."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdense.digests import file_digest
from mmdense.evaluation.from_config import is_segmentor
from mmdense.files import LOCK, locked
from mmdense.mistakes import MissingFile, WrongValue

from .running import run_chains, run_logged
from .step import Settings, Step
from .training import random_weights, train_and_test

ROOT = Path(__file__).resolve().parents[2]


def check_finetuning(cfg: Config, name: str, checkpoint: str) -> None:
    """Look whether a config can be fine-tuned from a checkpoint; its default scope is set.

    Raises:
        FileNotFoundError: one of them is no file, as ``mmseg::…`` or a URL.
        ValueError: it is not of a segmentor, or its backbone takes no checkpoint.
    """
    if not is_segmentor(cfg):
        raise WrongValue(f"finetune needs a segmentor's config, and {name} is of "
                         f'{cfg.model["type"]}; configs/finetune/ has some')
    start = cfg.model.get('backbone', {}).get('init_cfg') or {}
    if not str(dict(start).get('type')).endswith('PretrainedBackbone'):
        raise WrongValue(f'finetune needs a backbone that takes a checkpoint, and {name} has '
                         f'model.backbone.init_cfg={start}; expected '
                         "dict(type='mmdense.PretrainedBackbone', checkpoint=None)")
    for path in (name, checkpoint):
        if not Path(path).is_file():
            raise MissingFile(f'finetune needs local files; {path} is not one')


def _given(row: str, seed: int, checkpoint: str) -> Step:
    """Return a step that is done: its checkpoint is there."""
    return Step(row, seed, 'given', Path(checkpoint).parent, file_digest(checkpoint), {}, None,
                dict, checkpoint=lambda: checkpoint)


def finetune(config: str, checkpoint: str, options: dict[str, Any], seed: int, work_dir: str,
             processes: int, with_random: bool, say: Callable[[str], None]) -> dict[str, float]:
    """Train a segmentor from a checkpoint's backbone, and test it.

    What was done before in the same folder is not done again; a training resumes.

    Args:
        config: of a segmentor whose backbone has ``PretrainedBackbone``.
        checkpoint: file of the start.
        options: changes to the config, as ``--cfg-options``.
        seed: of the training, and of the random weights.
        work_dir: folder of all files.
        processes: of the training.
        with_random: also from random weights.
        say: prints a command before it runs.

    Returns:
        ``mIoU`` (per cent) and, from random weights, ``random_mIoU``.

    Raises:
        ValueError: a command failed, or another run uses the folder.
    """
    settings = Settings(Path(work_dir), ROOT / 'tools', processes=processes)
    path = Path(config).resolve()
    chains = {}
    for name in ('', 'random_') if with_random else ('',):
        row = 'random' if name else 'checkpoint'
        start = random_weights(row, seed, path, options, settings) if name \
            else _given(row, seed, checkpoint)
        steps = train_and_test(row, seed, '', path, options, options, settings, start)
        chains[f'{name}mIoU'] = [start, *steps] if name else steps
    with locked(settings.work_dir / LOCK) as lock:
        failures = run_chains(list(chains.values()), ROOT,
                              partial(run_logged, root=ROOT, keep=(lock,)), say)
    if failures:
        raise WrongValue('finetune: ' + '\n'.join(failures))
    return {name: round(steps[-1].result()['metrics']['finetune']['']['mIoU'], 2)
            for name, steps in chains.items()}
