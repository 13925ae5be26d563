"""Classify whole images by a frozen network: pooled maps and a linear layer.

    python tools/classify.py CONFIG CHECKPOINT FOLDER
    python tools/classify.py CONFIG CHECKPOINT FOLDER --layers C4 C5 --size 96 --json results.json

CONFIG is of pretraining, or of any mmseg segmentor. FOLDER has train and val (or test), each with a
folder for every class, or CIFAR's own files; nothing is downloaded. Random weights are measured
beside the checkpoint: a network below them has a fault. The last line of the output is one JSON
object.
"""
from __future__ import annotations

import argparse

from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table

from mmdense.config_files import require_checkpoint
from mmdense.engine.options import add_config_options
from mmdense.engine.run_config import load_config
from mmdense.errors import run_command
from mmdense.evaluation.classification import classify, read_classified
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.from_config import build_random, load_trained
from mmdense.evaluation.json_results import to_json
from mmdense.files import write_whole
from mmdense.outputs import check_output_file
from mmdense.progress import progress_bars


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, of pretraining or of a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('folder', help='of the images')
    parser.add_argument('--layers', nargs='+', default=['last'], metavar='LAYER',
                        help='maps: C2 to C5 of a ResNet, or an index in what the backbone '
                             'returns; default: last, the one that is trained')
    parser.add_argument('--size', type=int, default=128,
                        help='side to which images are resized, in pixels (default: 128)')
    parser.add_argument('--batch-size', type=int, default=64, help='images in a pass')
    parser.add_argument('--no-recalibrate-bn', action='store_true',
                        help='keep the BatchNorm statistics of the checkpoint')
    parser.add_argument('--seed', type=int, default=0,
                        help='of the order of images and of the random network')
    parser.add_argument('--no-random', action='store_true',
                        help='do not measure a random network beside the checkpoint')
    parser.add_argument('--json', metavar='FILE', help='also write the results to a file')
    add_config_options(parser)
    parser.set_defaults(launcher='none')
    args = parser.parse_args()
    if args.size < 8 or args.batch_size < 1:
        parser.error(f'--size {args.size} --batch-size {args.batch_size}: expected at least 8 '
                     'and 1')
    return args


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('classify', log_level='INFO')      # shows the report of the weights
    require_checkpoint(args.checkpoint)
    cfg = load_config(args)
    if args.json:
        check_output_file(args.json, '--json')
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    parts = read_classified(args.folder)
    models = dict(checkpoint=load_trained(cfg, args.checkpoint, args.seed))
    if not args.no_random:
        models['random'] = build_random(cfg, args.seed)
    results = {}
    with progress_bars(console=Console(stderr=True)) as bars:
        for name, model in models.items():
            bar = bars.add_task(name, total=sum(map(len, parts)))
            results[name] = classify(
                FrozenEncoder(model), *parts, tuple(dict.fromkeys(args.layers)), args.size,
                args.batch_size, not args.no_recalibrate_bn, args.seed,
                lambda count, bar=bar: bars.advance(bar, count))
    table = Table('network', 'layer', title='whole images, per cent')
    for column in ('accuracy', 'on the training images', 'always the most frequent class'):
        table.add_column(column, justify='right')
    for name, layers in results.items():
        for layer, numbers in layers.items():
            table.add_row(name, layer, *(f'{number:.2f}' for number in numbers.values()))
    Console().print(table)
    text = to_json(dict(config=args.config, checkpoint=args.checkpoint, folder=args.folder,
                        size=args.size, seed=args.seed, train_images=len(parts[0]),
                        images=len(parts[1]), results=results))
    print(text, flush=True)
    if args.json:
        write_whole(text.encode(), args.json, '--json')


if __name__ == '__main__':
    run_command(main)
