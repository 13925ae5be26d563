"""All protocols on all layers of one frozen network, each image passed through it once."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from mmengine.model import BaseModel

from mmdense.mistakes import WrongValue

from .best_layer import CHOICE, choose_layer, memory_miou
from .feature_cache import FeatureExtractor, LayerMaps
from .features import FrozenEncoder
from .from_config import EvaluationData
from .knn import KNNSegmenter
from .label_checks import check_classes
from .predictions import write_predictions
from .predictors import labelled_cells, linear_predictors
from .protocols import (
    LABELLED,
    baselines,
    correspondence,
    knn,
    linear,
    overcluster,
    statistics,
)
from .sources import LabelledImages, ViewPairs

#: results by layer, protocol and name
Results = dict[str, dict[str, dict[str, float]]]
#: gives, for what is done and how many steps it has, a context with a function to call at each
Track = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes:
        protocols: some of ``PROTOCOLS``.
        layers: names as of ``layer_index``.
        clusters: of overcluster, matched many to one.
        seed: of cells, views and probes.
        cache: folder of the feature cache, or None.
        predictions: folder for predictions of the first queries, or None.
        images: how many of them.

    Raises:
        ValueError: fewer than one image.
    """
    protocols: tuple[str, ...]
    layers: tuple[str, ...] = ('last',)
    clusters: int = 500
    seed: int = 0
    cache: str | None = None
    predictions: str | None = None
    images: int = 6

    def __post_init__(self) -> None:
        if self.images < 1:
            raise WrongValue(f'--images {self.images}: expected 1 or more')

    @property
    def labels(self) -> bool:
        """Whether labelled images are needed."""
        return bool({*LABELLED} & {*self.protocols}) or self.predictions is not None


@dataclass
class Found:
    """What was measured.

    Attributes:
        results: by layer, protocol and name.
        absent: classes that the queries show and the memory never does.
        labels: what is to be said of the labels of memory and queries: log level and line.
    """
    results: Results
    absent: tuple[str, ...] = ()
    labels: list[tuple[int, str]] = field(default_factory=list)


def _with_labels(memory: dict[str, LayerMaps], queries: dict[str, LayerMaps],
                 data: EvaluationData, request: Request, device: torch.device) -> Results:
    found: Results = {layer: {} for layer in request.layers}
    choice = dict(per_image=data.per_image, seed=request.seed, device=device)
    k, beta = data.settings['k'], data.settings['beta']
    beside = {}        # maps of one size have the same baselines
    for layer, results in found.items():
        given = memory[layer], queries[layer], len(data.classes)
        sizes = tuple(maps.shape[1:] for maps in queries[layer].maps)
        beside[sizes] = beside.get(sizes) or baselines(*given)
        if 'knn' in request.protocols:
            results['knn'] = knn(*given, k, beta, **choice)
            if len(found) > 1:      # else there is nothing to choose from
                among = memory_miou(memory[layer], len(data.classes), k, beta,
                                    data.settings['memory_size'], request.seed, device)
                results['knn'] |= {} if among is None else {CHOICE: among}
        if 'linear' in request.protocols:
            results['linear'] = linear(*given, **choice)
        if 'overcluster' in request.protocols:
            results['overcluster'] = overcluster(*given[1:], request.clusters, request.seed)
        for numbers in results.values():
            numbers.update(beside[sizes])
    return found


def _write(memory: LayerMaps, queries: LayerMaps, data: EvaluationData, request: Request,
           device: torch.device) -> None:
    given = memory, len(data.classes), data.per_image, request.seed
    if 'linear' in request.protocols:
        predictor = linear_predictors(*given, device)['mIoU']
    else:
        predictor = KNNSegmenter(labelled_cells(*given), device, data.settings['k'],
                                 data.settings['beta'])
    write_predictions(request.predictions, data.queries, queries, predictor, request.images)


def measure(model: BaseModel, data: EvaluationData, request: Request, track: Track) -> Found:
    """Return the results of one model.

    Args:
        model: is not changed.
        data: images and settings.
        request: what is measured.
        track: shows how far a pass over images is.

    Raises:
        ValueError: a stride or layer that the backbone cannot give, or what a protocol raises.
        OSError: a file of the cache, or a prediction, could not be written.
    """
    settings = data.settings
    encoder = FrozenEncoder(model, settings['stride'] or None)
    extractor = FeatureExtractor(encoder, request.cache,
                                 data.memory if settings['recalibrate_bn'] else None,
                                 data.batch_size, data.num_workers)

    def extract(source: LabelledImages | ViewPairs, what: str) -> dict[str, LayerMaps]:
        with track(what, len(source)) as advance:
            return extractor.extract(source, request.layers, advance)

    found = Found({layer: {} for layer in request.layers})
    if request.labels or 'statistics' in request.protocols:
        memory = extract(data.memory, 'memory') if request.labels else {}
        queries = extract(data.queries, 'queries')
        if request.labels:
            layer = request.layers[0]
            found.absent, found.labels = check_classes(memory[layer], queries[layer], data)
            found.results = _with_labels(memory, queries, data, request, encoder.device)
            if request.predictions is not None:
                layer = choose_layer(found.results) or request.layers[-1]
                _write(memory[layer], queries[layer], data, request, encoder.device)
        if 'statistics' in request.protocols:
            classes = len(data.classes) if request.labels else None
            for layer, results in found.results.items():
                results['statistics'] = statistics(queries[layer], request.seed, classes)
        del memory, queries
    if 'correspondence' in request.protocols:
        pairs = extract(ViewPairs(data.queries, request.seed), 'views')
        for layer, results in found.results.items():
            results['correspondence'] = correspondence(pairs[layer], encoder.device)
    return found
