"""Felzenszwalb-Huttenlocher regions: MMDense beside scikit-image, time and equality.

    python tools/benchmarks/regions.py IMAGES --limit 20

Both segment the same images in this process on one thread. CPU time is the median over images of
the least of --repeats, which other programs disturb less than the clock. `same pixels` is the
share of pixels in the best one-to-one matching of the regions of both, the least over images;
edges of equal cost have no order in scikit-image, so drawings of flat colours may differ a little.
`compile` is the first call: about 10 s where nothing is in numba's cache on disk, then less
than 1 s. The last line is JSON.
"""
from __future__ import annotations

import argparse
import statistics

import cv2
import numpy as np
from measuring import count, print_json, print_table, spread, timed
from scipy.optimize import linear_sum_assignment

from mmdense.datasets.unlabelled import find_images
from mmdense.errors import run_command
from mmdense.images.reading import read_image
from mmdense.regions import felzenszwalb


def same_pixels(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of pixels of the best one-to-one matching of two partitions (H, W)."""
    a, b = (np.unique(ids, return_inverse=True)[1].ravel() for ids in (a, b))
    shared = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1))
    shared = shared.reshape(a.max() + 1, b.max() + 1)
    return float(shared[linear_sum_assignment(-shared)].sum() / a.size)


def measure(args: argparse.Namespace, files: list[str]) -> dict[str, dict[str, float]]:
    """Return what each contender took and found, by its name."""
    from skimage import segmentation
    options = dict(scale=args.scale, sigma=args.sigma, min_size=args.min_size)
    compiling = timed(felzenszwalb, np.zeros((4, 4, 3), np.uint8))[1]
    contenders = {'mmdense': felzenszwalb, 'scikit-image': segmentation.felzenszwalb}
    runs: dict[str, list] = {name: [] for name in contenders}
    same = []
    for file in files:
        image = read_image(file)
        for name, function in contenders.items():
            calls = [timed(function, image, **options) for _ in range(args.repeats)]
            cpu, clock, (found, *_) = zip(*calls, strict=True)
            runs[name].append((min(cpu), min(clock), found))
        same.append(same_pixels(runs['mmdense'][-1][2], runs['scikit-image'][-1][2]))
    ours = [cpu for cpu, _, _ in runs['mmdense']]
    result = {}
    for name, found in runs.items():
        cpu = [one[0] for one in found]
        result[name] = dict(
            cpu_ms=round(1000 * statistics.median(cpu), 2),
            clock_ms=round(1000 * statistics.median(one[1] for one in found), 2),
            cpu_over_mmdense=round(sum(cpu) / sum(ours), 2),
            regions=round(statistics.mean(len(np.unique(one[2])) for one in found), 1),
            same_pixels=round(100 * min(same), 3),
            identical_images=sum(share == 1 for share in same))
    result['mmdense']['compile_s'] = round(compiling, 2)
    return result


def report(args: argparse.Namespace, results: dict[str, dict], images: int) -> None:
    print(f'{images} images, scale {args.scale:g}, sigma {args.sigma:g}, least size '
          f'{args.min_size}; first call {results["mmdense"]["compile_s"]} s')
    print_table({'': '', 'CPU ms per image': '.1f', 'wall ms per image': '.1f',
                 'CPU over mmdense': '.2f', 'regions per image': '.1f',
                 'same pixels (worst image)': '', 'identical images': ''},
                ([name, one['cpu_ms'], one['clock_ms'], one['cpu_over_mmdense'], one['regions'],
                  f'{one["same_pixels"]:.3f} %', one['identical_images']]
                 for name, one in results.items()))
    print_json(args, ('images',), results=results, images=images)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('images', metavar='IMAGES', help='folder of images')
    parser.add_argument('--limit', type=count, default=20, help='images, evenly spread over it')
    parser.add_argument('--scale', type=float, default=1000)
    parser.add_argument('--sigma', type=float, default=0.8)
    parser.add_argument('--min-size', type=int, default=1000, help='pixels')
    parser.add_argument('--repeats', type=count, default=3)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cv2.setNumThreads(1)
    files = spread(find_images(args.images), args.limit)
    report(args, measure(args, files), len(files))


if __name__ == '__main__':
    run_command(main)
