"""What patch-level rotation gives away at its seams: patch accuracy on images without orientation.

    python tools/benchmarks/seams.py --steps 400
    python tools/benchmarks/seams.py --steps 400 --jpeg 75 --rows 'margin 3, jitter 8, colour'

Trains a small encoder-decoder on smooth random fields, white noise under a Gaussian filter: nothing
in a patch tells which way is up, so whatever is above 25 % on fresh fields comes from the seams.
One row for each guard of mmdense.PatchRotate, alone and together. Fields are made, not read, so
there are no traces of image compression; with --jpeg each passes a JPEG file of that quality
(colours at half the size) before it is turned, and what all guards leave then comes from there.
`correlation` is how many pixels apart two pixels are correlated by 1/e. `+-` is the standard error
of the accuracy over the patches that are scored. The last line is JSON.
"""
from __future__ import annotations

import argparse
import math

import cv2
import numpy as np
import torch
from measuring import count, print_json, print_table, run_alone
from mmengine.registry import MODELS, DefaultScope
from rich.progress import track
from scipy.ndimage import gaussian_filter
from torch import Tensor

from mmdense.datasets.transforms import PatchRotate
from mmdense.models.selfsup import PatchRotation
from mmdense.random_states import seed_everything
from mmdense.structures import Views

DISTORT = [dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)]


def guards(correlation: float, side: int) -> dict[str, dict]:
    """Return options of PatchRotate by the name of a row.

    Margins leave a gap of half the correlation length and of more than twice of it.
    """
    low, high = max(round(correlation / 4), 1), math.ceil(correlation)
    jitter = side // 2
    return {
        'none': {}, f'margin {low}': dict(margin=low), f'margin {high}': dict(margin=high),
        f'jitter {jitter}': dict(jitter=jitter), 'colour per patch': dict(distort=DISTORT),
        f'margin {high}, jitter {jitter}, colour': dict(margin=high, jitter=jitter,
                                                        distort=DISTORT)}


def random_field(size: int, sigma: float, generator: np.random.Generator) -> np.ndarray:
    """Return a smooth isotropic field (size, size, 3) uint8, whose mean is grey."""
    noise = generator.standard_normal((size, size, 3))
    smooth = gaussian_filter(noise, (sigma, sigma, 0), mode='wrap')
    return (smooth / smooth.std() * 50 + 128).clip(0, 255).astype(np.uint8)


def through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return an image (H, W, 3) uint8 as a JPEG file of a quality from 1 to 100 gives it back."""
    return cv2.imdecode(cv2.imencode('.jpg', image, [
        cv2.IMWRITE_JPEG_QUALITY, quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420])[1],
        cv2.IMREAD_COLOR)


def batch_of(rotate: PatchRotate, args: argparse.Namespace,
             generator: np.random.Generator) -> tuple[list[Tensor], Views]:
    """Return a batch of fresh fields, turned, and their angles."""
    fields = [random_field(args.size, args.sigma, generator) for _ in range(args.batch)]
    if args.jpeg is not None:
        fields = [through_jpeg(field, args.jpeg) for field in fields]
    made = [rotate(dict(img=field)) for field in fields]
    images, turns, mask = (torch.from_numpy(np.stack([one[name] for one in made]))
                           for name in ('img', 'target', 'mask'))
    box = torch.tensor([0., 0, args.size, args.size]).expand(1, args.batch, 4)
    views = Views(box, torch.zeros(1, args.batch, dtype=torch.bool), torch.arange(args.batch),
                  targets=[turns], masks=[mask])
    return [(images.permute(0, 3, 1, 2).float() - 128) / 50], views


def build(args: argparse.Namespace) -> PatchRotation:
    norm = dict(type='BN')
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(dict(
            type='mmdense.PatchRotation', level='patch', backbone=dict(
                type='ResNet', depth=18, base_channels=args.width, num_stages=4,
                strides=(1, 2, 1, 1), out_indices=(2, 3), norm_cfg=norm),
            decode_head=dict(
                type='FCNHead', in_channels=[4 * args.width, 8 * args.width], in_index=[0, 1],
                input_transform='resize_concat', channels=4 * args.width, num_convs=1,
                concat_input=False, norm_cfg=norm)))


def measure(name: str, options: dict, args: argparse.Namespace) -> dict:
    """Return accuracies, in per cent, of one row: all patches, and by the angle."""
    seed_everything(args.seed)
    generator, method = np.random.default_rng(args.seed), build(args)
    rotate = PatchRotate(grid=(args.grid, args.grid), **options)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, args.steps)
    for _ in track(range(args.steps), name, transient=True):
        loss = method(*batch_of(rotate, args, generator), mode='loss')['loss_rotation']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    method.eval()
    method.confusion.counts.zero_()
    with torch.no_grad():
        for _ in range(args.test):
            method(*batch_of(rotate, args, generator), mode='loss')
    counts = method.confusion.counts.double()
    right, total = counts.diagonal().sum().item(), counts.sum().item()
    share = right / total
    return dict(accuracy=100 * share, error=100 * math.sqrt(share * (1 - share) / total),
                loss=loss.item(), unturned=100 * (counts[0, 0] / counts[0].sum()).item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=count, default=64, help='side of a field in pixels')
    parser.add_argument('--grid', type=count, default=4, help='patches along a side')
    parser.add_argument('--sigma', type=float, default=1.5, help='of the Gaussian filter, pixels')
    parser.add_argument('--width', type=count, default=16, help='channels of the first stage')
    parser.add_argument('--batch', type=count, default=32)
    parser.add_argument('--steps', type=count, default=400)
    parser.add_argument('--test', type=count, default=16, help='batches of fresh fields')
    parser.add_argument('--jpeg', type=int, metavar='QUALITY', help='compress the fields first')
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='only these guards')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if args.size % args.grid or not args.sigma > 0:
        parser.error(f'--size {args.size} --grid {args.grid} --sigma {args.sigma}: expected a size '
                     'that the grid divides, and a sigma above 0')
    correlation = 2 * args.sigma
    chosen = guards(correlation, args.size // args.grid)
    unknown = [name for name in args.rows or () if name not in chosen]
    if unknown or not 1 <= (args.jpeg or 75) <= 100:
        parser.error(f'--rows {unknown} --jpeg {args.jpeg}: expected some of {list(chosen)}, and '
                     'a quality from 1 to 100')
    rows = {name: measure(name, options, args) for name, options in chosen.items()
            if name in (args.rows or chosen)}
    print(f'{args.size} pixels, {args.grid} x {args.grid} patches, correlation {correlation:g}, '
          f'{args.steps} steps of {args.batch}')
    print_table({'guard': '', 'accuracy, %': '.1f', '+-': '.1f', 'of unturned patches, %': '.1f',
                 'last loss': '.3f'},
                [(name, row['accuracy'], row['error'], row['unturned'], row['loss'])
                 for name, row in rows.items()])
    print_json(args, rows=rows)


if __name__ == '__main__':
    run_alone(main)
