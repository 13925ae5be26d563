"""Say before a run what does not fit its data, and what it will cost.

python tools/check.py configs/densecl_r18_camvid.py
python tools/check.py configs/densecl_r50_folder.py --gpus 8 --cfg-options recipe=auto
python tools/check.py configs/finetune/mocofcn_r18_camvid.py
python tools/check.py configs/densecl_r50_folder.py --files     # reads every image instead
"""
from __future__ import annotations

import argparse
import os
import sys

from mmengine.config import Config
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmdense.config_files import require_parts
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.datasets.strict_reading import Checked, check_images, report
from mmdense.engine.check import check_config
from mmdense.engine.options import add_config_options
from mmdense.engine.recipe import apply_recipe, auto_changes, read_facts
from mmdense.engine.run_config import load_config
from mmdense.engine.settings import check_length
from mmdense.errors import run_command
from mmdense.evaluation.from_config import is_segmentor
from mmdense.progress import progress_bars


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Check a config against its data')
    parser.add_argument('config', help='config file, of pretraining or of a segmentor')
    parser.add_argument('--gpus', type=int, default=1, help='processes that will train')
    parser.add_argument('--amp', action='store_true', help='it will train with --amp')
    parser.add_argument('--no-measure', action='store_true', help='skip the small timed steps')
    parser.add_argument('--files', action='store_true',
                        help='read every training image once and list the damaged ones; exit code '
                             '1 if there are any')
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)),
                        help='processes that read the files')
    add_config_options(parser)
    return parser.parse_args()


def check_files(cfg: Config, workers: int) -> None:
    """Read every image of the training dataset; exit with 1 if one is damaged."""
    with progress_bars('{task.fields[damaged]} damaged') as bars, \
            DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        bar = bars.add_task('images', total=None, damaged=0)

        def advance(checked: Checked, count: int) -> None:
            damaged = bars.tasks[bar].fields['damaged'] + (checked.problem is not None)
            bars.update(bar, total=count, advance=1, damaged=damaged)

        found = check_images(cfg.train_dataloader.dataset, workers, advance)
    print(report(found))
    if any(checked.problem is not None for checked in found):
        sys.exit(1)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.files:
        require_parts(cfg, args.config, ('train_dataloader',))
        check_dataset_paths(cfg.train_dataloader.dataset, 'train_dataloader')
        check_files(cfg, args.workers)
        return
    require_parts(cfg, args.config, ('train_dataloader', 'train_cfg', 'optim_wrapper'))
    for name in ('train_dataloader', 'val_dataloader'):     # as tools/train.py
        if cfg.get(name):
            check_dataset_paths(cfg[name].dataset, name)
    check_length(cfg)
    apply_recipe(cfg, args.gpus)
    facts = read_facts(cfg, args.gpus)
    findings = check_config(cfg, facts, measure=not args.no_measure, amp=args.amp)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        segmentor = is_segmentor(cfg)
    table = Table(title=f'{args.config}, recipe {cfg.get("recipe", "published")}')
    for column in ('', 'subject', 'finding'):
        table.add_column(column)
    for finding in findings:
        table.add_row('[green]ok[/]' if finding.fits else '[red]look[/]', finding.subject,
                      escape(finding.text))
    console = Console()
    console.print(table)
    if not all(f.fits for f in findings) and not segmentor and \
            cfg.get('recipe', 'published') == 'published':
        console.print('The auto recipe (--cfg-options recipe=auto) would set:')
        for name, value in auto_changes(cfg, facts).items():
            console.print(f'  {name} = {value}', highlight=False)


if __name__ == '__main__':
    run_command(main)
