"""Draw curves of training logs, with mmsegmentation's arguments.

python tools/analysis_tools/analyze_logs.py work_dirs/densecl_r18_shapes/*/vis_data/scalars.json \
    --keys loss_single loss_dense --out curve.png
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

from mmdense.errors import run_command
from mmdense.files import whole_file
from mmdense.mistakes import MissingFile, WrongValue
from mmdense.outputs import check_output_file

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw curves of training logs')
    parser.add_argument('json_logs', nargs='+', type=Path, help='scalars.json of one or more runs')
    parser.add_argument('--keys', nargs='+', default=['loss'], help='what to draw (default: loss)')
    parser.add_argument('--title', help='title of the picture')
    parser.add_argument('--legend', nargs='+', help='name of each curve')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='picture to write')
    return parser.parse_args()


def read_curve(path: Path, key: str) -> tuple[list[int], list[float]]:
    """Return the steps and values of ``key`` in a log of one JSON object per line.

    Raises:
        FileNotFoundError: no such log.
        ValueError: a line is no JSON, or no line has the key.
    """
    if not path.is_file():
        raise MissingFile(f'{path}: no such log; a run writes '
                          'WORK_DIR/<time>/vis_data/scalars.json')
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            raise WrongValue(f'{path}, line {number}: expected one JSON object per line') from None
    found = [(entry['step'], entry[key]) for entry in entries if key in entry and 'step' in entry]
    if not found:
        names = sorted({name for entry in entries for name in entry})
        raise WrongValue(f'{path}: nothing logged as {key!r}; there are {", ".join(names)}')
    steps, values = zip(*found, strict=True)
    return list(steps), list(values)


def main() -> None:
    args = parse_args()
    curves = [(path, key) for path in args.json_logs for key in args.keys]
    names = args.legend or [key if len(args.json_logs) == 1 else f'{path.parent}: {key}'
                            for path, key in curves]
    if len(names) != len(curves):
        raise WrongValue(f'--legend has {len(names)} names for {len(curves)} curves')
    figure, axes = plt.subplots(figsize=(6, 3.5))
    for (path, key), name in zip(curves, names, strict=True):
        axes.plot(*read_curve(path, key), label=name)
    axes.set(xlabel='iteration', title=args.title)
    axes.grid(alpha=0.3)
    axes.legend()
    check_output_file(args.out, '--out')
    with whole_file(args.out) as file:
        figure.savefig(file, format=args.out.suffix[1:] or 'png', dpi=100, bbox_inches='tight')
    print(f'{args.out}: {", ".join(names)}')


if __name__ == '__main__':
    run_command(main)
