"""Measure frozen features: k-NN, linear probes, clusters, correspondence between views.

python tools/evaluate.py configs/densecl_r18_camvid.py CHECKPOINT
python tools/evaluate.py CONFIG CHECKPOINT --protocol knn linear correspondence --layers C3 C4 C5 \
    --cache work_dirs/features --json results.json

CONFIG is of pretraining with `test_cfg.memory`, or of any mmseg segmentor. The last line of the
output is one JSON object.
"""
from __future__ import annotations

import argparse
import json

from mmengine.config import DictAction
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mmdense.engine.checkpoint_hook import write_whole
from mmdense.engine.run_config import load_config, require_checkpoint
from mmdense.errors import run_command
from mmdense.evaluation.feature_cache import FeatureExtractor, ViewPairs
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.from_config import EvaluationData, build_data, build_random, load_trained
from mmdense.evaluation.protocols import (
    baselines,
    beside_random,
    correspondence,
    knn,
    linear,
    overcluster,
)

PROTOCOLS = ('knn', 'linear', 'overcluster', 'correspondence')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure frozen features')
    parser.add_argument('config', help='config file, of pretraining or of a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, default=['knn'])
    parser.add_argument('--layers', nargs='+', default=['last'], metavar='LAYER',
                        help='maps: of a ResNet C2 to C5, else the place in what the backbone '
                             'returns; default: the last')
    parser.add_argument('--stride', type=int,
                        help="of a ResNet's maps at most, in pixels, 0 = its own; default: "
                             'test_cfg.stride or 8')
    parser.add_argument('--no-recalibrate-bn', action='store_true',
                        help='keep the BatchNorm statistics of the checkpoint')
    parser.add_argument('--clusters', type=int, default=500,
                        help='of overcluster, matched many to one (default: 500)')
    parser.add_argument('--cache', metavar='DIR', help='folder that keeps extracted features')
    parser.add_argument('--seed', type=int, default=0,
                        help='of cells, views, probes and the random network')
    parser.add_argument('--no-random', action='store_true',
                        help='without a random network beside the checkpoint')
    parser.add_argument('--json', metavar='FILE', help='also write the results to a file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='change settings of the config')
    parser.set_defaults(launcher='none', work_dir=None)
    return parser.parse_args()


def measure(model: BaseModel, name: str, data: EvaluationData, args: argparse.Namespace,
            bars: Progress) -> dict[str, dict[str, dict[str, float]]]:
    """Return the results of one model by layer and protocol."""
    settings = data.settings
    encoder = FrozenEncoder(model, settings['stride'] or None)
    extractor = FeatureExtractor(encoder, args.cache,
                                 data.memory if settings['recalibrate_bn'] else None,
                                 data.batch_size, data.num_workers)

    def extract(source, what):
        bar = bars.add_task(f'{name}, {what}', total=len(source))
        found = extractor.extract(source, args.layers, lambda: bars.advance(bar))
        bars.update(bar, completed=len(source))
        return found

    found = {layer: {} for layer in args.layers}
    choice = dict(per_image=data.per_image, seed=args.seed, device=encoder.device)
    if {'knn', 'linear', 'overcluster'} & set(args.protocol):
        memory, queries = extract(data.memory, 'memory'), extract(data.queries, 'queries')
        beside = {}        # maps of one size have the same baselines
        for layer, results in found.items():
            given = memory[layer], queries[layer], len(data.classes)
            sizes = tuple(maps.shape[1:] for maps in queries[layer].maps)
            beside[sizes] = beside.get(sizes) or baselines(*given)
            if 'knn' in args.protocol:
                results['knn'] = knn(*given, settings['k'], settings['beta'], **choice)
            if 'linear' in args.protocol:
                results['linear'] = linear(*given, **choice)
            if 'overcluster' in args.protocol:
                results['overcluster'] = overcluster(*given[1:], args.clusters, args.seed)
            for numbers in results.values():
                numbers.update(beside[sizes])
        del memory, queries
    if 'correspondence' in args.protocol:
        pairs = extract(ViewPairs(data.queries, args.seed), 'views')
        for layer, results in found.items():
            results['correspondence'] = correspondence(pairs[layer], encoder.device)
    return found


def tables(results: dict) -> list[Table]:
    """Return one table a protocol: a row a layer, a column a number."""
    drawn = []
    for protocol in PROTOCOLS:
        rows = {layer: found[protocol] for layer, found in results.items() if protocol in found}
        if not rows:
            continue
        table = Table('layer', title=f'{protocol}, per cent')
        for column in next(iter(rows.values())):
            table.add_column(column.replace('_', ' '), justify='right')
        for layer, numbers in rows.items():
            table.add_row(layer, *(f'{number:.2f}' for number in numbers.values()))
        drawn.append(table)
    return drawn


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('evaluate', log_level='INFO')      # shows the report of the weights
    cfg = load_config(args)
    require_checkpoint(args.checkpoint)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    data = build_data(cfg, args.config)
    if args.stride is not None:
        data.settings['stride'] = args.stride
    if args.no_recalibrate_bn:
        data.settings['recalibrate_bn'] = False
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    model = load_trained(cfg, args.checkpoint, args.seed)
    with Progress(*columns, console=Console(stderr=True)) as bars:
        results = measure(model, 'checkpoint', data, args, bars)
        if not args.no_random:
            of_random = measure(build_random(cfg, args.seed), 'random', data, args, bars)
            results = {layer: {protocol: beside_random(numbers, of_random[layer][protocol])
                               for protocol, numbers in found.items()}
                       for layer, found in results.items()}
    report = dict(config=args.config, checkpoint=args.checkpoint, seed=args.seed,
                  settings=data.settings, memory_images=len(data.memory),
                  query_images=len(data.queries), results=results)
    console = Console()
    for table in tables(results):
        console.print(table)
    text = json.dumps(report)
    if args.json:
        write_whole(text.encode(), args.json)
    print(text)


if __name__ == '__main__':
    run_command(main)
