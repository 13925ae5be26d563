"""Relative position, exemplar, colourisation: slow loops, processes, resumed, mistakes."""
from __future__ import annotations

import copy
import math

import pytest
import torch
from jobs.pretexts import EXEMPLARS, colours, motion, pretext_job, vectors
from jobs.processes import run_processes
from references import pretexts as slow
from references.patch_rotation import cross_entropy
from references.tiny import build_pretext, views_of

from mmdense.models.colour_bins import gamut_bins, rebalancing, smoothing, soft_shares

KINDS = ('RelativePosition', 'Exemplar', 'Colorization', 'MotionSegmentation')


@pytest.mark.parametrize('batch', [1, 2, 5])
@pytest.mark.parametrize('negatives', EXEMPLARS)
def test_exemplar_equals_the_slow_loop(negatives, batch):
    """One image has no negative, and loses nothing."""
    method, (first, second) = build_pretext('Exemplar', negatives=negatives), vectors(batch)
    found = method.objective(first, second)
    expected = [slow.hinges(a, b, b, range(batch), negatives, 0.5)
                for a, b in ((first, second), (second, first))]
    assert found['loss_exemplar'].item() == pytest.approx(
        sum(map(sum, expected)) / (2 * batch), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('rebalance', [0.5, 1.0])
def test_colourisation_equals_the_slow_loop(rebalance, batch):
    """Two steps, as the counts grow; a grey image; one image."""
    method = build_pretext('Colorization', rebalance=rebalance)
    bins, before = method.bins.tolist(), None
    for _ in range(2):
        logits, chroma, coloured = colours(batch)
        found = method.objective(logits, chroma, coloured)
        expected, before = slow.colour_loss(logits, chroma.double() - 128, coloured.tolist(), bins,
                                            rebalance, before=before)
        assert found['loss_colour'].item() == pytest.approx(expected, rel=1e-4)
        assert method.counts.tolist() == before
    assert found['coloured'].item() == pytest.approx(1 if batch == 1 else 2 / 3)
    method.eval()
    method.objective(logits, chroma, coloured)
    assert method.counts.tolist() == before


def test_nothing_but_grey_images_lose_nothing():
    method, (logits, chroma, _) = build_pretext('Colorization'), colours(2)
    logits.requires_grad_()
    found = method.objective(logits, chroma, torch.zeros(2, dtype=torch.bool))
    found['loss_colour'].backward()
    assert found['loss_colour'] == found['coloured'] == 0 and logits.grad.abs().max() == 0


def test_bins_hold_colours_and_are_a_lookup():
    """Pure colours are in some bin, and what no screen shows is in none."""
    bins = gamut_bins()
    assert len(bins) == 261 and torch.equal(bins % 10, torch.zeros_like(bins))
    known = {tuple(one) for one in bins.tolist()}
    assert {(0, 0), (80, 70), (-90, 80), (80, -110)} <= known and (-90, -100) not in known
    index, shares = soft_shares()
    for a, b in ((0, 0), (13, -47), (127, 127), (-128, 3)):
        target, nearest = slow.soft_target(a, b, bins.tolist(), 5, 5.0)
        place = 256 * (a + 128) + b + 128
        got = dict(zip(index[place].tolist(), shares[place].tolist(), strict=True))
        assert math.isclose(sum(got.values()), 1, rel_tol=1e-5)
        assert sorted(got.values()) == pytest.approx(sorted(target.values()), abs=1e-5)
        assert nearest in got


def test_weights_have_the_mean_1_and_favour_what_is_rare():
    bins = gamut_bins()
    counts = torch.rand(len(bins), dtype=torch.float64) ** 4
    weights = rebalancing(counts, smoothing(bins))
    assert weights.tolist() == pytest.approx(slow.bin_weights(counts.tolist(), bins.tolist(), 0.5))
    even = rebalancing(torch.zeros_like(counts), smoothing(bins))
    torch.testing.assert_close(even, torch.ones_like(even))


def test_relative_position_equals_the_slow_loop():
    method = build_pretext('RelativePosition').eval()
    images, views = [torch.randn(3, 3, 64, 64) for _ in range(2)], views_of(torch.arange(3))
    views = method.random_targets(images, views)
    views.masks[1][2] = True
    found = method(images, views, mode='loss')
    logits = method.logits(images)
    pooled = [method.backbone(image)[-1].mean((2, 3)) for image in images]
    torch.testing.assert_close(logits, method.pair_head(torch.cat(pooled, 1)))
    places = views.targets[1].tolist()
    assert found['loss_position'].item() == pytest.approx(sum(
        cross_entropy(row, place) for row, place in zip(logits, places, strict=True)) / 3, rel=1e-5)
    assert found['enlarged'].item() == pytest.approx(1 / 3)
    assert found['accuracy'].item() == pytest.approx(
        sum(int(row.argmax()) == place for row, place in zip(logits, places, strict=True)) / 3)


@pytest.mark.parametrize('batch', [1, 3])
def test_motion_segmentation_equals_the_slow_loop(batch):
    """One image; an image of which nothing is known; nothing known at all."""
    method, (logits, mask) = build_pretext('MotionSegmentation'), motion(batch)
    found = method.objective(logits, mask)
    loss, iou, moving = slow.motion_loss(logits, mask)
    assert found['loss_motion'].item() == pytest.approx(loss, rel=1e-5)
    assert found['iou'].item() == pytest.approx(iou)
    assert found['moving'].item() == pytest.approx(moving)
    logits.requires_grad_()
    none = method.objective(logits, torch.zeros_like(mask))
    none['loss_motion'].backward()
    assert none['loss_motion'] == none['iou'] == 0 and logits.grad.abs().max() == 0


def test_two_processes_are_one():
    """Losses, gradients and counts; all parts of a whole step are trained."""
    (ones, colour, missing, moved), two = pretext_job(0, 1), run_processes(pretext_job)
    assert sum(part[3][0] for part in two) / 2 == pytest.approx(moved[0], rel=1e-5)
    torch.testing.assert_close(moved[1], torch.cat([part[3][1] for part in two]))
    for number, one in enumerate(ones):
        parts = [part[0][number] for part in two]
        for name, value in one[0].items():
            assert sum(r[0][name] for r in parts) / 2 == pytest.approx(value, rel=1e-5)
        torch.testing.assert_close(one[1], torch.cat([r[1] for r in parts]))
    assert sum(part[1][0] for part in two) / 2 == pytest.approx(colour[0], rel=1e-5)
    torch.testing.assert_close(colour[1], torch.cat([part[1][1] for part in two]))
    for part in two:
        assert torch.equal(part[1][2], colour[2])
    assert [part[2] for part in two] + [missing] == [[([], [])] * 4] * 3


def step(method, optimizer, seed):
    torch.manual_seed(seed)
    images = [torch.randn(2, 3, 64, 64) for _ in range(method.num_views)]
    views = views_of(torch.arange(2)).take(range(method.num_views))
    losses = method(images, method.random_targets(images, views), mode='loss')
    loss = sum(value for name, value in losses.items() if 'loss' in name)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize('kind', KINDS)
def test_a_resumed_method_gives_the_same_losses(kind):
    method = build_pretext(kind)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    step(method, optimizer, 0)
    resumed = build_pretext(kind)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in (1, 2)] \
        == [step(resumed, other, seed) for seed in (1, 2)]


