"""Write what moves by itself in every frame of some clips, for motion segmentation.

    python tools/make_motion_masks.py FRAMES OUT
    python tools/make_motion_masks.py FRAMES OUT --options step=2 least=1.5
    python tools/make_motion_masks.py VIDEOS OUT --frames FRAMES --every 3

FRAMES is a folder of clips: each of its folders has the frames of one, with a number in each name.
VIDEOS is a folder of video files, or one; their frames are written to FRAMES/NAME/000012.png first,
every one or every third. OUT/a/000012.png is the mask of FRAMES/a/000012.jpg, a region file:
2 moves, 1 is still, 0 is not known. It compares a frame with the one `step` later (OpenCV's DIS
flow, less a homography that most of it agrees with): docs/methods/pretexts.md. What is there and
newer is left alone, so the same command continues a run that was killed. At the end: statistics,
and OUT/contact_sheet.jpg to look at.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from make_regions import option, write_sheet

from mmdense.datasets.unlabelled import find_images
from mmdense.errors import run_command
from mmdense.files import write_whole
from mmdense.mistakes import WrongValue
from mmdense.outputs import make_output_folder
from mmdense.progress import progress_bars
from mmdense.regions.folder import make_motion_folder
from mmdense.regions.motion import MOVING, STILL

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')
#: options of a mask and their defaults
OPTIONS = dict(step=1, least=1.0, ratio=4.0, tolerance=1.0, smooth=5)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='FRAMES', help='folder of clips or of videos, or a video')
    parser.add_argument('out', metavar='OUT', help='folder of the masks')
    parser.add_argument('--frames', help='where the frames of videos are written')
    parser.add_argument('--every', type=int, default=1, help='take every n-th frame of videos')
    parser.add_argument('--options', type=option, nargs='+', default=[], metavar='NAME=VALUE',
                        help=f'of the masks: {", ".join(OPTIONS)}; values are JSON')
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)),
                        help='processes (default: the CPU cores)')
    args = parser.parse_args()
    options = {**OPTIONS, **dict(args.options)}
    for name, value in options.items():
        whole = name in ('step', 'smooth')
        if name not in OPTIONS or isinstance(value, bool) or not isinstance(
                value, int if whole else (int, float)) or value < (1 if whole else 0):
            parser.error(f'--options {name}={value}: expected some of {", ".join(OPTIONS)}, '
                         'numbers of at least 0, step and smooth whole and at least 1')
    if args.every < 1:
        parser.error(f'--every {args.every}: expected at least 1')
    args.options = options
    return args


def find_videos(source: str) -> list[Path]:
    """Return the video files of a folder, or the one that is named."""
    path = Path(source)
    files = [path] if path.is_file() else sorted(path.rglob('*')) if path.is_dir() else []
    return [file for file in files if file.suffix.lower() in VIDEOS]


def write_frames(video: Path, folder: Path, every: int) -> int:
    """Write every n-th frame of a video that is not there yet; return how many there are.

    Raises:
        ValueError: OpenCV cannot read it, or it gives fewer than two of them.
    """
    reader, number, count = cv2.VideoCapture(str(video)), 0, 0
    try:
        while True:
            read, image = reader.read()
            if not read:
                break
            if number % every == 0:
                path = folder / f'{number:06d}.png'
                if not path.exists():
                    write_whole(cv2.imencode('.png', image)[1].tobytes(), path)
                count += 1
            number += 1
    finally:
        reader.release()
    if not number:
        raise WrongValue(f'{video}: OpenCV reads no frame of it; expected a video of a codec that '
                         'it knows')
    if count < 2:
        raise WrongValue(f'{video} gives {count} frame(s) of {number}; motion needs at least 2')
    return count


def extract(videos: list[Path], args: argparse.Namespace) -> None:
    """Write the frames of all videos, one folder for each.

    Raises:
        ValueError: nobody said where to, or two videos would share a folder.
    """
    if args.frames is None:
        raise WrongValue(f'{args.source} has videos: say where their frames go, --frames FOLDER')
    make_output_folder(args.frames, '--frames')
    folders = [Path(args.frames, video.stem) for video in videos]
    for video, folder in zip(videos, folders, strict=True):
        if folders.count(folder) > 1:
            raise WrongValue(f'several videos are named {video.stem}; expected different names')
    with progress_bars('{task.completed} of {task.total} videos') as bars:
        bar = bars.add_task('frames', total=len(videos))
        for video, folder in zip(videos, folders, strict=True):
            write_frames(video, folder, args.every)
            bars.advance(bar)


def drawn_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an image with what moves in red, and what is not known in grey."""
    drawn = image.copy()
    drawn[mask == MOVING] = image[mask == MOVING] // 3 + np.uint8([0, 0, 160])
    drawn[mask == 0] = 128
    return drawn


def main() -> None:
    args = parse_args()
    videos, frames = find_videos(args.source), args.source
    if videos:
        extract(videos, args)
        frames = args.frames
    files = find_images(frames)
    make_output_folder(args.out, 'OUT')
    with progress_bars('{task.completed} of {task.total} frames') as bars:
        bar = bars.add_task('masks', total=len(files))
        made = make_motion_folder(frames, files, args.out, args.options, args.workers,
                                  lambda made: bars.advance(bar))
    good = [one for one in made if one.error is None]
    shares = np.array([np.pad(one.shares, (0, 2))[:2] for one in good]).reshape(-1, 2)
    print(f'{len(good)} frames have masks, {sum(one.new for one in good)} of them new')
    if good:
        moving, known = shares[:, MOVING - 1], shares[:, [STILL - 1, MOVING - 1]].sum(1)
        print(f'moving pixels: {100 * moving.mean():.1f} %, known: {100 * known.mean():.1f} %; '
              f'{(moving == 0).sum()} frames in which nothing moves, {(known == 0).sum()} without '
              f'a global motion\nlook at {write_sheet(frames, args.out, good, drawn_mask)}')
    failed = [one for one in made if one.error is not None]
    if failed:
        for one in failed[:10]:
            print(f'no mask: {one.error}')
        raise SystemExit(f'error: {len(failed)} of {len(made)} frames have no mask')


if __name__ == '__main__':
    run_command(main)
