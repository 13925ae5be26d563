"""Noise-contrastive losses, for any number of keys, positives and masks (InfoNCE, 1807.03748)."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS

from ..queue import EMPTY
from .logsumexp import BlockMask, any_of, block_length, known_all, masked_logsumexp


class UnitRows(torch.autograd.Function):
    """Rows (N, D) over their lengths; one that gets no gradient passes none on, nan though it be.

    (The derivative of x / |x| would make 0 x nan of it.)
    """

    @staticmethod
    def forward(ctx, vectors: Tensor) -> Tensor:
        length = vectors.norm(dim=1, keepdim=True).clamp_min_(1e-12)
        unit = vectors / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        part = (grad - (grad * unit).sum(1, keepdim=True) * unit) / length
        return part.masked_fill_((grad == 0).all(1, keepdim=True), 0)


def prepare(vectors: Tensor, normalize: bool) -> Tensor:
    """Return the (N, D) vectors at least in float32, divided by their lengths if asked."""
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return UnitRows.apply(vectors) if normalize else vectors


def mean_nce(positive: Tensor, negatives: list[Tensor], counts: Tensor | None = None) -> Tensor:
    """Mean over rows of -log(P / (P + sum of negatives)), from the logarithms (N,) of each.

    ``counts``, bool (N,), says which rows have a positive; the others say nothing. It is never
    read from the values: nan in a row that counts is to come out as nan. Rows without negatives
    are 0 and count. Without any row that counts the mean is 0.
    """
    if counts is None:
        counts = torch.ones_like(positive, dtype=torch.bool)
    positive, *negatives = (x.masked_fill(~counts, 0) for x in (positive, *negatives))
    rows = torch.logsumexp(torch.stack([positive, *negatives]), dim=0) - positive
    return rows.masked_fill(~counts, 0).sum() / counts.sum().clamp_min(1)


def rows_with_any(mask: BlockMask, keys: int, block: int) -> Tensor:
    """Return bool (N,): which rows a mask gives any of the ``keys``, block by block."""
    parts = [any_of(mask(at, min(at + block, keys)), 1) for at in range(0, keys, block)]
    return torch.stack(parts).any(0) if parts else mask(0, 0).any(1)


def check_vectors(name: str, vectors: Tensor, query: Tensor, rows: bool = False) -> None:
    """Raise ValueError unless ``vectors`` is 2-D with the query's D (and, if ``rows``, its N)."""
    fits = query.ndim == vectors.ndim == 2 and query.shape[1] == vectors.shape[1]
    if not fits or rows and len(query) != len(vectors):
        expected = 'the same (N, D)' if rows else '(N, D) and (K, D)'
        raise WrongValue(f'query {tuple(query.shape)} and {name} {tuple(vectors.shape)}: '
                         f'expected {expected}')


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless the temperature is above 0."""
    if not temperature > 0:
        raise WrongValue(f'temperature {temperature}: expected above 0')


def check_index(name: str, index: Tensor | None, vectors: Tensor, shared: bool = False) -> None:
    """Raise ValueError unless ``index`` is None or has one entry for each of ``vectors``.

    ``shared``: one for each of the same number of vectors after one another will do.
    """
    if index is None or index.shape == vectors.shape[:1]:
        return
    if not shared or index.ndim != 1 or not len(index) or len(vectors) % len(index):
        raise WrongValue(f'{name} {tuple(index.shape)} for vectors {tuple(vectors.shape)}: '
                         f'expected one index a row{", or one for every few" * shared}')


def masked_nce(query: Tensor, keys: Tensor, positive: BlockMask, negative: BlockMask,
               temperature: float = 0.2, normalize: bool = True,
               block: int | None = None) -> Tensor:
    """Mean of -log(sum over positives / sum over positives and negatives) of exp(q . k / T).

    The form of PixContrast (2011.10043, eq. 2) with any positives and negatives: in-batch keys,
    a query's own image left out, and so on. Keys that are neither do not count. The mean is over
    the rows that have a positive, 0 if none has; a row without negatives is 0. A row that does not
    count, and a key that counts for none, may hold anything, nan too; nan elsewhere gives nan.

    Args:
        query: (N, D).
        keys: (K, D); gets a gradient if it asks for one.
        positive: called with ``(start, stop)``, gives bool (N, stop - start), True where that key
            is a positive of that row.
        negative: the same for negatives.
        temperature: T.
        normalize: divide queries and keys by their lengths first.
        block: number of keys in a block; by default what suits the device.

    Raises:
        ValueError: shapes do not fit, or a temperature of 0 or below.
    """
    check_temperature(temperature)
    check_vectors('keys', keys, query)
    counts = rows_with_any(positive, len(keys), block or block_length(len(query), query.device))
    rows = counts.view(torch.uint8)[:, None]       # of bytes a CPU takes the & in vectors

    def counting(mask: BlockMask) -> BlockMask:
        return lambda start, stop: (mask(start, stop).view(torch.uint8) & rows).view(torch.bool)

    query = prepare(query.masked_fill(~counts[:, None], 0), normalize)
    options = dict(normalize=normalize, bounded=normalize, block=block)
    pulled, pushed = (masked_logsumexp(query, keys, 1 / temperature, mask=counting(mask), **options)
                      for mask in (positive, negative))
    return mean_nce(pulled, [pushed], counts)


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float = 0.2,
             normalize: bool = True, query_index: Tensor | None = None,
             negative_index: Tensor | None = None, unit_negatives: bool = False,
             block: int | None = None, valid: Tensor | None = None,
             mask: BlockMask | None = None) -> Tensor:
    """Mean over rows of -log(P / (P + sum of exp(q . n / T))), where P = exp(q . p / T).

    InfoNCE (MoCo, 1911.05722, eq. 1), at least in float32. Gradients go to each argument that
    asks. A row whose negatives are all left out, or K = 0, is 0 and counts in the mean; N = 0
    gives 0. nan in a query, a positive or a negative that counts gives nan; a row that does not
    count may hold anything.

    Args:
        query: (N, D).
        positive: (N, D), the one positive of each row.
        negatives: (K, D), shared by all rows.
        temperature: T.
        normalize: divide all vectors by their lengths first.
        query_index: (N,) int64, the image that each query is of, or (B,) where N / B queries
            after one another are of one image. Negatives of the same image do not count; -1 is
            no known image, which is never the same. Needs ``negative_index``.
        negative_index: (K,) int64, the image of each negative, -1 none known, -2 an unfilled
            slot, which does not count.
        unit_negatives: the negatives are of length 1 already (a queue's), ``normalize`` need not
            do it again.
        block: number of negatives in a block; by default what suits the device.
        valid: (N,) bool, which rows count; by default all. The mean is over those, 0 without any.
            No row is dropped, so a GPU is not waited for, and processes keep their row counts.
        mask: which negatives count for which row, instead of ``query_index``: called with
            ``(start, stop)``, gives bool (N, stop - start) or, as ``query_index``, (B, …).

    Raises:
        ValueError: shapes do not fit, ``query_index`` without ``negative_index`` or with a
            ``mask``, or a temperature of 0 or below.
    """
    check_temperature(temperature)
    check_vectors('positive', positive, query, rows=True)
    check_vectors('negatives', negatives, query)
    check_index('query_index', query_index, query, shared=True)
    check_index('negative_index', negative_index, negatives)
    check_index('valid', valid, query)
    if query_index is not None and negative_index is None:
        raise WrongValue('query_index needs negative_index: the image of each negative')
    if query_index is not None and mask is not None:
        raise WrongValue('query_index and mask both say which negatives count for a row: give one')
    valid = None if valid is None or known_all(valid) else valid
    if valid is not None:
        query, positive = (rows.masked_fill(~valid[:, None], 0) for rows in (query, positive))
    with torch.autocast(query.device.type, enabled=False):
        query, positive = prepare(query, normalize), prepare(positive, normalize)
        options = dict(normalize=normalize and not unit_negatives, bounded=normalize, block=block)
        keep = None if negative_index is None else negative_index != EMPTY
        if query_index is not None:
            mask = other_images(query_index, negative_index)
        return mean_nce((query * positive).sum(1) / temperature, [masked_logsumexp(
            query, negatives, 1 / temperature, keep=keep, mask=mask, **options)], valid)


def other_images(query_index: Tensor, negative_index: Tensor) -> BlockMask:
    """Return the mask of negatives that are of another image than the queries, or of none known.

    Args:
        query_index: (B,), of groups of queries.
        negative_index: (K,).
    """
    # a query of no known image is as far from all as from unfilled slots, which never count
    own = query_index.where(query_index >= 0, EMPTY)[:, None]
    return lambda start, stop: own != negative_index[start:stop]


@MODELS.register_module()
class InfoNCE(nn.Module):
    """:func:`info_nce` of normalised vectors as a component, times ``loss_weight``."""

    def __init__(self, temperature: float = 0.2, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.temperature, self.loss_weight = temperature, loss_weight

    def forward(self, query: Tensor, positive: Tensor, negatives: Tensor, **options) -> Tensor:
        """Return the loss; ``options`` are the keyword arguments of :func:`info_nce`."""
        return self.loss_weight * info_nce(query, positive, negatives, self.temperature, **options)
