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
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
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


def memory_mb(field: str) -> float:
    """Return ``VmRSS`` or ``VmHWM`` of this process, in MB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f'{field}:'))


def measure(args: argparse.Namespace) -> None:
    """Search as one contender and write what was found and measured to ``args.out``."""
    torch.set_num_threads(args.threads)
    search, keys_mb = prepare(args)
    queries, seconds, cpu, extra = unit_rows(args.queries, args.dim, 0), [], [], []
    for _ in range(args.repeats):
        Path('/proc/self/clear_refs').write_text('5')      # the peak begins anew
        before = memory_mb('VmRSS')
        start, cpu_start = time.perf_counter(), time.process_time()
        values, places = search(queries)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
        extra.append(memory_mb('VmHWM') - before)
    torch.save(dict(values=values, places=places, seconds=statistics.median(seconds),
                    cpu_seconds=statistics.median(cpu), extra_mb=max(extra), keys_mb=keys_mb),
               args.out)


def run(args: argparse.Namespace, contender: str, folder: str) -> dict:
    """Let a process measure one contender; return its result."""
    out = Path(folder) / f'{contender}.pt'
    options = [f'--{name}={getattr(args, name)}' for name in
               ('keys', 'dim', 'queries', 'k', 'threads', 'dtype', 'repeats')]
    if args.block:
        options.append(f'--block={args.block}')
    done = subprocess.run([sys.executable, '-W', 'ignore', __file__, *options,
                           f'--contender={contender}', f'--out={out}'],
                          stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f'{contender} ended with exit code {done.returncode}; -9 means that the '
                         'memory was short: fewer --keys, or --only mmdense')
    return torch.load(out)


def report(args: argparse.Namespace, results: dict[str, dict]) -> dict:
    """Print the table and return what the last line says."""
    name, first = next(iter(results.items()))
    print('| | seconds | CPU s | CPU over mmdense | 1e9 keys x queries / s | keys MB | extra MB '
          f"| places with {name}'s neighbour | largest difference of similarity |\n"
          '|---|---|---|---|---|---|---|---|---|')
    summary = {}
    for contender, found in results.items():
        same = 100 * float((found['places'] == first['places']).double().mean())
        one = summary[contender] = dict(
            seconds=round(found['seconds'], 3), cpu_seconds=round(found['cpu_seconds'], 3),
            over_mmdense=(round(found['cpu_seconds'] / results['mmdense']['cpu_seconds'], 3)
                          if 'mmdense' in results else None),
            keys_mb=round(found['keys_mb'], 1), extra_mb=round(found['extra_mb'], 1),
            same_neighbours=round(same, 3),
            difference=float((found['values'] - first['values']).abs().max()))
        rate = args.keys * args.queries / found['seconds'] / 1e9
        print(f"| {contender} | {one['seconds']:.2f} | {one['cpu_seconds']:.2f} "
              f"| {one['over_mmdense'] or '-'} | {rate:.3f} | {one['keys_mb']:.0f} "
              f"| {one['extra_mb']:.0f} | {same:.3f} % | {one['difference']:.1e} |")
    settings = {key: value for key, value in vars(args).items() if key not in ('contender', 'out')}
    return dict(results=summary, settings=settings)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--keys', type=int, default=200_000)
    parser.add_argument('--dim', type=int, default=384)
    parser.add_argument('--queries', type=int, default=512)
    parser.add_argument('--k', type=int, default=30)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--block', type=int, help='similarities that mmdense holds at once')
    parser.add_argument('--dtype', choices=['float32', 'float16', 'bfloat16'], default='float32',
                        help='of the keys; queries are float32')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--only', nargs='+', choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument('--contender', choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument('--out', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.keys, args.dim, args.queries, args.k, args.threads, args.repeats) < 1 \
            or args.k > args.keys:
        parser.error('all numbers are at least 1, and --k at most --keys')
    if not Path('/proc/self/clear_refs').exists():
        parser.error('the peak of memory is read from /proc, which only Linux has')
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
        results = {name: run(args, name, folder) for name in names}
    print(json.dumps(report(args, results)))


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:       # as mmdense.errors.run_command, which takes seconds to import
        print('interrupted', file=sys.stderr)
        sys.exit(130)
