"""All steps on generated scenes: pretrain, fine-tune, test, compare, visualize.

make demo

Every command is printed as it runs and is one that a user types. Interrupted, it goes on where it
stopped; `--seed` and `--work-dir` give another run. Ends with exit code 1 if DenseCL is not above
random weights.
"""
from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from mmdense.errors import run_command
from mmdense.outputs import make_output_folder

PRETRAIN = 'configs/densecl_r18_shapes.py'
FINETUNE = 'configs/finetune/mocofcn_r18_shapes.py'
ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='From unlabelled images to mIoU')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', default=None, help='default: work_dirs/demo/seed<SEED>')
    parser.add_argument('--processes', type=int, default=2)
    return parser.parse_args()


def run(command: list[str], log: Path) -> str:
    """Print and run a command, with its output in ``log``; return the output.

    Raises:
        SystemExit: the command failed; its last lines are printed.
    """
    print(f'\n$ {shlex.join(command)}', flush=True)
    start, lines = time.time(), []
    environment = {**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
    with log.open('w') as file, subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            lines.append(line)
            file.write(line)
            if 'Iter(train)' in line or 'Iter(val)' in line or 'mIoU: ' in line:
                print('   ' + line.rstrip()[:150], flush=True)
    if process.returncode:
        print(''.join(lines[-30:]))
        raise SystemExit(f'error: that command ended with {process.returncode}; see {log}')
    print(f'   {time.time() - start:.0f} s, log: {log}')
    return ''.join(lines)


def last_checkpoint(work_dir: Path) -> str:
    return os.path.relpath((work_dir / 'last_checkpoint').read_text().strip(), ROOT)


def finetune(name: str, pretrained: str | None, work_dir: Path, args: argparse.Namespace) -> float:
    """Fine-tune from a checkpoint (None: random weights), test, and return mIoU."""
    folder = work_dir / f'finetune_{name}'
    options = [f'randomness.seed={args.seed}']
    if pretrained:
        options.append(f'model.backbone.init_cfg.checkpoint={pretrained}')
    run(['tools/dist_train.sh', FINETUNE, str(args.processes), '--work-dir', str(folder),
         '--resume', '--cfg-options', *options], work_dir / f'finetune_{name}.log')
    test = folder / 'test'
    run(['python', 'tools/test.py', FINETUNE, last_checkpoint(folder), '--work-dir', str(test)],
        work_dir / f'test_{name}.log')
    newest = max(test.glob('*/*.json'), key=lambda p: p.stat().st_mtime)
    return json.loads(newest.read_text())['mIoU']


def main() -> None:
    args, start = parse_args(), time.time()
    os.chdir(ROOT)
    work_dir = Path(args.work_dir or f'work_dirs/demo/seed{args.seed}')
    make_output_folder(work_dir, '--work-dir')
    run(['tools/dist_train.sh', PRETRAIN, str(args.processes), '--work-dir',
         str(work_dir / 'densecl'), '--resume', '--cfg-options', f'randomness.seed={args.seed}'],
        work_dir / 'densecl.log')
    pretrained = last_checkpoint(work_dir / 'densecl')
    scores = {'random': finetune('random', None, work_dir, args),
              'DenseCL': finetune('densecl', pretrained, work_dir, args)}
    report = work_dir / 'report'
    run(['python', 'tools/visualize.py', PRETRAIN, pretrained, '--out', str(report)],
        work_dir / 'visualize.log')
    for name in ('random', 'densecl'):
        run(['python', 'tools/visualize.py', FINETUNE,
             last_checkpoint(work_dir / f'finetune_{name}'), '--out', str(report / name)],
            work_dir / f'visualize_{name}.log')
    table = '\n'.join(['| pretraining | mIoU on scenes val |', '|---|---|',
                       *(f'| {name} | {score:.2f} |' for name, score in scores.items())])
    print(f'\n{table}\n\nseed {args.seed}, {time.time() - start:.0f} s in all')
    (report / 'table.md').write_text(table + '\n')
    print(f'report (matches, feature maps, predictions beside labels): {report}')
    print('next, with your own images:\n  tools/dist_train.sh configs/densecl_r50_folder.py 1 '
          '--cfg-options train_dataloader.dataset.data_root=/path/to/images recipe=auto')
    if scores['DenseCL'] <= scores['random']:
        raise SystemExit(f'error: DenseCL {scores["DenseCL"]} is not above random '
                         f'{scores["random"]}')


if __name__ == '__main__':
    run_command(main)