def test_in_half_precision():
    method, (logits, chroma, coloured) = build_pretext('Colorization').eval(), colours(3)
    first, second = vectors(4).bfloat16()
    exemplar = build_pretext('Exemplar', negatives='all')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = method.objective(logits.bfloat16(), chroma, coloured)['loss_colour']
        near = exemplar.objective(first, second)['loss_exemplar']
    full = method.objective(logits.bfloat16().float(), chroma, coloured)['loss_colour']
    assert mixed.dtype == near.dtype == torch.float32
    assert mixed.item() == pytest.approx(full.item(), rel=1e-4)
    assert near.item() == pytest.approx(
        exemplar.objective(first.float(), second.float())['loss_exemplar'].item(), rel=1e-4)


@pytest.mark.situation('settings', 'a predictive pretext with the views of another method',
                       'error', 'names the transform that is missing')
@pytest.mark.parametrize(('make', 'told'), [
    (lambda: build_pretext('RelativePosition')([torch.randn(2, 3, 64, 64)] * 2, views_of(
        torch.arange(2)), mode='loss'), 'no places; expected mmdense.RelativePatches'),
    (lambda: build_pretext('Colorization')([torch.randn(2, 3, 64, 64)], views_of(
        torch.arange(2)).take((0,)), mode='loss'), 'expected mmdense.ColourTarget at the end'),
    (lambda: build_pretext('MotionSegmentation')([torch.randn(2, 3, 64, 64)], views_of(
        torch.arange(2)).take((0,)), mode='loss'), 'no motion mask; expected mmdense.LoadRegions'),
    (lambda: build_pretext('RelativePosition', head=dict(
        type='mmdense.Projector', in_channels=64)), 'head.in_channels=64, but .* 128 channels'),
    (lambda: build_pretext('Colorization', rebalance=0), r'rebalance=0\): expected a share'),
    (lambda: build_pretext('Exemplar', negatives='some'), "negatives='some', margin=0.5"),
    (lambda: build_pretext('Exemplar', margin=0), 'a margin above 0')])
def test_what_does_not_fit_is_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()
