"""What every pretraining method shares: its networks, and how an image becomes a feature map."""
from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..building import BlackImage, build
from ..maps import backbone_maps, choose_map

#: parts of a method that do not take the encoder's map
NOT_ON_MAP = ('backbone', 'decode_head', 'predictor', 'context', 'pair_head')


def build_decoder(cfg: dict) -> nn.Module:
    """Build any mmseg decode head as an encoder: without classifier and dropout.

    The head is called as it is, since `_forward_feature` skips the own blocks of some heads
    (non-local, DeepLabv3+'s skip). It maps the backbone's maps to (B, head.channels, h, w).

    Raises:
        ValueError: the head needs compiled operators of mmcv or another package that is not there,
            or has no classifier ``conv_seg`` behind a map.
    """
    kind = cfg.get('type')
    try:
        head = build({**copy.deepcopy(dict(cfg)), 'dropout_ratio': 0, 'num_classes': 3})
    except (ImportError, RuntimeError) as error:
        if 'Please install' not in str(error):           # mmcv's words for a missing operator
            raise
        raise WrongValue(f'decode_head {kind} needs what is not installed ({error}); expected a '
                         'head without compiled operators, such as FCNHead') from error
    if not isinstance(getattr(head, 'conv_seg', None), nn.Module):
        raise WrongValue(f'decode_head {kind} has no classifier conv_seg behind a map; expected a '
                         'head such as FCNHead, PSPHead, DepthwiseSeparableASPPHead')
    head.conv_seg = nn.Identity()
    return head


def check_channels(net: nn.Module, channels: int, where: str, names: Iterable[str],
                   giver: str | None = None) -> None:
    """Compare the channels of a method's map with what its parts, or those of its twin, take.

    Args:
        channels: of the map.
        where: the setting that chose the map among the backbone's.
        names: the parts that take this map.
        giver: the part that gives it; by default the decode head, where there is one.

    Raises:
        ValueError: a part has another ``in_channels``.
    """
    giver = giver or ('backbone' if getattr(net, 'decode_head', None) is None else 'decode_head')
    for name in names:
        taken = getattr(getattr(net, name, None), 'in_channels', channels)
        if taken != channels:
            where = '' if giver == 'decode_head' else f', {where}'
            raise WrongValue(f'{giver} gives {channels} channels, {name}.in_channels is {taken} '
                             f'({type(getattr(net, giver)).__name__}{where}): set '
                             f'model.{name}.in_channels={channels}')


def encode_maps(net: nn.Module, images: Tensor, indices: Sequence[int],
                under: Sequence[int] = ()) -> list[Tensor]:
    """Return maps (B, C_i, h_i, w_i) of images (B, 3, H, W) under ``net``, a method or its twin.

    The maps at ``indices`` of what ``net.backbone`` gives. Where there is a ``net.decode_head``,
    each is what it makes of all of them. Behind them those at ``under``, the backbone's own.

    Raises:
        ValueError: the backbone gives no such map, or the decode head no map.
    """
    maps = backbone_maps(net.backbone, images)
    own = [choose_map(net.backbone, maps, index) for index in under]
    head = getattr(net, 'decode_head', None)
    if head is None:
        return [*(choose_map(net.backbone, maps, index) for index in indices), *own]
    features = head([maps] if isinstance(maps, Tensor) else maps)
    if not isinstance(features, Tensor) or features.ndim != 4:
        raise WrongValue(f'decode_head {type(head).__name__} gives a {type(features).__name__}; '
                         'expected a head that gives one map (B, C, h, w), such as FCNHead')
    return [features] * len(indices) + own


def encode(net: nn.Module, images: Tensor, out_index: int = -1) -> Tensor:
    """Return the one map (B, C, h, w) of :func:`encode_maps` at ``out_index``."""
    return encode_maps(net, images, (out_index,))[0]


def map_channels(method: DenseSSL, indices: Sequence[int], under: Sequence[int] = ()) -> list[int]:
    """Return the channels of :func:`encode_maps`: those of a small black image, in eval mode.

    Asked of a copy, with a :class:`BlackImage`.

    Raises:
        ValueError: the encoder does not take such an image.
    """
    black = BlackImage(method.encoder())
    try:
        maps = black.ask(lambda net, image: encode_maps(net, image, indices, under))
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise WrongValue(f'{type(method.backbone).__name__} does not take a black image '
                         f'{black.shape}, so its channels are not known '
                         f'({str(error).splitlines()[0]}): give the heads their in_channels'
                         ) from error
    return [features.shape[1] for features in maps]


