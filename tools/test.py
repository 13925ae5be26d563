"""Measure a checkpoint: mIoU of a segmentor, or frozen evaluation of a pretrained network.

python tools/test.py CONFIG CHECKPOINT (several processes: dist_test.sh)
"""
from __future__ import annotations

import argparse

from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from mmdense.checkpoints.load_report_hook import watch_weights
from mmdense.config_files import require_checkpoint, require_parts
from mmdense.engine.options import parse_launched
from mmdense.engine.run_config import load_config, prepare, use_tta
from mmdense.errors import run_command
from mmdense.evaluation.segmentor_outputs import paint_predictions, write_predictions


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure a checkpoint')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder of the log and the metrics (json)')
    parser.add_argument('--out', help='folder for predictions, for an evaluation elsewhere')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for painted predictions')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds a window stays')
    parser.add_argument('--tta', action='store_true', help='test time augmentation')
    return parse_launched(parser)


def main() -> None:
    args = parse_args()
    require_checkpoint(args.checkpoint)
    cfg = load_config(args)
    require_parts(cfg, args.config, ('test_dataloader', 'test_cfg', 'test_evaluator'))
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        paint_predictions(cfg, args.show, args.show_dir, args.wait_time)
    if args.tta:
        use_tta(cfg)
    if args.out:
        write_predictions(cfg, args.out)
    prepare(cfg, ('test_dataloader',))
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    watch_weights(runner)
    runner.test()


if __name__ == '__main__':
    run_command(main)
