"""Overclustering: counts and matches against slow loops, planted features, errors."""
from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmdense.evaluation import overclustering
from mmdense.evaluation.overclustering import (
    confusion,
    fit_clusters,
    match_hungarian,
    match_many_to_one,
    matched_miou,
)


def slow_miou(clusters, labels, classes, num_classes):
    """mIoU in per cent by one look at every pixel."""
    ious = []
    for c in range(num_classes):
        both = either = 0
        for cluster, label in zip(clusters.tolist(), labels.tolist(), strict=True):
            if label != 255:
                predicted, true = int(classes[cluster]) == c, label == c
                both, either = both + (predicted and true), either + (predicted or true)
        if either:
            ious.append(both / either)
    return 100 * sum(ious) / len(ious)


def planted(cells=600, channels=12, num_classes=4):
    """Cells whose features are a code of their class, and little noise; their labels."""
    labels = torch.randint(0, num_classes, (cells,))
    codes = torch.randn(num_classes, channels) * 5
    return codes[labels] + 0.01 * torch.randn(cells, channels), labels


def measured(features, labels, num_clusters, num_classes, seed=0):
    clusters = fit_clusters(features, num_clusters, seed=seed).predict(features)
    counts = confusion(clusters, labels, num_clusters, num_classes)
    match = match_hungarian if num_clusters == num_classes else match_many_to_one
    return matched_miou(counts, match(counts))


def test_counts_equal_a_loop_and_drop_ignored_pixels():
    clusters = torch.randint(0, 5, (7, 9))
    labels = torch.from_numpy(np.random.default_rng(0).choice([0, 1, 2, 255], size=(7, 9)))
    expected = torch.zeros(5, 3, dtype=torch.int64)
    for i in range(7):
        for j in range(9):
            if labels[i, j] != 255:
                expected[clusters[i, j], labels[i, j]] += 1
    counts = confusion(clusters, labels, 5, 3)
    assert counts.dtype == torch.int64 and torch.equal(counts, expected)
    assert torch.equal(confusion(clusters, labels.to(torch.uint8), 5, 3), expected)
    nothing = confusion(clusters, torch.full((7, 9), 255), 5, 3)
    assert nothing.shape == (5, 3) and not nothing.any()


def test_many_uint8_clusters_do_not_overflow():
    clusters = torch.full((4,), 200, dtype=torch.uint8)
    counts = confusion(clusters, torch.full((4,), 20, dtype=torch.uint8), 201, 21)
    assert counts[200, 20] == counts.sum() == 4


@pytest.mark.parametrize('seed', range(5))
def test_hungarian_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    # a class that dominates all clusters is where greedy choices and precision go wrong
    counts = torch.from_numpy(rng.integers(0, 50, (5, 5)) * rng.choice([1, 40], size=5))
    counts[rng.integers(5)] = 0

    def total(classes):
        return sum(float(counts[k, c] / (counts[k].sum() + counts[:, c].sum() - counts[k, c]))
                   if counts[k].sum() + counts[:, c].sum() else 0. for k, c in enumerate(classes))

    found = match_hungarian(counts)
    assert found.dtype == torch.int64 and sorted(found.tolist()) == list(range(5))
    best = max(total(classes) for classes in permutations(range(5)))
    assert total(found.tolist()) == pytest.approx(best)
    # with a permutation the mean of these is the mIoU
    assert matched_miou(counts, found) == pytest.approx(100 * best / 5)


def test_hungarian_maximises_iou_not_pixels():
    # pixels: the diagonal has 60 + 1, the other 40 + 20; IoU: 0.5 + 0.01 against 0.33 + 0.25
    counts = torch.tensor([[60, 40], [20, 1]])
    assert match_hungarian(counts).tolist() == [1, 0]


def test_many_to_one_takes_the_class_of_most_pixels():
    counts = torch.tensor([[3, 7, 0], [0, 0, 0], [4, 4, 1], [0, 1, 9], [90, 100, 80]])
    precision = counts / counts.sum(1, keepdim=True).clamp(min=1)
    assert match_many_to_one(counts).tolist() == precision.argmax(1).tolist() == [1, 0, 0, 2, 1]


@pytest.mark.parametrize('num_clusters', [4, 9])
def test_miou_equals_a_loop_and_mmseg(num_clusters):
    clusters = torch.randint(0, num_clusters, (200,))
    # class 3 occurs in neither labels nor prediction
    labels = torch.from_numpy(np.random.default_rng(1).choice([0, 1, 2, 255], size=200))
    counts = confusion(clusters, labels, num_clusters, 4)
    classes = torch.randint(0, 3, (num_clusters,))
    found = matched_miou(counts, classes)
    assert found == pytest.approx(slow_miou(clusters, labels, classes, 4))
    areas = IoUMetric.intersect_and_union(classes[clusters], labels, 4, 255)
    iou = IoUMetric.total_area_to_metrics(*areas, metrics=['mIoU'])['IoU']
    assert found == pytest.approx(float(torch.as_tensor(iou).nanmean()) * 100, abs=1e-4)


@pytest.mark.parametrize('num_clusters', [4, 20])
def test_labels_in_the_features_give_everything(num_clusters):
    features, labels = planted()
    assert measured(features, labels, num_clusters, 4) == pytest.approx(100)
    # neither a channel's scale nor its offset counts
    scaled = features * torch.logspace(-3, 3, 12) + torch.arange(12)
    assert measured(scaled, labels, num_clusters, 4) == pytest.approx(100)


