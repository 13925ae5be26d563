"""Cost of DenseCL's pretext task on top of its encoders: MMDense beside MMPretrain.

    python tools/benchmarks/pretext_step.py --depth 50 --size 224 --batch 16

Both methods get the same weights, queues and images. "Bare" is what no implementation can save:
query backbone and both projectors forward and backward, key backbone and both projectors forward.
A step is the losses, their backward and the momentum update; no optimiser step, which is the same
for all. Each round times bare, mmdense and mmpretrain one after another, in turning order, and
`step_over_encoders` is the median over the rounds of a method's time over bare's in that round.
`extra_memory_mb` is the peak of live tensors in a step above bare's peak; on a GPU that of
torch.cuda.max_memory_allocated, on a CPU counted storage by storage. The last line is JSON.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
import weakref
from collections.abc import Callable, Iterator

import mmpretrain.models  # noqa: F401
import torch
from mmpretrain.registry import MODELS as MMPRETRAIN
from torch import Tensor, nn
from torch.autograd.graph import increment_version
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import mmdense  # noqa: F401
from mmdense.errors import run_command
from mmdense.models.selfsup.base import build
from mmdense.structures import Views

WIDTH = {18: 512, 34: 512, 50: 2048, 101: 2048}
DIM = 128


def build_ours(depth: int, queue: int, own_image: str) -> nn.Module:
    """Build mmdense.DenseCL with the published recipe, BatchNorm as in one process."""
    head = dict(type='mmdense.Projector', in_channels=WIDTH[depth], hidden_channels=2048,
                out_channels=DIM)
    return build(dict(
        type='mmdense.DenseCL',
        backbone=dict(type='mmseg.ResNet', depth=depth, num_stages=4, out_indices=(3,),
                      norm_cfg=dict(type='BN'), zero_init_residual=False),
        projector=head, dense_projector=head, queue=dict(size=queue, own_image=own_image),
        twin=dict(momentum=0.999, bn='plain'), loss=dict(type='mmdense.InfoNCE', temperature=0.2),
        matcher=dict(type='mmdense.SimilarityMatcher'), dense_warmup=0))


def build_stock(depth: int, queue: int, ours: nn.Module) -> nn.Module:
    """Build mmpretrain.DenseCL with the weights and queues of ``ours``."""
    stock = MMPRETRAIN.build(dict(
        type='DenseCL', queue_len=queue, feat_dim=DIM, momentum=0.001, loss_lambda=0.5,
        backbone=dict(type='ResNet', depth=depth, norm_cfg=dict(type='BN'),
                      zero_init_residual=False),
        neck=dict(type='DenseCLNeck', in_channels=WIDTH[depth], hid_channels=2048,
                  out_channels=DIM),
        head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2)))
    pairs = [(stock.backbone, ours.backbone), (stock.neck.mlp, ours.projector.layers),
             (stock.neck.mlp2, ours.dense_projector.layers),
             (stock.encoder_k.module[0], ours.backbone),
             (stock.encoder_k.module[1].mlp, ours.projector.layers),
             (stock.encoder_k.module[1].mlp2, ours.dense_projector.layers)]
    for target, source in pairs:
        target.load_state_dict(source.state_dict())
    stock.queue.copy_(ours.contrast.queue.keys.t())
    stock.queue2.copy_(ours.dense_contrast.queue.keys.t())
    return stock


def make_steps(ours: nn.Module, stock: nn.Module, images: list[Tensor],
               autocast: Callable) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed, by name; each call is a step and returns its loss."""
    batch = len(images[0])
    views = Views(boxes=images[0].new_zeros(2, batch, 4),
                  flips=torch.zeros(2, batch, dtype=torch.bool, device=images[0].device),
                  index=torch.arange(batch, device=images[0].device))

    def bare() -> Tensor:
        with autocast():
            online = ours.project(ours, images[0])[:2]
            with torch.no_grad():
                ours.project(ours.twin, images[1])
        torch.autograd.backward(online, [torch.full_like(x, 1e-3) for x in online])
        return online[0].new_zeros(())

    def mmdense_step() -> Tensor:
        with autocast():
            loss = sum(ours(images, views, mode='loss').values())
        loss.backward()
        increment_version(next(ours.backbone.parameters()))  # a step, as the twin sees it
        return loss.detach()

    def mmpretrain_step() -> Tensor:
        with autocast():
            loss = sum(stock.loss(images, []).values())
        loss.backward()
        return loss.detach()

    return dict(bare=bare, mmdense=mmdense_step, mmpretrain=mmpretrain_step)


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of storages that operators made while the mode was on and still live."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.live, self.peak = {}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        before = {self.key(t) for t in tree_iter((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor) and self.key(tensor) not in before | self.known.keys():
                self.add(tensor.untyped_storage())
        return result

    @staticmethod
    def key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata

    def add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self.known[key] = weakref.ref(storage, lambda _: self.drop(key, size))
        self.live += size
        self.peak = max(self.peak, self.live)

    def drop(self, key: int, size: int) -> None:
        del self.known[key]
        self.live -= size


