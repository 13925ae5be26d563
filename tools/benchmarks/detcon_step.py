"""Cost of DetCon_B's contrast of regions on top of its networks.

    python tools/benchmarks/detcon_step.py --depth 50 --size 224 --batch 64 --amp
    python tools/benchmarks/detcon_step.py --depth 18 --size 128 --kind clustered

"Bare" is what no implementation can save: both views through backbone, projector and predictor,
forward and backward, and through the twin's backbone and projector, forward; the heads get vectors
of the size of pooled regions. A step is the loss with regions of cells, draws and pooling, its
backward and the momentum update; no optimiser step. With --kind clustered the third view, the whole
image at the views' size, and k-means are in the step, not in what is bare. Each round times both,
in turning order, and `step_over_encoders` is the median over the rounds of their ratio. The last
line is JSON.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import statistics
from collections.abc import Callable

import torch
from pretext_step import WIDTH, peak_mb, rounds
from torch import Tensor, nn
from torch.autograd.graph import increment_version

import mmdense  # noqa: F401
from mmdense.errors import run_command
from mmdense.models.selfsup.base import build, encode
from mmdense.structures import Views


def build_detcon(depth: int, kind: str) -> nn.Module:
    """Build mmdense.DetConB with the published heads, BatchNorm as in one process."""
    regions = dict(
        given=dict(type='mmdense.GivenRegions'),
        clustered=dict(type='mmdense.ClusteredRegions', clusters=(8, 64)),
        soft=dict(type='mmdense.SoftRegions', in_channels=WIDTH[depth], num_regions=64,
                  norm_cfg=dict(type='BN')))

    def head(channels: int) -> dict:
        return dict(type='mmdense.Projector', in_channels=channels, hidden_channels=4096,
                    out_channels=256, norm_cfg=dict(type='BN'), last_bias=False)
    return build(dict(
        type='mmdense.DetConB',
        backbone=dict(type='mmseg.ResNet', depth=depth, num_stages=4, out_indices=(3,),
                      norm_cfg=dict(type='BN')),
        projector=head(WIDTH[depth]), predictor=head(256), regions=regions[kind],
        twin=dict(momentum=0.996, end_momentum=1.0, bn='plain'),
        loss=dict(type='mmdense.DetConLoss', gather_grad=False)))


def make_views(batch: int, size: int, regions: int, device: torch.device) -> Views:
    """Return three views of each image with maps of blocks, whose ids are drawn from ``regions``.

    All show the whole image.
    """
    side = max(int(regions ** 0.5), 1)
    place = torch.arange(size, device=device) * side // size
    maps = [torch.randint(1, regions + 1, (batch, side, side), device=device, dtype=torch.int32)
            [:, place][:, :, place] for _ in range(3)]
    box = torch.tensor([0., 0., size, size], device=device)
    return Views(boxes=box.expand(3, batch, 4), regions=maps, num_regions=regions,
                 flips=torch.zeros(3, batch, dtype=torch.bool, device=device),
                 index=torch.arange(batch, device=device))


def make_steps(model: nn.Module, images: list[Tensor], views: Views,
               autocast: Callable) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed, by name; each call is a step and returns its loss."""
    rows, pair = len(images[0]) * model.num_samples, images[:2]

    def bare() -> Tensor:
        with autocast():
            maps = [encode(model, view) for view in pair]
            vectors = maps[0].new_zeros(rows, maps[0].shape[1]).normal_()
            with torch.no_grad():
                for view in pair:
                    encode(model.twin, view)
                    model.twin.projector(vectors)
            heads = [model.predictor(model.projector(vectors)) for _ in maps]
        torch.autograd.backward([*maps, *heads],
                                [torch.full_like(x, 1e-3) for x in (*maps, *heads)])
        return maps[0].new_zeros(())

    def mmdense_step() -> Tensor:
        with autocast():
            loss = sum(model(images, views, mode='loss').values())
        loss.backward()
        increment_version(next(model.backbone.parameters()))  # a step, as the twin sees it
        return loss.detach()

    return dict(bare=bare, mmdense=mmdense_step)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--depth', type=int, default=50, choices=sorted(WIDTH))
    parser.add_argument('--size', type=int, default=224, help='side of a view in pixels')
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--regions', type=int, default=16, help='of an image')
    parser.add_argument('--kind', default='given', choices=['given', 'clustered', 'soft'],
                        help='given by region maps, clusters of features, or learnt')
    parser.add_argument('--amp', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--steps', type=int, default=9, help='rounds that are timed')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    device = torch.device(args.device)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    model = build_detcon(args.depth, args.kind).to(device, memory_format=layout).train()
    count = 3 if model.regions.whole_image else 2
    images = [torch.randn(args.batch, 3, args.size, args.size, device=device)
              .contiguous(memory_format=layout) for _ in range(count)]
    views = make_views(args.batch, args.size, args.regions, device)

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.amp)

    def clear() -> None:
        model.zero_grad(set_to_none=True)

    steps, losses, peaks = make_steps(model, images, views, autocast), {}, {}
    for name in steps:                      # the first step is no part of a measurement
        clear()
        losses[name] = steps[name]().item()
    for name in steps:
        clear()
        peaks[name] = peak_mb(steps[name], device)
    times = list(rounds(steps, args.steps, clear, device))
    over = [one['mmdense'] / one['bare'] for one in times]
    print('| | step s | images/s | peak MB | loss |\n|---|---|---|---|---|')
    for name in steps:
        seconds = statistics.median(one[name] for one in times)
        print(f'| {name} | {seconds:.4f} | {args.batch / seconds:.2f} | {peaks[name]:.1f} '
              f'| {losses[name]:.4f} |')
    print(f'step over encoders: {statistics.median(over):.4f}, rounds {min(over):.3f} to '
          f'{max(over):.3f}')
    print(json.dumps(dict(step_over_encoders=round(statistics.median(over), 4),
                          extra_memory_mb=round(peaks['mmdense'] - peaks['bare'], 1),
                          settings={**vars(args), 'threads': torch.get_num_threads()})))


if __name__ == '__main__':
    run_command(main)