def test_noise_gives_what_one_class_gives():
    labels = (torch.rand(4000) < 0.2).long()                    # 80 % class 0
    one_class = 100 * float((labels == 0).float().mean()) / 2
    assert measured(torch.randn(4000, 8), labels, 20, 2) == pytest.approx(one_class, abs=1.5)


def test_ignored_pixels_change_nothing():
    features, labels = planted()
    clusters = fit_clusters(features, 4).predict(features)
    wrong = clusters.clone()
    wrong[:100] = (wrong[:100] + 1) % 4
    labels[:100] = 255
    assert torch.equal(confusion(wrong, labels, 4, 4), confusion(clusters, labels, 4, 4))


def test_the_same_seed_gives_the_same_clusters():
    features = torch.randn(300, 6)
    first, again, other = (fit_clusters(features, 10, seed=seed).predict(features)
                           for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.dtype == torch.int64 and first.unique().tolist() == list(range(10))


def test_components_are_cut_to_what_there_is():
    def components(*shape, **arguments):
        return fit_clusters(torch.randn(*shape), 3, **arguments).pipeline['pca'].n_components_
    assert components(200, 64) == 50 and components(200, 64, components=7) == 7
    assert components(200, 8) == 8 and components(5, 64) == 5


def test_clusters_are_of_standardised_principal_components():
    features = torch.randn(80, 10) @ torch.randn(10, 10)
    fitted = fit_clusters(features, 4, components=3)
    scaled = ((features - features.mean(0)) / features.std(0, correction=0)).double()
    eigenvectors = torch.linalg.eigh(scaled.t() @ scaled).eigenvectors[:, -3:]
    points = scaled @ eigenvectors
    clusters = fitted.predict(features)
    centres = torch.stack([points[clusters == k].mean(0) for k in range(4)])
    # k-means has converged: each cell is nearest to the mean of its own cluster
    assert torch.equal(torch.cdist(points, centres).argmin(1), clusters)


def test_many_cells_are_clustered_in_batches(monkeypatch):
    features, labels = planted()
    assert type(fit_clusters(features, 4).pipeline[-1]).__name__ == 'KMeans'
    monkeypatch.setattr(overclustering, 'MOST_CELLS', 599)
    assert type(fit_clusters(features, 4).pipeline[-1]).__name__ == 'MiniBatchKMeans'
    assert measured(features, labels, 4, 4) == pytest.approx(100)


@pytest.mark.filterwarnings('ignore')
def test_collapsed_features_are_one_cluster():
    features = torch.ones(50, 6)
    labels = torch.arange(50) % 2
    assert measured(features, labels, 5, 2) == pytest.approx(25)    # one class: half of its own


def test_half_precision_and_graphs_are_taken():
    features, labels = planted()
    clusters = fit_clusters(features.half().requires_grad_(), 4).predict(features.half())
    counts = confusion(clusters, labels, 4, 4)
    assert matched_miou(counts, match_hungarian(counts)) == pytest.approx(100)


@pytest.mark.parametrize(('call', 'message'), [
    (lambda: fit_clusters(torch.randn(9, 3), 10), '9 cells cannot form num_clusters=10'),
    (lambda: fit_clusters(torch.randn(9, 3), 0), 'num_clusters=0, components=50; expected both'),
    (lambda: fit_clusters(torch.randn(9, 3), 2, components=0), 'components=0; expected'),
    (lambda: fit_clusters(torch.randn(9, 3, 2), 2), r'shape \(9, 3, 2\), torch.float32; expected'),
    (lambda: fit_clusters(torch.ones(9, 3).long(), 2), r'torch.int64; expected floating point'),
    (lambda: fit_clusters(torch.tensor([[1., 2], [torch.nan, 0]]), 1), '1 of 2 cells .* hold nan'),
    (lambda: fit_clusters(torch.randn(9, 3), 2).predict(torch.randn(9, 4)),
     r'shape \(9, 4\); expected \(cells, 3\)'),
    (lambda: confusion(torch.zeros(2, 2).long(), torch.zeros(4, 4).long(), 2, 2),
     r'\(2, 2\) and labels of shape \(4, 4\); expected the same'),
    (lambda: confusion(torch.tensor([2]), torch.tensor([0]), 2, 3), 'cluster 2; expected 0 to 1'),
    (lambda: confusion(torch.tensor([0]), torch.tensor([3]), 2, 3),
     r'not ignored \(255\) has label 3; expected 0 to 2'),
    (lambda: confusion(torch.tensor([0]), torch.tensor([-1]), 2, 3), 'label -1; expected 0 to 2'),
    (lambda: match_hungarian(torch.ones(3, 2)), r'shape \(3, 2\); a one-to-one match expects'),
    (lambda: matched_miou(torch.ones(3, 2).long(), torch.zeros(2).long()), 'one class per cluster'),
    (lambda: matched_miou(torch.ones(2, 2).long(), torch.tensor([0, 2])), 'class 2; expected'),
    (lambda: matched_miou(torch.zeros(2, 2).long(), torch.zeros(2).long()), 'no pixel is counted')])
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
