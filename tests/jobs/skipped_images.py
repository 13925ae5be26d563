"""Run the hook that tells about skipped images; the job of one process of several."""
from __future__ import annotations

from types import SimpleNamespace

from mmengine.logging import MMLogger

from mmdense.datasets import UnlabelledDataset
from mmdense.registry import HOOKS


def said(dataset):
    """Run the hook on a loader of ``dataset``; return what it logged."""
    hook = HOOKS.build(dict(type='SkippedImagesHook'))
    lines = []
    logger = MMLogger.get_instance('skipped')
    logger.handle = lambda record: lines.append(record.getMessage())
    hook.after_train(SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset)))
    return lines


def skipped_images_job(folder, rank, world):
    dataset = UnlabelledDataset(data_root=folder, on_error='skip')
    dataset.unreadable[[rank, 2]] = 1
    return said(dataset)
