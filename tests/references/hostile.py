"""Files that a checkpoint reader must refuse; running one leaves a folder behind."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import HistoryBuffer


class Payload:
    """Pickles as a call of ``os.mkdir``: whoever runs it leaves the folder ``trace``."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.trace,)


def program(trace: Path) -> str:
    """Return a text that leaves the folder ``trace`` if it is run as a Python program."""
    place = repr(str(trace))
    return f'import os\nos.mkdir({place})\nmodel = dict(type="os.mkdir", path={place})\n'


#: where a checkpoint may have text
TEXTS = ('meta.config', 'meta.cfg', 'meta.experiment_name', 'meta.mmengine_version', 'meta.time',
         'meta.CLASSES', 'meta.dataset_meta', 'message_hub.runtime_info.cfg',
         'message_hub.runtime_info.dataset_meta', 'message_hub.runtime_info.last_ckpt',
         'message_hub.runtime_info.experiment', 'config', 'cfg', 'custom_imports', '_base_')


def told(checkpoint: dict, trace: Path) -> dict:
    """Write a program into every place of a checkpoint that may hold text; return it."""
    for place in TEXTS:
        *parents, name = place.split('.')
        part = checkpoint
        for parent in parents:
            part = part[parent]
        part[name] = program(trace)
    return checkpoint


def hostile(trace: Path, place: str = 'top') -> dict[str, Any]:
    """Return what looks like mmengine's checkpoint, with a payload at ``place``."""
    log = HistoryBuffer([1.0], [1])
    checkpoint = dict(
        meta=dict(epoch=0, iter=1, cfg='', seed=1, experiment_name='x', dataset_meta={}),
        state_dict={'weight': torch.zeros(1)}, optimizer={}, param_schedulers=[],
        message_hub=dict(log_scalars={'train/loss': log}, runtime_info={}, resumed_keys={}))
    where = {'top': checkpoint, 'meta': checkpoint['meta'],
             'state_dict': checkpoint['state_dict'], 'history': log.__dict__,
             'message_hub': checkpoint['message_hub']['runtime_info']}[place]
    where['payload'] = Payload(trace)
    return checkpoint
