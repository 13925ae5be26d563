"""Contrast of regions (DetCon, Henaff et al., ICCV 2021, arXiv 2103.10957)."""
from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from mmengine.dist import get_rank
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmdense.gathering import gather_rows, gather_with_gradient
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS

from .logsumexp import LOWEST_EXPONENT
from .nce import check_temperature, prepare

#: logits held at once; on a CPU 4 MB, since products of few rows are slow
BLOCK_ELEMENTS = {'cpu': 2**20, 'gpu': 2**23}


@dataclass
class RegionPairs:
    """How the samples of an image pair up, of both directions (the first axis: the view).

    Attributes:
        positive: (2, B, R, R) bool, which of the other view's samples a row pulls.
        hidden_own, hidden_other: (2, B, R, R) bool, which of the own and of the other view's
            samples are no keys of a row.
        weight: (2, B, R) of a row in the sum.
    """
    positive: Tensor
    hidden_own: Tensor
    hidden_other: Tensor
    weight: Tensor

    def split(self, images: int) -> Iterator[RegionPairs]:
        """Yield the pairs of each ``images`` images."""
        for parts in zip(*(value.split(images, 1) for value in vars(self).values()), strict=True):
            yield RegionPairs(*parts)


def pair_regions(pred_ids: Tensor, target_ids: Tensor, local_negatives: bool) -> RegionPairs:
    """Pair up the samples by their ids (2, B, R) of both views; 0 is no region.

    A row's weight is one over the number of rows of its image and view with its id, and 0 without
    positives, so that an id that was drawn twice counts once; over all rows of the batch.
    """
    rows, none = pred_ids[..., None], pred_ids.new_zeros(()).bool()
    positive = (rows == target_ids.flip(0)[:, :, None]) & (rows != 0)
    same_own = rows == target_ids[:, :, None]
    repeats = (rows == pred_ids[:, :, None]).sum(3)
    images, samples = pred_ids.shape[1:]
    return RegionPairs(
        positive=positive,
        hidden_own=same_own if local_negatives else (~none).expand_as(positive),
        hidden_other=none.expand_as(positive) if local_negatives else ~positive,
        weight=positive.any(3) / (repeats * max(images * samples, 1)))


def seen_keys(pairs: RegionPairs) -> tuple[Tensor, Tensor]:
    """Return which keys a row that counts sees: (2, B, R) of these images, and () of all others."""
    rows = (pairs.weight != 0)[..., None]
    own, other = ((rows & ~hidden).any(2) for hidden in (pairs.hidden_own, pairs.hidden_other))
    counting = rows.sum((0, 2, 3))
    elsewhere = counting.sum() > counting
    return own | other.flip(0) | elsewhere[:, None], counting.any()


def same_image(logits: Tensor, first: int, samples: int) -> Tensor:
    """Return a view (n, R, R) of logits (n R, K): each image's keys, the first image's at first."""
    blocks = logits[:, first:first + len(logits)]
    blocks = blocks.unflatten(1, (-1, samples)).unflatten(0, (-1, samples))
    return blocks.diagonal(dim1=0, dim2=2).movedim(2, 0)


class RegionCrossEntropy(torch.autograd.Function):
    """Weighted sum of the rows' cross-entropies, all gradients finished in the forward.

    It walks over blocks of images with all their keys at once, since a row's gradient to the keys
    needs its whole sum. Exponents are of 2, as in `logsumexp.py`.
    """

    @staticmethod
    def forward(ctx, query: Tensor, keys: Tensor, keep: Tensor, pairs: RegionPairs, first: int,
                scale: float, block: int | None) -> Tensor:
        bound = scale / math.log(2)
        # unit vectors have logits of at most `bound`; else the shift is the row's highest logit
        fixed = -2 * bound > LOWEST_EXPONENT
        bias = keys.new_full((len(keys),), -bound if fixed else 0).masked_fill_(~keep, -math.inf)
        keys = keys.masked_fill(~keep[:, None], 0)     # whatever they hold: 0 x nan is nan
        loss = query.new_zeros(())
        to_query = torch.empty_like(query) if ctx.needs_input_grad[0] else None
        to_keys = torch.zeros_like(keys) if ctx.needs_input_grad[1] else None
        for at, rows, logits in row_blocks(query, len(keys), block):
            torch.addmm(bias, rows, keys.t(), alpha=bound, out=logits)
            weight = pairs.weight[at].flatten().to(rows.dtype)
            total, lost = walk(logits, pairs, at, first, query.shape, fixed)
            loss += torch.dot(weight, lost)
            weight = (weight * scale / total)[:, None]
            if to_query is not None:
                to_query[at] = (logits @ keys).mul_(weight).view_as(to_query[at])
            if to_keys is not None:
                to_keys.addmm_(logits.t(), rows * weight)
        ctx.save_for_backward(to_query, to_keys)
        return loss * math.log(2)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple:
        return *(None if g is None else g * grad for g in ctx.saved_tensors), *[None] * 5


