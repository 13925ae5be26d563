from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from jobs.detcon import loss_job
from jobs.processes import run_processes
from references import detcon as reference

from mmdense.models.losses import detcon_nce
from mmdense.registry import MODELS


def features(images, samples, dim, dtype=torch.float32):
    return [torch.randn(images, samples, dim, dtype=dtype).requires_grad_() for _ in range(4)]


def draw_ids(images, samples, highest=4):
    """Ids of both views, 0 and duplicates among them."""
    return [torch.randint(0, highest, (images, samples)) for _ in range(2)]


def against_reference(inputs, ids, group=None, temperature=0.1, local_negatives=True, **options):
    doubles = [x.detach().double().requires_grad_() for x in inputs]
    got = detcon_nce(*inputs, *ids, temperature=temperature, local_negatives=local_negatives,
                     negative_group=group, **options)
    expected = reference.detcon_nce(*doubles, *(x.tolist() for x in ids), temperature,
                                    local_negatives, group)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(got, inputs),
                            torch.autograd.grad(expected, doubles), strict=True):
        # relative to the largest entry
        size = max(float(theirs.abs().max()), 1e-3)
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-5 * size)
    return expected.item()


@pytest.mark.parametrize('local_negatives', [True, False])
@pytest.mark.parametrize(('images', 'samples', 'block', 'temperature'), [
    (3, 4, None, 0.1), (5, 3, 2, 0.5), (1, 6, None, 0.1), (4, 1, 3, 0.1), (3, 4, 1, 0.01)])
def test_value_and_gradients_equal_the_formula(images, samples, block, temperature,
                                               local_negatives):
    inputs, ids = features(images, samples, 5), draw_ids(images, samples)
    ids[1][0, 0] = ids[0][0, 0] = 2     # there is a positive
    value = against_reference(inputs, [*ids, *ids], temperature=temperature, block=block,
                              local_negatives=local_negatives)
    assert value > 0


def test_targets_may_have_other_ids_than_the_predictions_of_their_view():
    against_reference(features(3, 4, 5), [*draw_ids(3, 4), *draw_ids(3, 4)])


@pytest.mark.parametrize('group', [1, 2, 5, 9])
def test_negatives_of_the_group_alone(group):
    ids = draw_ids(5, 3)
    against_reference(features(5, 3, 4), [*ids, *ids], group=group)


def test_every_negative_group_is_another_loss():
    """So that the option cannot be lost on its way."""
    inputs, ids = features(6, 3, 4), draw_ids(6, 3, 3)
    values = {round(detcon_nce(*inputs, *ids, *ids, negative_group=g).item(), 4)
              for g in (None, 1, 2, 3)}
    assert len(values) == 4


@pytest.mark.parametrize('temperature', [0.1, 0.01])
@pytest.mark.parametrize('ids', [
    [torch.full((3, 4), 1), torch.full((3, 4), 2)], [torch.zeros(3, 4).long()] * 2])
def test_without_overlap_value_and_gradients_are_zero(ids, temperature):
    inputs = features(3, 4, 5)
    loss = detcon_nce(*inputs, *ids, *ids, temperature=temperature)
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, inputs):
        assert not gradient.any()       # and so no nan


@pytest.mark.parametrize('local_negatives', [True, False])
def test_one_image_of_one_region_is_zero(local_negatives):
    """The positive is the only key."""
    inputs, ids = features(1, 1, 5), [torch.ones(1, 1).long()] * 4
    assert against_reference(inputs, ids, local_negatives=local_negatives) == 0


def test_without_overlap_nan_counts_as_nothing():
    inputs = features(3, 4, 5)
    inputs[2].data[1, 2] = inputs[0].data[0, 1] = float('nan')
    loss = detcon_nce(*inputs, *[torch.full((3, 4), 1), torch.full((3, 4), 2)] * 2)
    assert loss.item() == 0
    assert not any(g.any() for g in torch.autograd.grad(loss, inputs))


@pytest.mark.situation('numbers', 'NaN in a region that the other view does not show, or in one '
                       'that is none', 'works', 'DetCon counts it as nothing: loss and gradients '
                       'as without it')
