from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from references import nce as reference

from mmdense.models.losses import info_nce, masked_logsumexp, masked_nce
from mmdense.models.losses.logsumexp import block_length
from mmdense.registry import MODELS


def leaves(*shapes, scale=1.0, dtype=torch.float32):
    return [(torch.randn(*shape, dtype=dtype) * scale).requires_grad_() for shape in shapes]


def gradients(loss, inputs):
    return torch.autograd.grad(loss, inputs, allow_unused=True)


def assert_same(got, expected, inputs, reference_inputs, tolerance=1e-5):
    """Value and every gradient agree, relative to the gradient's own size where that is large."""
    torch.testing.assert_close(got.double(), expected.double(), rtol=tolerance, atol=tolerance)
    for ours, theirs in zip(gradients(got, inputs), gradients(expected, reference_inputs),
                            strict=True):
        theirs = torch.zeros_like(ours) if theirs is None else theirs
        size = max(float(theirs.abs().max()), 1.0)
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=0, atol=tolerance * size)


def against_reference(shapes, temperature=0.2, normalize=True, scale=1.0, query_index=None,
                      negative_index=None, tolerance=1e-5, **options):
    inputs = leaves(*shapes, scale=scale)
    doubles = [x.detach().double().requires_grad_() for x in inputs]

    def index(values):
        return None if values is None else torch.tensor(values)

    got = info_nce(*inputs, temperature, normalize, index(query_index), index(negative_index),
                   **options)
    expected = reference.info_nce(*doubles, temperature, normalize, query_index, negative_index)
    assert_same(got, expected, inputs, doubles, tolerance)


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('block', [None, 7])
@pytest.mark.parametrize(('n', 'k', 'd'), [(6, 40, 8), (1, 1, 3), (5, 1, 4), (1, 30, 16)])
def test_info_nce_and_its_gradients_equal_the_formula(n, k, d, block, normalize):
    against_reference([(n, d), (n, d), (k, d)], normalize=normalize, block=block)


@pytest.mark.parametrize('temperature', [0.01, 0.02, 0.03, 0.07, 1.0, 10.0])
def test_any_temperature(temperature):
    against_reference([(6, 8), (6, 8), (40, 8)], temperature, block=16)


def test_opposite_vectors_at_a_low_temperature_do_not_underflow():
    query = torch.eye(3, 4, requires_grad=True)
    loss = info_nce(query, -query.detach(), -query.detach()[:1].repeat(5, 1), temperature=0.01)
    expected = (torch.log(torch.tensor(6.0)) + 2 * torch.log1p(5 * torch.exp(torch.tensor(100.))))
    torch.testing.assert_close(loss, torch.where(expected.isinf(), torch.log(torch.tensor(6.)) +
                                                 2 * (100 + torch.log(torch.tensor(5.))),
                                                 expected) / 3)
    assert gradients(loss, query)[0].isfinite().all()


@pytest.mark.parametrize('scale', [1e-3, 30.0])
def test_vectors_of_any_length_without_normalisation(scale):
    """At scale 30 the logits reach thousands: no exponential may overflow or vanish."""
    against_reference([(6, 8), (6, 8), (40, 8)], normalize=False, scale=scale, block=16)


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('block', [None, 3])
def test_own_images_and_unfilled_slots_are_left_out(block, normalize):
    """Rows: partly masked, wholly masked (image 9), of no known image; keys 6, 7 unfilled."""
    against_reference([(4, 8), (4, 8), (8, 8)], normalize=normalize, block=block,
                      query_index=[3, 4, -1, 8], negative_index=[3, 3, -1, 8, 5, 4, -2, -2])
    against_reference([(3, 8), (3, 8), (4, 8)], normalize=normalize, block=block,
                      query_index=[9, 9, 1], negative_index=[9, 9, 9, -2])


def test_unfilled_slots_alone():
    against_reference([(4, 8), (4, 8), (6, 8)], negative_index=[-2, 7, -1, -2, 0, -2], block=4)


