"""Matches by number and by weight."""
from __future__ import annotations

import pytest
import torch

from mmdense.models.matching import Matches


def test_weights_mix_the_cells():
    cells, weights = torch.randn(2, 5, 7), torch.rand(2, 3, 7)
    found = Matches(torch.ones(2, 3).bool(), weights=weights).take(cells)
    torch.testing.assert_close(found, torch.einsum('bdm,bnm->bdn', cells, weights))
    index = torch.randint(7, (2, 3))
    one = Matches(torch.ones(2, 3).bool(), weights=torch.nn.functional.one_hot(index, 7).float())
    torch.testing.assert_close(one.take(cells), Matches(one.valid, index).take(cells))


def test_matches_of_some_cells_are_those_of_all():
    valid, drawn = torch.rand(2, 6) < 0.7, torch.tensor([[5, 0, 5], [1, 4, 2]])
    keys, parts = torch.randn(2, 3, 7), drawn[:, None].expand(-1, 3, -1)
    for given in (dict(index=torch.randint(7, (2, 6))), dict(weights=torch.rand(2, 6, 7))):
        found = Matches(valid, **given)
        some = found.choose(drawn)
        assert torch.equal(some.valid, valid.gather(1, drawn))
        torch.testing.assert_close(some.take(keys), found.take(keys).gather(2, parts))


@pytest.mark.parametrize('given, message', [
    (dict(), 'needs index or weights, one of them'),
    (dict(index=torch.zeros(2, 3).long(), weights=torch.zeros(2, 3, 4)), 'one of them'),
    (dict(index=torch.zeros(2, 4).long()), r'of \(2, 4\) cells .* valid is \(2, 3\)'),
    (dict(weights=torch.zeros(2, 4, 3)), r'of \(2, 4\) cells .* valid is \(2, 3\)')])
def test_what_does_not_fit_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Matches(torch.ones(2, 3).bool(), **given)
