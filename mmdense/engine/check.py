"""Look at a config before it runs: what fits the data, what does not, what it costs."""
from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from mmdense.datasets.built_datasets import build_training_set
from mmdense.datasets.dataset_configs import find_pipeline
from mmdense.datasets.source import source_images
from mmdense.images.reading import ImageReadError
from mmdense.mistakes import WrongValue
from mmdense.models.random_batch import random_batch, random_batch_for
from mmdense.models.selfsup.base import DenseSSL
from mmdense.models.selfsup.traits import queues_of, warmups_of

from .bands_hook import watch_bands
from .check_images import check_images
from .check_settings import check_classes, check_precision, check_schedule
from .finding import Finding
from .recipe import RunFacts
from .unused_parameters import NEGLIGIBLE, describe_unused, reached_parameters

#: cells on a side of the map that the loss compares, below which a config is warned of
FEWEST_CELLS = 5


def view_sizes(cfg: Config) -> list[int]:
    """Sides in pixels of the views that the training pipeline makes."""
    def crops(node) -> Iterator[int]:
        if isinstance(node, dict):
            if str(node.get('type')).endswith(('RandomResizedCrop', 'RelativePatches')):
                size = node['size'] if 'size' in node else node['scale']     # mmpretrain's
                yield size if isinstance(size, int) else max(size)
            node = list(node.values())
        if isinstance(node, (list, tuple)):
            for child in node:
                yield from crops(child)
    return sorted(set(crops(find_pipeline(cfg.train_dataloader['dataset']))))


def image_sides(cfg: Config, count: int = 32) -> list[int]:
    """Shorter sides in pixels of up to ``count`` images that can be read, over the dataset.

    As the pipeline's own transforms load them, so whatever file they read is read here.
    """
    images = source_images(build_training_set(cfg))
    places = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).astype(int))
    sides = []
    for place in places:
        with suppress(ImageReadError):      # check_images tells of these
            sides.append(min(images[int(place)]['img'].shape[:2]))
    return sides


def check_data(cfg: Config, facts: RunFacts) -> Iterator[Finding]:
    """Compare crop and image size, and state the run."""
    epochs = facts.iterations * facts.per_process * facts.processes / max(facts.images, 1)
    yield Finding(facts.batch <= facts.images, 'run',
                  f'{facts.images} images, batch {facts.per_process} x {facts.processes} processes'
                  f' x {facts.accumulation} accumulated = {facts.batch}, {facts.steps} steps, '
                  f'{epochs:.1f} epochs')
    sides, sizes = image_sides(cfg), view_sizes(cfg)
    for size in sizes if sides else ():
        yield Finding(size <= np.median(sides), 'crop',
                      f'views of {size} px from images of {int(np.median(sides))} px (shorter '
                      'side, median)' + ('' if size <= np.median(sides) else
                                         ': views are upsampled, make them smaller'))


def check_method(model: dict, facts: RunFacts) -> Iterator[Finding]:
    """Compare queue, warm-ups and twin with the dataset and the run."""
    for name, (queue, per_image) in queues_of(model).items():
        size, own = queue['size'], queue.get('own_image', 'negative')
        step = facts.keys * per_image
        if 0 < size < step:
            yield Finding(False, name, f'{size} keys are less than the {step} of one '
                          f'iteration, which stops the run: {name}.size={step} or more')
        copies = size / max(facts.images * per_image, 1)
        fits = own == 'masked' or copies <= 0.5
        yield Finding(fits, name, f'{size} keys hold each image {copies:.1f} times' + (
            '' if fits else ': old keys of a query\'s own image are negatives; at most '
            f"{facts.images * per_image // 2}, or {name}.own_image='masked'"))
    for name, value in warmups_of(model).items():
        share = value / facts.steps
        yield Finding(share <= 0.5, 'warm-up', f'{name} = {value} steps is {share:.0%} of the run')
    if model.get('twin'):
        given = model['twin'].get('momentum', 0.999)
        for name, momentum in given.items() if isinstance(given, dict) else [('', given)]:
            left = momentum ** facts.steps
            yield Finding(left <= 0.05, f'twin {name}'.strip(), f'momentum {momentum} averages '
                          f'over {1 / max(1 - momentum, 1e-9):.0f} steps; {left:.1%} of its start '
                          'is left at the end')


