"""DetCon's loss: MMDense beside four whole blocks of logits, forward and backward.

    python tools/benchmarks/detcon_loss.py --batch 128 256

Each contender gets the same regions and ids in a process of its own: `mmdense` is
mmdense.models.losses.detcon_nce, `plain` is the published form, a log-softmax over all logits of
each direction. Gradients go to predictions and targets (DetCon_S); --constant-targets is DetCon_B.
Times are medians over --repeats after one step that does not count: of the clock, and of the CPU,
which other programs disturb less. `extra MB` is the peak of the process's memory in a step above
what it had before, the gradients included; on a CPU and Linux only. The last line is JSON.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

CONTENDERS = ('mmdense', 'plain')


def make_inputs(args: argparse.Namespace) -> tuple[list[Tensor], list[Tensor]]:
    """Return four features (B, R, D) that ask for gradients, and four ids (B, R).

    Ids are drawn with replacement from 20 regions, of which each view has its own 12.
    """
    generator = torch.Generator().manual_seed(0)
    shape = args.batch[0], args.regions, args.dim
    features = [torch.randn(shape, generator=generator).requires_grad_() for _ in range(4)]
    for target in features[2:]:
        target.requires_grad_(not args.constant_targets)
    present = torch.rand(2, args.batch[0], 20, generator=generator).argsort(2)[..., :12] + 1
    draws = torch.randint(0, 12, (2, args.batch[0], args.regions), generator=generator)
    ids = list(present.gather(2, draws))
    return features, [*ids, *ids]


def plain_direction(pred: Tensor, own: Tensor, other: Tensor, ids: Tensor, own_ids: Tensor,
                    other_ids: Tensor, temperature: float) -> Tensor:
    """One direction with two whole blocks (B R, B R) of logits; ids are above 0."""
    images, samples = ids.shape
    image = torch.arange(images).repeat_interleave(samples)
    same = image[:, None] == image
    other_logits = pred @ other.t() / temperature
    own_logits = pred @ own.t() / temperature
    same_own = same & (ids.flatten()[:, None] == own_ids.flatten())
    positive = (same & (ids.flatten()[:, None] == other_ids.flatten())).float()
    logs = torch.cat([other_logits, own_logits.masked_fill(same_own, -1e9)], 1).log_softmax(1)
    labels = positive / positive.sum(1, keepdim=True).clamp_min(1)
    repeats = (ids[:, :, None] == ids[:, None]).sum(2).flatten()
    weight = positive.any(1) / repeats
    return -(weight * (labels * logs[:, :len(pred)]).sum(1)).mean()


def plain(pred1: Tensor, pred2: Tensor, target1: Tensor, target2: Tensor, pred_ids1: Tensor,
          pred_ids2: Tensor, target_ids1: Tensor, target_ids2: Tensor,
          temperature: float = 0.1) -> Tensor:
    """The loss as published, with local negatives, on one process."""
    pred1, pred2, target1, target2 = (F.normalize(x.flatten(0, 1), dim=1)
                                      for x in (pred1, pred2, target1, target2))
    return (plain_direction(pred1, target1, target2, pred_ids1, target_ids1, target_ids2,
                            temperature)
            + plain_direction(pred2, target2, target1, pred_ids2, target_ids2, target_ids1,
                              temperature))


def memory_mb(field: str) -> float:
    """Return ``VmRSS`` or ``VmHWM`` of this process, in MB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f'{field}:'))


def measure(args: argparse.Namespace) -> dict:
    """Return value, a sum over the gradients, times and peak of the contender."""
    torch.set_num_threads(args.threads)
    loss: Callable[..., Tensor] = plain
    if args.contender == 'mmdense':
        from mmdense.models.losses import detcon_nce as loss  # takes seconds to import
    features, ids = make_inputs(args)
    seconds, cpu, extra = [], [], []
    for _ in range(args.repeats + 1):
        for x in features:
            x.grad = None
        ctypes.CDLL(None).malloc_trim(0)                   # freed memory would hide a new peak
        Path('/proc/self/clear_refs').write_text('5')      # the peak begins anew
        before = memory_mb('VmRSS')
        start, cpu_start = time.perf_counter(), time.process_time()
        value = loss(*features, *ids)
        value.backward()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
        extra.append(memory_mb('VmHWM') - before)
    gradient = sum(float(x.grad.norm()) for x in features if x.grad is not None)
    return dict(loss=value.item(), gradient=gradient, seconds=statistics.median(seconds[1:]),
                cpu_seconds=statistics.median(cpu[1:]), extra_mb=max(extra[1:]))


def run(args: argparse.Namespace, contender: str, batch: int) -> dict:
    """Let a process measure one contender at one batch; return its result."""
    options = [f'--{name}={getattr(args, name)}' for name in
               ('regions', 'dim', 'repeats', 'threads')]
    options += ['--constant-targets'] if args.constant_targets else []
    done = subprocess.run([sys.executable, '-W', 'ignore', __file__, '--batch', str(batch),
                           *options, f'--contender={contender}'], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f'{contender} ended with exit code {done.returncode} at batch {batch}; '
                         '-9 means that the memory was short')
    return json.loads(done.stdout.splitlines()[-1])


def report(args: argparse.Namespace, results: dict[int, dict[str, dict]]) -> dict:
    """Print the table and return what the last line says."""
    print('| batch | | seconds | CPU s | extra MB | loss | sum of gradient norms |\n'
          '|---|---|---|---|---|---|---|')
    ratios = {}
    for batch, found in results.items():
        for name, one in found.items():
            print(f"| {batch} | {name} | {one['seconds']:.3f} | {one['cpu_seconds']:.3f} "
                  f"| {one['extra_mb']:.1f} | {one['loss']:.6f} | {one['gradient']:.6f} |")
        ours, theirs = (found[name] for name in CONTENDERS)
        ratios[batch] = {key: round(ours[key] / theirs[key], 3)
                         for key in ('seconds', 'cpu_seconds', 'extra_mb')}
        print(f'| {batch} | mmdense / plain | ' + ' | '.join(
            f'{ratio:.3f}' for ratio in ratios[batch].values()) + ' | | |')
    settings = {key: value for key, value in vars(args).items() if key != 'contender'}
    return dict(mmdense_over_plain=ratios, results=results, settings=settings)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch', type=int, nargs='+', default=[128, 256])
    parser.add_argument('--regions', type=int, default=16, help='of an image and view')
    parser.add_argument('--dim', type=int, default=256)
    parser.add_argument('--constant-targets', action='store_true')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--contender', choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(*args.batch, args.regions, args.dim, args.repeats, args.threads) < 1:
        parser.error('all numbers are at least 1')
    if not Path('/proc/self/clear_refs').exists():
        parser.error('the peak of memory is read from /proc, which only Linux has')
    return args


def main() -> None:
    args = parse_args()
    if args.contender:
        print(json.dumps(measure(args)))
        return
    results = {batch: {name: run(args, name, batch) for name in CONTENDERS}
               for batch in args.batch}
    print(json.dumps(report(args, results)))


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:       # as mmdense.errors.run_command, which takes seconds to import
        print('interrupted', file=sys.stderr)
        sys.exit(130)
