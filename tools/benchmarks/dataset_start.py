"""Time and memory until a folder of images is ready to train on, beside torchvision's ImageFolder.

    python tools/benchmarks/dataset_start.py                            # 20,000 images
    python tools/benchmarks/dataset_start.py --images 1280000 --root /scratch

The images are hard links to a few files, 1,280 in a folder, in a folder of their own under --root,
which is removed at the end (--keep keeps it for a second run). Each line is a process of its own:
`first` lists the folder and keeps the list, `second` reads it. Then it goes once through all
samples. Memory is its highest resident memory above that of the same process on 100 images.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from measuring import count, print_json, print_table, resident, timed

from mmdense.datasets import UnlabelledDataset
from mmdense.errors import run_command

IN_A_FOLDER = 1280
#: links to one file; the usual file systems allow 65,000
LINKS = 50_000
#: images of the process whose memory is subtracted
FEW = 100


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=count, default=20_000)
    parser.add_argument('--root', type=Path, default=Path(tempfile.gettempdir()),
                        help='where the links are made (default: the folder of temporary files)')
    parser.add_argument('--keep', action='store_true', help='leave the links there')
    return parser.parse_args()


def make_links(root: Path, images: int) -> Path:
    """Make ``images`` hard links under ``root``, if they are not there; return their folder."""
    folder = root / f'links_{images}'
    if folder.is_dir():
        return folder
    partial = root / f'.links_{images}'
    source = None
    for number in range(images):
        if number % LINKS == 0:
            source = partial / f'source_{number}/image.jpg'
            source.parent.mkdir(parents=True)
            cv2.imwrite(str(source), np.full((64, 64, 3), number % 255, np.uint8))
        target = partial / f'set/n{number // IN_A_FOLDER:08d}/n{number:010d}.jpg'
        if number % IN_A_FOLDER == 0:
            target.parent.mkdir(parents=True)
        os.link(source, target)
    partial.rename(folder)
    time.sleep(2.1)         # a folder that changed a moment ago is listed at every start
    return folder


def ours(folder: str) -> tuple[int, Callable[[int], object]]:
    dataset = UnlabelledDataset(data_root=folder)
    return len(dataset), dataset.get_data_info


def peer(folder: str) -> tuple[int, Callable[[int], object]]:
    from torchvision.datasets import ImageFolder
    dataset = ImageFolder(folder)
    return len(dataset), dataset.samples.__getitem__


def measure(make: Callable, folder: str) -> dict[str, float]:
    """Return seconds to a dataset that can be read, its length, and the process's highest memory.

    In a forked process, so that imports do not count.
    """
    def run() -> None:
        cpu, seconds, (images, read) = timed(make, folder)
        ready = resident('VmRSS')
        for number in range(images):
            read(number)
        there.send(dict(images=images, seconds=seconds, cpu_seconds=cpu, ready_mb=ready / 1e6,
                        end_mb=resident('VmRSS') / 1e6, peak_mb=resident('VmHWM') / 1e6))

    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context('fork').Process(target=run)
    process.start()
    there.close()
    found = here.recv()
    process.join()
    return found


def compare(folder: Path, few: Path, cache: str) -> dict[str, dict[str, float]]:
    """Return what :func:`measure` finds of each start, memory above that on ``few``."""
    os.environ['MMDENSE_CACHE'] = cache
    measure(ours, str(few))
    results = {}
    for name, make in (('ours, first start', ours), ('ours, second start', ours),
                       ('ImageFolder', peer)):
        base, found = measure(make, str(few)), measure(make, str(folder))
        for key in ('ready_mb', 'end_mb', 'peak_mb'):
            found[key] -= base[key]
        results[name] = found
    return results


def main() -> None:
    args = parse_args()
    from torchvision.datasets import ImageFolder  # noqa: F401  (imported before the forks)
    root = args.root / 'mmdense_dataset_start'
    with tempfile.TemporaryDirectory() as cache:
        try:
            begin = time.perf_counter()
            folder, few = make_links(root, args.images), make_links(root, FEW)
            print(f'{args.images:,} links are there after {time.perf_counter() - begin:.0f} s; '
                  f'{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load '
                  f'{os.getloadavg()[0]:.1f}', flush=True)
            results = compare(folder / 'set', few / 'set', cache)
        finally:
            if not args.keep:
                shutil.rmtree(root, ignore_errors=True)
    columns = {'seconds': '.2f', 'of CPU': '.2f', 'MB when ready': '.0f',
               'after all samples': '.0f', 'highest': '.0f'}
    keys = ('seconds', 'cpu_seconds', 'ready_mb', 'end_mb', 'peak_mb')
    print_table({f'{args.images:,} images': '', **columns},
                ([name, *(found[key] for key in keys)] for name, found in results.items()))
    peers, second = results['ImageFolder'], results['ours, second start']
    ratio = peers['seconds'] / second['seconds']
    print(f'second start: {ratio:.0f} times as fast as ImageFolder')
    print_json(args, images=args.images, ratio=ratio, results=results)


if __name__ == '__main__':
    run_command(main)
