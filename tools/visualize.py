"""Draw what a checkpoint has learnt, as PNG files.

Of a pretraining config: matches between two views, principal components of the features, and
similarity to a chosen cell, and what the method itself adds (the regions that it contrasts, the
pairs of cells that it takes for one place, what it pastes where). Of a segmentor's config:
predictions beside labels.

python tools/visualize.py configs/densecl_r18_shapes.py CHECKPOINT --out pictures
python tools/visualize.py CONFIG CHECKPOINT --images a.jpg b.jpg --cell 120,80 --out pictures
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmseg.models import BaseSegmentor

from mmdense.checkpoints.filled import encoder_parts, refuse_unfilled
from mmdense.config_files import require_checkpoint, require_parts
from mmdense.datasets.dataset_configs import find_pipeline
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.engine.options import add_config_options
from mmdense.engine.run_config import load_config
from mmdense.errors import run_command
from mmdense.evaluation.from_config import is_segmentor
from mmdense.outputs import make_output_folder
from mmdense.visualization import (
    ImageFiles,
    draw_combinations,
    draw_report,
    draw_segmentations,
)


def cell(text: str) -> tuple[float, float]:
    x, y = (float(part) for part in text.split(','))
    return x, y


def out_index(text: str) -> int | str:
    return text if text.startswith('C') else int(text)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw what a checkpoint has learnt')
    parser.add_argument('config', help='config file, of pretraining or of a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--images', nargs='+', metavar='FILE',
                        help="images of a pretrained network; the config's dataset by default")
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--num', type=int, default=6, help="images taken from the config's dataset")
    parser.add_argument('--cell', type=cell, metavar='X,Y',
                        help='pixel whose cell is compared with all; the middle by default')
    parser.add_argument('--stride', type=int, default=8,
                        help="stride of the map in pixels: a finer one is averaged, a ResNet's "
                             "coarser one dilated; 0 = the network's own")
    parser.add_argument('--out-index', type=out_index,
                        help='which map: its place in what the backbone returns, of a ResNet also '
                             'C2 to C5; default: the one that is trained')
    add_config_options(parser)
    return parser.parse_args()


def load_model(cfg: Config, checkpoint: str) -> BaseModel:
    """Build the config's model with a checkpoint's weights, on the GPU if there is one.

    What is drawn must be in the checkpoint: a segmentor, or what gives features and regions.
    """
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    drawn = sum(getattr(model, 'pictures', {}).values(), ())
    parts = () if isinstance(model, BaseSegmentor) else (*encoder_parts(model), *drawn)
    refuse_unfilled(model, CheckpointLoader.load_checkpoint(checkpoint, 'cpu'), checkpoint, parts)
    load_checkpoint(model, checkpoint, map_location='cpu', strict=False)
    model = model.to(get_device())
    model.eval()
    return model


def main() -> None:
    args = parse_args()
    require_checkpoint(args.checkpoint)
    cfg = load_config(args)
    require_parts(cfg, args.config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    require_parts(cfg, args.config,
                  ('test_dataloader' if is_segmentor(cfg) else 'train_dataloader',))
    make_output_folder(args.out, '--out')
    model = load_model(cfg, args.checkpoint)
    if isinstance(model, BaseSegmentor):
        check_dataset_paths(cfg.test_dataloader.dataset, 'test_dataloader')
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        paths = draw_segmentations(model, dataset, args.out, args.num)
    else:
        dataset = cfg.train_dataloader.dataset
        if not args.images:
            check_dataset_paths(dataset, 'train_dataloader', labels=False)
        if 'datasets' in dataset and str(dataset.type).endswith('MultiTaskDataset'):
            name, dataset = next(iter(dataset.datasets.items()))
            print(f'of several tasks: the views of {name}')
        dataset = (ImageFiles(args.images, find_pipeline(dataset)) if args.images
                   else DATASETS.build(dataset))
        paths = draw_report(model, dataset, args.out, len(args.images or ()) or args.num,
                            args.cell, args.stride, args.out_index)
    paths += draw_combinations(model, Path(args.out, 'combination.png'))
    print('\n'.join(map(str, paths)))


if __name__ == '__main__':
    run_command(main)
