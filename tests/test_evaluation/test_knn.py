from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from mmdense.evaluation.knn import KEY_BLOCK, knn_vote, nearest


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


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_keys_of_half_precision_are_searched_in_the_queries_precision(monkeypatch, dtype):
    monkeypatch.setattr('mmdense.evaluation.knn.KEY_BLOCK', 16)
    queries, keys = torch.randn(33, 8), torch.randn(100, 8).to(dtype)
    values, index = nearest(queries, keys, 7, block=64)
    expected = (queries @ keys.float().t()).topk(7, dim=1)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, expected.values)
    assert torch.equal(index, expected.indices)


def test_keys_are_never_converted_as_a_whole():
    """Beside the keys there is no room for a second copy of them."""
    class Watched(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in tree_iter(out):
                if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32:
                    self.largest = max(self.largest, tensor.untyped_storage().nbytes())
            return out

    queries, keys = torch.randn(4, 64), torch.randn(100_000, 64).half()
    with Watched() as watched:
        nearest(queries, keys, 5)
    assert 0 < watched.largest <= KEY_BLOCK * 64 * 4


@pytest.mark.situation('numbers', 'dense k-NN of features that are NaN or infinite', 'error',
                       'the number of such cells; no mIoU that looks like one')
@pytest.mark.parametrize('where', ['queries', 'keys'])
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_features_that_are_not_finite_vote_for_nothing(where, value):
    rows = dict(queries=torch.randn(5, 8), keys=torch.randn(20, 8))
    rows[where][3, 2] = value
    rows = {name: F.normalize(part, dim=1) for name, part in rows.items()}
    with pytest.raises(ValueError, match=f'{1 if where == "queries" else 5} of 5 cells'):
        knn_vote(**rows, labels=torch.ones(20, 2) / 2, k=3, block=16)
