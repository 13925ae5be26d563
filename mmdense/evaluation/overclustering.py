"""Unsupervised segmentation by k-means of frozen cells, matched to the classes afterwards.

The protocol of Leopart (Ziegler, Asano: Self-Supervised Learning of Object Parts for Semantic
Segmentation, 2204.13101), from its formulas. Its settings are

- overclustering, *published* for VOC 2012 val as "K=500": :func:`fit_clusters` with 500 clusters
  and 50 components, :func:`match_many_to_one`; other sets are measured with other K (300, 500);
- fully unsupervised, "K=21" on VOC: as many clusters as classes, :func:`match_hungarian`.

Clusters are fitted on the cells of the very images that are evaluated, and matched with their
labels: that is the published way, so the result ranks features and is no accuracy on new images.
K-means depends on its start: the published numbers are means over five seeds.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmdense.datasets.label_maps import IGNORE
from mmdense.mistakes import MissingPackage, WrongValue

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: cells above which k-means looks at random batches of them in place of all in every step
MOST_CELLS = 100_000
#: cells of such a batch
BATCH_CELLS = 16_384
#: k-means starts so often; the best start (of batches) or end (of all cells) is kept
RESTARTS = 5


def _finite(features: Tensor) -> None:
    bad = int((~features.isfinite().all(1)).sum())
    if bad:
        raise WrongValue(f'{bad} of {len(features)} cells to cluster hold nan or inf; expected '
                         'finite features')


def fit_clusters(features: Tensor, num_clusters: int, components: int = 50,
                 seed: int = 0) -> Clusters:
    """Fit standardisation, PCA and k-means to cells.

    Each channel gets mean 0 and variance 1, PCA keeps ``components`` directions (all of them, as
    a rotation, where there are fewer channels), k-means++ starts k-means: on all cells (Lloyd) up
    to ``MOST_CELLS``, on batches of ``BATCH_CELLS`` (mini-batch k-means) above.

    Args:
        features: (N, D) floating point, of any scale.
        num_clusters: K; 500 or 300 for overclustering, the number of classes for "K=21".
        components: dimensions after PCA; the published 50.
        seed: of k-means; 0 to 2³² - 1.

    Returns:
        what gives cells their cluster.

    Raises:
        ValueError: ``features`` are no matrix, not finite, fewer than clusters; a count below 1.
        ModuleNotFoundError: scikit-learn is not installed.

    Source: Leopart, 2204.13101; K-means of batches: Sculley, Web-scale k-means clustering, 2010.
    """
    if features.ndim != 2 or not features.is_floating_point():
        raise WrongValue(f'features of shape {tuple(features.shape)}, {features.dtype}; expected '
                         'floating point (cells, channels)')
    if num_clusters < 1 or components < 1:
        raise WrongValue(f'num_clusters={num_clusters}, components={components}; expected both at '
                         'least 1')
    if len(features) < num_clusters:
        raise WrongValue(f'{len(features)} cells cannot form num_clusters={num_clusters} clusters; '
                         'expected at least one cell per cluster')
    _finite(features)
    try:
        from sklearn.cluster import KMeans, MiniBatchKMeans
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError as error:
        raise MissingPackage('clustering needs scikit-learn: pip install scikit-learn '
                             f'({error})') from None
    if len(features) > MOST_CELLS:
        kmeans = MiniBatchKMeans(num_clusters, batch_size=BATCH_CELLS, n_init=RESTARTS,
                                 random_state=seed)
    else:
        kmeans = KMeans(num_clusters, n_init=RESTARTS, random_state=seed)
    # the covariance's eigenvectors: exact, unlike what PCA draws at random for large inputs
    pca = PCA(min(components, *features.shape), svd_solver='covariance_eigh')
    pipeline = make_pipeline(StandardScaler(), pca, kmeans)
    pipeline.fit(features.detach().cpu().float().numpy())
    return Clusters(pipeline, features.shape[1])


def _below(values: Tensor, limit: int, what: str) -> None:
    low, high = (int(value) for value in values.aminmax())
    if low < 0 or high >= limit:
        raise WrongValue(f'{what} {low if low < 0 else high}; expected 0 to {limit - 1}')


def confusion(clusters: Tensor, labels: Tensor, num_clusters: int, num_classes: int) -> Tensor:
    """Count the pixels of each cluster and class; sums over images are the counts of a set.

    Args:
        clusters: (…) int64 cluster of each pixel, such as the (H, W) of
            :func:`~mmdense.cells.at_pixels`.
        labels: (…) int64 class of each pixel, of the same shape; 255 = dropped.
        num_clusters: K.
        num_classes: C.

    Returns:
        (K, C) int64 pixels.

    Raises:
        ValueError: different shapes; a cluster outside 0 … K-1; a label that is neither a class
            nor 255.
    """
    if clusters.shape != labels.shape:
        raise WrongValue(f'clusters of shape {tuple(clusters.shape)} and labels of shape '
                         f'{tuple(labels.shape)}; expected the same (at_pixels)')
    known = labels != IGNORE
    # uint8 label maps would overflow in the product below
    clusters, labels = clusters[known].long(), labels[known].long()
    if labels.numel():
        _below(clusters, num_clusters, 'a pixel is of cluster')
        _below(labels, num_classes, f'a pixel that is not ignored ({IGNORE}) has label')
    slots = clusters * num_classes + labels
    return torch.bincount(slots, minlength=num_clusters * num_classes).view(-1, num_classes)


def match_hungarian(counts: Tensor) -> Tensor:
    """Give each cluster a class of its own so that the sum of their IoUs is largest.

    The IoU of cluster k and class c is n_kc / (n_k· + n_·c - n_kc) over all labelled pixels, 0
    where neither has one; solved exactly by the Hungarian method.

    Args:
        counts: (K, K) pixels of :func:`confusion`.

    Returns:
        (K,) int64 a permutation: the class of each cluster.

    Raises:
        ValueError: not as many clusters as classes.

    Source: Leopart, 2204.13101, "K=21"; Kuhn, The Hungarian method, 1955.
    """
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise WrongValue(f'counts of shape {tuple(counts.shape)}; a one-to-one match expects as '
                         'many clusters as classes (match_many_to_one takes more)')
    overlap = counts.double()
    union = overlap.sum(1, keepdim=True) + overlap.sum(0) - overlap
    iou = overlap / union.clamp(min=1)
    _, classes = linear_sum_assignment(iou.cpu().numpy(), maximize=True)
    return torch.as_tensor(classes, dtype=torch.int64, device=counts.device)


def match_many_to_one(counts: Tensor) -> Tensor:
    """Give each cluster the class that covers most of it: the one of best precision n_kc / n_k·.

    Args:
        counts: (K, C) pixels of :func:`confusion`; usually K > C.

    Returns:
        (K,) int64 the class of each cluster; of equal ones the lowest, so 0 for a cluster without
        labelled pixels, which matters to no metric.

    Source: Leopart, 2204.13101, overclustering ("K=500").
    """
    return counts.argmax(1)


def matched_miou(counts: Tensor, classes: Tensor) -> float:
    """Return the mIoU, in per cent, of clusters that were matched to classes.

    Pixels are counted over the whole set; the mean is over the classes that occur in labels or
    prediction, as in mmseg's IoUMetric.

    Args:
        counts: (K, C) pixels of :func:`confusion`.
        classes: (K,) int64 the class of each cluster, of :func:`match_hungarian` or
            :func:`match_many_to_one`.

    Raises:
        ValueError: not one class for each cluster; a class outside 0 … C-1; no pixel counted.
    """
    if classes.shape != counts.shape[:1]:
        raise WrongValue(f'classes of shape {tuple(classes.shape)} for counts of shape '
                         f'{tuple(counts.shape)}; expected one class per cluster')
    if not counts.any():
        raise WrongValue('no pixel is counted; expected images with labelled pixels')
    _below(classes, counts.shape[1], 'a cluster is matched to class')
    # (C, C): predicted and true class
    merged = counts.new_zeros(counts.shape[1], counts.shape[1]).index_add_(0, classes, counts)
    overlap = merged.diagonal()
    union = merged.sum(0) + merged.sum(1) - overlap
    occurs = union > 0
    return float((overlap[occurs] / union[occurs].double()).mean()) * 100


@dataclass(frozen=True)
class Clusters:
    """What :func:`fit_clusters` found.

    Attributes:
        pipeline: scikit-learn's standardisation, PCA and k-means, fitted.
        channels: D, which cells must have.
    """
    pipeline: Pipeline
    channels: int

    def predict(self, features: Tensor) -> Tensor:
        """Return the nearest cluster (N,) int64 of cells (N, D), on their device.

        Raises:
            ValueError: other than D channels; features that are not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.channels:
            raise WrongValue(f'features of shape {tuple(features.shape)}; expected '
                             f'(cells, {self.channels}), as the clusters were fitted')
        _finite(features)
        found = self.pipeline.predict(features.detach().cpu().float().numpy())
        return torch.as_tensor(found, dtype=torch.int64, device=features.device)
