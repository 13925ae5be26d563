"""How well regions of several methods fit human regions, such as those of BSDS.

    python tools/benchmarks/region_quality.py IMAGES HUMAN_REGIONS --limit 50

HUMAN_REGIONS/a/b.png holds the human region ids of IMAGES/a/b.jpg. Means over images, in per cent:
`recall` is the share of human boundary within --tolerance pixels of one of the method's,
`precision` the same with the two swapped, `achievable` the pixels right if each region takes its
most frequent human region, `covering` the best IoU of each human region with any one region,
weighted by area. Recall and achievable accuracy only grow as regions are split, precision and
covering do not. `smallest` is the area of the smallest region, `one` counts images of one region.
An image of one region has no boundary, and so a precision of 100. CPU ms is the median of an image,
one thread. The last line is JSON.
"""
from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import cv2
import numpy as np
from measuring import count, print_json, print_table, spread, timed

from mmdense.datasets.unlabelled import find_images
from mmdense.errors import run_command
from mmdense.files import write_whole
from mmdense.images.reading import read_image
from mmdense.regions import make_regions, read_regions, region_file
from mmdense.regions.quality import achievable_accuracy, boundary_recall, covering
from mmdense.regions.sheet import contact_sheet, draw_regions, encode_sheet

#: rows of the table: method and options by name; a least size below 1 is a share of the area
ROWS = {
    'fh 1000, 1000 px (DetCon)': dict(method='fh', scale=1000, min_size=1000),
    'fh 1000, 0.2 %': dict(method='fh', scale=1000, min_size=0.002),
    'fh 500, 0.2 %': dict(method='fh', scale=500, min_size=0.002),
    'fh 300, 0.65 %': dict(method='fh', scale=300, min_size=0.0065),
    'fh 300, 0.2 %': dict(method='fh', scale=300, min_size=0.002),
    'fh 100, 0.2 %': dict(method='fh', scale=100, min_size=0.002),
    'slic 20': dict(method='slic', n_segments=20),
    'slic 50': dict(method='slic', n_segments=50),
    'grid 5 x 5': dict(method='grid', cells=5),
    'grid 10 x 10': dict(method='grid', cells=10),
    'one region': dict(method='grid', cells=1),
}


def measure(source: dict, image: np.ndarray, human: np.ndarray, tolerance: float) -> dict:
    """Return the measures of one method on one image (H, W, 3) RGB."""
    seconds, _, regions = timed(make_regions, image, **source)
    return dict(recall=100 * boundary_recall(regions, human, tolerance),
                precision=100 * boundary_recall(human, regions, tolerance),
                achievable=100 * achievable_accuracy(regions, human),
                covering=100 * covering(regions, human),
                regions=int(regions.max()), cpu_ms=1000 * seconds,
                smallest=100 * np.bincount(regions.ravel())[1:].min() / regions.size)


def summarise(found: list[dict]) -> dict[str, float]:
    means = {name: round(statistics.mean(one[name] for one in found), 2)
             for name in ('recall', 'precision', 'achievable', 'covering', 'regions', 'smallest')}
    return dict(means, one=sum(one['regions'] == 1 for one in found),
                cpu_ms=round(statistics.median(one['cpu_ms'] for one in found), 1))


def report(args: argparse.Namespace, results: dict[str, dict], images: int, human: float) -> None:
    print(f'{images} images of {human:.1f} human regions on average')
    columns = dict(recall='.1f', precision='.1f', achievable='.1f', covering='.1f', regions='.1f',
                   smallest='.2f', one='', cpu_ms='.1f')
    headings = dict(regions='regions per image', smallest='smallest, % of area', cpu_ms='CPU ms')
    print_table({'regions': '', **{headings.get(key, key): form for key, form in columns.items()}},
                ([name, *(one[key] for key in columns)] for name, one in results.items()))
    print_json(args, ('images', 'human', 'sheet'), results=results, images=images,
               human_regions=round(human, 2), tolerance=args.tolerance)


def write_sheet(path: Path, images: list[np.ndarray], human: list[np.ndarray],
                names: list[str]) -> None:
    """Draw images, human regions and those of the rows ``names`` side by side."""
    rows = [[image, draw_regions(image, drawn),
             *(draw_regions(image, make_regions(image, **ROWS[name])) for name in names)]
            for image, drawn in zip(images, human, strict=True)]
    write_whole(encode_sheet(contact_sheet(rows)[..., ::-1], path), path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('images', metavar='IMAGES')
    parser.add_argument('human', metavar='HUMAN_REGIONS')
    parser.add_argument('--limit', type=count, default=50, help='images, evenly spread')
    parser.add_argument('--tolerance', type=float, default=2.0, help='pixels (default: 2)')
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), default=list(ROWS),
                        metavar='ROW', help='some of: ' + ', '.join(ROWS).replace('%', '%%'))
    parser.add_argument('--sheet', type=Path, help='picture of the first 4 images to write')
    args = parser.parse_args()
    if args.tolerance < 0:
        parser.error('--tolerance is at least 0')
    return args


def main() -> None:
    args = parse_args()
    cv2.setNumThreads(1)
    files = spread(find_images(args.images), args.limit)
    images = [np.ascontiguousarray(read_image(file)[..., ::-1]) for file in files]
    human = [read_regions(region_file(file, args.images, args.human), image.shape[:2])
             for file, image in zip(files, images, strict=True)]
    make_regions(images[0])             # compiled before it is timed
    results = {name: summarise([measure(ROWS[name], image, drawn, args.tolerance)
                                for image, drawn in zip(images, human, strict=True)])
               for name in args.rows}
    report(args, results, len(files), statistics.mean(int(drawn.max()) for drawn in human))
    if args.sheet:
        write_sheet(args.sheet, images[:4], human[:4], args.rows)


if __name__ == '__main__':
    run_command(main)
