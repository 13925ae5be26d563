"""A map read at another view's cells: maps of coordinates say where they were read."""
from __future__ import annotations

import pytest
import torch

from mmdense.models.matching import read_at


def coordinates(box, flip, h: int, w: int) -> torch.Tensor:
    """Return a map (2, h, w) whose cells hold the source x and y of their centres."""
    found = torch.zeros(2, h, w, dtype=torch.double)
    x0, y0, x1, y1 = box
    for i in range(h):
        for j in range(w):
            across = (j + 0.5) / w
            found[0, i, j] = x0 + (x1 - x0) * (1 - across if flip else across)
            found[1, i, j] = y0 + (y1 - y0) * (i + 0.5) / h
    return found


@pytest.mark.parametrize('asks, read', [(False, False), (True, False), (False, True), (True, True)])
def test_each_cell_is_read_at_its_own_place(asks, read):
    boxes = [(20., 10., 60., 50.), (0., 0., 100., 80.)]
    whole = coordinates(boxes[1], read, 16, 20)[None]
    pair = tuple(torch.tensor([box], dtype=torch.double) for box in boxes)
    found, valid = read_at(whole, pair, (torch.tensor([asks]), torch.tensor([read])), (5, 7))
    torch.testing.assert_close(found[0], coordinates(boxes[0], asks, 5, 7))
    assert valid.all()


def test_the_same_view_is_read_as_it_is():
    torch.manual_seed(0)
    maps, box = torch.randn(2, 3, 4, 6), torch.tensor([[3., 5, 40, 30], [0., 0, 9, 9]])
    flips = torch.tensor([True, False])
    found, valid = read_at(maps, (box, box), (flips, flips), (4, 6))
    torch.testing.assert_close(found, maps)
    assert valid.all()


def test_cells_outside_are_told():
    """The right half of what asks lies outside; then all of it."""
    maps = torch.randn(2, 3, 4, 4)
    asks = torch.tensor([[10., 0, 30, 20], [50., 50, 60, 60]])
    _, valid = read_at(maps, (asks, torch.tensor([[0., 0, 20, 20]] * 2)),
                       (torch.zeros(2).bool(),) * 2, (2, 4))
    assert valid.view(2, 2, 4).tolist() == [[[True, True, False, False]] * 2, [[False] * 4] * 2]
