"""Before training: are the weights that a config names really in the backbone?"""
from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdense.registry import HOOKS

from .initializer import PretrainedBackbone


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


@HOOKS.register_module()
class LoadReportHook(Hook):
    """Print how the backbone's weights meet the file that the run names, for any mmseg run.

    The file is ``load_from``, or the one in the backbone's ``init_cfg`` (ours, or stock
    ``Pretrained``). Weights of a resumed run come from its checkpoint and are left alone.
    """

    priority = 'VERY_HIGH'

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
            raise ValueError(f'LoadReportHook: {type(model).__name__} has no backbone')
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
            raise ValueError(
                f'{len(wrong)} of {report.total} tensors of the backbone are not those of '
                f'{source.checkpoint} ({report.place}), e.g. {wrong[0]}: '
                + ("load_from reads names as they are, use model.backbone.init_cfg="
                   "dict(type='mmdense.PretrainedBackbone', checkpoint=…) instead" if load_from
                   else 'something initialised the model again after they were loaded'))
