"""The share of variance that the place explains: against loops, and where the answer is known."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from references import place_share as reference

from mmdense.evaluation.place_share import (
    PLACES,
    PlaceShare,
    feature_place_share,
    label_cells,
    label_place_share,
)


def of(maps, valid=None):
    share = PlaceShare()
    share.add(maps, valid)
    return share.compute()


def by_loop(maps, valid=None):
    vectors = {}
    for image in range(maps.shape[0]):
        for row in range(maps.shape[2]):
            for column in range(maps.shape[3]):
                if valid is None or valid[image, row, column]:
                    vectors[image, (row, column)] = maps[image, :, row, column].tolist()
    return reference.place_share(vectors)


@pytest.mark.parametrize('masked', [False, True])
def test_equals_a_loop(masked):
    maps = torch.randn(5, 3, 4, 6) + torch.randn(1, 3, 4, 6) + torch.randn(5, 3, 1, 1)
    valid = torch.rand(5, 4, 6) < 0.8 if masked else None
    if masked:
        maps[0].masked_fill_(~valid[0], torch.nan)        # what does not count may hold anything
    assert of(maps, valid) == pytest.approx(by_loop(maps, valid), abs=1e-9)


def test_images_one_by_one_are_as_all_at_once():
    maps = torch.randn(6, 8, 5, 5) + torch.randn(1, 8, 5, 5)
    assert feature_place_share(maps) == pytest.approx(of(F.normalize(maps, dim=1)), abs=1e-6)
    assert feature_place_share(3 * maps) == pytest.approx(feature_place_share(maps), abs=1e-6)


def test_place_alone_is_one_and_no_place_is_nothing():
    assert of(torch.randn(1, 4, 5, 5).expand(8, -1, -1, -1)) == pytest.approx(1)
    shares = [of(torch.randn(8, 4, 5, 5) + 3 * torch.randn(8, 4, 1, 1)) for _ in range(200)]
    assert abs(sum(shares) / len(shares)) < 0.003         # chance alone would give 1/8 of a part
    half = [of(torch.randn(8, 4, 5, 5) + torch.randn(1, 4, 5, 5)) for _ in range(100)]
    assert sum(half) / len(half) == pytest.approx(0.5, abs=0.05)


def test_larger_maps_are_looked_at_evenly_with_their_borders():
    maps = torch.zeros(4, 1, 64, 64)
    maps[:, :, 0] = maps[:, :, -1] = 1
    rows = torch.linspace(0, 63, PLACES).round().long()
    noise = torch.randn(4, 1, 64, 64)
    few = (maps + noise)[:, :, rows][..., rows]
    assert of(maps + noise) == pytest.approx(of(few), abs=1e-9)


def test_maps_of_several_sizes_share_their_places():
    gradient = torch.linspace(-1, 1, 31).expand(1, 1, 31, 31)
    share = PlaceShare()
    for side in (7, 16, 31):
        share.add(F.interpolate(gradient, (side, side), mode='bilinear', align_corners=True))
    assert share.compute() > 0.95


@pytest.mark.parametrize('maps', [
    torch.randn(1, 4, 5, 5), torch.randn(3, 4, 1, 1), torch.ones(3, 4, 5, 5),
    torch.full((3, 4, 5, 5), torch.nan)], ids=['one image', 'one place', 'equal', 'nan'])
def test_nothing_to_measure_is_nan(maps):
    assert math.isnan(of(maps))
    assert math.isnan(feature_place_share([]))


def test_labels_of_cells_are_shares_of_the_labelled_pixels():
    labels = torch.tensor([[0, 1, 255, 255], [1, 1, 255, 255]])
    shares, valid = label_cells(labels, 3, (1, 2))
    assert shares[0, :, 0, 0].tolist() == [0.25, 0.75, 0] and valid.tolist() == [[[True, False]]]


def test_labels_of_a_street_are_places():
    street = torch.arange(8)[:, None].expand(8, 8).div(4, rounding_mode='floor')
    sizes = [(4, 4)] * 5
    assert label_place_share([street] * 5, sizes, 2) == pytest.approx(1)
    mixed = [street if number % 2 else 1 - street for number in range(6)]
    assert label_place_share(mixed, sizes + sizes[:1], 2) < 0.01
