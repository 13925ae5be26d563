"""What tells whether two things are the same: their sha256, in hex."""
from __future__ import annotations

import hashlib
import json
import os
from itertools import chain
from typing import Any

import torch
from torch import nn


def digest(*parts: Any) -> str:
    """Return the sha256, in hex, of parts that json can write; other objects count as text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: str | os.PathLike) -> str:
    """Return the sha256, in hex, of a file's bytes."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def image_number(path: str) -> int:
    """Return a number from 0 to 2 ** 63 - 1 that is an image's own, by the path of its file."""
    # 63 bits: among ten million images two share a number with a chance of 5e-6
    return int.from_bytes(hashlib.blake2b(str(path).encode('utf-8', 'surrogateescape'),
                                          digest_size=8).digest(), 'big') >> 1


def tensors_digest(module: nn.Module, start: str = '') -> str:
    """Return the sha256, in hex, of a module's parameters and buffers, and of the text ``start``.

    Names, types and shapes count, and buffers that no state dict has.
    """
    sha = hashlib.sha256(start.encode())
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        sha.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        sha.update(flat.view(torch.uint8).numpy().data)
    return sha.hexdigest()
