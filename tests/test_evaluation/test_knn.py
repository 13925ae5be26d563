from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mmdense.evaluation.knn import knn_vote, nearest


def slow_vote(queries, keys, labels, k, beta):
    out = torch.zeros(len(queries), labels.shape[1], dtype=torch.float64)
    for m, query in enumerate(queries.double()):
        ranked = sorted(((float(query @ key), n) for n, key in enumerate(keys.double())),
                        reverse=True)[:k]
        weights = [math.exp(similarity / beta) for similarity, _ in ranked]
        for weight, (_, n) in zip(weights, ranked, strict=True):
            out[m] += weight / sum(weights) * labels[n].double()
    return out


@pytest.mark.parametrize('block', [None, 40, 300, 1])
@pytest.mark.parametrize(('m', 'n', 'k'), [(7, 50, 5), (1, 3, 30), (20, 41, 41), (3, 9, 1)])
def test_votes_equal_a_loop(m, n, k, block):
    queries, keys = F.normalize(torch.randn(m, 6)), F.normalize(torch.randn(n, 6))
    labels = torch.rand(n, 4).softmax(1)
    torch.testing.assert_close(knn_vote(queries, keys, labels, k, 0.1, block).double(),
                               slow_vote(queries, keys, labels, k, 0.1), atol=1e-5, rtol=0)


def test_many_key_blocks_give_torch_topk(monkeypatch):
    monkeypatch.setattr('mmdense.evaluation.knn.KEY_BLOCK', 16)
    queries, keys = torch.randn(33, 8), torch.randn(100, 8)
    values, index = nearest(queries, keys, 7, block=64)
    expected = (queries @ keys.t()).topk(7, dim=1)
    torch.testing.assert_close(values, expected.values)
    assert torch.equal(index, expected.indices)
