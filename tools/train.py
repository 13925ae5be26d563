"""Pretrain or fine-tune: python tools/train.py CONFIG (several processes: dist_train.sh)."""
from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdense.config_files import require_parts
from mmdense.engine.options import parse_launched
from mmdense.engine.recipe import apply_recipe
from mmdense.engine.resuming import ResumeHook
from mmdense.engine.run_config import (
    load_config,
    owned_work_dir,
    prepare,
    resume_latest,
    use_amp,
)
from mmdense.engine.settings import check_length, scale_learning_rate
from mmdense.errors import run_command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a network: pretraining or segmentation')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument('--resume', action='store_true',
                        help='go on from the latest checkpoint in the work_dir, if there is one')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: bfloat16 on CPU and on a GPU that has it, else '
                             'float16')
    return parse_launched(parser)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    require_parts(cfg, args.config, ('train_dataloader', 'train_cfg', 'optim_wrapper'))
    prepare(cfg, ('train_dataloader', 'val_dataloader'))
    check_length(cfg)
    apply_recipe(cfg)
    scale_learning_rate(cfg)
    use_amp(cfg, args.amp)
    with owned_work_dir(cfg):
        if args.resume:
            resume_latest(cfg)
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        runner.register_hook(ResumeHook())
        runner.train()


if __name__ == '__main__':
    run_command(main)