def row_blocks(query: Tensor, keys: int, block: int | None) -> Iterator[
        tuple[tuple[int, slice], Tensor, Tensor]]:
    """Yield (view, images), their rows (n R, D) and room (n R, K) for logits, for all the same."""
    _, images, samples, dim = query.shape
    elements = BLOCK_ELEMENTS['cpu' if query.device.type == 'cpu' else 'gpu']
    step = min(block or max(elements // max(samples * keys, 1), 1), max(images, 1))
    room = query.new_empty(step * samples, keys)
    for view in range(2):
        for start in range(0, images, step):
            at = view, slice(start, min(start + step, images))
            rows = query[at].reshape(-1, dim)
            yield at, rows, room[:len(rows)]


def walk(logits: Tensor, pairs: RegionPairs, at: tuple[int, slice], first: int,
         shape: torch.Size, fixed: bool) -> tuple[Tensor, Tensor]:
    """Turn a block's logits (n R, K) into its gradient to the logits, times ``total``.

    Returns:
        total: (n R,) each row's sum of exponentials.
        lost: (n R,) its cross-entropy, in units of log 2.
    """
    _, images, samples, _ = shape
    view, start = at[0], at[1].start
    own, other = (same_image(logits, first + (v * images + start) * samples, samples)
                  for v in (view, 1 - view))
    own.masked_fill_(pairs.hidden_own[at], -math.inf)
    other.masked_fill_(pairs.hidden_other[at], -math.inf)
    if not fixed:
        logits -= logits.amax(1, keepdim=True).clamp_min_(torch.finfo(logits.dtype).min / 2)
    positive = pairs.positive[at]
    count = positive.sum(2).clamp_min_(1)
    pulled = other.masked_fill(~positive, 0).sum(2) / count
    total = logits.exp2_().sum(1).clamp_min_(torch.finfo(logits.dtype).tiny)
    other -= positive * (total.view_as(count) / count)[:, :, None]
    return total, total.log2() - pulled.flatten()


def contrast(query: Tensor, keys: Tensor, keep: Tensor, pairs: RegionPairs, first: int,
             scale: float, block: int | None) -> Tensor:
    """Return the sum of the rows' losses over the keys that are kept and that any row sees."""
    here, elsewhere = seen_keys(pairs)
    seen = elsewhere.repeat(len(keys))
    seen[first:first + here.numel()] = here.flatten()
    return RegionCrossEntropy.apply(query, keys, keep & seen, pairs, first, scale, block)


def check_regions(features: dict[str, Tensor], ids: dict[str, Tensor],
                  negative_group: int | None) -> None:
    """Raise ValueError unless features are all (B, R, D) and ids all (B, R) of the same sizes."""
    shape = next(iter(features.values())).shape
    for name, value in {**features, **ids}.items():
        expected = shape if name in features else shape[:2]
        if value.shape != expected or len(shape) != 3:
            raise WrongValue(f'{name} {tuple(value.shape)} beside pred1 {tuple(shape)}: expected '
                             'features (B, R, D) and ids (B, R) of one size')
    if negative_group is not None and negative_group < 1:
        raise WrongValue(f'negative_group={negative_group}: expected None or at least 1 image')


def detcon_nce(pred1: Tensor, pred2: Tensor, target1: Tensor, target2: Tensor, pred_ids1: Tensor,
               pred_ids2: Tensor, target_ids1: Tensor, target_ids2: Tensor,
               temperature: float = 0.1, local_negatives: bool = True, gather_grad: bool = True,
               negative_group: int | None = None, block: int | None = None) -> Tensor:
    """Sum over both directions of the mean over all B R regions of -w mean_p log softmax_p.

    DetCon (2103.10957) as its authors' code has it. Row: a region of ``pred1``; keys: all regions
    of ``target2`` and ``target1``, of all images and processes, but those of its own view with its
    image and id; positives p: those of ``target2`` with its image and id, all of them in the
    softmax. w is one over how often the id was drawn for that image and view, and 0 without a
    positive. Id 0 is no region: such rows have w = 0 and such entries are no keys. The other
    direction swaps 1 and 2.

    With equal batches the mean over processes is the loss of the joined batch, and so are the
    gradients after DDP's averaging. At least float32, and no more than a block of logits at once.
    Rows of weight 0, and keys that only such rows see, may hold anything; nan elsewhere is nan.

    Args:
        pred1, pred2: (B, R, D) regions of the two views, of any length; normalised here.
        target1, target2: (B, R, D) what they are compared with.
        pred_ids1, pred_ids2, target_ids1, target_ids2: (B, R) int64 their region ids; an id may
            occur several times (drawn with replacement).
        temperature: T.
        local_negatives: other regions of the same image are negatives; False leaves them out.
        gather_grad: targets get a gradient (DetCon_S), also from the other processes' losses;
            False takes them as constants (DetCon_B).
        negative_group: keys come only from the row's group of so many consecutive images of the
            own process (an ablation of the paper); None takes all images of all processes.
        block: number of images in a block; by default what suits the device.

    Raises:
        ValueError: shapes do not fit, a temperature of 0 or below, or a group below 1.
    """
    check_temperature(temperature)
    check_regions(dict(pred1=pred1, pred2=pred2, target1=target1, target2=target2),
                  dict(pred_ids1=pred_ids1, pred_ids2=pred_ids2, target_ids1=target_ids1,
                       target_ids2=target_ids2), negative_group)
    with torch.autocast(pred1.device.type, enabled=False):
        shape = 2, *pred1.shape
        target_ids = torch.stack([target_ids1, target_ids2])
        pairs = pair_regions(torch.stack([pred_ids1, pred_ids2]), target_ids, local_negatives)
        query = torch.cat([pred1, pred2]).flatten(0, 1)
        # rows and keys that do not count are taken out before their lengths are looked at
        query = query.masked_fill((pairs.weight == 0).view(-1, 1), 0)
        query = prepare(query, True).view(shape)
        target = torch.cat([target1, target2]).flatten(0, 1)
        target = target.masked_fill((target_ids == 0).view(-1, 1), 0)
        target = prepare(target if gather_grad else target.detach(), True).to(query.dtype)
        if negative_group is None:
            keys, keep = gather_with_gradient(target), gather_rows(target_ids.flatten()) != 0
            return contrast(query, keys, keep, pairs, get_rank() * len(target), 1 / temperature,
                            block)
        groups = zip(query.split(negative_group, 1), target.view(shape).split(negative_group, 1),
                     target_ids.split(negative_group, 1), pairs.split(negative_group), strict=True)
        return sum(contrast(part, keys.flatten(0, 2), ids.flatten() != 0, inside, 0,
                            1 / temperature, block) for part, keys, ids, inside in groups)


@MODELS.register_module()
class DetConLoss(nn.Module):
    """:func:`detcon_nce` as a component, times ``loss_weight``."""

    def __init__(self, temperature: float = 0.1, local_negatives: bool = True,
                 gather_grad: bool = True, negative_group: int | None = None,
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        self.options = dict(temperature=temperature, local_negatives=local_negatives,
                            gather_grad=gather_grad, negative_group=negative_group)
        self.loss_weight = loss_weight

    def forward(self, pred1: Tensor, pred2: Tensor, target1: Tensor, target2: Tensor,
                pred_ids1: Tensor, pred_ids2: Tensor, target_ids1: Tensor,
                target_ids2: Tensor) -> Tensor:
        """Return the loss, a scalar, of regions (B, R, D) and their ids (B, R)."""
        return self.loss_weight * detcon_nce(pred1, pred2, target1, target2, pred_ids1, pred_ids2,
                                             target_ids1, target_ids2, **self.options)
