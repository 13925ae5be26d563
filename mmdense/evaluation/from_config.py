"""From a config and a checkpoint to what frozen evaluation needs: two datasets, two models."""
from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS
from mmseg.models import BaseSegmentor

from mmdense.checkpoints import PretrainedBackbone
from mmdense.datasets.dataset_configs import changed, find_pipeline
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.mistakes import WrongValue
from mmdense.models.selfsup.base import DenseSSL
from mmdense.random_states import kept_random_state

from .datasets import build_dataset, check_datasets
from .protocols import LABELLED
from .sources import LabelledImages, describe


def without_weights(cfg: Any) -> Any:
    """Return a model's config without the files its weights would come from."""
    if isinstance(cfg, (list, tuple)):
        return [without_weights(item) for item in cfg]
    if not isinstance(cfg, dict):
        return copy.deepcopy(cfg)
    kept = {key: without_weights(value) for key, value in cfg.items()
            if not (key == 'init_cfg' and 'Pretrained' in str(value))}
    if isinstance(kept.get('pretrained'), str):
        kept['pretrained'] = None
    if str(kept.get('type')).endswith('TIMMBackbone'):
        kept['pretrained'] = False       # mmseg's default downloads
    return kept


@contextmanager
def quiet() -> Iterator[None]:
    """Log warnings only inside: mmengine logs every tensor that ``init_weights`` touched."""
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def build_random(cfg: Config, seed: int) -> BaseModel:
    """Return the config's model with random weights, those of ``seed``, in eval mode."""
    with kept_random_state(), quiet():
        torch.manual_seed(seed)
        model = revert_sync_batchnorm(MODELS.build(without_weights(cfg.model)))
        model.init_weights()
    model = model.to(get_device())
    model.eval()
    return model


def load_trained(cfg: Config, checkpoint: str, seed: int) -> BaseModel:
    """Return the config's model with a checkpoint's backbone, and report what was loaded.

    The decode head of a pretraining method, whose output is its features, is loaded as well.

    Raises:
        FileNotFoundError, ValueError: the file is missing, unsafe, or not all of the backbone.
    """
    model = build_random(cfg, seed)
    PretrainedBackbone(checkpoint).load(model.backbone)
    if isinstance(model, DenseSSL) and model.decode_head is not None:
        PretrainedBackbone(checkpoint, prefix='decode_head.').load(model.decode_head)
    return model


def _with_pipeline(dataset: dict, pipeline: list[dict]) -> dict:
    """Return a dataset's config with another pipeline, without what repeats or mixes images."""
    def change(own: dict) -> dict:
        if own.get('datasets'):
            return own
        return own.get('dataset') or {**own, 'pipeline': pipeline}

    return changed(dataset, change)


def _steps_without_labels(steps: list) -> list:
    """Return a pipeline without the steps that load or check labels, also inside of steps."""
    found = []
    for step in steps:
        if isinstance(step, (list, tuple)):         # alternatives of TestTimeAug
            step = _steps_without_labels(step)
        elif 'Annotations' in str(step['type']):    # load, check
            continue
        elif isinstance(step.get('transforms'), (list, tuple)):
            step = {**step, 'transforms': _steps_without_labels(step['transforms'])}
        if step:
            found.append(step)
    return found


def _without_labels(dataset: dict) -> dict:
    """Return a dataset's config, and those inside, whose pipelines load no labels."""
    return changed(dataset, lambda own: {**own, 'pipeline': _steps_without_labels(own['pipeline'])}
                   if own.get('pipeline') else own)


def where_labelled(loader: dict, where: str, labels: bool) -> dict:
    """Return a loader's config whose files are there; label maps that are not needed may miss."""
    try:
        check_dataset_paths(loader['dataset'], where)
    except FileNotFoundError:
        if labels:
            raise
        check_dataset_paths(loader['dataset'], where, labels=False)
        return {**loader, 'dataset': _without_labels(loader['dataset'])}
    return loader


@dataclass
class EvaluationData:
    """The labelled images of a frozen evaluation.

    Attributes:
        memory: to learn from.
        queries: to be segmented.
        classes: their names; empty where labels are not needed and there are none.
        batch_size: of the memory's loader; BatchNorm statistics are averaged over such batches.
        num_workers: of the queries' loader.
        settings: ``k``, ``beta``, ``memory_size``, ``stride`` and ``recalibrate_bn`` of the
            config's loop; where it has none, those of ``DenseKNNLoop`` and stride 8.
    """
    memory: LabelledImages
    queries: LabelledImages
    classes: tuple[str, ...]
    batch_size: int
    num_workers: int
    settings: dict[str, Any]

    @property
    def per_image(self) -> int | None:
        """Cells that a memory image gives at most; None = all.

        Raises:
            ValueError: ``memory_size`` has less than one cell for each.
        """
        size, images = self.settings.get('memory_size'), len(self.memory)
        if size is not None and size < images:
            raise WrongValue(f'memory_size={size}: expected one cell for each of {images} '
                             'memory images, or None')
        return None if size is None else size // images


