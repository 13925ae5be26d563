"""Exact nearest neighbours: MMDense beside faiss and beside one matrix product, time and memory.

    python tools/benchmarks/knn.py --keys 1000000 --dim 384 --queries 512

Each contender searches the same unit vectors in a process of its own: `mmdense` is
mmdense.evaluation.knn.nearest, `product` is `queries @ keys.T` and topk over all of it, `faiss` is
IndexFlatIP where faiss is installed. Times are medians over --repeats: of the clock, and of the
CPU, which other programs disturb less. `extra MB` is the peak of the process's memory in the
search above what it had before, keys (for faiss: the index) included; Linux only. faiss knows
float32 alone, so its keys are the rounded ones in float32. The last line is JSON.
"""
from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import (
    add_contenders,
    count,
    measured,
    print_json,
    print_table,
    run_alone,
    run_contender,
)
from torch import Tensor

CONTENDERS = ('mmdense', 'faiss', 'product')
#: keys made at once
CHUNK = 2 ** 16
Search = Callable[[Tensor], tuple[Tensor, Tensor]]


def unit_rows(count: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, dim, generator=generator), dim=1)


def key_chunks(args: argparse.Namespace) -> Iterator[Tensor]:
    """Yield the keys, rows (n, D) in the dtype that was asked for."""
    for number, start in enumerate(range(0, args.keys, CHUNK)):
        yield unit_rows(min(CHUNK, args.keys - start), args.dim, number + 1).to(
            getattr(torch, args.dtype))


def all_keys(args: argparse.Namespace) -> Tensor:
    keys = torch.empty(args.keys, args.dim, dtype=getattr(torch, args.dtype))
    for number, chunk in enumerate(key_chunks(args)):
        keys[number * CHUNK:number * CHUNK + len(chunk)] = chunk
    return keys


def prepare(args: argparse.Namespace) -> tuple[Search, float]:
    """Return the contender's search and the size of its keys in MB."""
    if args.contender == 'faiss':
        import faiss
        faiss.omp_set_num_threads(args.threads)
        index = faiss.IndexFlatIP(args.dim)
        for chunk in key_chunks(args):
            index.add(chunk.float().numpy())

        def search(queries: Tensor) -> tuple[Tensor, Tensor]:
            values, places = index.search(queries.numpy(), args.k)
            return torch.from_numpy(values), torch.from_numpy(places)

        return search, args.keys * args.dim * 4 / 2 ** 20
    keys = all_keys(args)
    if args.contender == 'product':
        return (lambda queries: (queries @ keys.float().t()).topk(args.k, dim=1),
                keys.nbytes / 2 ** 20)
    from mmdense.evaluation.knn import nearest  # takes seconds to import
    return lambda queries: nearest(queries, keys, args.k, args.block), keys.nbytes / 2 ** 20


def measure(args: argparse.Namespace) -> None:
    """Search as one contender and write what was found and measured to ``args.out``."""
    torch.set_num_threads(args.threads)
    search, keys_mb = prepare(args)
    queries = unit_rows(args.queries, args.dim, 0)
    (values, places), costs = measured(lambda: search(queries), args.repeats)
    torch.save(dict(costs, values=values, places=places, keys_mb=keys_mb), args.out)


def run(args: argparse.Namespace, contender: str, folder: str) -> dict:
    """Let a process measure one contender; return its result."""
    out = Path(folder) / f'{contender}.pt'
    run_contender(__file__, contender, {**vars(args), 'out': out, 'only': None},
                  'fewer --keys, or --only mmdense')
    return torch.load(out)


def report(args: argparse.Namespace, results: dict[str, dict]) -> None:
    """Print the table and the last line."""
    name, first = next(iter(results.items()))
    columns = {'': '', 'seconds': '.2f', 'CPU s': '.2f', 'CPU over mmdense': '',
               '1e9 keys x queries / s': '.3f', 'keys MB': '.0f', 'extra MB': '.0f',
               f"places with {name}'s neighbour": '', 'largest difference of similarity': '.1e'}
    summary = {contender: dict(
        seconds=round(found['seconds'], 3), cpu_seconds=round(found['cpu_seconds'], 3),
        over_mmdense=(round(found['cpu_seconds'] / results['mmdense']['cpu_seconds'], 3)
                      if 'mmdense' in results else None),
        keys_mb=round(found['keys_mb'], 1), extra_mb=round(found['extra_mb'], 1),
        same_neighbours=round(100 * float((found['places'] == first['places']).double().mean()), 3),
        difference=float((found['values'] - first['values']).abs().max()))
        for contender, found in results.items()}
    print_table(columns, (
        [contender, one['seconds'], one['cpu_seconds'], one['over_mmdense'],
         args.keys * args.queries / results[contender]['seconds'] / 1e9, one['keys_mb'],
         one['extra_mb'], f'{one["same_neighbours"]:.3f} %', one['difference']]
        for contender, one in summary.items()))
    print_json(args, ('contender', 'out'), results=summary)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--keys', type=count, default=200_000)
    parser.add_argument('--dim', type=count, default=384)
    parser.add_argument('--queries', type=count, default=512)
    parser.add_argument('--k', type=count, default=30)
    parser.add_argument('--threads', type=count, default=1)
    parser.add_argument('--block', type=count, help='similarities that mmdense holds at once')
    parser.add_argument('--dtype', choices=['float32', 'float16', 'bfloat16'], default='float32',
                        help='of the keys; queries are float32')
    parser.add_argument('--repeats', type=count, default=3)
    parser.add_argument('--only', nargs='+', choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument('--out', help=argparse.SUPPRESS)
    add_contenders(parser, CONTENDERS)
    args = parser.parse_args()
    if args.k > args.keys:
        parser.error('--k at most --keys')
    return args


def main() -> None:
    args = parse_args()
    if args.contender:
        measure(args)
        return
    names = [name for name in CONTENDERS if name in args.only]
    if 'faiss' in names and importlib.util.find_spec('faiss') is None:
        names.remove('faiss')
        print('faiss is not installed and left out: pip install faiss-cpu')
    if not names:
        raise SystemExit('nothing is left to be measured')
    with tempfile.TemporaryDirectory() as folder:
        report(args, {name: run(args, name, folder) for name in names})


if __name__ == '__main__':
    run_alone(main)
