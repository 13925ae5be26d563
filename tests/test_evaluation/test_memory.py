from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdense.evaluation import memory as memory_module
from mmdense.evaluation.memory import ConsecutiveBatches, Memory, cell_histograms, choose_cells


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


@pytest.mark.parametrize('bad', [3, 254, -1])
def test_a_label_outside_the_classes_is_named(bad):
    labels = torch.zeros(4, 4).long()
    labels[1, 1] = bad
    with pytest.raises(ValueError, match=r'outside the 3 classes \(0 to 2'):
        cell_histograms(labels, 2, 2, 3)


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


def test_memory_holds_unit_features_and_shares_in_the_images_order():
    memory = Memory()
    for number in (1, 0):
        memory.add(torch.full((3, 1, 2), number + 1.), torch.tensor([[2., 2], [0, 1]]), None,
                   number, 0)
    keys, labels = memory.gathered(torch.device('cpu'))
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(4))
    assert labels.tolist() == [[.5, .5], [0, 1]] * 2
    with pytest.raises(ValueError, match='no pixel of the memory images is labelled'):
        empty = Memory()
        empty.add(torch.ones(3, 1, 1), torch.zeros(1, 2), None, 0, 0)
        empty.gathered(torch.device('cpu'))


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_batches_hold_the_same_images_for_any_number_of_processes(monkeypatch, world_size):
    seen = []
    for rank in range(world_size):
        monkeypatch.setattr(memory_module, 'get_dist_info', lambda r=rank: (r, world_size))
        sampler = ConsecutiveBatches(range(11), 4)
        order = list(sampler)
        assert len(sampler) == len(order)
        seen += [tuple(order[i:i + 4]) for i in range(0, len(order), 4)]
    assert sorted(seen) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10)]
