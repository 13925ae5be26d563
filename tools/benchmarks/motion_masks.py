"""How well motion masks find what moves in rendered clips, where it is known.

    python tools/benchmarks/motion_masks.py --clips 20

Every pair of frames that follow one another; on the pixels that the mask calls known. The last line
is JSON.
"""
from __future__ import annotations

import argparse

import numpy as np
from measuring import count, print_json, print_table, run_alone

from mmdense.datasets.generate.clips import render_clip
from mmdense.regions.motion import motion_mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--clips', type=count, default=20)
    parser.add_argument('--frames', type=count, default=6)
    parser.add_argument('--size', type=count, default=128)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    found = []
    for number in range(args.clips):
        frames, moving = render_clip(np.random.RandomState([args.seed, number]), args.frames,
                                     args.size)
        for first, second, truth in zip(frames, frames[1:], moving, strict=False):
            mask = motion_mask(first, second)
            known, said = mask > 0, mask == 2
            found.append(((said & truth).sum(), ((said | truth) & known).sum(),
                          1 - known.mean()))
    both, either, unknown = map(np.array, zip(*found, strict=True))
    each = both / np.maximum(either, 1)
    row = dict(pairs=len(each), iou=float(both.sum() / either.sum()), mean=float(each.mean()),
               tenth=float(np.percentile(each, 10)), unknown=float(100 * unknown.mean()))
    print_table({'pairs of frames': 'd', 'IoU of all': '.3f', 'mean of pairs': '.3f',
                 'tenth percentile': '.3f', 'not known, %': '.1f'}, [row.values()])
    print_json(args, **row)


if __name__ == '__main__':
    run_alone(main)
