"""What every pretraining method shares: its networks, and how an image becomes a feature map."""
from __future__ import annotations

import copy

from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmdense.registry import MODELS
from mmdense.structures import Views


def build(cfg: dict | nn.Module) -> nn.Module:
    """Build a component; a name without scope is mmseg's, also outside a runner."""
    if isinstance(cfg, nn.Module):
        return cfg
    current = DefaultScope.get_current_instance()
    with DefaultScope.overwrite_default_scope(current.scope_name if current else 'mmseg'):
        return MODELS.build(cfg)


def build_decoder(cfg: dict) -> nn.Module:
    """Build any mmseg decode head as an encoder: without classifier and dropout.

    The head is called as it is, since `_forward_feature` skips the own blocks of some heads
    (non-local, DeepLabv3+'s skip). It maps the backbone's maps to (B, head.channels, h, w).
    """
    head = build({**copy.deepcopy(dict(cfg)), 'dropout_ratio': 0, 'num_classes': 3})
    head.conv_seg = nn.Identity()
    return head


def encode(net: nn.Module, images: Tensor) -> Tensor:
    """Return the map (B, C, h, w) of images (B, 3, H, W) under ``net``, a method or its twin.

    The last map of ``net.backbone``, or what ``net.decode_head`` makes of all of them.
    """
    maps = net.backbone(images)
    head = getattr(net, 'decode_head', None)
    return maps[-1] if head is None else head(maps)


class DenseSSL(BaseModel):
    """Base of the methods. A method adds its heads, and ``loss`` returns its named losses.

    ``backbone`` and ``decode_head`` are at the top level, so that their keys in a checkpoint
    (``backbone.*``, ``decode_head.*``) are those of an mmseg segmentor.

    Args:
        backbone: config of any mmseg, mmpretrain or timm backbone that returns a tuple of maps.
        decode_head: config of an mmseg decode head to pretrain with the backbone, or None.
        data_preprocessor: config, usually ``mmdense.ViewsPreprocessor``.
        init_cfg: as of every mmengine module.
    """

    def __init__(self, backbone: dict, decode_head: dict | None = None,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmdense.ViewsPreprocessor'), init_cfg)
        self.backbone = build(backbone)
        self.decode_head = None if decode_head is None else build_decoder(decode_head)

    def encoder(self) -> dict[str, nn.Module]:
        """The modules that :func:`encode` runs through, by name: what a twin copies."""
        heads = {} if self.decode_head is None else {'decode_head': self.decode_head}
        return {'backbone': self.backbone, **heads}

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps (B, C_i, h_i, w_i) of normalised images (B, 3, H, W)."""
        if self.decode_head is not None:
            return (encode(self, images),)
        return tuple(self.backbone(images))

    def forward(self, inputs: list[Tensor] | Tensor, data_samples: Views | None = None,
                mode: str = 'tensor') -> dict[str, Tensor] | tuple[Tensor, ...]:
        """Return the losses of the views (``mode='loss'``) or the maps of a batch (``'tensor'``).

        Raises:
            ValueError: ``mode='predict'``: a pretrained network has no classes. Frozen evaluation
                is a loop (``val_cfg=dict(type='mmdense.DenseKNNValLoop', …)``).
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self.extract_feat(inputs)
        raise ValueError(f"mode={mode!r}: {type(self).__name__} gives 'loss' or 'tensor'; to "
                         "measure its features use val_cfg=dict(type='mmdense.DenseKNNValLoop')")

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return named scalar losses of V views, each (B, 3, H, W)."""
        raise NotImplementedError
