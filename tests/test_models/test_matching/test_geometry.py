from __future__ import annotations

import torch

from mmdense.models.matching.geometry import cell_centres, cell_coordinates, visible_in

BOXES = torch.tensor([[10., 20, 50, 80], [0, 0, 7, 3]])
FLIPS = torch.tensor([False, True])


def test_centres_equal_a_loop_over_cells():
    h, w = 3, 5
    centres = cell_centres(BOXES, FLIPS, h, w).view(2, h, w, 2)
    for b, (x0, y0, x1, y1) in enumerate(BOXES.tolist()):
        for i in range(h):
            for j in range(w):
                column = w - 1 - j if FLIPS[b] else j
                expected = [x0 + (x1 - x0) / w * (column + 0.5), y0 + (y1 - y0) / h * (i + 0.5)]
                torch.testing.assert_close(centres[b, i, j], torch.tensor(expected))


def test_a_map_as_large_as_its_box_has_the_pixels_centres():
    centres = cell_centres(torch.tensor([[4., 2, 8, 4]]), torch.tensor([False]), 2, 4)[0]
    assert centres.tolist() == [[4.5, 2.5], [5.5, 2.5], [6.5, 2.5], [7.5, 2.5],
                                [4.5, 3.5], [5.5, 3.5], [6.5, 3.5], [7.5, 3.5]]


def test_coordinates_invert_centres():
    h, w = 4, 6
    coordinates = cell_coordinates(cell_centres(BOXES, FLIPS, h, w), BOXES, FLIPS, h, w)
    grid = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')[::-1], -1)
    torch.testing.assert_close(coordinates, grid.view(1, -1, 2).expand(2, -1, -1).float(),
                               atol=1e-5, rtol=0)


def test_a_flipped_view_gives_the_mirrored_place():
    points = cell_centres(BOXES, FLIPS, 4, 6)
    places = cell_coordinates(points, BOXES, ~FLIPS, 4, 6).view(2, 4, 6, 2)
    torch.testing.assert_close(places[..., 0], (5 - torch.arange(6.)).expand(2, 4, 6),
                               atol=1e-5, rtol=0)


def test_boxes_are_half_open():
    points = torch.tensor([[[10., 20], [50, 30], [49.9, 79.9], [30, 80], [9.9, 40]]])
    assert visible_in(points, BOXES[:1]).tolist() == [[True, False, True, False, False]]
