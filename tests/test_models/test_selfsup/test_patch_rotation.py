"""Patch-level rotation: against slow loops, over processes, resumed; what is counted and told."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.patch_rotation import logits_of, rotation_job
from jobs.processes import run_processes
from references import patch_rotation as slow
from references.tiny import BACKBONE, build_rotation, turned_views, views_of

from mmdense.models.confusion import Confusion

LEVELS = ('pixel', 'patch')


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('size', [8, 5, 1])
def test_loss_and_accuracy_equal_the_slow_loop(level, batch, size):
    """One image; an image without a patch; patches that own no cell."""
    method, views, logits = build_rotation(level=level), turned_views(batch, side=16, margin=1), \
        logits_of(batch, size)
    turns, mask = views.targets[0], views.masks[0].clone()
    if batch > 1:
        mask[1] = 0
    found = method.objective(logits, turns, mask)
    patches = slow.patch_losses(logits, turns, mask)
    expected = slow.pixel_loss(logits, turns, mask) if level == 'pixel' \
        else sum(loss for loss, _, _ in patches) / max(len(patches), 1)
    assert found['loss_rotation'].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    right = sum(angle == said for _, angle, said in patches) / max(len(patches), 1)
    assert found['accuracy'].item() == pytest.approx(right)
    assert found['scored'].item() == pytest.approx(len(patches) / (16 * batch))
    counts = torch.zeros(4, 4, dtype=torch.long)
    for _, angle, said in patches:
        counts[angle, said] += 1
    assert torch.equal(method.confusion.counts, counts)


@pytest.mark.parametrize('level', LEVELS)
def test_without_a_label_the_loss_is_0_and_finite(level):
    method, views, logits = build_rotation(level=level), turned_views(2), logits_of(2)
    logits.requires_grad_()
    found = method.objective(logits, views.targets[0], torch.zeros_like(views.masks[0]))
    found['loss_rotation'].backward()
    assert found['loss_rotation'] == 0 and logits.grad.abs().max() == 0
    assert found['accuracy'] == found['scored'] == 0


def test_two_processes_are_one():
    """Loss, gradients and counts, though one process has fewer patches; all parts are trained."""
    ones, two = rotation_job(0, 1), run_processes(rotation_job)
    for one, *parts in zip(ones, *two, strict=True):
        assert sum(r[0] for r in parts) / 2 == pytest.approx(one[0], rel=1e-5)
        torch.testing.assert_close(one[1], torch.cat([r[1] for r in parts]))
        assert torch.equal(sum(r[2] for r in parts), one[2])
        assert [r[3] for r in (one, *parts)] == [([], [])] * 3


@pytest.mark.parametrize('level', LEVELS)
def test_in_half_precision(level):
    method, views, logits = build_rotation(level=level), turned_views(3), logits_of(3).bfloat16()
    given = views.targets[0], views.masks[0]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = method.objective(logits, *given)['loss_rotation']
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(
        method.objective(logits.float(), *given)['loss_rotation'].item(), rel=1e-4)


def step(method, optimizer, seed):
    torch.manual_seed(seed)
    loss = method([torch.randn(2, 3, 64, 64)], turned_views(2), mode='loss')['loss_rotation']
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize('changes', [{}, dict(level='patch'), dict(decode_head=None)])
def test_a_resumed_method_gives_the_same_losses(changes):
    """With a decoder and without; the counts of the log are not part of a checkpoint."""
    method = build_rotation(**changes)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    step(method, optimizer, 0)
    assert not any('confusion' in name for name in method.state_dict())
    resumed = build_rotation(**changes)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in (1, 2)] \
        == [step(resumed, other, seed) for seed in (1, 2)]


def test_it_learns():
    """Patches whose upper half is bright, on a network from scratch: all angles after a while."""
    torch.manual_seed(0)
    method = build_rotation(level='patch', backbone={**BACKBONE, 'strides': (1, 2, 1, 1)})
    views = turned_views(8, margin=0)
    patch = torch.zeros(16, 16)
    patch[:8] = 1
    images = torch.stack([torch.cat([torch.cat([torch.rot90(patch, int(k)) for k in row], 1)
                                     for row in turns]) for turns in views.targets[0]])
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    for _ in range(40):
        found = method([images[:, None].repeat(1, 3, 1, 1)], views, mode='loss')
        optimizer.zero_grad()
        found['loss_rotation'].backward()
        optimizer.step()
    assert found['accuracy'] > 0.9


def test_the_confusion_in_words():
    confusion = Confusion(('0', '90'))
    share = confusion.add(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]),
                          torch.tensor([True, True, True, False]))
    assert share.item() == pytest.approx(2 / 3)
    assert confusion.counts.tolist() == [[1, 1], [0, 1]]
    lines = confusion.text(confusion.counts).splitlines()
    assert lines[2].split() == ['0', '50.0', '50.0'] and lines[3].split() == ['90', '0.0', '100.0']


@pytest.mark.situation('settings', 'patch-level rotation of views whose patches were not turned',
                       'error', 'names the transform that is missing')
def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match=r"level='image'\): expected one of"):
        build_rotation(level='image')
    with pytest.raises(ValueError, match=r'no angles; expected mmdense.PatchRotate at the end'):
        build_rotation()([torch.randn(2, 3, 64, 64)], views_of(torch.arange(2)).take((0,)),
                         mode='loss')
    with pytest.raises(ValueError, match=r'got 2 view\(s\) of an image; expected 1'):
        build_rotation()([torch.randn(2, 3, 64, 64)] * 2, turned_views(2), mode='loss')
