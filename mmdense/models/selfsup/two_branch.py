"""The skeleton of methods of two branches: a trained network that asks, a target that answers."""
from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.structures import Views

from ..momentum import MomentumTwin
from .base import (
    DenseSSL,
    build,
    check_channels,
    encode_maps,
    lacks_channels,
    map_channels,
)


def follow_step(method: TwoBranchSSL, args: tuple, kwargs: dict) -> None:
    """Before a training forward: let the twin follow the last step, outside a compiled graph."""
    if method.training and method.twin is not None and 'loss' in (*args[2:], kwargs.get('mode')):
        method.twin.follow()


class TwoBranchSSL(DenseSSL):
    """Base of methods that compare what a network says of one view with a target's of another.

    A method names its heads, and says what a network makes of images (:meth:`project`) and what
    two views then lose (:meth:`objective`). The target is a momentum twin of encoder and heads;
    without one it is the trained network itself, with gradient.

    Attributes:
        heads: constructor arguments that are built as heads of the map, and that the twin copies
            too. Where a config leaves ``in_channels`` out, it is the map's.
        optional_heads: those of the heads that a config may leave out; they are then None.
        own_heads: likewise, of the trained network alone (a predictor).
        cell_heads: those of the heads that take the map of cells, see ``cell_index``.
        encoder_heads: those of the heads that take the encoder's own map beside a decode head's.

    Args:
        twin: arguments of :class:`MomentumTwin`, or None.
        cell_index: which of the backbone's maps gives the cells, where a loss of cells stands
            beside one of whole images; None takes that of ``out_index`` for both.
        encoder_index: which of the backbone's maps ``encoder_heads`` take, the last by default.
        encoder_weight: w of the encoder's own loss, see :meth:`beside_encoder`; 0.5 by default.
        symmetric: every view asks once and answers once, and losses are the mean of both; else
            the first view asks and the second answers.
        kwargs: the heads by name, each a config or a module, and what :class:`DenseSSL` takes.

    Raises:
        TypeError: a head is missing.
        ValueError: a ``cell_index`` where the method has no heads of cells, or a decode head; or
            settings of the encoder's own loss without its head, or its head without a decode head.
    """
    heads: tuple[str, ...] = ()
    optional_heads: tuple[str, ...] = ()
    own_heads: tuple[str, ...] = ()
    cell_heads: tuple[str, ...] = ()
    encoder_heads: tuple[str, ...] = ()

    def __init__(self, backbone: dict, twin: dict | None = None, symmetric: bool = False,
                 cell_index: int | None = None, encoder_index: int | None = None,
                 encoder_weight: float | None = None, **kwargs) -> None:
        absent = [name for name in (*self.heads, *self.own_heads) if kwargs.get(name) is None]
        missing = [name for name in absent if name not in self.optional_heads]
        if missing:
            raise TypeError(f'{type(self).__name__}.__init__() missing {len(missing)} required '
                            f'keyword-only arguments: {", ".join(map(repr, missing))}')
        heads = {name: kwargs.pop(name) for name in (*self.heads, *self.own_heads)
                 if name not in absent}
        for name in absent:
            kwargs.pop(name, None)
        super().__init__(backbone, **kwargs)
        if cell_index is not None and (self.decode_head is not None or not self.cell_heads):
            raise WrongValue(f'cell_index={cell_index}: {type(self).__name__} takes one map for '
                             'all, ' + ("the decode head's" if self.cell_heads else
                                        'that of out_index') + '; expected no cell_index')
        self.cell_index = self.out_index if cell_index is None else cell_index
        below = [name for name in self.encoder_heads if name in heads]
        self.under = (-1 if encoder_index is None else encoder_index,) if below else ()
        self.encoder_weight = 0.5 if encoder_weight is None else encoder_weight
        self.check_encoder(below, encoder_index, encoder_weight)
        asked = [name for name in self.heads if name in heads and lacks_channels(heads[name])]
        if asked:
            whole, cells, *own = map_channels(self, (self.out_index, self.cell_index), self.under)
            for name in asked:
                channels = cells if name in self.cell_heads else \
                    own[0] if name in self.encoder_heads else whole
                heads[name] = {**heads[name], 'in_channels': channels}
        for name, cfg in heads.items():
            setattr(self, name, build(cfg))
        for name in absent:
            setattr(self, name, None)
        copied = {**self.encoder(), **{name: getattr(self, name) for name in self.heads
                                       if name in heads}}
        self.twin = None if twin is None else MomentumTwin(copied, **twin)
        self.ways = ((0, 1), (1, 0)) if symmetric else ((0, 1),)
        self.register_forward_pre_hook(follow_step, with_kwargs=True)

    def check_encoder(self, heads: list[str], index: int | None, weight: float | None) -> None:
        """Raise ValueError unless the settings of the encoder's own loss do something."""
        name = type(self).__name__
        if heads and self.decode_head is None:
            raise WrongValue(f"{name}: {heads[0]} is for the encoder's own loss beside a decode "
                             "head's, and there is no decode_head; expected both or none")
        if not heads and (index, weight) != (None, None):
            raise WrongValue(f'{name}(encoder_index={index}, encoder_weight={weight}) does nothing '
                             f'without {" or ".join(self.encoder_heads) or "a loss of the encoder"}'
                             '; expected neither')
        if not 0 < self.encoder_weight < 1:
            raise WrongValue(f'{name}(encoder_weight={weight}): expected a weight above 0 and '
                             'below 1')

    def encode_both(self, images: Tensor, net: nn.Module | None = None) -> tuple[Tensor, ...]:
        """Return the maps of whole images and of cells, (B, C, h, w) each, of one pass.

        And the encoder's own behind them, where there is a head for it.

        Raises:
            ValueError: there is no such map, or heads take other channels.
        """
        net = self if net is None else net
        whole, cells, *own = encode_maps(net, images, (self.out_index, self.cell_index),
                                         self.under)
        others = [name for name in self.heads if name not in self.cell_heads + self.encoder_heads]
        check_channels(net, whole.shape[1], f'out_index={self.out_index}', others)
        which = 'out_index' if self.cell_index == self.out_index else 'cell_index'
        check_channels(net, cells.shape[1], f'{which}={self.cell_index}', self.cell_heads)
        for features in own:
            check_channels(net, features.shape[1], f'encoder_index={self.under[0]}',
                           self.encoder_heads, 'backbone')
        self.note(images, cells, net)
        return whole, cells, *own

    def beside_encoder(self, losses: dict[str, Tensor], own: Tensor) -> dict[str, Tensor]:
        """Return losses of a decoder's map times 1 - w, and the encoder's ``own`` times w.

        So DeCon (2503.17526) keeps the encoder's loss beside the decoder's. What is no loss stays
        as it is.
        """
        return {**{name: (1 - self.encoder_weight) * value if name.startswith('loss') else value
                   for name, value in losses.items()},
                'loss_encoder': self.encoder_weight * own}

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the loss needs of images (B, 3, H, W) under ``net``, B rows each.

        Args:
            net: the method, or its twin.
        """
        raise NotImplementedError

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return the named losses of one view that asks and one that answers.

        Args:
            online, target: what :meth:`project` gave for each.
            views: the geometry of both, in this order.
        """
        raise NotImplementedError

    def branches(self, inputs: list[Tensor], asking: Iterable[int], answering: Iterable[int]
                 ) -> tuple[dict[int, tuple], dict[int, tuple]]:
        """Let the twin follow; return :meth:`run` of the views."""
        if self.twin is not None and self.training and not torch.compiler.is_compiling():
            self.twin.follow()          # where `loss` is called by itself; else it has done so
        return self.run(inputs, asking, answering)

    def run(self, inputs: list[Tensor], asking: Iterable[int], answering: Iterable[int]
            ) -> tuple[dict[int, tuple], dict[int, tuple]]:
        """Return :meth:`project` of the asking and of the answering views, by their number."""
        online = {view: self.project(self, inputs[view]) for view in asking}
        if self.twin is None:
            return online, {view: online[view] if view in online
                            else self.project(self, inputs[view]) for view in answering}
        return online, {view: self.twin(inputs[view], self.project) for view in answering}

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return what :meth:`project` makes of the views and has a gradient; run the target too.

        A method whose heads are not all in ``project`` (a predictor) says more.
        """
        online, target = self.run(inputs, *zip(*self.ways, strict=True))
        ends = [rows for one in (*online.values(), *target.values()) for rows in one]
        return [*{id(rows): rows for rows in ends if rows.requires_grad}.values()]

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return the named losses of two views (B, 3, H, W), a mean over the ways."""
        online, target = self.branches(inputs, *zip(*self.ways, strict=True))
        parts = [self.objective(online[one], target[other], views.take((one, other)))
                 for one, other in self.ways]
        return {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
