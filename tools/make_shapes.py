"""Write the generated sets: scenes in VOC's layout and, if asked for, images of one object.

    python tools/make_shapes.py                    # 810 scenes into data/shapes
    python tools/make_shapes.py --objects 5000     # and 5000 images into data/shapes_objects

Training writes them by itself on first use; the same seed gives the same bytes. What is there is
left alone, and a shorter set of objects is continued.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmdense.datasets.generate import SCENE_COUNTS, ensure_objects, ensure_scenes
from mmdense.errors import run_command
from mmdense.outputs import make_output_folder
from mmdense.progress import progress_bars


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('data'), metavar='FOLDER',
                        help='where shapes/ and shapes_objects/ go (default: data)')
    parser.add_argument('--objects', type=int, default=0, metavar='N',
                        help='number of object-centric images (default: none)')
    parser.add_argument('--seed', type=int, default=0, help='seed of both sets (default: 0)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    make_output_folder(args.out, '--out')
    scenes, objects = args.out / 'shapes', args.out / 'shapes_objects'
    with progress_bars() as bars:
        bar = bars.add_task(str(scenes), total=sum(SCENE_COUNTS.values()))
        if not ensure_scenes(scenes, seed=args.seed, progress=lambda: bars.advance(bar)):
            bars.update(bar, description=f'{scenes} is there already', visible=True)
        if args.objects:
            bar = bars.add_task(str(objects), total=args.objects)
            written = ensure_objects(objects, args.objects, seed=args.seed,
                                     progress=lambda: bars.advance(bar))
            bars.update(bar, completed=args.objects,
                        description=f'{objects}: {written} written')


if __name__ == '__main__':
    run_command(main)
