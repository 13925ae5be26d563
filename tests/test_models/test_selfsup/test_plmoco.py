"""PLMoCo: against a slow loop, over processes, resumed; what is drawn, and what is told."""
from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from jobs.location import views_apart
from jobs.plmoco import ENCODER, HEAD, IMAGE, WHOLE, all_cells, all_jobs
from jobs.processes import run_processes
from references.plmoco import plmoco as slow
from references.tiny import DECODER, build_plmoco

from mmdense.models.matching import draw_cells
from mmdense.models.queue import EMPTY
from mmdense.models.selfsup import PLMoCo, plmoco
from mmdense.random_states import seed_everything
from mmdense.structures import Views


@pytest.fixture
def drawn(monkeypatch):
    """The cells (B, n) of each draw from now on: of the query, and for the queue."""
    seen = []

    def draw(valid, count):
        seen.append(draw_cells(valid, count))
        return seen[-1]
    monkeypatch.setattr(plmoco, 'draw_cells', draw)
    return seen


@pytest.mark.parametrize('batch', [1, 4])
@pytest.mark.parametrize('num_cells', [3, 64])
@pytest.mark.parametrize('queue', [
    dict(size=90), dict(size=90, own_image='masked'),
    dict(size=100, init='empty', own_image='masked')])
@pytest.mark.parametrize('matcher', ['Geometry', 'Similarity'])
def test_loss_and_keys_equal_the_slow_loop(batch, num_cells, queue, matcher, drawn):
    """One image; an image whose views share nothing; fewer cells than are drawn."""
    method = build_plmoco(num_cells=num_cells, queue=queue,
                          matcher=dict(type=f'mmdense.{matcher}Matcher'))
    (query, key), views = all_cells(batch), views_apart(batch)
    memory = method.contrast.queue
    memory.push(F.normalize(torch.randn(6, 16)), torch.tensor([3, 0, 4, 4, 9, 5]))
    before, known = memory.keys.clone(), memory.index.clone()

    def negatives(b):
        masked = queue.get('own_image') == 'masked'
        return [before[slot].double() for slot in range(len(before)) if known[slot] != EMPTY
                and not (masked and known[slot] == views.index[b])]
    found = method.objective((query, query), (key, key), views)
    matches = method.matcher(query, key, views)
    expected, share = slow(query.flatten(2), key.flatten(2), matches, drawn[0], negatives)
    assert found['loss_cells'].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert found['matched'].item() == pytest.approx(share)
    # drawn without replacement, those that have a partner first
    count = min(num_cells, 20)
    assert drawn[0].shape == drawn[1].shape == (batch, count)
    for numbers, valid in zip(drawn[0], matches.valid, strict=True):
        assert len(set(numbers.tolist())) == count
        assert valid[numbers].sum() == min(count, int(valid.sum()))
    written = 6 + torch.arange(batch * count)
    torch.testing.assert_close(memory.keys[written % len(memory)], F.normalize(
        key.flatten(2).gather(2, drawn[1][:, None].expand(-1, 16, -1)).transpose(1, 2).flatten(
            0, 1)))
    assert torch.equal(memory.index[written % len(memory)], views.index.repeat_interleave(count))


def test_two_processes_are_one():
    """Loss, gradients and keys, though one process has fewer partners; all parts are trained."""
    (ones, whole), two = all_jobs(0, 1), run_processes(all_jobs)
    for one, parts in zip(ones, zip(*(cases for cases, _ in two), strict=True), strict=True):
        assert sum(r[0] for r in parts) / 2 == pytest.approx(one[0], rel=1e-5)
        assert sum(r[1] for r in parts) / 2 == pytest.approx(one[1])
        assert parts[0][1] != parts[1][1]
        torch.testing.assert_close(one[2], torch.cat([r[2] for r in parts]))
        if one is not ones[2]:                  # of VADeR's queue: what each process had drawn
            for r in parts:
                torch.testing.assert_close(torch.tensor(r[3]), torch.tensor(one[3]))
    assert [missing for _, missing in two] + [whole] == [[([], [])] * len(WHOLE)] * 3


def test_without_partners_the_loss_is_0_and_finite():
    method, (query, key) = build_plmoco(), all_cells(2)
    boxes = torch.tensor([[[0., 0, 50, 50]] * 2, [[200., 200, 260, 260]] * 2])
    views = Views(boxes=boxes, flips=torch.zeros(2, 2, dtype=torch.bool), index=torch.arange(2))
    query.requires_grad_()
    found = method.objective((query, query), (key, key), views)
    found['loss_cells'].backward()
    assert found['loss_cells'] == 0 and found['matched'] == 0 and query.grad.abs().max() == 0


def test_in_half_precision():
    method, (query, key) = build_plmoco(num_cells=20), all_cells(3)
    method.eval()                                # no push, so both see one queue
    views = views_apart(3)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = method.objective((query.bfloat16(), query), (key.bfloat16(), key), views)
    full = method.objective((query.bfloat16().float(), query), (key.bfloat16().float(), key), views)
    assert mixed['loss_cells'].dtype == torch.float32
    assert mixed['loss_cells'].item() == pytest.approx(full['loss_cells'].item(), rel=1e-4)


