"""Cost of pretext tasks on top of their networks: a step of any config beside the bare networks.

    python tools/benchmarks/pretext_step.py --config configs/densecl_r50_voc.py --peer
    python tools/benchmarks/pretext_step.py --config A.py B.py --size 128 --batch 32 \\
        --cfg-options model.backbone.depth=18

"Bare" is what no implementation can save: the views through backbone, projectors and predictors,
forward and backward, and through those of the twin, forward (the method's `bare`). A step is the
loss behind its warm-ups, its backward and the momentum update; no optimiser step, which is the same
for all. Views are random, overlap and have regions. Each round times bare and step one after
another, in turning order, and `step_over_encoders` is the median over the rounds of a step's time
over bare's in that round. `extra_memory_mb` is the peak of live tensors in a step above bare's
peak; on a GPU that of torch.cuda.max_memory_allocated, on a CPU counted storage by storage.
`forwards` are passes of the batch through a backbone. The last line is JSON.

With --peer mmpretrain's DenseCL takes part, with the same weights, queues and images.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from measuring import count, print_json, print_table
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from step_memory import peak_mb
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from mmdense.engine.forward_count_hook import backbones_of
from mmdense.engine.options import add_config_options
from mmdense.engine.run_config import load_config
from mmdense.errors import run_command
from mmdense.mistakes import WrongValue
from mmdense.models.random_batch import random_batch_for
from mmdense.models.selfsup import DenseCL, DenseSSL
from mmdense.models.selfsup.base import build
from mmdense.models.selfsup.traits import warmups_of

COLUMNS = {'': '', 'step s': '.4f', 'bare s': '.4f', 'images/s': '.2f', 'over bare': '.3f',
           'over bare, rounds': '', 'extra MB': '.1f', 'peak MB': '.1f', 'forwards': 'g',
           'loss': '.4f'}


def build_method(cfg: Config, path: str) -> DenseSSL:
    """Build a config's method behind its warm-ups, BatchNorm as in one process.

    Raises:
        ValueError: the model is none of our methods.
    """
    for name in warmups_of(cfg.model):
        cfg.model[name] = 0
    if (cfg.model.get('twin') or {}).get('bn') == 'shuffle':
        cfg.model.twin.bn = 'plain'
    model = revert_sync_batchnorm(build(cfg.model))
    if not isinstance(model, DenseSSL):
        raise WrongValue(f'{path}: {type(model).__name__} is no method of mmdense, whose `bare` '
                         'this compares with')
    return model


def build_peer(ours: DenseSSL, cfg: Config, batch: int) -> nn.Module:
    """Build mmpretrain.DenseCL with the weights and queues of ``ours``.

    Raises:
        ValueError: ``ours`` is not DenseCL as published, or the queue no multiple of the batch.
    """
    import mmpretrain.models  # noqa: F401
    from mmpretrain.registry import MODELS
    if type(ours) is not DenseCL:
        raise WrongValue(f'--peer: mmpretrain has no {type(ours).__name__} to compare with; '
                         'expected a config of DenseCL')
    size = len(ours.contrast.queue.keys)
    if size % batch:
        raise WrongValue(f'--peer: model.queue.size={size} is no multiple of --batch {batch}, '
                         'which mmpretrain needs')
    channels, hidden = (ours.projector.layers[0].in_features, ours.projector.layers[0].out_features)
    peer = MODELS.build(dict(
        type='DenseCL', queue_len=size, feat_dim=ours.projector.out_channels,
        momentum=1 - ours.twin.momentum, loss_lambda=ours.dense_weight,
        backbone=dict(type='ResNet', depth=ours.backbone.depth, norm_cfg=dict(type='BN')),
        neck=dict(type='DenseCLNeck', in_channels=channels, hid_channels=hidden,
                  out_channels=ours.projector.out_channels, num_grid=ours.num_grid),
        head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'),
                  temperature=cfg.model.loss.temperature)))
    parts = ours.backbone, ours.projector.layers, ours.dense_projector.layers
    for encoder in ((peer.backbone, peer.neck), peer.encoder_k.module):
        for target, source in zip((encoder[0], encoder[1].mlp, encoder[1].mlp2), parts,
                                  strict=True):
            target.load_state_dict(source.state_dict())
    peer.queue.copy_(ours.contrast.queue.keys.t())
    peer.queue2.copy_(ours.dense_contrast.queue.keys.t())
    return peer


def make_steps(models: dict[str, nn.Module], args: argparse.Namespace,
               channels: int) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed, by name, bare last; each call is a step and returns its loss."""
    name, ours = next(iter(models.items()))
    images, views = random_batch_for(ours, args.batch, args.size, channels=channels,
                                     regions=args.regions, device=args.device)
    if args.channels_last:
        images = [view.contiguous(memory_format=torch.channels_last) for view in images]

    def autocast() -> torch.autocast:
        return torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.amp)

    def step(model: nn.Module) -> Tensor:
        with autocast():
            loss, _ = model.parse_losses(model(images, views, mode='loss'))
        loss.backward()
        increment_version(next(model.backbone.parameters()))    # a step, as the twin sees it
        return loss.detach()

    def bare() -> Tensor:
        with autocast():
            ends = ours.bare(images)
        torch.autograd.backward(ends, [torch.full_like(x, 1e-3) for x in ends])
        return ends[0].new_zeros(())

    return {**{name: lambda model=model: step(model) for name, model in models.items()},
            'bare': bare}


