"""What the benchmarks share: numbers on the command line, times, memory, a table, a line of JSON.

Nothing here imports mmdense or torch: a contender in a process of its own shall not wait for it.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

STATUS, CLEAR_REFS = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def count(text: str) -> int:
    """Return a number of the command line, which is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text}: expected a whole number of at least 1')
    return int(text)


def spread(items: list, limit: int) -> list:
    """Return at most ``limit`` items, evenly spread over all."""
    return items[::max(1, len(items) // limit)][:limit]


def timed(work: Callable, *given: Any, **options: Any) -> tuple[float, float, Any]:
    """Return seconds of the CPU and of the clock, and what ``work`` makes of what it is given."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = work(*given, **options)
    return time.process_time() - cpu, time.perf_counter() - clock, result


def resident(field: str) -> int:
    """Return this process's memory in bytes: ``VmRSS``, or the highest ever, ``VmHWM``."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{field}:'))


def measured(work: Callable[[], Any], repeats: int, warm_up: int = 0) -> tuple[Any, dict]:
    """Return the last result, median ``seconds`` and ``cpu_seconds``, and the highest ``extra_mb``.

    That is the peak of the process's memory in a call above what it had before, in 2^20 bytes.
    The first ``warm_up`` calls do not count.
    """
    times, extra = [], []
    for _ in range(warm_up + repeats):
        ctypes.CDLL(None).malloc_trim(0)        # freed memory would hide a new peak
        CLEAR_REFS.write_text('5')              # the peak begins anew
        before = resident('VmRSS')
        *seconds, result = timed(work)
        extra.append((resident('VmHWM') - before) / 2 ** 20)
        times.append(seconds)
    cpu, clock = map(statistics.median, zip(*times[warm_up:], strict=True))
    return result, dict(seconds=clock, cpu_seconds=cpu, extra_mb=max(extra[warm_up:]))


def add_contenders(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add the hidden ``--contender``, by which a script starts itself for one of them."""
    parser.add_argument('--contender', choices=names, help=argparse.SUPPRESS)
    if not CLEAR_REFS.exists():
        parser.error('the peak of memory is read from /proc, which only Linux has')


def run_contender(script: str, contender: str, settings: Mapping[str, Any], hint: str) -> str:
    """Let a process run ``script`` for one contender; return its last line.

    Args:
        settings: of the command line, by name; None and False are left out.
        hint: what to do if it was killed.
    """
    words = []
    for name, value in {**settings, 'contender': contender}.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if value is not None and value is not False:
            words += [f'--{name.replace("_", "-")}', *(str(v) for v in values if v is not True)]
    done = subprocess.run([sys.executable, '-W', 'ignore', script, *words], text=True,
                          stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f'{contender} ended with exit code {done.returncode}; -9 means that the '
                         f'memory was short: {hint}')
    return (done.stdout.splitlines() or [''])[-1]


def print_table(columns: Mapping[str, str], rows: Iterable[Iterable]) -> None:
    """Print rows of values under their headings; each column has its format, None is ``-``."""
    print(f'| {" | ".join(columns)} |\n|{"---|" * len(columns)}')
    for row in rows:
        cells = ('-' if value is None else format(value, '' if isinstance(value, str) else form)
                 for value, form in zip(row, columns.values(), strict=True))
        print(f'| {" | ".join(cells)} |')


def print_json(args: argparse.Namespace, leave_out: Sequence[str] = ('contender',),
               **found: Any) -> None:
    """Print the last line: what was found, and the settings that it was found with."""
    settings = {name: value for name, value in vars(args).items() if name not in leave_out}
    print(json.dumps(dict(found, settings=settings), default=str))


def run_alone(main: Callable[[], None]) -> None:
    """Call ``main``; Ctrl-C ends it as ``mmdense.errors.run_command``, whose import takes long."""
    try:
        main()
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
