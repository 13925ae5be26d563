"""Run what a table still needs, and write its results.

python tools/run_table.py configs/tables/small.py
python tools/run_table.py TABLE --rows 'random' 'DenseCL, auto' --seeds 0 1 --budget 0.1

Every command is printed as it runs and is one that a user types. With `--gpus 0 1 2` a row and
seed runs on each GPU at once. Interrupted, it goes on where it stopped. With `--add results.json`
rows and seeds that another machine has measured stand beside those of this one. Ends with exit code
1 if a row failed.
"""
from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from mmdense.errors import run_command
from mmdense.files import LOCK, locked, remove_partials, write_whole
from mmdense.outputs import make_output_folder
from mmdense.progress import progress_bars
from steps.running import missing, run_chains, run_logged
from steps.step import Settings, Step
from tables.chains import FROZEN, chain
from tables.definition import Table, check_seeds, read_table
from tables.markdown import page
from tables.pictures import draw_table_predictions, prediction_folders
from tables.plots import draw
from tables.results import join_records, read_records, record, write_csv, write_json
from tables.workers import check_gpus, run_on_gpus

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Pretrain, measure and compare rows')
    parser.add_argument('table', help='config file of a table')
    parser.add_argument('--work-dir', help='default: work_dirs/tables/<name of the table>')
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='only these')
    parser.add_argument('--seeds', nargs='+', type=int, help="default: the table's")
    parser.add_argument('--budget', type=float, default=1.0,
                        help='share of every schedule, such as 0.1 for a rehearsal')
    many = parser.add_mutually_exclusive_group()
    many.add_argument('--processes', type=int, help='processes per training (default: 2)')
    many.add_argument('--gpus', nargs='+', type=int, metavar='NUMBER',
                      help='GPUs: one row and seed on each of these at once, with one process')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument('--add', nargs='+', default=[], metavar='FILE',
                        help='results.json of other runs of the table: their rows and seeds are '
                             'shown as well, where there is no result here')
    parser.add_argument('--no-finetune', action='store_true',
                        help='leave out the fine-tuning, which takes most of the time')
    return parser.parse_args()


def write_results(chains: list[list[Step]], table: Table, seeds: list[int], folder: Path,
                  added: list[dict]) -> None:
    """Write ``results.json``, ``.csv`` and ``.md``, ``plots/`` and ``predictions.png``."""
    own = [found for steps in chains if (found := record(steps))]
    records = join_records(own, added, table)
    write_json(records, table, folder / 'results.json')
    write_csv(records, folder / 'results.csv')
    write_whole(page(records, table, seeds).encode(), folder / 'results.md')
    draw(records, table, folder / 'plots')
    draw_table_predictions(prediction_folders(chains), folder / 'predictions.png')


def main() -> None:
    args = parse_args()
    table = read_table(args.table)
    rows = table.chosen(args.rows)
    chosen = check_seeds(args.seeds, '--seeds') if args.seeds else table.seeds
    added = [one for path in args.add for one in read_records(path, table)]
    # results of rows and seeds that are not run now are shown as well
    seeds = sorted({*table.seeds, *chosen, *(one['seed'] for one in added)})
    folder = Path(args.work_dir or Path('work_dirs/tables') / table.path.stem)
    gpus = check_gpus(args.gpus) if args.gpus else ()
    processes = 1 if gpus else 2 if args.processes is None else args.processes
    settings = Settings(folder, ROOT / 'tools', args.budget, processes, args.amp)
    make_output_folder(folder, '--work-dir')
    chains = {(row.name, seed): chain(table, row, seed, settings)
              for row in table.rows for seed in seeds}
    # a seed of all rows before the next seed: an interrupted table has whole pairs
    wanted = [chains[row.name, seed] for seed in chosen for row in rows]
    if args.no_finetune:
        wanted = [steps[:FROZEN] for steps in wanted]
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with locked(folder / LOCK) as lock, \
            progress_bars(console=console, speed_estimate_period=1e9) as bars:
        remove_partials(folder, below=True)
        bar = bars.add_task('steps', total=sum(len(missing(steps)) for steps in wanted))
        run = partial(run_logged, root=ROOT, keep=(lock,))

        def done(steps: int) -> None:
            bars.advance(bar, steps)

        try:
            if gpus:
                failures = run_on_gpus(wanted, gpus, ROOT, lambda gpu, stop: partial(
                    run, gpu=gpu, stop=stop), say, done)
            else:
                failures = run_chains(wanted, ROOT, run, say, done)
        finally:        # also of what was finished before an interruption
            write_results(list(chains.values()), table, seeds, folder, added)
    print(f'results: {folder / "results.md"}')
    if failures:
        print(f'error: {len(failures)} failed:', *failures, sep='\n', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    run_command(main)
