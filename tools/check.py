"""Say before a pretraining run what does not fit its data, and what it will cost.

python tools/check.py configs/densecl_r18_camvid.py
python tools/check.py configs/densecl_r50_folder.py --gpus 8 --cfg-options recipe=auto
"""
from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmdense.datasets.checks import check_dataset_paths
from mmdense.engine.check import check_config
from mmdense.engine.options import ConfigOptions
from mmdense.engine.recipe import apply_recipe, auto_changes, read_facts
from mmdense.engine.run_config import load_config
from mmdense.engine.settings import check_length
from mmdense.errors import run_command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Check a pretraining config against its data')
    parser.add_argument('config', help='pretraining config file')
    parser.add_argument('--gpus', type=int, default=1, help='processes that will train')
    parser.add_argument('--no-measure', action='store_true', help='skip the small timed steps')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions,
                        help='override settings, key=value')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if cfg.get('train_dataloader'):
        check_dataset_paths(cfg.train_dataloader.dataset, 'train_dataloader')
    check_length(cfg)
    apply_recipe(cfg, args.gpus)
    facts = read_facts(cfg, args.gpus)
    findings = check_config(cfg, facts, measure=not args.no_measure)
    table = Table(title=f'{args.config}, recipe {cfg.get("recipe", "published")}')
    for column in ('', 'subject', 'finding'):
        table.add_column(column)
    for finding in findings:
        table.add_row('[green]ok[/]' if finding.fits else '[red]look[/]', finding.subject,
                      escape(finding.text))
    console = Console()
    console.print(table)
    if not all(f.fits for f in findings) and cfg.get('recipe', 'published') == 'published':
        console.print('The auto recipe (--cfg-options recipe=auto) would set:')
        for name, value in auto_changes(cfg, facts).items():
            console.print(f'  {name} = {value}', highlight=False)


if __name__ == '__main__':
    run_command(main)
