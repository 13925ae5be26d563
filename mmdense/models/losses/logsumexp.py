"""Log of a sum of exponentials over many keys, without ever holding the (N, K) logits.

What all noise-contrastive losses need of their negatives (and, where there are several, of their
positives). It walks over blocks of keys, all rows at once.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: (start, stop) -> bool (G, stop - start): which of the keys start … stop - 1 count for which rows;
#: G = N, or a part of it: then each N / G rows after one another share one
BlockMask = Callable[[int, int], Tensor]

#: logits held at once: on a CPU about what its second-level caches hold, on a GPU 32 MB
BLOCK_ELEMENTS = {'cpu': 2**19, 'gpu': 2**23}
#: a fixed shift is safe while exponents of 2 stay above this (float32 ends at 2 ** -126)
LOWEST_EXPONENT = -120.0


def block_length(rows: int, device: torch.device) -> int:
    """Return how many keys to take at once for N ``rows``: a power of two from 128 to 8192."""
    elements = BLOCK_ELEMENTS['cpu' if device.type == 'cpu' else 'gpu']
    return 1 << min(max(elements // max(rows, 1), 128), 8192).bit_length() - 1


def any_of(mask: Tensor, dim: int) -> Tensor:
    """Return ``mask.any(dim)`` of a bool matrix, on a CPU in a fraction of its time."""
    return mask.view(torch.uint8).amax(dim).bool() if mask.numel() else mask.any(dim)


def known_all(mask: Tensor) -> bool:
    """Whether all of a mask is True, as far as that is known without waiting for a device."""
    return mask.device.type == 'cpu' and not torch.compiler.is_compiling() and bool(mask.all())


@dataclass
class KeyReader:
    """How the walk reads the keys; the arguments are those of :func:`masked_logsumexp`."""
    normalize: bool
    bounded: bool
    keep: Tensor | None
    mask: BlockMask | None
    block: int | None

    def blocks(self, query: Tensor, keys: Tensor) -> Iterator[
            tuple[slice, Tensor, Tensor | None, Tensor | None, Tensor]]:
        """Yield each block's slice, its keys as they count, what they were scaled by, its mask, and
        room (N, block) for its logits, the same for all blocks.

        Keys that count for no row are 0: whatever they hold, it would come back as 0 x nan.
        """
        step = min(self.block or block_length(len(query), query.device), max(len(keys), 1))
        room = query.new_empty(len(query) * step)
        for start in range(0, len(keys), step):
            at = slice(start, min(start + step, len(keys)))
            rows, inverse = keys[at].to(query.dtype), None
            mask = None if self.mask is None else self.mask(at.start, at.stop)
            used = [] if mask is None else [any_of(mask, 0)]
            used += [] if self.keep is None else [self.keep[at]]
            for counts in used:
                if not known_all(counts):
                    rows = rows.masked_fill(~counts[:, None], 0)
            if self.normalize:
                inverse = rows.norm(dim=1, keepdim=True).clamp_min_(1e-12).reciprocal_()
                rows = rows * inverse
            logits = room[:len(query) * len(rows)].view(len(query), len(rows))
            yield at, rows, inverse, mask, logits

    def bias(self, query: Tensor, keys: Tensor, shift: float) -> Tensor:
        """Return (K,): minus ``shift`` where a key counts at all, else minus infinity."""
        bias = query.new_full((len(keys),), -shift)
        return bias if self.keep is None else bias.masked_fill_(~self.keep, -math.inf)


class LogSumExp(torch.autograd.Function):
    """The walk. Exponents are of 2: a CPU computes those in half the time of those of e.

    The gradient to the query is finished in the forward, where the exponentials are at hand; that
    to the keys needs the rows' own gradients, so the backward walks again, only if it is asked.
    """

    @staticmethod
    def forward(ctx, query: Tensor, keys: Tensor, scale: float, reader: KeyReader) -> Tensor:
        bound = scale / math.log(2)
        # unit vectors have logits of at most `bound`; else the shift is the highest logit so far
        fixed = reader.bounded and -2 * bound > LOWEST_EXPONENT
        bias = reader.bias(query, keys, bound if fixed else 0.0)
        start = bound if fixed else torch.finfo(query.dtype).min / 2
        shift = query.new_full((len(query), 1), start)
        total = torch.zeros_like(shift)
        moment = torch.zeros_like(query) if ctx.needs_input_grad[0] else None
        for at, rows, _, mask, logits in reader.blocks(query, keys):
            if mask is None:
                torch.addmm(bias[at], query, rows.t(), alpha=bound, out=logits)
            else:           # what the products are added to holds the mask: no pass of its own
                grouped(logits, mask).copy_(bias[at].where(mask, -math.inf)[:, None])
                logits.addmm_(query, rows.t(), alpha=bound)
            if not fixed:
                shift = follow_highest(logits, shift, total, moment)
            total += logits.exp2_().sum(1, keepdim=True)
            if moment is not None:
                moment.addmm_(logits, rows)
        log2 = total.log2() + shift
        if moment is not None:
            moment *= scale
            moment /= total.clamp_min(torch.finfo(total.dtype).tiny)  # 0 where no key counts
        ctx.reader, ctx.scale = reader, scale
        ctx.save_for_backward(moment, *((query, keys, log2) if ctx.needs_input_grad[1] else ()))
        return log2.squeeze(1) * math.log(2)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple:
        moment, *walk = ctx.saved_tensors
        grad, to_keys = grad[:, None], None
        if walk:
            with torch.autocast(grad.device.type, enabled=False):
                to_keys = key_gradient(ctx.reader, ctx.scale, *walk, grad)
        return None if moment is None else moment * grad, to_keys, None, None


def grouped(logits: Tensor, mask: Tensor) -> Tensor:
    """Return the logits (N, block) as (G, N / G, block): by the rows of a mask (G, block)."""
    return logits.view(len(mask), -1, logits.shape[1]) if logits.numel() else logits[:, None]


def follow_highest(logits: Tensor, shift: Tensor, total: Tensor, moment: Tensor | None) -> Tensor:
    """Shift ``logits`` by each row's highest value so far, and what was summed before likewise."""
    highest = torch.maximum(shift, logits.amax(1, keepdim=True))
    decay = torch.exp2(shift - highest)
    total *= decay
    if moment is not None:
        moment *= decay
    logits -= highest
    return highest


