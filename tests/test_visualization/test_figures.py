from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from mmdense.visualization import draw_predictions
from mmdense.visualization.figures import RIGHT, WRONG, matches_figure, paint, save, shown


def has_colour(image: np.ndarray, colour) -> bool:
    return bool((np.abs(image[..., ::-1].astype(int) - np.array(colour)).max(-1) <= 2).any())


def test_labels_are_painted_and_unlabelled_pixels_white():
    painted = paint(np.array([[0, 1], [255, 1]]), [[1, 2, 3], [9, 8, 7]])
    assert painted.tolist() == [[[1, 2, 3], [9, 8, 7]], [[255, 255, 255], [9, 8, 7]]]


def test_predictions_stand_beside_labels(tmp_path):
    palette = [[200, 10, 10], [10, 200, 10], [10, 10, 200]]
    images = [np.full((20, 30, 3), 128, np.uint8)] * 2
    maps = [np.full((20, 30), k) for k in (0, 1)]
    rows = {'random': maps, 'DenseCL': [np.full((20, 30), 2)] * 2}
    path = save(draw_predictions(images, rows, maps, palette, ('a', 'b', 'c')),
                tmp_path / 'deep' / 'p.png')
    drawn = cv2.imread(str(path))
    assert all(has_colour(drawn, colour) for colour in [*palette, (128, 128, 128)])
    assert not list(tmp_path.glob('**/*.part'))
    alone = cv2.imread(str(save(draw_predictions(images, maps, maps, palette),
                                tmp_path / 'q.png')))
    assert alone.shape[0] < drawn.shape[0] and not has_colour(alone, palette[2])


@pytest.mark.parametrize('count, images', [(2, 1), (7, 1), (7, 6), (21, 2), (150, 3)])
def test_the_legend_stands_inside_the_figure(count, images):
    names = [f'class of number {number}' for number in range(count)]
    maps = [np.resize(np.arange(count, dtype=np.uint8), (12, 16))] * images
    figure = draw_predictions([np.zeros((12, 16, 3), np.uint8)] * images, maps, maps,
                              [[number, 0, 0] for number in range(count)], names)
    FigureCanvasAgg(figure).draw()
    legend, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert whole.x0 <= legend.x0 and legend.x1 <= whole.x1
    assert whole.y0 <= legend.y0 and legend.y1 <= figure.axes[-1].get_window_extent().y0
    assert len(figure.legends[0].texts) == count


def test_the_legend_names_the_classes_that_occur():
    maps = [np.array([[0, 3, 255]], np.uint8)]
    figure = draw_predictions([np.zeros((1, 3, 3), np.uint8)], maps, [maps[0] * 0],
                              [[number, 0, 0] for number in range(9)], list('abcdefghi'))
    assert [text.get_text() for text in figure.legends[0].texts] == ['a', 'd']


def test_lines_have_the_colour_of_their_state(tmp_path):
    images = (np.zeros((60, 60, 3), np.uint8), np.zeros((60, 80, 3), np.uint8))
    points = np.array([[[10., 10], [10, 10]], [[30, 50], [70, 50]]])

    def drawn(state: list[str]) -> np.ndarray:
        path = save(matches_figure(images, points, state, ''), tmp_path / 'm.png')
        image = cv2.imread(str(path))
        return image[:image.shape[0] * 4 // 5]            # without the legend

    colours = [np.array(to_rgb(colour)) * 255 for colour in (RIGHT, WRONG)]
    near = [[np.abs(drawn(state)[..., ::-1] - colour).max(-1).min() < 40 for colour in colours]
            for state in (['right', 'right'], ['wrong', 'hidden'], ['right', 'wrong'])]
    assert near == [[True, False], [False, True], [True, True]]


def test_other_numbers_than_bytes_are_spread():
    ramp = np.linspace(-1000, 3000, 101, dtype=np.float32)[:, None, None]
    drawn = shown(ramp)
    assert drawn.shape == (101, 1, 3) and drawn.dtype == np.uint8
    assert drawn[0, 0, 0] == drawn[2, 0, 0] == 0 and drawn[98, 0, 0] == drawn[100, 0, 0] == 255
    assert abs(int(drawn[50, 0, 0]) - 127) <= 1
    assert (shown(np.full((2, 2, 1), 7, np.int16)) == 0).all()
