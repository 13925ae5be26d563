"""CP2's contrast of cells: against a slow loop, masked, in half precision."""
from __future__ import annotations

import math

import pytest
import torch
from references.cp2 import foreground_nce as slow_foreground_nce

from mmdense.models.losses import foreground_nce


def inputs(batch=4, dim=6, sides=((4, 3), (3, 5))):
    maps = [torch.randn(batch, dim, *side) for side in sides]
    masks = [torch.rand(batch, *side) < 0.5 for side in sides]
    return maps, masks


@pytest.mark.parametrize('temperature', [1.0, 0.1])
@pytest.mark.parametrize('batch', [1, 4])
def test_loss_and_gradients_equal_the_slow_loop(batch, temperature):
    """An image without foreground in the query, and one without it in the key, do not count."""
    maps, masks = inputs(batch)
    if batch > 1:
        masks[0][1], masks[1][2] = False, False
    maps = [x.requires_grad_() for x in maps]
    doubles = [x.detach().double().requires_grad_() for x in maps]
    loss = foreground_nce(*maps, *masks, temperature)
    expected = slow_foreground_nce(*doubles, *masks, temperature)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and loss > 0
    for x, other in zip(torch.autograd.grad(loss, maps), torch.autograd.grad(expected, doubles),
                        strict=True):
        torch.testing.assert_close(x.double(), other, rtol=1e-4, atol=1e-6)


def test_no_foreground_is_zero_with_finite_gradients():
    maps, masks = inputs()
    maps = [x.requires_grad_() for x in maps]
    loss = foreground_nce(*maps, masks[0], torch.zeros_like(masks[1]))
    assert loss.item() == 0
    assert all(not grad.any() for grad in torch.autograd.grad(loss, maps))


def test_what_does_not_count_may_hold_anything():
    maps, masks = inputs()
    masks[0][1] = False
    clean = foreground_nce(*maps, *masks)
    maps[0][1] = math.nan
    maps[1].masked_fill_(~masks[1][:, None], math.nan)
    maps = [x.requires_grad_() for x in maps]
    loss = foreground_nce(*maps, *masks)
    torch.testing.assert_close(loss, clean)
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, maps))
    with torch.no_grad():
        maps[0][0, :, 0, 0] = math.nan          # a background cell of the query counts
    assert foreground_nce(*maps, *masks).isnan()


def test_in_half_precision():
    maps, masks = inputs()
    halves = [x.bfloat16() for x in maps]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = foreground_nce(*halves, *masks)
    assert loss.dtype == torch.float32
    expected = slow_foreground_nce(*[x.float() for x in halves], *masks, 1.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_mistakes_are_named():
    maps, masks = inputs()
    with pytest.raises(ValueError, match='expected .B, D, h, w.'):
        foreground_nce(*maps, *masks[::-1])
    with pytest.raises(ValueError, match='temperature 0: expected above 0'):
        foreground_nce(*maps, *masks, 0)