def rounds(steps: dict[str, Callable], number: int, clear: Callable,
           device: str) -> Iterator[dict[str, float]]:
    """Yield the seconds of each step, ``number`` times, each time starting with another one."""
    names = list(steps)
    synchronize = torch.cuda.synchronize if device.startswith('cuda') else lambda: None
    for i in range(number):
        seconds = {}
        for name in names[i % len(names):] + names[:i % len(names)]:
            clear()
            synchronize()
            start = time.perf_counter()
            steps[name]()
            synchronize()
            seconds[name] = time.perf_counter() - start
        yield seconds


def measure(models: dict[str, nn.Module], args: argparse.Namespace, channels: int) -> list[list]:
    """Return a row of the table for each model: the first is ours, whose bare part is timed."""
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    for model in models.values():
        model.to(args.device, memory_format=layout).train()
    steps, losses, peaks = make_steps(models, args, channels), {}, {}

    def clear() -> None:
        for model in models.values():
            model.zero_grad(set_to_none=True)

    passes = dict.fromkeys(models, 0)
    for name, step in steps.items():    # the first step is no part of a measurement
        clear()
        hooks = [] if name == 'bare' else [backbone.register_forward_hook(
            lambda _, inputs, __, name=name: passes.update({name: passes[name] + len(inputs[0])}))
            for backbone in backbones_of(models[name])]
        losses[name] = step().item()
        for hook in hooks:
            hook.remove()
    for name, step in steps.items():
        clear()
        peaks[name] = peak_mb(step, torch.device(args.device))
    times = list(rounds(steps, args.steps, clear, args.device))
    found = []
    for name in models:
        over = [t[name] / t['bare'] for t in times]
        seconds, bare = (statistics.median(t[key] for t in times) for key in (name, 'bare'))
        found.append([name, seconds, bare, args.batch / seconds, statistics.median(over),
                      f'{min(over):.3f} to {max(over):.3f}', peaks[name] - peaks['bare'],
                      peaks[name], passes[name] / args.batch, losses[name]])
    return found


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', nargs='+', required=True, help='configs of methods')
    parser.add_argument('--peer', action='store_true',
                        help="mmpretrain's DenseCL beside the config's")
    parser.add_argument('--size', type=count, default=224, help='side of a view in pixels')
    parser.add_argument('--batch', type=count, default=16)
    parser.add_argument('--regions', type=count, default=16, help='of an image')
    parser.add_argument('--amp', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--steps', type=count, default=9, help='rounds that are timed')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add_config_options(parser)
    args = parser.parse_args()
    if args.peer and args.config[1:]:
        parser.error('--peer compares with one config')
    return args


def main() -> None:
    args, table = parse_args(), []
    for path in args.config:
        torch.manual_seed(0)
        cfg = load_config(argparse.Namespace(config=path, cfg_options=args.cfg_options))
        models = {Path(path).stem if args.config[1:] else 'mmdense': build_method(cfg, path)}
        if args.peer:
            models['mmpretrain'] = build_peer(models['mmdense'], cfg, args.batch)
        channels = len((cfg.model.get('data_preprocessor') or {}).get('mean') or [0, 0, 0])
        table += measure(models, args, channels)
    print_table(COLUMNS, table)
    args.threads = torch.get_num_threads()
    ratios, extra, speed, forwards = (
        {row[0]: round(row[list(COLUMNS).index(column)], digits) for row in table}
        for column, digits in (('over bare', 4), ('extra MB', 1), ('images/s', 2), ('forwards', 2)))
    print_json(args, step_over_encoders=ratios, extra_memory_mb=extra, images_per_second=speed,
               forwards=forwards)


if __name__ == '__main__':
    run_command(main)
