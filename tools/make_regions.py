"""Write the regions of every image in a folder, for DetCon and others that contrast regions.

    python tools/make_regions.py IMAGES OUT                                   # fh, DetCon's
    python tools/make_regions.py IMAGES OUT --method fh --options scale=300 min_size=0.001
    python tools/make_regions.py IMAGES OUT --method grid --options cells=5
    python tools/make_regions.py IMAGES OUT --method slic --options n_segments=50

OUT/a/b.png holds the region ids of IMAGES/a/b.jpg: 8 bits, or 16 where there are more than 255.
What is there, of its image's size and newer, is left alone, so the same command continues a run
that was killed. OUT/regions.json keeps the settings and where the images are; OUT made with others
is refused. At the end: statistics, and OUT/contact_sheet.jpg to look at. docs/regions.md helps to
choose.
"""
from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmdense.datasets.unlabelled import find_images
from mmdense.errors import run_command
from mmdense.files import write_whole
from mmdense.images.reading import read_image
from mmdense.outputs import make_output_folder
from mmdense.progress import progress_bars
from mmdense.regions import METHODS, make_folder, read_regions, region_file
from mmdense.regions.folder import Made, summary
from mmdense.regions.sheet import contact_sheet, draw_regions, encode_sheet

#: images in the contact sheet
SHEET = 12


def option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{text!r}; expected NAME=VALUE')
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', metavar='IMAGES', help='folder of images, with its subfolders')
    parser.add_argument('out', metavar='OUT', help='folder of the region files')
    parser.add_argument('--method', choices=list(METHODS), default='fh')
    parser.add_argument('--options', type=option, nargs='+', default=[], metavar='NAME=VALUE',
                        help="options of the method, see docs/regions.md; values are JSON")
    parser.add_argument('--load', type=option, nargs='+', default=[], metavar='NAME=VALUE',
                        help='how images are read, as in the pipeline: channels, value_range, '
                        'percentiles, page, see docs/images.md; values are JSON')
    parser.add_argument('--format', choices=['png', 'npz'], default='png',
                        help='npz for more than 65,535 regions per image (default: png)')
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)),
                        help='processes (default: the CPU cores)')
    return parser.parse_args()


def make_all(args: argparse.Namespace, files: list[str]) -> list[Made]:
    with progress_bars('{task.fields[rate]} images/s') as bars:
        bar = bars.add_task('regions', total=len(files), rate='-')

        def advance(made: Made) -> None:
            bars.advance(bar)
            speed = bars.tasks[bar].speed
            bars.update(bar, rate=f'{speed:.1f}' if speed else '-')

        return make_folder(args.images, files, args.out, args.method, dict(args.options),
                           f'.{args.format}', args.workers, advance, dict(args.load))


def write_sheet(images: str, out: str, good: list[Made],
                draw: Callable[[np.ndarray, np.ndarray], np.ndarray] = draw_regions,
                suffix: str = '.png', load: dict[str, Any] | None = None) -> Path:
    """Write ``SHEET`` images, evenly spread over the folder, beside what is drawn of their regions.
    """
    pairs = []
    for made in good[::max(1, len(good) // SHEET)][:SHEET]:
        image = read_image(made.image, **(load or {}))
        image = image if image.shape[2] == 3 else image[..., :1].repeat(3, axis=2)
        path = region_file(made.image, images, out, suffix)
        pairs.append([image, draw(image, read_regions(path, image.shape[:2]))])
    rows = [[picture for pair in pairs[at:at + 3] for picture in pair]
            for at in range(0, len(pairs), 3)]
    path = Path(out, 'contact_sheet.jpg')
    write_whole(encode_sheet(contact_sheet(rows), path), path)
    return path


def report(made: list[Made]) -> None:
    facts = summary(made)
    print(f'{facts["images"]} images have regions, {facts["new"]} of them new')
    if facts['images']:
        print(f'regions per image: mean {facts["regions_mean"]:.1f}, median '
              f'{facts["regions_median"]:.0f}, {facts["regions_min"]} to {facts["regions_max"]}; '
              f'{facts["images_of_one_region"]} images have one or none\n'
              f'area of a region: median {facts["area_median"]:.2f} % of the image, smallest '
              f'{facts["area_min"]:.3f} %\n'
              f'pixels in a region: {facts["covered"]:.1f} %')


def main() -> None:
    args = parse_args()
    files = find_images(args.images)
    make_output_folder(args.out, 'OUT')
    made = make_all(args, files)
    good = [one for one in made if one.error is None]
    report(made)
    if good:
        sheet = write_sheet(args.images, args.out, good, suffix=f'.{args.format}',
                            load=dict(args.load))
        print(f'look at {sheet}')
    failed = [one for one in made if one.error is not None]
    if failed:
        for one in failed[:10]:
            print(f'no regions: {one.error}')
        raise SystemExit(f'error: {len(failed)} of {len(made)} images have no regions')


if __name__ == '__main__':
    run_command(main)