def check_learning_rate(cfg: Config, facts: RunFacts) -> Iterator[Finding]:
    """Compare the learning rate's batch with the run's."""
    lr = cfg.optim_wrapper['optimizer'].get('lr')
    scale = cfg.get('auto_scale_lr') or {}
    if lr is None or 'base_batch_size' not in scale:
        yield Finding(True, 'learning rate', f"{'the default' if lr is None else lr} for a batch "
                      f'of {facts.batch}; auto_scale_lr.base_batch_size would say for which one '
                      'it was chosen')
        return
    base = scale['base_batch_size']
    fits = base == facts.batch or scale.get('enable', False)
    yield Finding(fits, 'learning rate', f'{lr} is for a batch of {base}, this one is '
                  f'{facts.batch}' + ('' if fits else f': linearly {lr * facts.batch / base:.3g} '
                                      '(--cfg-options auto_scale_lr.enable=True)'))


def check_batch_norm(model: nn.Module, cfg: Config, facts: RunFacts) -> Iterator[Finding]:
    """Say how BatchNorm is fed in the trained network and in its twin."""
    norms = [m for name, m in model.named_modules()
             if isinstance(m, _BatchNorm) and not name.startswith('twin.')]
    if not norms:
        yield Finding(True, 'BatchNorm', 'none')
        return
    synced = any(isinstance(m, SyncBatchNorm) for m in norms)
    seen = facts.per_process * (facts.processes if synced else 1)
    yield Finding(seen >= 8, 'BatchNorm', f'{len(norms)} layers over {seen} images'
                  + (' (all processes)' if synced else ' (each process by itself)'))
    if getattr(model, 'contrasts_batch', False):
        # keys of the batch are normalised as positives are, but for those of other processes
        if facts.processes > 1:
            yield Finding(synced, 'BatchNorm of keys', 'of all processes alike' if synced else
                          'each process by itself: keys of the own process can be told from others'
                          " by their batch's statistics; norm_cfg.type='SyncBN' avoids it on GPUs")
        return
    bn = cfg.model.get('twin', {}).get('bn')
    if bn is not None:
        leaks = bn == 'plain' or (bn == 'shuffle' and facts.processes == 1)
        yield Finding(not leaks, 'twin BatchNorm', f"'{bn}' on {facts.processes} process(es)" + (
            ": query and key share their batch's statistics and can give the answer away; "
            "'split' avoids it on one process" if leaks else ''))


def check_cells(model: nn.Module, cfg: Config) -> Iterator[Finding]:
    """Count the cells that the loss compares, of the smallest views."""
    sizes = view_sizes(cfg)
    if not isinstance(model, DenseSSL) or not sizes:
        return
    images, _ = random_batch(1, 2, min(sizes), input_channels(cfg),
                             device=next(model.parameters()).device)
    # a copy in training mode, in which some networks give other maps
    trained = revert_sync_batchnorm(copy.deepcopy(model)).train()
    with torch.no_grad():
        cells = trained.loss_map(images[0])
    if cells is None:
        return
    height, width = cells.shape[2:]
    fits = min(height, width) >= FEWEST_CELLS
    yield Finding(fits, 'cells', f'{height} x {width} at the loss, of views of {min(sizes)} pixels'
                  + ('' if fits else f': with fewer than {FEWEST_CELLS} x {FEWEST_CELLS} a cell is '
                     'told by its place rather than by what it shows (published: 7 x 7); larger '
                     'views, a smaller stride of the backbone, or model.cell_index of an earlier '
                     'map where the method has cells'))


def input_channels(cfg: Config) -> int:
    """Return the bands of the images that the model takes."""
    return len(cfg.model.get('data_preprocessor', {}).get('mean', [0, 0, 0]))


def measure_step(model: nn.Module, size: int, channels: int, batch: int) -> tuple[float, float]:
    """Time (s) and memory (MiB, saved for backward) of one step on random views of 16 regions."""
    images, views = random_batch_for(model, batch, size, channels=channels,
                                     device=next(model.parameters()).device)
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor
    start = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = model.parse_losses(model(images, views, mode='loss'))
    loss.backward()
    seconds = time.perf_counter() - start
    model.zero_grad(set_to_none=True)
    weights = {p.data_ptr() for p in model.parameters()}
    return seconds, sum(n for where, n in saved.items() if where not in weights) / 2 ** 20


def held_megabytes(model: nn.Module) -> float:
    """Return the MiB of a model's weights and buffers, and of the networks no checkpoint has."""
    methods = [module for module in model.modules() if isinstance(module, DenseSSL)]
    networks = [model, *(net for method in methods for net in method.unsaved())]
    return sum(t.numel() * t.element_size() for network in networks
               for t in network.state_dict().values()) / 2 ** 20


