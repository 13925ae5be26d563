"""Similarity matching against a double loop, and on maps whose answer is known."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from references.tiny import views_of

from mmdense.models.matching import SimilarityMatcher, similarity_matches


@pytest.mark.parametrize('shape', [(1, 1), (3, 4)])
def test_equals_a_double_loop(shape):
    query, key = torch.randn(2, 5, *shape), torch.randn(2, 5, 2, 6)
    matches = similarity_matches(query, key)
    q, k = query.flatten(2), key.flatten(2)
    for b in range(2):
        for i in range(q.shape[2]):
            cosines = [F.cosine_similarity(q[b, :, i], k[b, :, j], 0) for j in range(k.shape[2])]
            assert matches.index[b, i] == torch.stack(cosines).argmax()
    assert matches.valid.all()


def test_finds_a_permutation_whatever_the_lengths():
    key = torch.randn(2, 16, 3, 3)
    order = torch.randperm(9)
    query = key.flatten(2)[:, :, order].view_as(key) * torch.rand(2, 1, 3, 3).add(0.1)
    matches = SimilarityMatcher()(query, key, views_of(torch.arange(2)))
    assert torch.equal(matches.index, order.expand(2, 9))
    torch.testing.assert_close(matches.take(key.flatten(2)), key.flatten(2)[:, :, order])


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r'\(1, 4, 2, 2\) and key \(1, 5, 2, 2\)'):
        similarity_matches(torch.zeros(1, 4, 2, 2), torch.zeros(1, 5, 2, 2))


@pytest.mark.situation('numbers', 'cells with a strong common part are matched under bfloat16 '
                       'autocast (`--amp`)', 'works', 'the match is float32, as without autocast')
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('common', [1., 30.])
def test_autocast_changes_no_match(dtype, common):
    query, key = torch.randn(2, 2, 32, 7, 7) + common * torch.randn(32, 1, 1)
    expected = similarity_matches(query, key).index
    with torch.autocast('cpu', dtype=dtype):
        assert torch.equal(similarity_matches(query, key).index, expected)
        # what a network gives under autocast, matched as it is
        halves = query.to(dtype), key.to(dtype)
        found = similarity_matches(*halves).index
    assert torch.equal(found, similarity_matches(*(half.float() for half in halves)).index)
