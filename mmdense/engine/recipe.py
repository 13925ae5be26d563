"""The auto recipe: settings that follow from dataset size, batch and steps.

A published recipe is made for a million images and a hundred thousand steps. With 300 images and
400 steps its warm-up covers the run, its twin is still random and its queue is full of old copies
of the query's own images. ``recipe = 'auto'`` in a config (or ``--cfg-options recipe=auto``)
replaces exactly the settings listed in :func:`auto_changes`, and the log names each.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmdense.datasets.built_datasets import build_training_set
from mmdense.mistakes import WrongValue
from mmdense.models.selfsup.traits import followed_by_twin, queues_of, warmups_of

from .launch import count_processes, say

#: learning rate of AdamW at a batch of 32 images; it grows with the root of the batch
BASE_LR = 1e-3
WEIGHT_DECAY = 0.05
#: share of the run in which the learning rate rises
WARMUP = 0.05
#: share of the run that a method's own warm-up takes, at most: a match by similarity over features
#: that know nothing yet pairs places, not contents, and then keeps doing so
METHOD_WARMUP = 0.5
#: the twin averages over at most this share of the run, and at least over ten steps
TWIN_SHARE = 1 / 40
#: half of fewer images is a queue in which a query finds hardly a key of another image
FEWEST_IMAGES = 4


@dataclass(frozen=True)
class RunFacts:
    """What a run will see: counts of images, processes and iterations.

    Attributes:
        images: unlabelled images in the dataset.
        per_process: images of one process's batch.
        processes: number of processes.
        accumulation: iterations an optimiser step.
        iterations: iterations of the run.
    """
    images: int
    per_process: int
    processes: int
    accumulation: int
    iterations: int

    @property
    def batch(self) -> int:
        """Images per optimiser step, over all processes."""
        return self.per_process * self.processes * self.accumulation

    @property
    def keys(self) -> int:
        """Images of one iteration, over all processes, whose keys a queue gets at once."""
        return self.per_process * self.processes

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        return max(self.iterations // self.accumulation, 1)


def read_facts(cfg: Config, processes: int | None = None) -> RunFacts:
    """Read a config's :class:`RunFacts`; builds its dataset (no image is opened).

    Raises:
        ValueError: the config has no training data loader with a batch size, or no length.
    """
    loader, train = cfg.get('train_dataloader'), cfg.get('train_cfg') or {}
    if not loader or 'batch_size' not in loader:
        raise WrongValue('the config has no train_dataloader.batch_size')
    dataset = build_training_set(cfg)
    processes = processes or count_processes(cfg.get('launcher'))
    per_epoch = max(len(dataset) // (loader['batch_size'] * processes), 1)
    iterations = train.get('max_iters') or train.get('max_epochs', 0) * per_epoch
    if not iterations:
        raise WrongValue('the config has neither train_cfg.max_iters nor train_cfg.max_epochs')
    accumulation = cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    return RunFacts(len(dataset), loader['batch_size'], processes, accumulation, iterations)


def require_images(model: dict, facts: RunFacts, fewest: int) -> None:
    """Check that the queues can hold keys of other images than the query's own.

    Raises:
        ValueError: there are fewer than ``fewest`` images; the loss would be 0 or next to it.
    """
    if queues_of(model) and facts.images < fewest:
        raise WrongValue(f"{model.get('type', 'the method')} learns from {facts.images} image(s): "
                         "the keys in its queue must be of other images than the query's, so it "
                         f'needs at least {fewest} images (train_dataloader.dataset); crops of a '
                         "large image count, saved as files, and so does queue.own_image="
                         "'negative' with recipe=published")


def model_changes(model: dict, facts: RunFacts) -> dict[str, Any]:
    """Settings of a method that the auto recipe changes, by dotted name.

    Raises:
        ValueError: too few images for the method.
    """
    require_images(model, facts, FEWEST_IMAGES)
    changes = {f'model.{name}': min(value, int(METHOD_WARMUP * facts.steps))
               for name, value in warmups_of(model).items()}
    if model.get('twin'):
        short = max(1 - 1 / (TWIN_SHARE * facts.steps), 0.9)
        momentum = model['twin'].get('momentum', 0.999)
        if isinstance(momentum, dict):
            for name in followed_by_twin(model):
                changes[f'model.twin.momentum.{name}'] = round(
                    min(momentum.get(name, 0.999), short), 6)
        else:
            changes['model.twin.momentum'] = round(min(momentum, short), 6)
        if model['twin'].get('bn') != 'plain':
            changes['model.twin.bn'] = 'shuffle' if facts.processes > 1 else 'split'
    for name, (queue, per_image) in queues_of(model).items():
        size = min(queue['size'], facts.images // 2 * per_image)
        changes[f'model.{name}.size'] = size and max(size, facts.keys * per_image)
        changes[f'model.{name}.own_image'] = 'masked'
        changes[f'model.{name}.init'] = 'empty'
    return changes


def schedule(iterations: int) -> list[dict]:
    """Warm-up and cosine of a run; one or two iterations have no warm-up."""
    # over one iteration mmengine's LinearLR has no step left in which to rise
    warmup = max(int(WARMUP * iterations), 2) if iterations > 2 else 0
    rise = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup)
    fall = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=warmup,
                end=iterations, T_max=iterations - warmup)
    return [rise, fall] if warmup else [fall]


def auto_changes(cfg: Config, facts: RunFacts) -> dict[str, Any]:
    """All settings that the auto recipe changes, by dotted name.

    A method's warm-ups at most half of the run; twin momentum at most 1 - 40/steps but not below
    0.9, its BatchNorm shuffled or split unless the method has it plain; queue at most half of the
    images (but an iteration's keys at least), the own image masked, no random start; AdamW with a
    5 % warm-up and a cosine.
    """
    lr = round(BASE_LR * (facts.batch / 32) ** 0.5, 8)
    return {**model_changes(cfg.model, facts),
            'optim_wrapper.optimizer': dict(type='AdamW', lr=lr, weight_decay=WEIGHT_DECAY),
            'param_scheduler': schedule(facts.iterations),
            'auto_scale_lr.base_batch_size': facts.batch}


def apply_recipe(cfg: Config, processes: int | None = None) -> None:
    """Apply ``cfg.recipe`` in place; without one, or with ``'published'``, nothing changes.

    Raises:
        ValueError: another recipe, or too few images for the method.
    """
    recipe = cfg.get('recipe', 'published')
    if recipe not in ('published', 'auto'):
        raise WrongValue(f"recipe={recipe!r}: expected 'published' or 'auto'")
    if recipe == 'published':
        model = cfg.get('model') or {}
        if any(queue.get('own_image') == 'masked' for queue, _ in queues_of(model).values()):
            require_images(model, read_facts(cfg, processes), 2)
        return
    facts = read_facts(cfg, processes)
    for name, value in auto_changes(cfg, facts).items():
        parent, _, leaf = name.rpartition('.')
        node = cfg
        for key in filter(None, parent.split('.')):
            node = node.setdefault(key, {})
        # replaced, not merged: the published optimiser's arguments do not fit another one
        node[leaf] = value
        say(f'recipe auto: {name} = {value}', cfg.get('launcher'))
