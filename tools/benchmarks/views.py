"""CPU time of two MoCo-v2 views of one decoded image, ours and mmpretrain's, side by side.

    python tools/benchmarks/views.py [--image FILE] [--draws 400] [--regions | --pretexts]

Both take the image in memory and stop before packing. The time is that of the process's CPU on one
thread, the median over draws that alternate between the two.

With ``--regions``: what a region map adds to ours, of FH and read from its file, in the views of
MoCo v2 and of DetCon. There both pipelines begin with the image's file.

With ``--pretexts``: the views of predictive pretexts beside the two of MoCo v2, and their own
transforms alone on a view of 224 pixels.
"""
from __future__ import annotations

import argparse
import copy
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import mmpretrain
import numpy as np
from measuring import count, print_json, print_table, timed
from mmengine import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.utils import get_installed_path
from mmpretrain.registry import TRANSFORMS as PEERS

import mmdense  # noqa: F401
from mmdense.datasets.dataset_configs import find_pipeline
from mmdense.errors import run_command
from mmdense.images.reading import read_image
from mmdense.regions import make_regions, region_file, write_regions

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
MOCO, DETCON = 'moco_r50_in1k.py', 'detcon_b_r50_in1k.py'
#: what docs/regions.md recommends
REGIONS = dict(method='fh', scale=300, min_size=0.0065)
#: of the pipeline's time, what regions may make of it
TARGET = 1.15
#: configs of predictive pretexts, the transform alone, and what it may cost (ms, or None)
PRETEXTS = {'plr_r50_in1k.py': (dict(type='mmdense.PatchRotate', grid=(4, 4)), 0.3)}


def natural_image(height: int = 321, width: int = 481, seed: int = 0) -> np.ndarray:
    """Return an image (height, width, 3) uint8 whose spectrum falls as 1 / frequency."""
    noise = np.random.RandomState(seed).randn(height, width, 3)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / width)[..., None]
    image = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) / frequency, axes=(0, 1)).real
    image = image / image.std(axis=(0, 1)) * 50 + 128
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))


def config_views(name: str) -> list[list[dict]]:
    """Return the pipeline of each view that a config of ours makes."""
    pipeline = find_pipeline(Config.fromfile(CONFIGS / name).train_dataloader['dataset'])
    views = next(step for step in pipeline if step['type'] == 'mmdense.MultiView')
    numbers = views.get('num_views') or [1] * len(views['views'])
    return [view for view, number in zip(views['views'], numbers, strict=True)
            for _ in range(number)]


def peer_views() -> list[dict]:
    """Return mmpretrain's own view pipeline of MoCo v2, from its config."""
    root = get_installed_path('mmpretrain')
    config = Config.fromfile(f'{root}/.mim/configs/_base_/datasets/imagenet_bs32_mocov2.py')
    return config.view_pipeline


def in_memory(image: np.ndarray) -> dict:
    """Return the sample of an image that is decoded already."""
    return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])


def cpu_ms(make: dict[str, Callable[[dict], dict]], sample: dict,
           draws: int) -> dict[str, np.ndarray]:
    """Return the CPU milliseconds (draws,) of each pipeline on the sample."""
    times = {name: [] for name in make}
    for draw in range(-10, draws):                            # the first ten warm up
        for name, pipeline in make.items():
            np.random.seed(draw + 10)
            results = dict(sample)
            seconds, _, _ = timed(pipeline, results)
            if draw >= 0:
                times[name].append(1000 * seconds)
    return {name: np.array(values) for name, values in times.items()}


def always(transform: dict) -> dict:
    """Return the transform's config with probability 1, to time it alone."""
    transform = copy.deepcopy(dict(transform))
    return {**transform, 'prob': 1.0} if 'prob' in transform else transform


def steps(image: np.ndarray, draws: int) -> list[tuple[str, float, float]]:
    """Return (transform, ours, peer's) ms for each transform alone, applied always, at 224."""
    rows, ours = [], config_views(MOCO)[0]
    small = Compose(ours[:1])(in_memory(image))['img']
    crop, *others, flip = peer_views()
    for number, (mine, other) in enumerate(zip(ours, [crop, flip, *others], strict=True)):
        pair = dict(ours=Compose([always(mine)]), peer=PEERS.build(always(other)))
        times = cpu_ms(pair, in_memory(small if number else image), draws)
        rows.append((mine['type'].split('.')[1],
                     float(np.median(times['ours'])), float(np.median(times['peer']))))
    return rows


def region_pipelines(image: Path, folder: Path) -> dict[str, dict[str, Compose]]:
    """Return ours without and with the region files in ``folder``, for each kind of views."""
    load = [dict(type='mmdense.LoadImage')]
    regions = [dict(type='mmdense.LoadRegions', images=str(image.parent), folder=str(folder))]
    found = {}
    for name, config in (('MoCo v2', MOCO), ('DetCon', DETCON)):
        views = [dict(type='mmdense.MultiView', views=config_views(config))]
        found[name] = dict(without=Compose(load + views), regions=Compose(load + regions + views))
    return found


