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
import json
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measuring import (
    add_contenders,
    count,
    measured,
    print_json,
    print_table,
    run_alone,
    run_contender,
)
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


def measure(args: argparse.Namespace) -> dict:
    """Return value, a sum over the gradients, times and peak of the contender."""
    torch.set_num_threads(args.threads)
    loss: Callable[..., Tensor] = plain
    if args.contender == 'mmdense':
        from mmdense.models.losses import detcon_nce as loss  # takes seconds to import
    features, ids = make_inputs(args)

    def step() -> Tensor:
        for x in features:
            x.grad = None
        value = loss(*features, *ids)
        value.backward()
        return value.detach()

    value, costs = measured(step, args.repeats, warm_up=1)
    gradient = sum(float(x.grad.norm()) for x in features if x.grad is not None)
    return dict(costs, loss=value.item(), gradient=gradient)


def report(args: argparse.Namespace, results: dict[int, dict[str, dict]]) -> None:
    """Print the table and the last line."""
    columns = {'batch': '', '': '', 'seconds': '.3f', 'CPU s': '.3f', 'extra MB': '.1f',
               'loss': '.6f', 'sum of gradient norms': '.6f'}
    costs, table, ratios = ('seconds', 'cpu_seconds', 'extra_mb'), [], {}
    for batch, found in results.items():
        table += [[batch, name, *(one[key] for key in (*costs, 'loss', 'gradient'))]
                  for name, one in found.items()]
        ours, theirs = (found[name] for name in CONTENDERS)
        ratios[batch] = {key: round(ours[key] / theirs[key], 3) for key in costs}
        table.append([batch, 'mmdense / plain', *(f'{ratio:.3f}' for ratio in
                                                  ratios[batch].values()), '', ''])
    print_table(columns, table)
    print_json(args, mmdense_over_plain=ratios, results=results)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch', type=count, nargs='+', default=[128, 256])
    parser.add_argument('--regions', type=count, default=16, help='of an image and view')
    parser.add_argument('--dim', type=count, default=256)
    parser.add_argument('--constant-targets', action='store_true')
    parser.add_argument('--repeats', type=count, default=5)
    parser.add_argument('--threads', type=count, default=1)
    add_contenders(parser, CONTENDERS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.contender:
        print(json.dumps(measure(args)))
        return
    report(args, {batch: {name: json.loads(run_contender(
        __file__, name, {**vars(args), 'batch': batch}, 'a smaller --batch'))
        for name in CONTENDERS} for batch in args.batch})


if __name__ == '__main__':
    run_alone(main)
