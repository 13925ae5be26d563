from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mmdense.visualization.region_figure import borders, colours_of, draw_list, inner_cell, overlay


def test_borders_lie_between_pixels_of_different_regions():
    regions = np.array([[1, 1, 2], [1, 0, 2]])
    assert {tuple(line.ravel().tolist()) for line in borders(regions)} == {
        (2, 0, 2, 1), (1, 1, 1, 2), (2, 1, 2, 2), (1, 1, 2, 1)}
    assert borders(np.ones((3, 4), int)).shape == (0, 2, 2)


def test_an_id_stands_well_inside_its_region():
    mask = np.zeros((5, 9), bool)
    mask[1:4, 3:6] = mask[0] = True
    assert inner_cell(mask) in [(1, 4), (2, 4)]
    assert inner_cell(np.eye(1, 9, 8, dtype=bool)) == (0, 8)


def test_nobodys_pixels_are_dark_and_colours_begin_again_after_32():
    colours = colours_of(range(1, 34))
    assert len({tuple(colour) for colour in colours.values()}) == 32
    assert np.array_equal(colours[1], colours[33])
    assert overlay(np.array([[0, 1]]), colours, 0.5)[0, 0].max() <= 0.5


def test_a_list_without_room_leaves_out_what_was_never_drawn():
    axis = Figure().subplots()
    listing = [(region, int(region > 5), 0) for region in range(1, 53)]
    draw_list(axis, listing, {})
    ids = [text.get_text() for text in axis.texts if text.get_text().isdigit()]
    assert ids == [str(region) for region in range(6, 53)]
    assert '5 never drawn are left out' in axis.get_title('left')
    axis.clear()
    draw_list(axis, [(region, 1, 1) for region in range(1, 53)], {})
    assert axis.texts[-1].get_text() == 'and 4 more'
