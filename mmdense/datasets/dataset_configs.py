"""Configs of datasets that wrap others: ``dataset`` and ``datasets`` hold what is inside.

``datasets`` is a list, or a dict by task (``mmdense.MultiTaskDataset``).
"""
from __future__ import annotations

from collections.abc import Callable, Iterator


def inside(cfg: dict) -> list:
    """Return what a dataset's config wraps: configs, or datasets that are built already."""
    parts = cfg.get('datasets') or ()
    found = [cfg.get('dataset'), *(parts.values() if isinstance(parts, dict) else parts)]
    return [part for part in found if part is not None]


def walk(cfg: dict) -> Iterator[dict]:
    """Yield a dataset's config and those inside, each before what it wraps."""
    if isinstance(cfg, dict):
        yield cfg
        for part in inside(cfg):
            yield from walk(part)


def changed(cfg: dict, change: Callable[[dict], dict]) -> dict:
    """Return a copy of a dataset's config; ``change`` makes each one's copy, from inside out."""
    if not isinstance(cfg, dict):
        return cfg
    own = dict(cfg)
    if own.get('dataset') is not None:
        own['dataset'] = changed(own['dataset'], change)
    if own.get('datasets'):
        parts = own['datasets']
        own['datasets'] = ({name: changed(part, change) for name, part in parts.items()}
                           if isinstance(parts, dict) else
                           [changed(part, change) for part in parts])
    return change(own)


def find_pipeline(cfg: dict) -> list[dict] | None:
    """Return the pipeline of a dataset's config, or else the first one inside; None = none."""
    return next((part['pipeline'] for part in walk(cfg) if 'pipeline' in part), None)