def compare_regions(image: Path, folder: Path, args: argparse.Namespace) -> None:
    """Write the image's regions into ``folder``, and print what they add to its views."""
    pixels = read_image(str(image))
    regions = make_regions(np.ascontiguousarray(pixels[..., ::-1]), **REGIONS)
    file = region_file(image, image.parent, folder)
    write_regions(file, regions)
    settings = ', '.join(f'{name} {value}' for name, value in REGIONS.items())
    print(f'{pixels.shape[1]}x{pixels.shape[0]} image, loaded and two views of 224, without and '
          f'with {regions.max()} regions ({settings}; {file.stat().st_size} bytes)\nCPU ms on one '
          f'thread, median of {args.draws} draws; at most {TARGET} times is the aim\n'
          f'cv2 {cv2.__version__}, {platform.machine()}\n')
    results = {}
    for name, pair in region_pipelines(image, folder).items():
        times = cpu_ms(pair, dict(img_path=str(image)), args.draws)
        without, others = (float(np.median(times[key])) for key in ('without', 'regions'))
        results[name] = dict(without_ms=round(without, 3), with_ms=round(others, 3),
                             ratio=round(others / without, 3))
    print_table({'views': '', 'without': '.3f', 'with regions': '.3f', 'ratio': '.3f'},
                ([name, *one.values()] for name, one in results.items()))
    print_json(args, results=results, regions=int(regions.max()), target=TARGET)


def compare_pretexts(image: np.ndarray, args: argparse.Namespace) -> None:
    """Print what the views of each pretext cost beside MoCo v2's two, and its transform alone."""
    print(f'{image.shape[1]}x{image.shape[0]} image, views of 224, CPU ms on one thread, median of '
          f'{args.draws} draws; at most twice the two views is the aim\n')
    two = Compose([dict(type='mmdense.MultiView', views=config_views(MOCO))])
    small = Compose(config_views(MOCO)[0][:1])(in_memory(image))['img']
    results = {}
    for name, (alone, most) in PRETEXTS.items():
        pipelines = dict(two=two, own=Compose([dict(type='mmdense.MultiView',
                                                    views=config_views(name))]))
        times = cpu_ms(pipelines, in_memory(image), args.draws)
        two_ms, own = (float(np.median(times[key])) for key in ('two', 'own'))
        one = cpu_ms(dict(alone=Compose([alone])), in_memory(small), args.draws)['alone']
        results[name] = dict(two_views_ms=round(two_ms, 3), own_ms=round(own, 3),
                             ratio=round(own / two_ms, 3), alone_ms=round(float(np.median(one)), 3),
                             alone_target=most)
    print_table({'views of': '', 'two views': '.3f', 'its own': '.3f', 'ratio': '.2f',
                 'transform alone': '.3f', 'at most': '.1f'},
                ([name, *one.values()] for name, one in results.items()))
    print_json(args, results=results, target=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--image', help='an image file; by default one of 481x321 is generated')
    parser.add_argument('--draws', type=count, default=400)
    parser.add_argument('--regions', action='store_true',
                        help='compare ours without and with regions, not with mmpretrain')
    parser.add_argument('--pretexts', action='store_true',
                        help='compare the views of predictive pretexts with two views')
    args = parser.parse_args()
    if args.regions and args.pretexts:
        parser.error('--regions and --pretexts are two comparisons; expected one')
    cv2.setNumThreads(0)
    init_default_scope('mmpretrain')                          # for its names, which have no scope
    image = cv2.imread(args.image) if args.image else natural_image()
    if image is None:
        raise SystemExit(f'{args.image}: not an image file')
    if args.pretexts:
        compare_pretexts(image, args)
        return
    if args.regions:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(args.image or f'{folder}/image/generated.jpg')
            if not args.image:
                file.parent.mkdir()
                cv2.imwrite(str(file), image)
            compare_regions(file, Path(folder, 'regions'), args)
        return
    ours = Compose([dict(type='mmdense.MultiView', views=config_views(MOCO))])
    peer = PEERS.build(dict(type='MultiView', num_views=2, transforms=[peer_views()]))
    times = cpu_ms(dict(ours=ours, peer=peer), in_memory(image), args.draws)
    mine, other = (float(np.median(times[name])) for name in ('ours', 'peer'))

    print(f'{image.shape[1]}x{image.shape[0]} image, views of 224, CPU ms on one thread, median of '
          f'{args.draws} draws\ncv2 {cv2.__version__}, mmpretrain {mmpretrain.__version__}, '
          f'{platform.machine()}\n')
    means = (float(times[name].mean()) for name in ('ours', 'peer'))
    rows = [*steps(image, args.draws), ('two views, mean of the draws', *means),
            ('**two views**', mine, other)]
    print_table({'': '', 'mmdense': '.3f', 'mmpretrain': '.3f', 'ratio': '.1f'},
                ([name, a, b, b / a] for name, a, b in rows))
    print_json(args, mmdense_ms=round(mine, 3), mmpretrain_ms=round(other, 3),
               ratio=round(other / mine, 2))


if __name__ == '__main__':
    run_command(main)