def _parts(cfg: Config, name: str, segmentor: bool,
           labels: bool) -> tuple[dict, dict, dict, str, str]:
    """Return the loader configs of memory and queries, the loop's config, and where they stand."""
    for part in ('test', 'val'):
        loop, queries = cfg.get(f'{part}_cfg') or {}, cfg.get(f'{part}_dataloader')
        if loop.get('memory') and queries:
            return loop['memory'], queries, loop, f'{part}_cfg.memory', f'{part}_dataloader'
    train, queries = cfg.get('train_dataloader'), cfg.get('val_dataloader')
    if not queries:
        raise WrongValue(f'{name} has no val_dataloader: it gives the images to be segmented')
    pipeline = find_pipeline(queries['dataset'])
    if not segmentor or not train or not pipeline:
        if not labels:      # the memory would only give BatchNorm statistics
            return queries, queries, cfg.get('val_cfg') or {}, 'val_dataloader', 'val_dataloader'
        raise WrongValue(
            f'{name} names no labelled memory images: expected test_cfg.memory (a dataloader), or '
            'a segmentor with train_dataloader and a pipeline in val_dataloader.dataset')
    # clean images: the training pipeline cuts and changes them
    memory = {**train, 'dataset': _with_pipeline(train['dataset'], pipeline)}
    return memory, queries, cfg.get('val_cfg') or {}, 'train_dataloader', 'val_dataloader'


def is_segmentor(cfg: Config) -> bool:
    """Return whether a config's model is an mmseg segmentor; its default scope is set."""
    with MODELS.switch_scope_and_registry(None) as registry:     # of the default scope
        kind = registry.get(cfg.model['type'])
    return isinstance(kind, type) and issubclass(kind, BaseSegmentor)


def _images(dataset: Any, cfg: dict, part: str, num_classes: int | None,
            labels: bool) -> LabelledImages:
    if not len(dataset):
        raise WrongValue(f'the {part} dataset ({describe(cfg)}) has no images')
    images = LabelledImages(dataset, cfg, num_classes, optional=not labels)
    first = dataset[0]['data_samples'] if labels else ()
    if labels and 'gt_sem_seg' not in first:
        raise WrongValue(
            f'the {part} dataset ({describe(cfg)}) gives no labels, its first image is '
            f'{first.get("img_path")}: {", ".join(LABELLED)} need LoadAnnotations before '
            'PackSegInputs; correspondence and statistics need no labels')
    return images


def build_data(cfg: Config, name: str, labels: bool = True) -> EvaluationData:
    """Build the datasets of a pretraining or a segmentor's config.

    Memory is ``test_cfg.memory`` and queries are ``test_dataloader``, as in ``tools/test.py``; or
    else ``val_cfg.memory`` and ``val_dataloader``; of a segmentor without either
    ``train_dataloader.dataset`` with the pipeline of ``val_dataloader``.

    Args:
        cfg: its default scope is set.
        name: of the config, for messages.
        labels: whether they are needed. Where not, the queries of ``val_dataloader`` are the
            memory as well if there is no other.

    Raises:
        FileNotFoundError, ValueError: no such datasets in the config or on the disk, without
            images or labels, or they have different classes.
    """
    memory, queries, loop, *places = _parts(cfg, name, is_segmentor(cfg), labels)
    loaders = [where_labelled(loader, where, labels)
               for loader, where in zip((memory, queries), places, strict=True)]
    built = [build_dataset(loader, part)
             for loader, part in zip(loaders, ('memory', 'query'), strict=True)]
    classes = tuple(getattr(built[1], 'metainfo', {}).get('classes') or ())
    num_classes = check_datasets(*built) if labels else len(classes) or None
    images = [_images(dataset, loader['dataset'], part, num_classes, labels)
              for dataset, loader, part in zip(built, loaders, ('memory', 'query'), strict=True)]
    defaults = dict(k=30, beta=0.02, memory_size=102_400, stride=8, recalibrate_bn=True)
    known = {key: loop.get(key, value) for key, value in defaults.items()}
    return EvaluationData(*images, classes, memory.get('batch_size', 1),
                          queries.get('num_workers', 0), known)
