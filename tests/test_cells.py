"""Which cell a pixel is in, against the place of its centre."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmdense.cells import at_pixels


@pytest.mark.parametrize(('size', 'cells'), [((8, 12), (2, 3)), ((7, 11), (3, 4)),
                                             ((3, 2), (5, 4))])
def test_pixels_take_the_cell_of_their_centre(size, cells):
    values = torch.arange(cells[0] * cells[1]).view(cells)
    found = at_pixels(values, size)
    for i in range(size[0]):
        for j in range(size[1]):
            row, column = (i + 0.5) * cells[0] / size[0], (j + 0.5) * cells[1] / size[1]
            assert found[i, j] == values[int(row), int(column)]
    nearest = F.interpolate(values[None, None].double(), size, mode='nearest-exact')[0, 0]
    assert torch.equal(found, nearest.long())
