"""How well signals without a probe rank checkpoints: Spearman's correlation with linear mIoU.

python tools/analysis_tools/rank_signals.py a.json b.json c.json
python tools/analysis_tools/rank_signals.py work_dirs/tables/small/results.json --json ranks.json

Takes what `tools/evaluate.py --protocol linear knn correspondence … --json` writes, of three or
more checkpoints, and the results.json of `tools/run_table.py`.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from mmdense.errors import run_command
from mmdense.evaluation.signal_ranking import as_markdown, rank_signals, read_results
from mmdense.files import write_whole
from mmdense.outputs import check_output_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Rank checkpoints by signals')
    parser.add_argument('results', nargs='+', type=Path, help='results of checkpoints')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the table to a file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rows = rank_signals(read_results(args.results))
    if args.json:
        check_output_file(args.json, '--json')
        write_whole(json.dumps(rows).encode(), args.json)
    print(as_markdown(rows))


if __name__ == '__main__':
    run_command(main)