def lacks_channels(cfg: dict | nn.Module) -> bool:
    """Whether a part's config leaves out ``in_channels``, which the part has to be told."""
    if isinstance(cfg, nn.Module) or 'in_channels' in cfg:
        return False
    kind = cfg['type'] if isinstance(cfg['type'], type) else MODELS.get(cfg['type'])
    wanted = inspect.signature(kind or object).parameters.get('in_channels')
    return wanted is not None and wanted.default is wanted.empty


def trained_index(model: nn.Module) -> int:
    """Return the place, among its backbone's maps, of the map that a model learns on.

    A method's ``out_index``; of a segmentor the (last) ``in_index`` of its decode head; else -1.
    """
    if isinstance(model, DenseSSL):
        return model.out_index
    index = getattr(getattr(model, 'decode_head', None), 'in_index', -1)
    return index[-1] if isinstance(index, (list, tuple)) else index


def begin_penalties(method: DenseSSL, args: tuple, kwargs: dict) -> None:
    """Before a training forward: let penalties remember the start, outside a compiled graph."""
    if method.training and 'loss' in (*args[2:], kwargs.get('mode')):
        for penalty in method.penalties.values():
            penalty.begin(method)


class DenseSSL(BaseModel):
    """Base of the methods. A method adds its heads, and ``loss`` returns its named losses.

    ``backbone`` and ``decode_head`` are at the top level, so that their keys in a checkpoint
    (``backbone.*``, ``decode_head.*``) are those of an mmseg segmentor.

    Args:
        backbone: config of any mmseg, mmpretrain or timm backbone that returns a tuple of maps.
        decode_head: config of an mmseg decode head to pretrain with the backbone, or None.
        data_preprocessor: config, usually ``mmdense.ViewsPreprocessor``.
        out_index: which of the backbone's maps is learnt on, as its place in what the backbone
            returns; -1 = last. Networks of several branches (BiSeNet, PIDNet) end with auxiliary
            maps: docs/backbones.md. The twin and frozen evaluation take the same.
        init_cfg: as of every mmengine module.
        penalties: by name, configs of what is added to the method's losses as ``loss_NAME``, such
            as ``mmdense.PlacePenalty``: they look at what passed the trained network in a step.

    Attributes:
        num_views: views of an image that ``loss`` takes, no more and no fewer.
        warmups: arguments that count the optimiser steps of a warm-up.
        contrasts_batch: whether keys are of the same batch as the rows, and so are normalised
            with them by the trained network's BatchNorm.
        negative_losses: whether one of its losses can be below 0.
        pictures: what ``mmdense.visualization`` draws of the method beyond its features, and the
            parts of it that a checkpoint must have for that.

    Raises:
        ValueError: an ``out_index`` beside a decode head, which chooses by its ``in_index``.
    """
    num_views: int = 2
    warmups: tuple[str, ...] = ()
    contrasts_batch: bool = False
    negative_losses: bool = False
    pictures: dict[str, tuple[str, ...]] = {}

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        """Return how many keys an image adds in a step to each queue, by its argument's name.

        Args:
            model: config of the method.
        """
        return {}

    def __init__(self, backbone: dict, decode_head: dict | None = None,
                 data_preprocessor: dict | None = None, out_index: int = -1,
                 init_cfg: dict | None = None, penalties: dict[str, dict] | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmdense.ViewsPreprocessor'), init_cfg)
        self.backbone = build(backbone)
        self.decode_head = None if decode_head is None else build_decoder(decode_head)
        if decode_head is not None and out_index != -1:
            raise WrongValue(f'out_index={out_index}: the decode head chooses its maps by its own '
                             'in_index; expected out_index=-1 beside a decode_head')
        self.out_index = out_index
        self.penalties = nn.ModuleDict({name: build(cfg)
                                        for name, cfg in (penalties or {}).items()})
        for penalty in self.penalties.values():
            penalty.prepare(self)
        if penalties:
            self.register_forward_pre_hook(begin_penalties, with_kwargs=True)
        self.passes: list[tuple[Tensor, Tensor]] | None = None

    def note(self, images: Tensor, features: Tensor, net: nn.Module) -> None:
        """Keep a pass for the penalties, if it is the trained network's in a step.

        Args:
            images: (B, 3, H, W).
            features: their map (B, C, h, w).
        """
        if self.passes is not None and net is self and torch.is_grad_enabled():
            self.passes.append((images, features))

    def losses(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return :meth:`loss` of V views, each (B, 3, H, W), and the penalties beside it.

        Raises:
            ValueError: a penalty has the name of one of the method's losses.
        """
        if not self.penalties or not torch.is_grad_enabled():
            return self.loss(inputs, views)
        self.passes = []
        losses = self.loss(inputs, views)
        passes, self.passes = self.passes, None
        added = {f'loss_{name}': penalty(self, passes) for name, penalty in self.penalties.items()}
        if twice := losses.keys() & added.keys():
            raise WrongValue(f'penalties: {type(self).__name__} has a {min(twice)} of its own; '
                             'expected other names')
        return {**losses, **added}

    def encode(self, images: Tensor, net: nn.Module | None = None) -> Tensor:
        """Return :func:`encode` of images (B, 3, H, W) under the twin ``net``, or under itself.

        Raises:
            ValueError: there is no such map, or projectors take other channels.
        """
        net = self if net is None else net
        features = encode(net, images, self.out_index)
        elsewhere = (*NOT_ON_MAP, *getattr(self, 'own_heads', ()))      # behind other heads
        names = [name for name, _ in net.named_children() if name not in elsewhere]
        check_channels(net, features.shape[1], f'out_index={self.out_index}', names)
        self.note(images, features, net)
        return features

    def encoder(self) -> dict[str, nn.Module]:
        """The modules that :func:`encode` runs through, by name: what a twin copies."""
        heads = {} if self.decode_head is None else {'decode_head': self.decode_head}
        return {'backbone': self.backbone, **heads}

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps (B, C_i, h_i, w_i) of normalised images (B, 3, H, W)."""
        if self.decode_head is not None:
            return (self.encode(images),)
        maps = backbone_maps(self.backbone, images)
        return (maps,) if isinstance(maps, Tensor) else tuple(maps)

    def loss_map(self, images: Tensor) -> Tensor | None:
        """Return the map (B, C, h, w) of images (B, 3, H, W) whose cells the loss compares.

        None if it compares whole images.
        """
        return self.encode(images)

    def unsaved(self) -> list[nn.Module]:
        """Return the networks that are held in a step and that no checkpoint has."""
        return []

    def random_targets(self, inputs: list[Tensor], views: Views) -> Views:
        """Return the geometry of random views with what the loss needs of them, to try a step.

        Args:
            inputs: V views (B, 3, H, W).
            views: of them, without targets and masks.
        """
        return views

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return what the networks and heads of a step give for its views, each (B, 3, H, W).

        No implementation can save that. Without matches, pools, queues and losses; gradients flow
        as in a step.
        """
        return [self.encode(images) for images in inputs]

    def check_views(self, inputs: list[Tensor]) -> None:
        """Raise ValueError unless there are as many views as the loss takes."""
        if len(inputs) != self.num_views:
            raise WrongValue(f'{type(self).__name__} got {len(inputs)} view(s) of an image; '
                             f'expected {self.num_views}: mmdense.MultiView in the pipeline makes '
                             'them')

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return a parameter's layer and the number of layers, for layer-wise learning rates.

        The backbone's own answer; what stands behind the backbone is of the last layer.

        Raises:
            ValueError: the backbone does not know its layers.
        """
        if not hasattr(self.backbone, 'get_layer_depth'):
            raise WrongValue(f'{type(self.backbone).__name__} has no get_layer_depth, which '
                             'layer-wise learning rates need: expected a backbone that has it, such'
                             " as mmpretrain's VisionTransformer, SwinTransformer, ConvNeXt")
        try:
            return self.backbone.get_layer_depth(param_name, f'{prefix}backbone.')
        except NotImplementedError:
            raise WrongValue(f'{type(self.backbone).__name__} of this depth has no layers for '
                             'layer-wise learning rates; its get_layer_depth names those that '
                             'have') from None

    def forward(self, inputs: list[Tensor] | Tensor, data_samples: Views | None = None,
                mode: str = 'tensor') -> dict[str, Tensor] | tuple[Tensor, ...]:
        """Return the losses of the views (``mode='loss'``) or the maps of a batch (``'tensor'``).

        Raises:
            ValueError: more or fewer views than the method takes; or ``mode='predict'``: a
                pretrained network has no classes. Frozen evaluation is a loop
                (``val_cfg=dict(type='mmdense.DenseKNNValLoop', …)``).
        """
        if mode == 'loss':
            self.check_views(inputs)
            return self.losses(inputs, data_samples)
        if mode == 'tensor':
            return self.extract_feat(inputs)
        raise WrongValue(f"mode={mode!r}: {type(self).__name__} gives 'loss' or 'tensor'; to "
                         "measure its features use val_cfg=dict(type='mmdense.DenseKNNValLoop')")

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return named scalar losses of V views, each (B, 3, H, W)."""
        raise NotImplementedError
