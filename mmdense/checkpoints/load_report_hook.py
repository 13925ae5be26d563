"""Before training: are the weights that a config names really in the backbone?"""
from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, CheckpointLoader, Runner
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import HOOKS

from .filled import bare, encoder_parts, refuse_unfilled
from .initializer import PretrainedBackbone
from .load_report import listing


def weights_named(backbone: nn.Module) -> PretrainedBackbone | None:
    """Return the file that a backbone's ``init_cfg`` names, ours or stock, or None."""
    ours = getattr(backbone, 'weights_from', None)
    if ours is not None:
        return ours
    init_cfg = getattr(backbone, 'init_cfg', None) or []
    for cfg in [init_cfg] if isinstance(init_cfg, dict) else init_cfg:
        if cfg.get('checkpoint'):
            return PretrainedBackbone(cfg['checkpoint'], prefix=cfg.get('prefix'))
    return None


def differing(module: nn.Module, tensors: dict[str, Tensor]) -> list[str]:
    """Return the names whose tensors in ``module`` are not those given, floating ones only."""
    own = module.state_dict()
    return [name for name, tensor in tensors.items() if tensor.is_floating_point()
            and not torch.equal(own[name].cpu(), tensor.cpu().to(own[name].dtype))]


def head_report(head: nn.Module, source: PretrainedBackbone) -> str:
    """Return a line on what a decode head has of a file, and what of it is random.

    Args:
        head: a decode head, after the file was loaded by its names (``load_from``).
        source: the file.
    """
    content = CheckpointLoader.load_checkpoint(source.checkpoint, source.map_location, None)
    given = content.get('state_dict', content)
    own = head.state_dict()
    found = {name: given[f'decode_head.{name}'] for name in own
             if getattr(given.get(f'decode_head.{name}'), 'shape', None) == own[name].shape}
    taken = found.keys() - differing(head, found)
    fresh = [name for name in own if name not in taken]
    return (f'weights of the decode head: {len(taken)} of {len(own)} tensors of '
            f'{type(head).__name__} are those of {source.checkpoint}'
            + (f'; random: {listing("missing", fresh)}' if fresh else ''))


@HOOKS.register_module()
class LoadReportHook(Hook):
    """Print how a model's weights compare with the file that the config names, in any mmseg run.

    Before training it is ``load_from``, or the file in the backbone's ``init_cfg`` (ours, or
    stock ``Pretrained``), and the backbone counts. Weights of a resumed run come from its
    checkpoint and are left alone. In a test the checkpoint must fill the whole model, or, where
    frozen features are measured, what gives them.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that a checkpoint fills the model that is tested or validated.

        Raises:
            ValueError: it does not.
        """
        running = [loop for loop in (runner._train_loop, runner._val_loop, runner._test_loop)
                   if isinstance(loop, BaseLoop)]
        if not running or running[0] is runner._train_loop:
            return
        frozen = getattr(running[-1], 'frozen_features', False)
        parts = encoder_parts(bare(runner.model)) if frozen else ()
        report = refuse_unfilled(runner.model, checkpoint, str(runner._load_from), parts)
        print_log(f'weights: {report.headline()}', 'current')

    def before_train(self, runner: Runner) -> None:
        """Compare the backbone with the file at iteration 0.

        Raises:
            ValueError: the model has no backbone, or tensors that the file has for the backbone
                are not in it.
        """
        if runner.iter > 0:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        backbone = getattr(model, 'backbone', None)
        if backbone is None:
            raise WrongValue(f'LoadReportHook: {type(model).__name__} has no backbone')
        # mmengine's name for it; there is no public one
        load_from = runner._load_from
        source = PretrainedBackbone(load_from) if load_from else weights_named(backbone)
        if source is None or source.checkpoint is None:
            print_log(f'weights of the backbone: {type(backbone).__name__} starts from random '
                      'weights', 'current')
            return
        report, tensors = source.examine(backbone)
        print_log(str(report), 'current')
        wrong = differing(backbone, tensors)
        if wrong:
            raise WrongValue(
                f'{len(wrong)} of {report.total} tensors of the backbone are not those of '
                f'{source.checkpoint} ({report.place}), e.g. {wrong[0]}: '
                + ("load_from reads names as they are, use model.backbone.init_cfg="
                   "dict(type='mmdense.PretrainedBackbone', checkpoint=…) instead" if load_from
                   else 'something initialised the model again after they were loaded'))
        if load_from and isinstance(getattr(model, 'decode_head', None), nn.Module):
            print_log(head_report(model.decode_head, source), 'current')


def watch_weights(runner: Runner) -> None:
    """Give a runner a :class:`LoadReportHook` if its config has none."""
    if not any(isinstance(hook, LoadReportHook) for hook in runner.hooks):
        runner.register_hook(LoadReportHook())
