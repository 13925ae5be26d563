"""Write a frozen teacher's maps of all training images, once, for a config of mmdense.DenseDistill.

    python tools/cache_teacher.py configs/distill_r50_folder.py FOLDER \\
        --cfg-options train_dataloader.dataset.data_root=/my/images model.teacher.checkpoint=FILE

The teacher sees each image whole, resized to teacher.size. FOLDER then has a row of half-precision
numbers per image; its size is told before it starts, and has to be free. The same command goes on
where an interrupted one stopped. To train with it, set model.cache=FOLDER and put
dict(type='mmdense.LoadTeacherMaps', folder=FOLDER) at the end of the view's pipeline:
docs/methods/distill.md.
"""
from __future__ import annotations

import argparse

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmdense.datasets.built_datasets import build_training_set
from mmdense.datasets.source import source_images
from mmdense.engine.options import add_config_options
from mmdense.engine.run_config import load_config
from mmdense.errors import run_command
from mmdense.mistakes import WrongValue
from mmdense.models.building import build
from mmdense.models.teacher import Teacher
from mmdense.progress import progress_bars
from mmdense.teacher_maps import TeacherMaps, bytes_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of mmdense.DenseDistill')
    parser.add_argument('folder', metavar='FOLDER', help='of the maps')
    parser.add_argument('--batch-size', type=int, default=32, help='images in a pass')
    parser.add_argument('--num-workers', type=int, default=4, help='processes that read images')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add_config_options(parser)
    args = parser.parse_args()
    if args.batch_size < 1 or args.num_workers < 0:
        parser.error(f'--batch-size {args.batch_size} --num-workers {args.num_workers}: expected '
                     'at least 1 and 0')
    return args


class WholeImages(Dataset):
    """Images by their place, resized to one size, (C, h, w) on their own scale.

    Args:
        images: samples with ``img`` (H, W, C).
        places: which of them.
        size: (h, w).
    """

    def __init__(self, images: Dataset, places: np.ndarray, size: tuple[int, int]) -> None:
        self.images, self.places, self.size = images, places, size

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> tuple[int, Tensor]:
        place = int(self.places[number])
        image = torch.from_numpy(np.ascontiguousarray(
            self.images[place]['img'].transpose(2, 0, 1)))[None].float()
        whole = torch.nn.functional.interpolate(image, self.size, mode='bilinear',
                                                align_corners=False, antialias=True)
        return place, whole[0]


def make_teacher(cfg: Config) -> tuple[Teacher, torch.nn.Module]:
    """Return the teacher of a config, and the preprocessor of its student's images.

    Raises:
        ValueError: the model is none that has a teacher, or the teacher no weights or no size.
    """
    if 'teacher' not in cfg.model:
        raise WrongValue(f'{cfg.filename}: model {cfg.model.get("type")} has no teacher; expected '
                         'mmdense.DenseDistill')
    teacher = Teacher(**cfg.model.teacher)
    teacher.check()
    if teacher.size is None:
        raise WrongValue('teacher.size is None: maps of whole images are kept at one size; '
                         'expected model.teacher.size=[h,w]')
    return teacher, build(cfg.model.get('data_preprocessor') or dict(
        type='mmdense.ViewsPreprocessor'))


@torch.no_grad()
def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        teacher, preprocessor = make_teacher(cfg)
        images = source_images(build_training_set(cfg))
    shapes = teacher.shapes(*teacher.size)
    note = dict(teacher.note(), key=teacher.key(preprocessor.bgr_to_rgb),
                size=list(teacher.size), shapes=shapes)
    paths = [images.get_data_info(place)['img_path'] for place in range(len(images))]
    print(f'maps {shapes} of {len(paths)} images: {bytes_of(len(paths), shapes) / 1e9:.2f} GB in '
          f'{args.folder}')
    maps = TeacherMaps.begin(args.folder, note, paths)
    teacher.to(args.device)
    preprocessor.to(args.device)
    todo = np.flatnonzero(~maps.written)
    loader = DataLoader(WholeImages(images, todo, teacher.input_size(*teacher.size)),
                        args.batch_size, num_workers=args.num_workers)
    with progress_bars() as bars:
        bar = bars.add_task('images', total=len(paths), completed=len(paths) - len(todo))
        for places, batch in loader:
            given = preprocessor.normalise(batch.to(args.device))
            found = teacher(given, preprocessor.mean, preprocessor.std)
            rows = torch.cat([one.flatten(1) for one in found], 1)
            maps.write(places.numpy(), rows.cpu().numpy())
            bars.advance(bar, len(places))
    print(f'{len(paths)} images; the teacher is {teacher.name}, {teacher.licence}')


if __name__ == '__main__':
    run_command(main)
