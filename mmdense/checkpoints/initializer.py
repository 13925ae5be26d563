"""``init_cfg=dict(type='mmdense.PretrainedBackbone', …)``: weights that stay where they are put."""
from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import Sequential
from mmengine.model.weight_init import update_init_info
from mmengine.registry import Registry
from mmengine.runner import CheckpointLoader
from torch import nn

from mmdense.mistakes import WrongValue
from mmdense.registry import WEIGHT_INITIALIZERS

from .load_report import LoadReport, examine


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone:
    """Load a backbone's tensors from any checkpoint that has them, and say what was loaded.

    As ``init_cfg`` of any mmseg, mmpretrain or timm backbone in a config. The backbone is built
    as if it had no ``init_cfg``, so its own default initialisation runs first; the file is
    loaded last and nothing of the backbone comes after it.

    Args:
        checkpoint: file, or address that mmengine knows. None leaves the backbone random, so
            that a config can name the key and the command line fill it.
        strict: raise unless every parameter and BatchNorm statistic of the backbone is in the
            file with its shape, and the file is not of a deeper network.
        prefix: take the tensors under this prefix instead of the best fitting one, e.g.
            ``'twin.backbone.'`` or ``'teacher.backbone.'``.
        map_location: where tensors are read to.
    """

    def __init__(self, checkpoint: str | None, strict: bool = True, prefix: str | None = None,
                 map_location: Any = 'cpu') -> None:
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        self.strict, self.prefix, self.map_location = strict, prefix, map_location

    def examine(self, module: nn.Module) -> tuple[LoadReport, dict[str, torch.Tensor]]:
        """Return the report of the file against ``module``, and the tensors to copy, by name."""
        content = CheckpointLoader.load_checkpoint(self.checkpoint, self.map_location, None)
        if not isinstance(content, dict):
            raise WrongValue(f'{self.checkpoint} holds a {type(content).__name__}, expected a '
                             'dict of tensors')
        return examine(module, content, self.checkpoint, self.prefix)

    def load(self, module: nn.Module) -> None:
        """Copy the file's tensors into ``module`` and print the report.

        Raises:
            FileNotFoundError, ValueError: the file is missing, unsafe or no checkpoint, nothing
                in it fits, or with ``strict`` it is not all of this backbone.
        """
        if self.checkpoint is None:
            print_log(f'{type(module).__name__}: random weights (init_cfg.checkpoint=None)',
                      'current')
            return
        report, tensors = self.examine(module)
        print_log(str(report), 'current')
        if self.strict and not report.complete:
            raise WrongValue(f'{report.summary()}; strict=False loads what fits')
        with torch.no_grad():
            own = module.state_dict()
            for name, tensor in tensors.items():
                own[name].copy_(tensor)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'PretrainedBackbone: load from {self.checkpoint}')

    def __call__(self, module: nn.Module) -> None:
        """Initialise a module that was constructed without a registry; mmengine calls this.

        What follows in its ``init_weights`` must not undo it: backbones spare a module whose
        ``init_cfg`` is ``Pretrained``, and mmengine one that is initialised.
        """
        if self.checkpoint is None:
            module.init_cfg = None
            type(module).init_weights(module)
        self.load(module)
        if self.checkpoint is not None:
            module.init_cfg = dict(type='Pretrained', checkpoint=self.checkpoint)
            for child in module.modules():
                if child is not module and hasattr(child, 'init_weights'):
                    child.is_init = True


def is_ours(cfg: Any) -> bool:
    """Return whether one ``init_cfg`` names :class:`PretrainedBackbone`."""
    names = ('mmdense.PretrainedBackbone', 'PretrainedBackbone', PretrainedBackbone)
    return isinstance(cfg, dict) and cfg.get('type') in names


def build_with_weights(build: Callable[..., Any], cfg: Any, registry: Registry,
                       default_args: dict | None = None) -> Any:
    """Build a module; one with our ``init_cfg`` loads it after its own ``init_weights``.

    Args:
        build: mmengine's ``build_model_from_cfg``.
        cfg, registry, default_args: its arguments.

    Raises:
        ValueError: the backbone also has ``pretrained``, which would be loaded (or downloaded)
            for nothing.
    """
    given = cfg.get('init_cfg') if isinstance(cfg, dict) else None
    given = list(given) if isinstance(given, (list, tuple)) else [given]
    ours = [item for item in given if is_ours(item)]
    if not ours:
        return build(cfg, registry, default_args)
    if cfg.get('pretrained'):
        raise WrongValue(f"backbone {cfg['type']} has init_cfg mmdense.PretrainedBackbone and "
                         f"pretrained={cfg['pretrained']!r}: set pretrained=None, also in the "
                         'segmentor')
    cfg = copy.copy(cfg)
    cfg.pop('init_cfg')
    if len(ours) < len(given):
        cfg['init_cfg'] = [item for item in given if not is_ours(item)]
    if str(cfg['type']).endswith('TIMMBackbone'):
        cfg['pretrained'] = False  # mmseg's default downloads
    module = build(cfg, registry, default_args)
    arguments = {key: value for key, value in ours[-1].items() if key != 'type'}
    module.weights_from = PretrainedBackbone(**arguments)
    module.init_weights = functools.partial(initialize_and_load, module)
    return module


def build_model(build: Callable[..., Any], cfg: Any, registry: Registry,
                default_args: dict | None = None) -> Any:
    """Build a module, or each of a list; replaces ``build_model_from_cfg``."""
    if isinstance(cfg, list):
        return Sequential(*(build_with_weights(build, one, registry, default_args)
                            for one in cfg))
    return build_with_weights(build, cfg, registry, default_args)


def initialize_and_load(module: nn.Module) -> None:
    """Run the class's own ``init_weights``, then load; replaces it on one module."""
    own = getattr(type(module), 'init_weights', None)
    if own is not None:
        own(module)
    module.weights_from.load(module)
    module.is_init = True
