"""Alignment of two networks' cells: beside loops, under rotation, with other channels."""
from __future__ import annotations

import pytest
import torch
from references import alignment as loops

from mmdense.models.losses import (
    cell_cosine_loss,
    gram_loss,
    kernel_alignment_loss,
    linear_cka,
    standardised_cosine_loss,
)

LOSSES = {kernel_alignment_loss: loops.kernel_alignment, gram_loss: loops.gram,
          cell_cosine_loss: loops.cell_cosine,
          standardised_cosine_loss: loops.standardised_cosine}
#: of cells of as many channels
SAME = cell_cosine_loss, standardised_cosine_loss
#: (B, C, h, w) and the other map's channels; more cells than channels, and fewer
SHAPES = [((2, 3, 4, 3), 5), ((3, 9, 2, 2), 7), ((1, 2, 1, 5), 2)]


def maps(shape, channels, seed=0):
    torch.manual_seed(seed)
    batch, own, height, width = shape
    return (torch.randn(shape, dtype=torch.double, requires_grad=True),
            torch.randn(batch, channels, height, width, dtype=torch.double))


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize('shape, channels', SHAPES)
def test_equals_the_loop(loss, shape, channels):
    student, teacher = maps(shape, shape[1] if loss in SAME else channels)
    found = loss(student, teacher)
    assert found.item() == pytest.approx(LOSSES[loss](student, teacher), abs=1e-9)
    found.backward()
    step = 1e-4 * student.grad
    assert loss(student - step, teacher) < found
    single = loss(student.detach().float(), teacher.float())
    assert single.item() == pytest.approx(found.item(), abs=1e-4)


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize('cells', ['some', 'one image empty', 'one cell', 'none'])
def test_cells_that_do_not_count_may_hold_anything(loss, cells):
    student, teacher = maps((3, 5, 3, 2), 5)
    valid = torch.rand(3, 6) < 0.6
    valid[:, :2] = True
    if cells == 'one image empty':
        valid[1] = False
    elif cells != 'some':
        valid[:] = False
        valid[0, 3] = cells == 'one cell'
    expected = LOSSES[loss](student, teacher, valid)
    hidden = ~valid.view(3, 1, 3, 2)
    wild = student.detach().masked_fill(hidden, float('nan')).requires_grad_()
    found = loss(wild, teacher.masked_fill(hidden, float('inf')), valid)
    assert found.item() == pytest.approx(expected, abs=1e-9)
    found.backward()
    assert wild.grad.isfinite().all() and not wild.grad.masked_select(hidden).any()


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss.__name__)
def test_autocast_changes_nothing_after_the_maps(loss):
    student, teacher = (x.bfloat16() for x in maps((2, 6, 3, 3), 6))
    with torch.autocast('cpu', torch.bfloat16):
        mixed = loss(student, teacher)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, loss(student.float(), teacher.float()))


@pytest.mark.parametrize('loss', [kernel_alignment_loss, gram_loss, cell_cosine_loss],
                         ids=lambda loss: loss.__name__)
def test_halves_of_a_batch_are_the_batch(loss):
    """So the mean over processes is the loss of the joint batch."""
    student, teacher = maps((4, 5, 3, 3), 5)
    halves = [loss(student[part], teacher[part]) for part in (slice(2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, loss(student, teacher))


def test_cka_is_one_under_rotation_scale_and_shift_and_zero_of_equal_rows():
    torch.manual_seed(0)
    for rows, columns in ((20, 6), (5, 12)):
        x = torch.randn(rows, columns, dtype=torch.double)
        turned = torch.linalg.qr(torch.randn(columns, columns, dtype=torch.double))[0]
        assert linear_cka(x, 3 * x @ turned + 7).item() == pytest.approx(1)
        same = torch.ones_like(x, requires_grad=True)
        alike = linear_cka(x, same)
        alike.backward()
        assert alike.item() == 0 and same.grad.isfinite().all()


def test_cka_makes_the_smaller_product():
    """Both ways give the same number, and neither a matrix of cells x cells where C is small."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 4000, 4), torch.randn(2, 4000, 3)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t,
                                                  lambda t: t):
        kept = []
        linear_cka(x.requires_grad_(), y)
    assert max(kept) <= x.numel()


def test_channels_of_any_scale_count_alike():
    """A channel a thousand times larger, or shifted, changes nothing once standardised."""
    student, teacher = maps((2, 4, 3, 3), 4)
    scaled = teacher * torch.tensor([1000., 1, 5, 1]).view(4, 1, 1) + 7
    torch.testing.assert_close(standardised_cosine_loss(student, scaled),
                               standardised_cosine_loss(student, teacher), atol=1e-5, rtol=0)
    assert abs(cell_cosine_loss(student, scaled) - cell_cosine_loss(student, teacher)) > 0.05


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss.__name__)
def test_maps_of_other_sides_are_told(loss):
    with pytest.raises(ValueError, match='expected the same images and sides'):
        loss(torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 4))


def test_other_channels_are_told_where_they_are_compared():
    with pytest.raises(ValueError, match='and channels'):
        cell_cosine_loss(torch.randn(2, 4, 3, 3), torch.randn(2, 5, 3, 3))
