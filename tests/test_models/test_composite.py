"""What is pasted where: holes, backgrounds, masks of cells."""
from __future__ import annotations

import pytest
import torch

from mmdense.models.composite import composite, draw_others, mask_at_cells, random_holes


def test_a_composite_has_each_pixel_of_one_image():
    front, behind = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    mask = torch.rand(2, 5, 7) < 0.5
    pasted = composite(front, behind, mask)
    for b in range(2):
        for y in range(5):
            for x in range(7):
                one = front if mask[b, y, x] else behind
                assert torch.equal(pasted[b, :, y, x], one[b, :, y, x])


@pytest.mark.parametrize('size', [(64, 64), (60, 80)])
def test_holes_are_rectangles_of_the_asked_size(size):
    holes = random_holes(300, size)
    tops, lefts = set(), set()
    for hole in holes:
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        height, width = len(rows), len(columns)
        assert hole.sum() == height * width, 'a full rectangle'
        assert rows[-1] - rows[0] == height - 1 and columns[-1] - columns[0] == width - 1
        tops.add(rows[0].item())
        lefts.add(columns[0].item())
        # half a pixel of rounding on each side, and what is cut at the image's
        assert 0.47 < height * width / (size[0] * size[1]) < 0.82
        assert 0.76 < height / width < 1.32 or height == size[0]
    shares = holes.float().mean((1, 2))
    if size == (64, 64):
        assert shares.mean() == pytest.approx(0.65, abs=0.02)
    assert shares.min() < 0.53 and len(tops) > 8 and len(lefts) > 8
    assert {0} <= tops and min(lefts) == 0


@pytest.mark.parametrize(('h', 'w'), [(1, 1), (2, 2), (2, 3), (4, 4)])
def test_a_hole_always_has_a_cell(h, w):
    assert mask_at_cells(random_holes(500, (64, 64)), h, w).flatten(1).any(1).all()


@pytest.mark.parametrize('count', [3, 4, 9])
def test_backgrounds_are_two_other_images(count):
    own, seen = torch.arange(count), set()
    for _ in range(40):
        one, two = draw_others(count)
        assert (one != own).all() and (two != own).all() and (one != two).all()
        assert sorted(one.tolist()) == sorted(two.tolist()) == own.tolist()
        seen.add((one[0].item(), two[0].item()))
    assert len(seen) > min(count - 2, 4)


@pytest.mark.parametrize('count', [1, 2])
def test_too_few_images_are_an_error(count):
    with pytest.raises(ValueError, match=rf'a batch of {count} image.* at least 3'):
        draw_others(count)


def test_masks_are_read_in_the_middle_of_a_cell():
    """At half the stride, where that is whole."""
    mask = torch.rand(3, 32, 48) < 0.5
    assert torch.equal(mask_at_cells(mask, 2, 3), mask[:, 8::16, 8::16])
    odd = torch.rand(3, 7, 5) < 0.5
    assert torch.equal(mask_at_cells(odd, 7, 5), odd)


@pytest.mark.parametrize('wrong', [dict(area=(0.0, 0.5)), dict(area=(0.8, 0.5)),
                                   dict(area=(0.5, 1.2)), dict(aspect=(0.0, 1.0))])
def test_what_no_hole_can_be_is_named(wrong):
    with pytest.raises(ValueError, match='expected lowest and highest'):
        random_holes(2, (8, 8), **wrong)
