from __future__ import annotations

import numpy as np
import torch
from mmseg.evaluation import IoUMetric

from mmdense.evaluation.baselines import MeanIoU, PositionPrior, ceiling, upsample
from mmdense.evaluation.labelled_cells import cell_histograms

CPU = torch.device('cpu')


def test_prior_is_the_majority_of_each_pixel():
    prior = PositionPrior((1, 4), 3, CPU)
    for row in ([0, 1, 2, 255], [1, 1, 2, 255], [1, 0, 255, 255]):
        prior.add(torch.tensor([row]))
    assert prior.predict((1, 4)).tolist() == [[1, 1, 2, 0]]
    assert prior.predict((2, 8)).tolist() == [[1, 1, 1, 1, 2, 2, 0, 0]] * 2


def test_prior_takes_labels_of_other_sizes_and_bounds_its_grid():
    prior = PositionPrior((2000, 1000), 2, CPU)
    assert prior.counts.shape == (2, 512, 256)
    labels = torch.zeros(60, 40).long()
    labels[30:] = 1
    prior.add(labels)
    assert torch.equal(prior.predict((10, 4)), torch.tensor([[0] * 4] * 5 + [[1] * 4] * 5))


def test_ceiling_of_labels_that_fit_the_cells_is_perfect_and_fine_detail_is_lost():
    labels = torch.tensor([[0, 1], [1, 2]]).repeat_interleave(8, 0).repeat_interleave(8, 1)
    assert torch.equal(ceiling(cell_histograms(labels, 16, 16, 3), 16, 16, (16, 16)), labels)
    labels = torch.zeros(16, 16).long()
    labels[3, 3] = 1                                      # one pixel of a cell of 64
    assert ceiling(cell_histograms(labels, 2, 2, 2), 2, 2, (16, 16)).sum() == 0


def test_upsampling_keeps_halves():
    scores = torch.tensor([[1., 0], [0, 1]])              # one row of two cells
    assert upsample(scores, 1, 2, (2, 8)).tolist() == [[0] * 4 + [1] * 4] * 2


def test_mean_iou_is_mmsegs():
    rng = np.random.default_rng(0)
    metric, ours = IoUMetric(iou_metrics=['mIoU']), MeanIoU(4)
    metric.dataset_meta = dict(classes=tuple('abcd'))
    for _ in range(5):
        labels = torch.from_numpy(rng.choice([0, 1, 2, 255], size=(9, 8)))
        predicted = torch.from_numpy(rng.integers(0, 3, size=(9, 8)))
        metric.process({}, [dict(pred_sem_seg=dict(data=predicted), gt_sem_seg=dict(data=labels))])
        ours.add(predicted, labels)
    ours.add(predicted * 0, labels)                       # padded by a sampler: is not counted
    assert ours.compute(5) == metric.evaluate(5)['mIoU']