@pytest.mark.parametrize('rows', [6, 3])
def test_a_mask_says_which_negatives_count_for_a_row(rows):
    """As many leaves of one row each; a mask of fewer rows is shared by those after one another."""
    mask = torch.rand(rows, 9) < 0.5
    query, positive, negatives = inputs = leaves((6, 8), (6, 8), (9, 8))
    loss = info_nce(*inputs, block=4, mask=lambda start, stop: mask[:, start:stop])
    parts = [info_nce(query[n:n + 1], positive[n:n + 1], negatives[mask[n * rows // 6]])
             for n in range(6)]
    expected = sum(parts) / 6
    torch.testing.assert_close(loss, expected)
    for one, other in zip(gradients(loss, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(one, other)
    with pytest.raises(ValueError, match='query_index and mask both say which negatives'):
        info_nce(*inputs, query_index=torch.arange(6), negative_index=torch.arange(9),
                 mask=lambda start, stop: mask[:, start:stop])


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('temperature', [0.2, 0.01])
@pytest.mark.parametrize('left', ['none there', 'unfilled', 'own'])
def test_without_negatives_the_loss_and_all_gradients_are_zero(left, temperature, normalize):
    query, positive, negatives = leaves((4, 8), (4, 8), (0 if left == 'none there' else 6, 8))
    index = {'unfilled': -2, 'own': 5}.get(left)
    masks = {} if index is None else dict(query_index=torch.full((4,), 5),
                                          negative_index=torch.full((6,), index))
    loss = info_nce(query, positive, negatives, temperature, normalize, **masks)
    assert loss.item() == 0
    for gradient in gradients(loss, (query, positive, negatives)):
        assert not gradient.any()  # and so no nan


def test_no_rows_give_zero():
    assert info_nce(*leaves((0, 8), (0, 8), (5, 8))).item() == 0


def test_zero_vectors_give_finite_gradients():
    """Unfilled slots of a queue hold zeros."""
    query, positive = leaves((4, 8), (4, 8))
    negatives = torch.zeros(5, 8, requires_grad=True)
    loss = info_nce(query, positive, negatives)
    assert all(g.isfinite().all() for g in gradients(loss, (query, positive, negatives)))


def test_unit_negatives_need_no_second_normalisation():
    query, positive, negatives = leaves((5, 8), (5, 8), (20, 8))
    keys = torch.nn.functional.normalize(negatives.detach(), dim=1)
    torch.testing.assert_close(info_nce(query, positive, keys, unit_negatives=True),
                               info_nce(query, positive, negatives))


def test_the_order_of_negatives_does_not_matter():
    query, positive, negatives = leaves((5, 8), (5, 8), (50, 8))
    order = torch.randperm(50)
    inputs = (query, positive, negatives)
    one, other = info_nce(*inputs, block=16), info_nce(query, positive, negatives[order], block=16)
    torch.testing.assert_close(one, other)
    for a, b in zip(gradients(one, inputs), gradients(other, inputs), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('asks', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 0, 0)])
def test_only_who_asks_gets_a_gradient(asks):
    full = leaves((5, 8), (5, 8), (20, 8))
    expected = gradients(info_nce(*full), full)
    some = [x.detach().requires_grad_(bool(a)) for x, a in zip(full, asks, strict=True)]
    loss = info_nce(*some)
    assert loss.requires_grad == any(asks)
    if any(asks):
        loss.backward()
    for x, gradient, a in zip(some, expected, asks, strict=True):
        assert (x.grad is not None) == bool(a)
        if a:
            torch.testing.assert_close(x.grad, gradient)


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('temperature', [0.2, 0.01])
def test_gradcheck_of_doubles(temperature, normalize):
    inputs = leaves((3, 4), (3, 4), (7, 4), dtype=torch.float64)
    index = dict(query_index=torch.tensor([0, 1, -1]), block=3,
                 negative_index=torch.tensor([0, 0, 1, -1, 2, -2, 1]))
    assert torch.autograd.gradcheck(
        lambda *x: info_nce(*x, temperature, normalize, **index), inputs)


def test_bf16_and_autocast_are_computed_in_float32():
    inputs = [x.detach().bfloat16() for x in leaves((6, 32), (6, 32), (300, 32))]
    leaf = [x.clone().requires_grad_() for x in inputs]
    full = [x.float().requires_grad_() for x in inputs]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = info_nce(*leaf, block=64)
        got = gradients(loss, leaf)
    expected = info_nce(*full)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    for a, b in zip(got, gradients(expected, full), strict=True):
        torch.testing.assert_close(a, b.bfloat16())


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('block', [None, 4])
def test_masked_nce_with_several_positives_equals_the_formula(block, normalize):
    """Rows without positives, without negatives, without either; keys that are neither."""
    query, keys = leaves((7, 8), (30, 8))
    positive, negative = torch.rand(7, 30) < 0.1, torch.rand(7, 30) < 0.5
    negative &= ~positive
    positive[0], negative[1], positive[2], negative[2] = False, False, False, False
    positive[1, 3] = True
    doubles = [x.detach().double().requires_grad_() for x in (query, keys)]
    got = masked_nce(query, keys, lambda a, b: positive[:, a:b], lambda a, b: negative[:, a:b],
                     normalize=normalize, block=block)
    expected = reference.masked_nce(*doubles, positive, negative, 0.2, normalize)
    assert_same(got, expected, (query, keys), doubles)


def test_masked_nce_with_keys_of_the_batch_and_gradient_on_both_sides():
    """Queries are keys too, as in SimCLR: self left out, the other view of the image pulled."""
    cells, = leaves((12, 8))
    double = cells.detach().double().requires_grad_()
    image = torch.arange(6).repeat(2)
    same, itself = image[:, None] == image[None], torch.eye(12, dtype=torch.bool)
    got = masked_nce(cells, cells, lambda a, b: (same & ~itself)[:, a:b],
                     lambda a, b: image[:, None] != image[None, a:b], block=5)
    expected = reference.masked_nce(double, double, same & ~itself, ~same, 0.2, True)
    assert_same(got, expected, (cells,), (double,))


def test_info_nce_is_masked_nce_with_one_positive():
    query, positive, negatives = leaves((5, 8), (5, 8), (20, 8))
    rows = torch.arange(5)
    general = masked_nce(query, torch.cat([positive, negatives]),
                         lambda a, b: rows[:, None] == torch.arange(a, b),
                         lambda a, b: (torch.arange(a, b) >= 5).expand(5, -1))
    torch.testing.assert_close(general, info_nce(query, positive, negatives))


def test_masked_nce_without_any_positive_is_zero():
    query, keys = leaves((4, 8), (9, 8))
    loss = masked_nce(query, keys, lambda a, b: torch.zeros(4, b - a, dtype=torch.bool),
                      lambda a, b: torch.ones(4, b - a, dtype=torch.bool))
    assert loss.item() == 0
    assert not any(g.any() for g in gradients(loss, (query, keys)))


NAN = float('nan')


@pytest.mark.parametrize('block', [None, 3])
@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('which', [
    pytest.param(0, id='query', marks=pytest.mark.situation(
        'numbers', 'NaN or infinity in a query of InfoNCE', 'error', 'the loss is NaN, which '
        'ends the run')),
    pytest.param(1, id='positive', marks=pytest.mark.situation(
        'numbers', 'NaN or infinity in a positive of InfoNCE', 'error', 'the loss is NaN, which '
        'ends the run')),
    pytest.param(2, id='negative', marks=pytest.mark.situation(
        'numbers', 'NaN or infinity in a negative of InfoNCE', 'error', 'the loss is NaN, which '
        'ends the run'))])
@pytest.mark.parametrize('value', [NAN, float('inf')])
def test_nan_in_what_counts_is_a_loss_that_is_no_number(which, normalize, block, value):
    inputs = leaves((4, 8), (4, 8), (8, 8))
    inputs[which].data[1, 2] = value
    index = dict(query_index=torch.tensor([3, 4, -1, 8]),
                 negative_index=torch.tensor([3, 4, -1, 8, 5, 4, -2, -2]))
    for masks in ({}, index):
        assert not info_nce(*inputs, normalize=normalize, block=block, **masks).isfinite()


@pytest.mark.situation('numbers', 'NaN in a negative that does not count (an unfilled slot, the '
                       "query's own image)", 'works', 'loss and gradients as without it')
@pytest.mark.parametrize('block', [None, 3])
@pytest.mark.parametrize('normalize', [True, False])
def test_negatives_that_do_not_count_may_be_nan(normalize, block):
    inputs = leaves((2, 8), (2, 8), (6, 8))
    index = dict(query_index=torch.tensor([7, 7]),
                 negative_index=torch.tensor([7, 1, -2, -1, 7, -2]),
                 normalize=normalize, block=block)
    loss = info_nce(*inputs, **index)
    expected = gradients(loss, inputs)
    inputs[2].data[[0, 2, 4, 5]] = NAN
    again = info_nce(*inputs, **index)
    torch.testing.assert_close(again, loss)
    for one, other in zip(gradients(again, inputs), expected, strict=True):
        torch.testing.assert_close(one, other)
    inputs[2].data[1] = NAN
    assert info_nce(*inputs, **index).isnan()


@pytest.mark.situation('numbers', 'NaN in a row without a positive, or in a key that only such '
                       'rows have', 'works', 'the row counts as nothing: loss and gradients as '
                       'without it')
@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('block', [None, 4])
def test_rows_that_do_not_count_may_be_nan(normalize, block):
    """Rows 0 and 2 have no positive, and are alone in having key 5 as a negative; key 6 is free."""
    query, keys = leaves((5, 8), (12, 8))
    positive, negative = torch.rand(5, 12) < 0.3, torch.rand(5, 12) < 0.6
    positive[[0, 2]], positive[1, 1], positive[3, 9], positive[4, 2] = False, True, True, True
    positive[:, 5:7] = negative[:, 5:7] = False
    negative[0, 5] = True
    negative &= ~positive
    query.data[[0, 2]] = NAN
    keys.data[5:7] = NAN

    def loss():
        return masked_nce(query, keys, lambda a, b: positive[:, a:b],
                          lambda a, b: negative[:, a:b], normalize=normalize, block=block)
    doubles = [x.detach().double().requires_grad_() for x in (query, keys)]
    expected = reference.masked_nce(*doubles, positive, negative, 0.2, normalize)
    theirs = [g.masked_fill(x.detach().isnan(), 0)
              for g, x in zip(gradients(expected, doubles), doubles, strict=True)]
    assert expected.isfinite()
    torch.testing.assert_close(loss().double(), expected, rtol=1e-5, atol=1e-5)
    for ours, other in zip(gradients(loss(), (query, keys)), theirs, strict=True):
        torch.testing.assert_close(ours.double(), other, rtol=1e-5, atol=1e-5)
    for rows, at in ((query, 1), (keys, 1), (keys, int(negative[1].nonzero()[0]))):
        before = rows.data[at].clone()
        rows.data[at, 0] = NAN
        assert loss().isnan()
        rows.data[at] = before


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('hidden', [(1, 4), (0, 1, 2, 3, 4, 5)])
@pytest.mark.situation('numbers', 'NaN in a row of `info_nce(valid=…)` that does not count',
                       'works', 'loss and gradients as without the row; 0 without any row')
def test_rows_that_are_not_valid_are_as_if_not_there(hidden, masked, normalize):
    """Against the formula over the other rows; three images of two rows each where masked."""
    inputs = leaves((6, 8), (6, 8), (9, 8))
    kept = [row for row in range(6) if row not in hidden]
    query_index, negative_index = [3, 4, 5], [3, 9, 4, -2, 5, -1, 3, 3, -2]
    for rows in inputs[:2]:
        rows.data[list(hidden)] = NAN
    valid = torch.ones(6, dtype=torch.bool)
    valid[list(hidden)] = False
    got = info_nce(*inputs, 0.2, normalize, torch.tensor(query_index) if masked else None,
                   torch.tensor(negative_index), block=4, valid=valid)
    doubles = [x.detach()[kept].double().requires_grad_() for x in inputs[:2]]
    doubles.append(inputs[2].detach().double().requires_grad_())
    if not kept:
        assert got.item() == 0 and not any(g.any() for g in gradients(got, inputs))
        return
    expected = reference.info_nce(*doubles, 0.2, normalize,
                                  [query_index[row // 2] for row in kept] if masked else None,
                                  negative_index)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)
    ours, theirs = gradients(got, inputs), gradients(expected, doubles)
    for one, other in zip((ours[0][kept], ours[1][kept], ours[2]), theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)
    assert not any(one[list(hidden)].any() for one in ours[:2])


def test_masked_logsumexp_equals_torchs():
    query, keys = leaves((5, 8), (20, 8))
    keep, mask = torch.rand(20) < 0.7, torch.rand(5, 20) < 0.7
    got = masked_logsumexp(query, keys, 3.0, keep=keep, mask=lambda a, b: mask[:, a:b], block=6)
    logits = (3 * query @ keys.t()).masked_fill(~(mask & keep), -torch.inf)
    torch.testing.assert_close(got, logits.logsumexp(1))


def test_component_scales_the_loss():
    inputs = leaves((5, 8), (5, 8), (20, 8))
    loss = MODELS.build(dict(type='mmdense.InfoNCE', temperature=0.1, loss_weight=3.0))
    index = dict(query_index=torch.zeros(5).long(), negative_index=torch.arange(20))
    torch.testing.assert_close(loss(*inputs, **index), 3 * info_nce(*inputs, 0.1, **index))


def test_blocks_are_powers_of_two_within_bounds():
    for rows in (0, 1, 32, 784, 8192, 10**6):
        for device in ('cpu', 'meta'):
            length = block_length(rows, torch.device(device))
            assert 128 <= length <= 8192
            assert length.bit_count() == 1


@pytest.mark.parametrize(('shapes', 'named'), [
    ([(4, 8), (5, 8), (9, 8)], ['(4, 8)', '(5, 8)']),
    ([(4, 8), (4, 7), (9, 8)], ['(4, 8)', '(4, 7)']),
    ([(4, 8), (4, 8), (9, 7)], ['(4, 8)', '(9, 7)']),
    ([(4, 8), (4, 8), (8,)], ['(4, 8)', '(8,)']),
])
def test_shapes_that_do_not_fit_are_named(shapes, named):
    with pytest.raises(ValueError) as error:
        info_nce(*leaves(*shapes))
    assert all(name in str(error.value) for name in named)


def test_other_mistakes_are_named():
    inputs = leaves((4, 8), (4, 8), (9, 8))
    with pytest.raises(ValueError, match=r'negative_index \(4,\).*\(9, 8\)'):
        info_nce(*inputs, negative_index=torch.zeros(4).long())
    with pytest.raises(ValueError, match=r'query_index \(9,\).*\(4, 8\)'):
        info_nce(*inputs, query_index=torch.zeros(9).long(), negative_index=torch.zeros(9).long())
    with pytest.raises(ValueError, match='needs negative_index'):
        info_nce(*inputs, query_index=torch.zeros(4).long())
    with pytest.raises(ValueError, match=r'valid \(3,\).*\(4, 8\)'):
        info_nce(*inputs, valid=torch.ones(3).bool())
    with pytest.raises(ValueError, match='temperature 0'):
        info_nce(*inputs, temperature=0)
    with pytest.raises(ValueError, match=r'\(4, 8\).*\(9, 7\)'):
        masked_nce(inputs[0], torch.zeros(9, 7), None, None)


MEMORY = '''
import resource, sys, torch
from mmdense.models.losses import info_nce
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
n, k, d = int(sys.argv[1]), 65536, 128
to_keys = sys.argv[2] == 'keys'
make = lambda rows, grad: torch.randn(rows, d).requires_grad_(grad)
small = [make(256, True), make(256, True), make(512, to_keys)]
info_nce(*small).backward()      # threads and libraries
inputs = [make(n, True), make(n, True), make(k, to_keys)]
before = peak()
info_nce(*inputs).backward()
print(peak() - before)
'''


@pytest.mark.parametrize(('rows', 'to'), [(8192, 'query'), (2048, 'keys')])
def test_memory_above_the_inputs_is_bounded(rows, to):
    """Resident memory of a fresh process, K 65,536, D 128, in MB, the gradients included.

    The logits alone are 2 GB at N 8192; the gradient to the keys alone is 32 MB.
    """
    run = subprocess.run([sys.executable, '-c', MEMORY, str(rows), to], capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) <= 64