def key_gradient(reader: KeyReader, scale: float, query: Tensor, keys: Tensor, log2: Tensor,
                 grad: Tensor) -> Tensor:
    """Return the gradient (K, D) to the keys, given ``grad`` (N, 1) to the natural logarithm."""
    out = torch.empty_like(keys)
    shift = -log2.masked_fill(log2.isinf(), 0)  # a row without keys has all its logits hidden
    for at, rows, inverse, mask, logits in reader.blocks(query, keys):
        torch.addmm(shift, query, rows.t(), alpha=scale / math.log(2), out=logits)
        if mask is not None:
            grouped(logits, mask).masked_fill_(~mask[:, None], -math.inf)
        if reader.keep is not None:
            logits.masked_fill_(~reader.keep[at], -math.inf)
        part = logits.exp2_().mul_(grad * scale).t() @ query
        if inverse is not None:  # back through x / |x|
            part = (part - (part * rows).sum(1, keepdim=True) * rows) * inverse
        out[at] = part
    return out


def masked_logsumexp(query: Tensor, keys: Tensor, scale: float, *, normalize: bool = False,
                     bounded: bool = False, keep: Tensor | None = None,
                     mask: BlockMask | None = None, block: int | None = None) -> Tensor:
    """Return log of the sum over a row's keys of exp(scale query . key), (N,); -inf of no keys.

    Computed in float32 (float64 where the query is), with autocast off, and differentiable once
    with respect to query and keys. Beside the gradients that are asked for it holds one block of
    logits and a few (N, D) tensors.

    Args:
        query: (N, D).
        keys: (K, D), of any float type.
        scale: one over the temperature.
        normalize: divide each key by its length.
        bounded: the caller vouches that no query, and no key (after ``normalize``), is longer
            than 1; saves two passes.
        keep: bool (K,), keys that count at all; costs nothing.
        mask: which keys count for which row, asked for block by block.
        block: number of keys in a block; by default what suits the device.
    """
    dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    reader = KeyReader(normalize, bounded, keep, mask, block)
    with torch.autocast(query.device.type, enabled=False):
        return LogSumExp.apply(query.to(dtype), keys, scale, reader)
