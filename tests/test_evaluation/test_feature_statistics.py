from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mmdense.evaluation.feature_statistics import (
    correspondence_accuracy,
    effective_rank,
    feature_std,
    places_in_second_view,
    positive_negative_similarity,
)
from mmdense.structures import Views

BOX = torch.tensor([8., 4, 40, 36])


def views(first: torch.Tensor, second: torch.Tensor, batch: int, flips=(False, False)) -> Views:
    return Views(boxes=torch.stack([first, second])[:, None].expand(2, batch, 4),
                 flips=torch.tensor(flips)[:, None].expand(2, batch), index=torch.arange(batch))


def test_std_of_even_and_collapsed_features():
    even = torch.randn(8, 64, 20, 20)
    assert float(feature_std(even)) == pytest.approx(1, abs=0.01)
    assert float(feature_std(torch.ones(2, 5, 3, 3))) == pytest.approx(0, abs=1e-6)
    two = torch.tensor([[[[1., 1]], [[1, -1]]]])          # (1,1) and (1,-1) over sqrt 2
    assert float(feature_std(two)) == pytest.approx((0 + 0.5 ** 0.5) / 2 * 2 ** 0.5)


def test_rank_equals_the_formula_on_singular_values():
    maps = torch.randn(2, 6, 4, 5) * torch.tensor([5., 2, 1, .1, .01, 1]).view(1, 6, 1, 1)
    rows = torch.stack([maps[b, :, i, j] for b in range(2) for i in range(4) for j in range(5)])
    values = torch.linalg.svdvals((rows - rows.mean(0)).double())
    expected = math.exp(-sum(float(v / values.sum()) * math.log(v / values.sum())
                             for v in values))
    assert float(effective_rank(maps)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('channels', [4, 300])
def test_rank_of_known_spaces(channels):
    basis = torch.linalg.qr(torch.randn(channels, channels))[0][:, :2]
    angle = torch.arange(100) * 2 * math.pi / 100
    circle = (torch.stack([angle.cos(), angle.sin()], 1) @ basis.t()).t().view(1, channels, 10, 10)
    assert float(effective_rank(circle)) == pytest.approx(2, abs=1e-3)
    assert float(effective_rank(circle.expand(40, -1, -1, -1))) == pytest.approx(2, abs=2e-2)
    assert float(effective_rank(torch.ones(1, channels, 4, 4))) == 0


def test_similarities_equal_loops():
    first, second = torch.randn(3, 5, 4, 4), torch.randn(3, 5, 3, 6)
    both = views(BOX, torch.tensor([16., 0, 48, 32]), 3, (False, True))
    places, visible = places_in_second_view(both, first, second)
    positive, negative, count = 0., [], 0
    a, b = F.normalize(first, dim=1), F.normalize(second, dim=1)
    for image, i, j in itertools.product(range(3), range(4), range(4)):
        x, y = 8 + (j + 0.5) * 8, 4 + (i + 0.5) * 8
        if 16 <= x < 48 and 0 <= y < 32:
            column, row = int((48 - x) / 32 * 6), int(y / 32 * 3)
            positive += float(a[image, :, i, j] @ b[image, :, row, column])
            count += 1
        negative += [float(a[image, :, i, j] @ b[other, :, k, m]) for other in range(3)
                     for k in range(3) for m in range(6) if other != image]
    ours = positive_negative_similarity(first, second, places, visible)
    assert count == int(visible.sum()) == 27
    assert float(ours[0]) == pytest.approx(positive / count, abs=1e-5)
    assert float(ours[1]) == pytest.approx(sum(negative) / len(negative), abs=1e-5)


def test_one_image_or_no_overlap_measures_nothing():
    maps = torch.randn(1, 5, 4, 4)
    places, visible = places_in_second_view(views(BOX, BOX + 100, 1), maps, maps)
    assert not visible.any()
    assert all(value.isnan() for value in positive_negative_similarity(maps, maps, places, visible))
    assert correspondence_accuracy(maps, maps, places, visible).isnan()


def test_identical_views_correspond():
    maps = torch.randn(3, 32, 6, 7)
    places, visible = places_in_second_view(views(BOX, BOX, 3), maps, maps)
    assert visible.all() and correspondence_accuracy(maps, maps, places, visible, 0) == 1


def test_a_flipped_view_corresponds_to_its_mirror():
    maps = torch.randn(3, 32, 6, 7)
    flipped = views(BOX, BOX, 3, (False, True))
    places, visible = places_in_second_view(flipped, maps, maps)
    assert correspondence_accuracy(maps, maps.flip(3), places, visible, 0) == 1
    assert correspondence_accuracy(maps, maps, places, visible, 0) < 0.2


def test_a_crop_corresponds_to_its_part_and_hidden_cells_do_not_count():
    maps = torch.randn(2, 32, 8, 8)
    crop = torch.tensor([8. + 16, 4, 40, 20])             # columns 4-7, rows 0-3 of the view
    places, visible = places_in_second_view(views(BOX, crop, 2), maps, maps[:, :, :4, 4:])
    assert visible.view(2, 8, 8)[:, :4, 4:].all() and visible.sum() == 32
    assert correspondence_accuracy(maps, maps[:, :, :4, 4:], places, visible, 0) == 1


def test_random_features_are_at_chance():
    first, second = torch.randn(60, 16, 6, 6), torch.randn(60, 16, 6, 6)
    places, visible = places_in_second_view(views(BOX, BOX, 60), first, second)
    cells = list(itertools.product(range(6), range(6)))
    chance = sum(math.dist(a, b) <= 1 for a in cells for b in cells) / 36 ** 2
    accuracy = float(correspondence_accuracy(first, second, places, visible))
    assert accuracy == pytest.approx(chance, abs=0.025)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_features_that_are_not_finite_have_no_statistics(value):
    maps = torch.randn(2, 6, 4, 4)
    geometry = views(BOX, BOX, 2)
    places, visible = places_in_second_view(geometry, maps, maps)
    maps[1, 2, 3, 1] = value
    for found in (effective_rank(maps), feature_std(maps),
                  correspondence_accuracy(maps, maps, places, visible)):
        assert found.isnan()


def test_autocast_changes_nothing():
    common = 30 * torch.randn(1, 32, 1, 1)
    first, second = torch.randn(2, 3, 32, 6, 6) + common
    both = views(BOX, BOX, 3)
    found = []
    for enabled in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            places = places_in_second_view(both, first, second)
            found.append([*positive_negative_similarity(first, second, *places),
                          correspondence_accuracy(first, second, *places)])
    assert found[0] == found[1]