def check_cost(model: nn.Module, cfg: Config, facts: RunFacts) -> Iterator[Finding]:
    """Measure small steps here: what they reach, and what the run will take."""
    if not isinstance(model, (DenseSSL, BaseSelfSupervisor)):
        yield Finding(True, 'time', f'not measured: {type(model).__name__} does not learn from '
                      'views')
        return
    size = max(view_sizes(cfg), default=224)
    channels = input_channels(cfg)
    small = min(facts.per_process, 4 if size > 128 else 8)
    model.train()
    # mmpretrain's momentum schedules ask for it
    MessageHub.get_current_instance().update_info('max_iters', facts.iterations)
    with reached_parameters(model) as reached:
        measure_step(model, size, channels, small)
    share, text = describe_unused(model, reached)
    yield Finding(share <= NEGLIGIBLE, 'gradients', text)
    half_s, half_mb = measure_step(model, size, channels, max(small // 2, 2))
    seconds, megabytes = measure_step(model, size, channels, small)
    slope = (small - max(small // 2, 2)) or 1
    per_image = max((seconds - half_s) / slope, seconds / small / 4)
    step = seconds + per_image * (facts.per_process - small)
    memory = megabytes + max((megabytes - half_mb) / slope, 0) * (facts.per_process - small)
    state = held_megabytes(model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad) * 4 / 2 ** 20
    device = 'the GPU here' if torch.cuda.is_available() else f'{torch.get_num_threads()} CPU cores'
    hours = step * facts.iterations / 3600
    length = f'{hours:.1f} h' if hours >= 1 else f'{hours * 60:.0f} min'
    yield Finding(True, 'time', f'about {step:.2f} s per iteration and {length} in total on '
                  f'{device}, images not counted')
    yield Finding(True, 'memory', f'about {memory + state + 3 * trained:.0f} MiB per process: '
                  f'{memory:.0f} activations, {state:.0f} model, {3 * trained:.0f} gradients and '
                  'optimiser')


def of_tasks(cfg: Config, facts: RunFacts, model: nn.Module
             ) -> Iterator[tuple[str, tuple[Config, RunFacts, nn.Module]]]:
    """Yield, of ``mmdense.MultiTask``, the name, and config, facts and method of each task alone.

    Raises:
        ValueError: a task without data.
    """
    data = cfg.train_dataloader['dataset']
    for name, task in cfg.model.tasks.items():
        if name not in data.get('datasets', {}):
            raise WrongValue(f'task {name!r} has no data; expected '
                             f'train_dataloader.dataset.datasets.{name}')
        part = copy.deepcopy(cfg)
        part.train_dataloader['dataset'] = copy.deepcopy(data.datasets[name])
        part.model = copy.deepcopy(task)
        share = (data.get('shares') or {}).get(name, 1)
        own = replace(facts, images=len(build_training_set(part)),
                      per_process=share * facts.per_process)
        yield f'{name}: ', (part, own, model.tasks[name])


def check_config(cfg: Config, facts: RunFacts, measure: bool = True,
                 amp: bool = False) -> list[Finding]:
    """Return all findings on a config; ``measure`` also runs small steps, ``amp`` as ``--amp``.

    Of a fine-tuning config: those on data, rate, schedule, BatchNorm and the heads' classes.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        model = MODELS.build(copy.deepcopy(cfg.model))
    if torch.cuda.is_available():
        model.cuda()
    watch_bands(model)
    tasks = {'': (cfg, facts, model)} if 'tasks' not in cfg.model else dict(
        of_tasks(cfg, facts, model))
    findings = [replace(finding, subject=f'{name}{finding.subject}')
                for name, (part, own, task) in tasks.items()
                for finding in (*check_data(part, own), *check_images(part, task),
                                *check_method(part.model, own))]
    findings = [*findings, *check_learning_rate(cfg, facts), *check_schedule(cfg, facts),
                *check_classes(cfg), *check_precision(cfg, amp),
                *check_batch_norm(model, cfg, facts)]
    if 'tasks' in cfg.model:
        return [*findings, Finding(True, 'time', 'not measured: several tasks; try a few '
                                   'iterations (train_cfg.max_iters)')]
    return [*findings, *check_cells(model, cfg),
            *(check_cost(model, cfg, facts) if measure else ())]
