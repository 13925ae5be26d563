"""Steps that make weights: a training, random ones, a fine-tuning and its test."""
from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DefaultScope

from mmdense.checkpoints import read_checkpoint
from mmdense.config_files import require_checkpoint
from mmdense.digests import digest, file_digest
from mmdense.engine.forward_count_hook import FORWARDS
from mmdense.engine.run_config import latest_checkpoint
from mmdense.evaluation.from_config import build_random
from mmdense.files import write_whole
from mmdense.mistakes import WrongValue

from .options import budget_options, format_options, iterations_of, read_with
from .step import Settings, Step, need

#: what a fine-tuning can take of a checkpoint, and the options that say so
HANDED_ON = {
    'backbone': {'model.backbone.init_cfg.checkpoint': '{}'},
    'segmentor': {'load_from': '{}'},
    'decode_head': {'model.decode_head.init_cfg.type': 'Pretrained',
                    'model.decode_head.init_cfg.prefix': 'decode_head.',
                    'model.decode_head.init_cfg.checkpoint': '{}'},
}


def _describe(checkpoint: str) -> dict[str, Any]:
    return dict(checkpoint=checkpoint, checkpoint_sha256=file_digest(checkpoint))


def _describe_run(checkpoint: str, processes: int) -> dict[str, Any]:
    """Say also how many images passed a network, if the run has counted them."""
    counted = read_checkpoint(checkpoint).get('message_hub', {}).get('runtime_info', {})
    forwards = counted.get(FORWARDS)
    return {**_describe(checkpoint), 'forwards': forwards and forwards * processes}


def train(row: str, seed: int, name: str, config: Path, options: dict[str, Any],
          settings: Settings, start: Step | None = None, hand_on: str = 'backbone') -> Step:
    """Return the training of a config.

    Args:
        row, seed: what it belongs to.
        name: of the step.
        config: its path.
        options: changes to it.
        settings: how steps are run.
        start: the step whose checkpoint it starts from, if any.
        hand_on: what it takes of that, of :data:`HANDED_ON`.
    """
    options = {'randomness.seed': seed, **options}
    options |= budget_options(read_with(config, options), settings.budget, config)
    cfg = read_with(config, options)
    key = digest('training', cfg.to_dict(), settings.processes,
                      start and start.fingerprint, *(['amp'] if settings.amp else []),
                      *([hand_on] if hand_on != 'backbone' else []))
    folder = settings.folder(row, seed, name, key)
    steps = iterations_of(cfg, config)
    images = steps * (cfg.get('train_dataloader') or {}).get('batch_size', 1) * settings.processes
    facts = dict(config=os.path.relpath(config), options=options, budget=settings.budget,
                 processes=settings.processes, amp=settings.amp, steps=steps, images=images)

    def latest() -> str | None:
        return latest_checkpoint(str(folder))

    def command() -> list[str]:
        given = dict(options)
        if start is not None:
            path = need(start.checkpoint(), start.folder)
            given |= {key: value.format(path) for key, value in HANDED_ON[hand_on].items()}
        return [settings.tool('dist_train.sh'), os.path.relpath(config), str(settings.processes),
                '--work-dir', os.path.relpath(folder), '--resume',
                *(['--amp'] if settings.amp else []), '--cfg-options',
                *format_options(given, row)]

    return Step(row, seed, name, folder, key, facts, command,
                lambda: _describe_run(need(latest(), folder), settings.processes),
                checkpoint=latest, start=start)


def random_weights(row: str, seed: int, config: Path, options: dict[str, Any],
                   settings: Settings) -> Step:
    """Return the step that writes random weights of a config's network, changed by options."""
    cfg = read_with(config, options)
    key = digest('random', cfg.model.to_dict(), seed)
    folder = settings.folder(row, seed, 'random', key)
    path = folder / 'random.pth'

    def make() -> None:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
            model = build_random(cfg, seed)
        content = io.BytesIO()
        torch.save(dict(state_dict={name: tensor.cpu() for name, tensor
                                    in model.state_dict().items()}), content)
        write_whole(content.getvalue(), path)

    facts = dict(config=os.path.relpath(config), options={}, budget=None, processes=1,
                 amp=False, steps=0, images=0, forwards=0)
    return Step(row, seed, 'random', folder, key, facts, None,
                lambda: _describe(need(str(path) if path.is_file() else None, folder)), make,
                checkpoint=lambda: str(path) if path.is_file() else None)


def given_weights(row: str, seed: int, checkpoint: str, settings: Settings) -> Step:
    """Return the step of weights that are there, in a file.

    Args:
        row, seed: what it belongs to.
        checkpoint: the file, as a user types it.
        settings: how steps are run.

    Its ``make`` raises FileNotFoundError if the file is not there.
    """
    there = os.path.isfile(checkpoint)
    key = digest('given', file_digest(checkpoint) if there else checkpoint)
    facts = dict(config=checkpoint, options={}, budget=None, processes=1, amp=False, steps=0,
                 images=0, forwards=0)
    return Step(row, seed, 'given', settings.folder(row, seed, 'given', key), key, facts, None,
                lambda: _describe(os.path.relpath(checkpoint)),
                lambda: require_checkpoint(checkpoint), checkpoint=lambda: checkpoint)


def train_and_test(row: str, seed: int, label: str, config: Path, options: dict[str, Any],
                   test_options: dict[str, Any], settings: Settings, start: Step,
                   hand_on: str = 'backbone') -> list[Step]:
    """Return fine-tuning from the checkpoint that ``start`` leaves, and its test.

    Args:
        row, seed: what they belong to.
        label: tells several fine-tunings of a row apart, such as ``lr0.001``; or empty.
        config: of a segmentor.
        options: changes to it in training.
        test_options: changes to it in the test.
        settings: how steps are run.
        start: the step whose checkpoint the training takes.
        hand_on: what it takes of that, of :data:`HANDED_ON`.
    """
    tail = label and f'_{label}'
    training = train(row, seed, f'finetune{tail}', config, options, settings, start,
                     hand_on)
    key = digest('test', training.fingerprint)
    folder = settings.folder(row, seed, f'test{tail}', key)
    further = ['--cfg-options', *format_options(test_options, row)] if test_options else []

    def read() -> dict[str, Any]:
        written = sorted(folder.glob('*/*.json'), key=lambda path: path.stat().st_mtime)
        if not written:
            raise WrongValue(f'{folder} has no */*.json; expected the metrics of tools/test.py')
        found = json.loads(written[-1].read_text())
        place = label.replace('lr', 'lr=')
        return dict(metrics={'finetune': {place: {'mIoU': float(found['mIoU'])}}})

    test = Step(
        row, seed, f'test{tail}', folder, key, {},
        lambda: ['python', settings.tool('test.py'), os.path.relpath(config),
                 need(training.checkpoint(), training.folder), '--work-dir',
                 os.path.relpath(folder), *further], read, start=training)
    return [training, test]
