"""Measure frozen features: k-NN, linear probes, clusters, correspondence, statistics.

python tools/evaluate.py configs/densecl_r18_camvid.py CHECKPOINT
python tools/evaluate.py CONFIG CHECKPOINT --protocol knn linear correspondence --layers C3 C4 C5 \
    --cache work_dirs/features --json results.json

CONFIG is of pretraining with `test_cfg.memory`, or of any mmseg segmentor. The protocol `finetune`
trains a segmentor (configs/finetune/) from the checkpoint, and tests it. The last line of the
output is one JSON object.
"""
from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmdense.config_files import require_checkpoint, require_parts
from mmdense.engine.options import add_config_options
from mmdense.engine.run_config import load_config
from mmdense.errors import run_command
from mmdense.evaluation.best_layer import CHOICE, choose_layer
from mmdense.evaluation.from_config import build_data, build_random, load_trained
from mmdense.evaluation.json_results import to_json
from mmdense.evaluation.measuring import Request, measure
from mmdense.evaluation.protocols import PROTOCOLS, beside_random, decimals
from mmdense.files import write_whole
from mmdense.outputs import check_output_file, make_output_folder
from mmdense.progress import progress_bars
from steps.finetuning import check_finetuning, finetune


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure frozen features')
    parser.add_argument('config', help='config file, of pretraining or of a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--protocol', nargs='+', choices=[*PROTOCOLS, 'finetune'],
                        default=['knn'], help='default: knn; finetune trains a segmentor')
    parser.add_argument('--layers', nargs='+', default=['last'], metavar='LAYER',
                        help='maps: C2 to C5 of a ResNet, or an index in what the backbone '
                             'returns; default: last, the one that is trained')
    parser.add_argument('--stride', type=int,
                        help="stride of the maps in pixels: finer ones are averaged, a ResNet's "
                             "coarser ones dilated; 0 = the network's own; default: "
                             'test_cfg.stride or 8')
    parser.add_argument('--no-recalibrate-bn', action='store_true',
                        help='keep the BatchNorm statistics of the checkpoint')
    parser.add_argument('--clusters', type=int, default=500,
                        help='clusters of overcluster, matched many to one (default: 500)')
    parser.add_argument('--cache', metavar='DIR', help='folder that keeps extracted features')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of cells, views, probes and the random network')
    parser.add_argument('--no-random', action='store_true',
                        help='do not measure a random network beside the checkpoint')
    parser.add_argument('--json', metavar='FILE', help='also write the results to a file')
    parser.add_argument('--predictions', metavar='DIR',
                        help='folder for predictions of the first query images: of the linear '
                             'probe if it is measured, else k-NN; at the best layer, else the last')
    parser.add_argument('--images', type=int, default=6,
                        help='of --predictions (default: 6)')
    parser.add_argument('--work-dir', help='of finetune; default: work_dirs/<config>_finetune')
    parser.add_argument('--processes', type=int, default=2, help='of finetune (default: 2)')
    add_config_options(parser)
    parser.set_defaults(launcher='none')
    return parser.parse_args()


def tracker(bars: Progress, name: str) -> Callable:
    """Return what shows the passes over images of a network as bars."""
    @contextmanager
    def track(what: str, total: int) -> Iterator[Callable[[], None]]:
        bar = bars.add_task(f'{name}, {what}', total=total)
        yield lambda: bars.advance(bar)
        bars.update(bar, completed=total)

    return track


def tables(results: dict) -> list[Table]:
    """Return one table per protocol, with one row per layer and one column per number."""
    drawn = []
    for protocol in PROTOCOLS:
        rows = {layer: found[protocol] for layer, found in results.items() if protocol in found}
        if not rows:
            continue
        unit = 'no per cent' if protocol == 'statistics' else 'per cent'
        table = Table('layer', title=f'{protocol}, {unit}')
        for column in next(iter(rows.values())):
            table.add_column(column.replace('_', ' '), justify='right')
        for layer, numbers in rows.items():
            table.add_row(layer, *('-' if math.isnan(number) else f'{number:.{decimals(protocol)}f}'
                                   for number in numbers.values()))
        drawn.append(table)
    return drawn


def say_best_layer(results: dict, best: str | None) -> None:
    """Print which of several layers is the best one, or that none was chosen."""
    if best is not None:
        print(f'best layer: {best}, by k-NN of memory images in each other '
              f'({results[best]["knn"][CHOICE]:.2f}); chosen without the queries')
    elif len(results) > 1 and all('knn' in found for found in results.values()):
        print('best layer: none chosen; even and odd memory images both need a labelled pixel')


def measure_frozen(cfg: Config, args: argparse.Namespace, request: Request) -> dict:
    """Print the tables of frozen protocols; return what the report says of them."""
    data = build_data(cfg, args.config, request.labels)
    if args.stride is not None:
        data.settings['stride'] = args.stride
    if args.no_recalibrate_bn:
        data.settings['recalibrate_bn'] = False
    model = load_trained(cfg, args.checkpoint, args.seed)
    with progress_bars(console=Console(stderr=True)) as bars:
        found = measure(model, data, request, tracker(bars, 'checkpoint'))
        results = found.results
        if not args.no_random:
            of_random = measure(build_random(cfg, args.seed), data,
                                replace(request, predictions=None),
                                tracker(bars, 'random')).results
            results = {layer: {protocol: beside_random(numbers, of_random[layer][protocol])
                               for protocol, numbers in own.items()}
                       for layer, own in results.items()}
    best, console = choose_layer(results), Console()
    for table in tables(results):
        console.print(table)
    say_best_layer(results, best)
    for level, line in found.labels:
        print_log(line, 'current', level)
    if found.absent:
        print(f'warning: no memory image shows {", ".join(found.absent)}, which query images do: '
              'never predicted, mIoU 0 each')
    return dict(settings=data.settings, memory_images=len(data.memory),
                query_images=len(data.queries), best_layer=best, absent_classes=found.absent,
                results=results)


def make_places(args: argparse.Namespace) -> None:
    """Make the folders that are written into, before anything is measured."""
    if args.json:
        check_output_file(args.json, '--json')
    for name in ('cache', 'predictions', 'work_dir'):
        if getattr(args, name):
            make_output_folder(getattr(args, name), f'--{name.replace("_", "-")}')


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('evaluate', log_level='INFO')      # shows the report of the weights
    require_checkpoint(args.checkpoint)
    cfg = load_config(args)
    require_parts(cfg, args.config)
    make_places(args)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    frozen = tuple(protocol for protocol in args.protocol if protocol != 'finetune')
    report = dict(config=args.config, checkpoint=args.checkpoint, seed=args.seed)
    if 'finetune' in args.protocol:
        check_finetuning(cfg, args.config, args.checkpoint)
    if frozen:
        request = Request(frozen, tuple(dict.fromkeys(args.layers)), args.clusters, args.seed,
                          args.cache, args.predictions, args.images)
        report |= measure_frozen(cfg, args, request)
    if 'finetune' in args.protocol:
        report['finetune'] = finetune(
            args.config, args.checkpoint, args.cfg_options or {}, args.seed,
            args.work_dir or f'work_dirs/{Path(args.config).stem}_finetune', args.processes,
            not args.no_random, partial(print, flush=True))
    text = to_json(report)
    print(text, flush=True)
    if args.json:
        write_whole(text.encode(), args.json, '--json')


if __name__ == '__main__':
    run_command(main)
