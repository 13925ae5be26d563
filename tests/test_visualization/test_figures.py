from __future__ import annotations

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from mmdense.visualization import draw_predictions
from mmdense.visualization.figures import RIGHT, WRONG, matches_figure, paint, save


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
