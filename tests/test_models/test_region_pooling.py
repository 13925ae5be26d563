from __future__ import annotations

import pytest
import torch
from references import region_pooling as reference

from mmdense.models import region_pooling
from mmdense.models.region_pooling import (
    cells_by_majority,
    masked_pool,
    sample_regions,
    weighted_pool,
)
from mmdense.random_states import seed_everything


def assert_same(got, expected, ours, theirs):
    """Means, areas and the gradients of a random sum of the means."""
    torch.testing.assert_close(got[0].double(), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got[1].double(), expected[1], rtol=1e-5, atol=1e-5)
    direction = torch.randn(expected[0].shape, dtype=torch.float64)
    for a, b in zip(torch.autograd.grad((got[0].double() * direction).sum(), ours),
                    torch.autograd.grad((expected[0] * direction).sum(), theirs), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('highest', [2, 3, 5000, 2 ** 40])
@pytest.mark.parametrize(('size', 'cells'), [
    ((12, 8), (3, 2)), ((13, 9), (4, 3)), ((7, 7), (7, 7)), ((5, 11), (2, 1)), ((3, 4), (5, 6))])
def test_majority_equals_the_count_of_pixels(size, cells, highest):
    """Few different ids make many ties; sizes that are no multiple; more cells than pixels."""
    regions = torch.randint(0, 3, (3, *size)) * (highest - 1) // 2
    assert torch.equal(cells_by_majority(regions, *cells),
                       reference.cells_by_majority(regions, *cells))


def test_majority_without_a_zero_in_the_image_and_with_one_region():
    assert (cells_by_majority(torch.full((2, 6, 6), 9), 2, 3) == 9).all()


@pytest.mark.parametrize(('pixels', 'winner'), [
    ([[7, 3], [3, 7]], 3), ([[0, 3], [3, 0]], 0), ([[0, 3], [3, 7]], 3), ([[0, 3], [0, 7]], 0)])
def test_ties_go_to_the_lowest_id_and_nobody_takes_part(pixels, winner):
    assert cells_by_majority(torch.tensor([pixels]), 1, 1).item() == winner


def test_few_counts_at_once_give_the_same(monkeypatch):
    regions = torch.randint(0, 6, (5, 8, 8))
    whole = cells_by_majority(regions, 3, 3)
    monkeypatch.setattr(region_pooling, 'COUNTS', 2 * 9 * 6)
    assert torch.equal(cells_by_majority(regions, 3, 3), whole)


def test_large_ids_need_no_large_table(monkeypatch):
    regions = torch.randint(0, 6, (2, 8, 8))
    whole = cells_by_majority(regions, 3, 3)
    monkeypatch.setattr(region_pooling, 'TABLE_IDS', 1)
    assert torch.equal(cells_by_majority(regions, 3, 3), whole)


@pytest.mark.parametrize('highest', [5, 9, 2 ** 20])
def test_a_known_highest_id_changes_nothing_and_ids_are_not_looked_for(highest, monkeypatch):
    regions = torch.randint(0, 6, (2, 8, 8), dtype=torch.int32)
    whole = cells_by_majority(regions, 3, 3)
    if highest < 2 ** 20:       # too many to be counted as they are
        monkeypatch.setattr(region_pooling, 'compact_ids', None)
    found = cells_by_majority(regions, 3, 3, highest)
    assert torch.equal(found, whole) and found.dtype == torch.int64


def test_samples_are_uniform_over_the_ids_that_own_cells():
    """However many cells each owns (1 and 2, 6, 1 each); nobody's cell is never drawn."""
    cells = torch.tensor([[[0, 5], [70, 70], [0, 0]], [[0, 0], [0, 0], [0, 0]],
                          [[4, 4], [4, 4], [4, 4]], [[1, 2], [3, 4], [5, 6]]])
    torch.manual_seed(0)
    ids = sample_regions(cells, 6000)
    assert ids.shape == (4, 6000) and ids.dtype == torch.int64
    for row, expected in zip(ids, [[5, 70], [0], [4], [1, 2, 3, 4, 5, 6]], strict=True):
        values, counts = row.unique(return_counts=True)
        assert values.tolist() == expected
        share = 6000 / len(expected)
        assert ((counts - share).abs() <= 5 * share ** 0.5).all()


def test_samples_repeat_ids_and_are_sixteen_by_default():
    ids = sample_regions(torch.tensor([[[1, 2]]]))
    assert ids.shape == (1, 16) and len(ids.unique()) <= 2


def test_draws_are_a_function_of_seed_iteration_and_rank():
    cells = torch.arange(1, 101).view(1, 10, 10)

    def draw(*place):
        seed_everything(*place)
        return tuple(sample_regions(cells, 8)[0].tolist())
    assert draw(3, 1, 0) == draw(3, 1, 0)
    places = [(3, 1, 0), (1, 3, 0), (3, 0, 1), (0, 3, 1), (4, 1, 0), (3, 2, 0)]
    assert len({draw(*place) for place in places}) == len(places)
    seed_everything(3, 1, 0)
    first, second = (sample_regions(cells, 8) for _ in range(2))
    assert not torch.equal(first, second), 'two views draw independently'


@pytest.mark.parametrize('size', [(4, 4), (3, 5), (1, 1)])
def test_masked_pool_and_its_gradient_equal_the_loops(size):
    """Ids that are there, that are not, 0, and the same twice."""
    features = torch.randn(3, 6, *size, requires_grad=True)
    cells, ids = torch.randint(0, 4, (3, *size)), torch.randint(0, 6, (3, 7))
    double = features.detach().double().requires_grad_()
    assert_same(masked_pool(features, cells, ids), reference.masked_pool(double, cells, ids),
                [features], [double])


def test_absent_regions_are_zero():
    features = torch.randn(1, 3, 2, 2, requires_grad=True)
    means, area = masked_pool(features, torch.tensor([[[0, 0], [5, 5]]]), torch.tensor([[0, 9]]))
    assert not means.any() and not area.any()
    assert not torch.autograd.grad(means.sum(), features)[0].any()


def test_soft_weights_and_their_gradients_equal_the_loops():
    features = torch.randn(2, 5, 3, 4, requires_grad=True)
    weights = torch.rand(2, 3, 3, 4)
    weights[0, 1] = 0
    weights.requires_grad_()
    doubles = [x.detach().double().requires_grad_() for x in (features, weights)]
    assert_same(weighted_pool(features, weights), reference.weighted_pool(*doubles),
                [features, weights], doubles)


def test_bf16_under_autocast_is_summed_in_float32():
    features = torch.randn(2, 4, 16, 16).bfloat16()
    cells, ids = torch.randint(0, 3, (2, 16, 16)), torch.tensor([[1, 2], [2, 2]])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        means, area = masked_pool(features, cells, ids)
    assert means.dtype == area.dtype == torch.float32
    expected = masked_pool(features.float(), cells, ids)
    torch.testing.assert_close(means, expected[0], rtol=0, atol=1e-6)
    assert torch.equal(area, expected[1])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match='region id -3'):
        cells_by_majority(torch.full((1, 2, 2), -3), 1, 1)
    with pytest.raises(ValueError, match=r'regions \(2, 2\) to 1 x 1'):
        cells_by_majority(torch.ones(2, 2).long(), 1, 1)
    with pytest.raises(ValueError, match=r'to 0 x 1 cells'):
        cells_by_majority(torch.ones(1, 2, 2).long(), 0, 1)
    with pytest.raises(ValueError, match=r'features \(1, 3, 2, 2\) and weights \(1, 4, 2, 3\)'):
        weighted_pool(torch.ones(1, 3, 2, 2), torch.ones(1, 4, 2, 3))
    with pytest.raises(ValueError, match=r'cells \(1, 2, 2\) and ids \(2, 4\)'):
        masked_pool(torch.ones(1, 3, 2, 2), torch.ones(1, 2, 2).long(), torch.ones(2, 4).long())