def peak_mb(step: Callable, device: torch.device) -> float:
    """Return the peak of what lives in a step and did not before it, in MB."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with LiveStorages() as storages:
        step()
    return storages.peak / 2**20


def rounds(steps: dict[str, Callable], count: int, clear: Callable,
           device: torch.device) -> Iterator[dict[str, float]]:
    """Yield the seconds of each step, ``count`` times, each time starting with another one."""
    names = list(steps)
    for i in range(count):
        seconds = {}
        for name in names[i % len(names):] + names[:i % len(names)]:
            clear()
            synchronize(device)
            start = time.perf_counter()
            steps[name]()
            synchronize(device)
            seconds[name] = time.perf_counter() - start
        yield seconds


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--depth', type=int, default=50, choices=sorted(WIDTH))
    parser.add_argument('--size', type=int, default=224, help='side of a view in pixels')
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--queue', type=int, default=65536, help='a multiple of --batch')
    parser.add_argument('--own-image', choices=['negative', 'masked'], default='negative',
                        help="mmdense's queue.own_image; mmpretrain has no mask")
    parser.add_argument('--amp', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--steps', type=int, default=9, help='rounds that are timed')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args()
    if args.queue % args.batch:
        parser.error(f'--queue {args.queue} is not a multiple of --batch {args.batch}, '
                     'which mmpretrain needs')
    return args


def report(args: argparse.Namespace, times: list[dict], peaks: dict, losses: dict) -> dict:
    """Print the table and return what the last line says."""
    seconds = {name: statistics.median(t[name] for t in times) for name in peaks}
    over = {name: [t[name] / t['bare'] for t in times] for name in peaks}
    ratio = {name: round(statistics.median(values), 4) for name, values in over.items()}
    extra = {name: round(peaks[name] - peaks['bare'], 1) for name in peaks}
    print('| | step s | images/s | over bare | over bare, rounds | extra MB | peak MB | loss |\n'
          '|---|---|---|---|---|---|---|---|')
    for name in peaks:
        print(f'| {name} | {seconds[name]:.4f} | {args.batch / seconds[name]:.2f} '
              f'| {ratio[name]:.3f} | {min(over[name]):.3f} to {max(over[name]):.3f} '
              f'| {extra[name]:.1f} | {peaks[name]:.1f} | {losses[name]:.4f} |')
    ours = ('mmdense', 'mmpretrain')
    return dict(step_over_encoders={name: ratio[name] for name in ours},
                extra_memory_mb={name: extra[name] for name in ours},
                images_per_second={name: round(args.batch / seconds[name], 2) for name in peaks},
                settings={**vars(args), 'threads': torch.get_num_threads()})


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    device = torch.device(args.device)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    ours = build_ours(args.depth, args.queue, args.own_image)
    stock = build_stock(args.depth, args.queue, ours)
    for model in (ours, stock):
        model.to(device, memory_format=layout).train()
    images = [torch.randn(args.batch, 3, args.size, args.size, device=device)
              .contiguous(memory_format=layout) for _ in range(2)]

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.amp)

    def clear() -> None:
        for model in (ours, stock):
            model.zero_grad(set_to_none=True)

    steps = make_steps(ours, stock, images, autocast)
    losses, peaks = {}, {}
    for name in ('mmdense', 'mmpretrain', 'bare'):     # the first step is no part of a measurement
        clear()
        losses[name] = steps[name]().item()
    for name in steps:
        clear()
        peaks[name] = peak_mb(steps[name], device)
    times = list(rounds(steps, args.steps, clear, device))
    print(json.dumps(report(args, times, peaks, losses)))


if __name__ == '__main__':
    run_command(main)
