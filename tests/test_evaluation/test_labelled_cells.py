from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdense.evaluation.labelled_cells import LabelledCells, cell_histograms, choose_cells


@pytest.mark.parametrize(('size', 'cells'), [((8, 12), (2, 3)), ((7, 11), (3, 4)),
                                             ((4, 4), (4, 4)), ((5, 3), (1, 1))])
def test_histograms_equal_a_loop_over_pixels(size, cells):
    labels = torch.from_numpy(np.random.default_rng(0).choice([0, 1, 2, 255], size=size)).long()
    expected = torch.zeros(*cells, 3)
    for i in range(size[0]):
        for j in range(size[1]):
            if labels[i, j] != 255:
                row, column = (i + 0.5) * cells[0] / size[0], (j + 0.5) * cells[1] / size[1]
                expected[int(row), int(column), labels[i, j]] += 1
    assert torch.equal(cell_histograms(labels, *cells, 3), expected.view(-1, 3))


def test_cells_of_rare_classes_are_preferred():
    histograms = torch.zeros(100, 3)
    histograms[:90, 0] = 16                                   # 90 common, 10 rare cells
    histograms[90:, 1] = 16
    kept = torch.cat([choose_cells(histograms, 20, seed) for seed in range(50)])
    rare = (kept >= 90).float().mean()
    # a plain draw would give 0.1; score 10 * u against 90 * u: nearly all ten rare cells of 20
    assert 0.4 < rare <= 0.5


def test_scores_follow_the_formula():
    histograms = torch.randint(0, 3, (30, 4)).float()
    noise = torch.rand(30, generator=torch.Generator().manual_seed(5))
    scores = []
    for cell in range(30):
        frequency = sum(sum(histograms[i, c] > 0 for i in range(30)) for c in range(4)
                        if histograms[cell, c] > 0)
        scores.append(float(frequency * noise[cell]) if histograms[cell].sum() else float('inf'))
    expected = sorted(sorted(range(30), key=scores.__getitem__)[:9])
    assert choose_cells(histograms, 9, 5).tolist() == expected


def test_unlabelled_cells_are_never_kept():
    histograms = torch.zeros(10, 2)
    histograms[[2, 7], 1] = 3
    assert choose_cells(histograms, None, 0).tolist() == [2, 7]
    assert choose_cells(histograms, 5, 0).tolist() == [2, 7]
    assert choose_cells(histograms, 1, 0).tolist() in ([2], [7])


def test_cells_stand_in_the_images_order_as_they_are():
    cells = LabelledCells(2)
    for number in (1, 0):
        cells.add(torch.full((3, 1, 2), number + 1.), torch.tensor([[0, 1, 255, 1]]), number)
    features, counts = cells.gathered('cpu')
    assert features.tolist() == [[1.] * 3] * 2 + [[2.] * 3] * 2
    assert counts.tolist() == [[1, 1], [0, 1]] * 2
    nothing = LabelledCells(2)
    nothing.add(torch.ones(3, 1, 1), torch.full((2, 2), 255), 0)
    with pytest.raises(ValueError, match='no pixel of the memory images is labelled'):
        nothing.gathered('cpu')