@pytest.mark.parametrize(('group', 'local_negatives'), [(None, True), (1, False), (2, True)])
def test_regions_that_do_not_count_may_be_nan(group, local_negatives):
    """Of image 0 the first view's id 3 is not in the second, and id 0 is no region."""
    inputs = features(2, 3, 5)
    ids = [torch.tensor([[1, 3, 0], [2, 1, 1]]), torch.tensor([[1, 2, 0], [1, 2, 2]])] * 2
    options = dict(negative_group=group, local_negatives=local_negatives)
    expected = detcon_nce(*inputs, *ids, **options)
    gradients = torch.autograd.grad(expected, inputs)
    hidden = [(0, 1), (0, 2), (2, 2), (3, 2)]           # (argument, row) of image 0
    hidden += [(2, 1)] if group == 1 else []            # a key for nobody
    for which, row in hidden:
        inputs[which].data[0, row] = float('nan')
    loss = detcon_nce(*inputs, *ids, **options)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(torch.autograd.grad(loss, inputs), gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.situation('numbers', 'NaN in a region that counts, as row, positive or negative',
                       'error', "DetCon's loss is NaN, which ends the run")
@pytest.mark.parametrize('temperature', [0.1, 0.01])
@pytest.mark.parametrize(('which', 'row'), [(0, 0), (3, 0), (2, 1)])
def test_nan_in_a_region_that_counts_is_nan(which, row, temperature):
    inputs = features(2, 3, 5)
    ids = [torch.tensor([[1, 3, 0], [2, 1, 1]]), torch.tensor([[1, 2, 0], [1, 2, 2]])] * 2
    inputs[which].data[0, row, 0] = float('nan')
    assert detcon_nce(*inputs, *ids, temperature=temperature).isnan()


def test_an_id_that_was_drawn_twice_counts_once():
    """The region again in place of an empty row: the sum over the rows stays, but for the keys."""
    pred1, pred2, target1, target2 = (torch.randn(1, 3, 5) for _ in range(4))
    for x in (pred1, pred2, target1, target2):
        x[:, 2] = x[:, 1]
    once, twice = torch.tensor([[1, 2, 0]]), torch.tensor([[1, 2, 2]])
    args = pred1, pred2, target1, target2
    torch.testing.assert_close(detcon_nce(*args, once, once, once, once),
                               detcon_nce(*args, twice, twice, once, once))


def test_autocast_and_bf16_are_computed_in_float32():
    inputs, ids = [x.detach().bfloat16() for x in features(4, 3, 8)], draw_ids(4, 3, 3)
    leaves = [x.clone().requires_grad_() for x in inputs]
    full = [x.float().requires_grad_() for x in inputs]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = detcon_nce(*leaves, *ids, *ids)
        gradients = torch.autograd.grad(loss, leaves)
    expected = detcon_nce(*full, *ids, *ids)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, full), strict=True):
        torch.testing.assert_close(ours, theirs.bfloat16())


@pytest.mark.parametrize('temperature', [0.1, 0.01])
def test_gradcheck_of_doubles(temperature):
    ids = draw_ids(3, 2, 3)
    assert torch.autograd.gradcheck(
        lambda *x: detcon_nce(*x, *ids, *ids, temperature=temperature, block=2),
        features(3, 2, 3, torch.float64))


def test_only_who_asks_gets_a_gradient():
    inputs, ids = features(3, 4, 5), draw_ids(3, 4, 3)
    expected = torch.autograd.grad(detcon_nce(*inputs, *ids, *ids), inputs)
    preds = torch.autograd.grad(detcon_nce(*inputs, *ids, *ids, gather_grad=False), inputs,
                                allow_unused=True)
    targets = [*(x.detach() for x in inputs[:2]), *inputs[2:]]
    targets = torch.autograd.grad(detcon_nce(*targets, *ids, *ids), inputs[2:])
    assert preds[2] is None and preds[3] is None
    for ours, theirs in zip([*preds[:2], *targets], expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not detcon_nce(*(x.detach() for x in inputs), *ids, *ids).requires_grad


@pytest.mark.parametrize(('gather_grad', 'group'), [(True, None), (False, None), (True, 2)])
def test_two_processes_give_the_loss_and_gradients_of_one(gather_grad, group):
    job = partial(loss_job, gather_grad, group)
    (value, gradients), two = job(0, 1), run_processes(job)
    assert value > 0
    # float32 sums in another order, compared as Python floats: the tolerance of float32
    assert sum(v for v, _ in two) / 2 == pytest.approx(value, rel=2e-6)
    for expected, *parts in zip(gradients, *(g for _, g in two), strict=True):
        if expected is None:
            assert not gather_grad and parts == [None, None]
        else:
            assert expected.any()
            torch.testing.assert_close(torch.cat(parts), expected)


def test_component_scales_the_loss():
    inputs, ids = features(4, 3, 5), draw_ids(4, 3, 3)
    options = dict(temperature=0.2, local_negatives=False, negative_group=2, gather_grad=False)
    loss = MODELS.build(dict(type='mmdense.DetConLoss', loss_weight=3.0, **options))
    torch.testing.assert_close(loss(*inputs, *ids, *ids),
                               3 * detcon_nce(*inputs, *ids, *ids, **options))


def test_mistakes_are_named():
    inputs, ids = features(3, 4, 5), draw_ids(3, 4)
    with pytest.raises(ValueError, match=r'target2 \(3, 4, 6\) beside pred1 \(3, 4, 5\)'):
        detcon_nce(*inputs[:3], torch.randn(3, 4, 6), *ids, *ids)
    with pytest.raises(ValueError, match=r'target_ids2 \(3, 3\)'):
        detcon_nce(*inputs, *ids, ids[0], ids[1][:, :3])
    with pytest.raises(ValueError, match='temperature 0'):
        detcon_nce(*inputs, *ids, *ids, temperature=0)
    with pytest.raises(ValueError, match='negative_group=0'):
        detcon_nce(*inputs, *ids, *ids, negative_group=0)


MEMORY = '''
import resource, torch
from mmdense.models.losses import detcon_nce
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def inputs(images):
    ids = [torch.randint(1, 20, (images, 16)) for _ in range(2)]
    return [torch.randn(images, 16, 32).requires_grad_() for _ in range(4)], ids
def step(features, ids):
    detcon_nce(*features, *ids, *ids).backward()
step(*inputs(8))                # threads and libraries
batch = inputs(160)
before = peak()
step(*batch)
print(peak() - before)
'''


def test_memory_above_the_inputs_is_bounded():
    """Resident memory of a fresh process in MB; the logits of one direction alone are 50."""
    run = subprocess.run([sys.executable, '-c', MEMORY], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) <= 25
