"""A first-in first-out memory of keys: the negatives of MoCo (1911.05722, sec. 3.2)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast, get_world_size
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdense.gathering import gather_rows
from mmdense.mistakes import WrongValue

#: image index of a slot that no key was ever written to
EMPTY = -2
#: image index of a key of no known image (random start)
UNKNOWN = -1


class FeatureQueue(nn.Module):
    """Ring buffer of unit keys (K, D) and the index of the image that each came from (K,).

    All its state is in buffers, so that a resumed run goes on with the same negatives. The write
    position stays on the device: a push never waits for the GPU.

    Args:
        size: number of slots K; 0 gives a queue that keeps nothing.
        dim: length D of a key.
        init: ``'random'`` fills all slots with random unit vectors (the published recipes);
            ``'empty'`` starts without negatives, slots count once they are written; ``'filled'``
            is empty too, and its loss counts once all slots are written.

    Raises:
        ValueError: another ``init``, or a negative ``size``.
    """

    def __init__(self, size: int, dim: int = 128, init: str = 'random') -> None:
        super().__init__()
        self.init = init
        if init not in ('random', 'empty', 'filled') or size < 0:
            raise WrongValue(f"queue needs size >= 0 and init 'random', 'empty' or 'filled', got "
                             f'size={size} and init={init!r}')
        self.register_buffer('keys', torch.empty(size, dim))
        self.register_buffer('index', torch.empty(size, dtype=torch.long))
        self.register_buffer('pointer', torch.empty((), dtype=torch.long))
        self.clear()

    @torch.no_grad()
    def clear(self) -> None:
        """Fill all slots as ``init`` says, and write from the first one on."""
        random = self.init == 'random'
        # drawn on the CPU: the same numbers on every device
        self.keys.copy_(F.normalize(torch.randn(self.keys.shape)) if random
                        else torch.zeros(self.keys.shape))
        self.index.fill_(UNKNOWN if random else EMPTY)
        self.pointer.zero_()

    def start_anew(self) -> str | None:
        """Forget another run's keys, whose image numbers mean other images here; say so."""
        if self.pointer == 0 and (self.index < 0).all():
            return None
        self.clear()
        broadcast(self.keys)
        return 'the queue starts anew'

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def filled(self) -> Tensor:
        """Number of slots that hold a key, a scalar on the device."""
        return (self.index != EMPTY).sum()

    @torch.no_grad()
    def push(self, keys: Tensor, index: Tensor) -> None:
        """Write the unit ``keys`` (B, D) of images ``index`` (B,) of all processes.

        Writing wraps around.

        Raises:
            ValueError: more keys than slots (unless there are none at all): those of the first
                processes would never be anybody's negatives.
        """
        size, world_size = len(self), get_world_size()
        if not size:
            return
        count = len(keys) * world_size
        if count > size:
            raise WrongValue(
                f'queue.size={size} is less than the {count} keys of one step ({len(keys)} '
                f'in each of {world_size} process(es)), so some would never become negatives; set '
                f'model.queue.size to {count} or more, or to 0 for no queue, or take fewer images '
                f'or cells per step: the keys of one process have to come down to '
                f'{size // world_size} or less')
        keys, index = gather_rows(keys.to(self.keys.dtype)), gather_rows(index)
        slots = (self.pointer + torch.arange(count, device=self.pointer.device)) % size
        self.keys.index_copy_(0, slots, keys)
        self.index.index_copy_(0, slots, index)
        self.pointer.copy_((self.pointer + count) % size)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Load keys of this queue's shape; with others it stays as it is, and says so."""
        given = state_dict.get(f'{prefix}keys')
        if given is not None and given.shape != self.keys.shape:
            print_log(f'{prefix}keys: {tuple(given.shape)} in the checkpoint, '
                      f'{tuple(self.keys.shape)} here; the queue starts anew', 'current')
            for name, buffer in self.named_buffers():
                state_dict[f'{prefix}{name}'] = buffer
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f'size={len(self)}, dim={self.keys.shape[1]}'