def step(method, optimizer, seed):
    seed_everything(seed)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    found = method.loss(images, views_apart(4))
    optimizer.zero_grad()
    sum(value for name, value in found.items() if 'loss' in name).backward()
    optimizer.step()
    return {name: value.item() for name, value in found.items()}


@pytest.mark.parametrize('changes', [{}, IMAGE, ENCODER, dict(symmetric=True)])
def test_a_resumed_method_gives_the_same_losses(changes):
    method = build_plmoco(**changes)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for seed in range(2):
        step(method, optimizer, seed)
    resumed = build_plmoco(**changes)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in range(2, 4)] \
        == [step(resumed, other, seed) for seed in range(2, 4)]


def test_whole_images_beside_the_cells():
    """The weights add up to 1, and each loss is what it is alone."""
    method = build_plmoco(**IMAGE, image_weight=0.25, num_cells=20)
    (query, key), views = all_cells(3), views_apart(3)
    vectors = torch.randn(2, 3, 16)
    alone = build_plmoco(num_cells=20)
    alone.contrast = copy.deepcopy(method.contrast)
    image = copy.deepcopy(method.image_contrast)
    found = method.objective((query, query, vectors[0]), (key, key, vectors[1]), views)
    assert found['loss_image'].item() == pytest.approx(0.25 * image(*vectors, views.index).item())
    assert found['loss_cells'].item() == pytest.approx(
        0.75 * alone.objective((query, query), (key, key), views)['loss_cells'].item())


def test_the_encoders_own_loss_beside_the_decoders():
    """The weights add up to 1, and each loss is what it is alone."""
    method = build_plmoco(**ENCODER, **IMAGE, encoder_weight=0.25, num_cells=20)
    views, maps = views_apart(3), [all_cells(3, seed) for seed in (1, 2)]
    vectors = torch.randn(2, 3, 16)
    alone = build_plmoco(**ENCODER, num_cells=20)
    own = copy.deepcopy(method.encoder_contrast)
    plain = build_plmoco(**IMAGE, num_cells=20)
    plain.contrast, plain.image_contrast = map(copy.deepcopy, (method.contrast,
                                                               method.image_contrast))
    sides = [(maps[0][side], maps[0][side], vectors[side]) for side in (0, 1)]
    both = [(*sides[side], maps[1][side], maps[1][side]) for side in (0, 1)]
    found, expected = method.objective(*both, views), plain.objective(*sides, views)
    for name in ('loss_cells', 'loss_image'):
        assert found[name].item() == pytest.approx(0.75 * expected[name].item())
    assert found['matched'] == expected['matched']
    loss, _ = alone.compare(own, *((maps[1][side],) * 2 for side in (0, 1)), views)
    assert found['loss_encoder'].item() == pytest.approx(0.25 * loss.item())


@pytest.mark.parametrize('change, told', [
    (dict(encoder_projector=HEAD), 'there is no decode_head'),
    (dict(encoder_weight=0.5), r'encoder_weight=0.5\) does nothing without encoder_projector'),
    (dict(encoder_index=1, decode_head=DECODER, cell_projector=HEAD), 'does nothing without'),
    (dict(ENCODER, encoder_weight=1.0), 'encoder_weight=1.0.*above 0 and below 1'),
    (dict(ENCODER, encoder_projector=dict(HEAD, in_channels=12)),
     'backbone gives 64 channels, encoder_projector.in_channels is 12')])
def test_settings_of_the_encoders_loss_that_do_not_fit_are_told(change, told):
    with pytest.raises(ValueError, match=told):
        method = build_plmoco(**change)
        method.loss([torch.randn(2, 3, 64, 64)] * 2, views_apart(2))


@pytest.mark.parametrize('change, told', [
    (dict(num_cells=0), 'num_cells=0'), (dict(image_weight=1.0), 'image_weight=1.0'),
    (dict(projector=IMAGE['projector']), 'needs both projector and image_queue'),
    (dict(image_queue=IMAGE['image_queue']), 'needs both projector and image_queue')])
def test_settings_that_would_do_nothing_are_refused(change, told):
    with pytest.raises(ValueError, match=told):
        build_plmoco(**change)


@pytest.mark.situation('settings', 'PLMoCo with a queue smaller than the cells of one step',
                       'error', 'at the first step: names queue.size and what to set')
def test_a_queue_smaller_than_the_cells_of_a_step_is_told():
    method = build_plmoco(queue=dict(size=30), num_cells=16)
    with pytest.raises(ValueError, match=r'queue.size=30 is less than the 32 keys of one step'):
        method.objective(*((cells, cells) for cells in all_cells(2)), views_apart(2))
    assert PLMoCo.queue_keys(dict(num_cells=16)) == dict(queue=16, image_queue=1)
