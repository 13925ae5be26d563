"""VADeR: against a slow loop, resumed, in half precision; what its queue takes, what it holds."""
from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from jobs.location import maps, views_apart
from jobs.plmoco import all_cells
from references.plmoco import plmoco as slow
from references.tiny import DECODER, build_plmoco, build_vader
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from mmdense.models.matching import draw_cells
from mmdense.models.selfsup import VADeR, plmoco
from mmdense.random_states import seed_everything
from mmdense.structures import Views


@pytest.mark.parametrize('batch', [1, 4])
@pytest.mark.parametrize('num_cells', [3, 32])
def test_loss_and_keys_equal_the_slow_loop(batch, num_cells, monkeypatch):
    """One image; an image whose views share nothing; fewer pixels than are drawn."""
    drawn = []

    def draw(valid, count):
        drawn.append(draw_cells(valid, count))
        return drawn[-1]
    monkeypatch.setattr(plmoco, 'draw_cells', draw)
    method, (query, key), views = build_vader(num_cells=num_cells, queue=dict(size=90)), \
        all_cells(batch), views_apart(batch)
    memory = method.contrast.queue
    before = memory.keys.clone()
    found = method.objective((query, query), (key, key), views)
    matches = method.matcher(query, key, views)
    expected, share = slow(query.flatten(2), key.flatten(2), matches, drawn[0],
                           lambda b: [slot.double() for slot in before])
    assert found['loss_cells'].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert found['matched'].item() == pytest.approx(share)
    # one draw a step: the queue takes the partners
    assert len(drawn) == 1
    partners = matches.index.gather(1, drawn[0])
    taken = torch.stack([key.flatten(2)[b, :, place] for b in range(batch)
                         for place in partners[b]])
    torch.testing.assert_close(memory.keys[:len(taken)], F.normalize(taken))
    assert torch.equal(memory.index[:len(taken)],
                       views.index.repeat_interleave(min(num_cells, 20)))


def step(method, optimizer, seed):
    seed_everything(seed)
    found = method.loss([torch.randn(4, 3, 64, 64) for _ in range(2)], views_apart(4))
    optimizer.zero_grad()
    found['loss_cells'].backward()
    optimizer.step()
    return {name: value.item() for name, value in found.items()}


def test_a_resumed_method_gives_the_same_losses():
    method = build_vader()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for seed in range(2):
        step(method, optimizer, seed)
    resumed = build_vader()
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in range(2, 4)] \
        == [step(resumed, other, seed) for seed in range(2, 4)]


def test_in_half_precision():
    method, (query, key), views = build_vader(num_cells=20).eval(), all_cells(3), views_apart(3)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = method.objective((query.bfloat16(), query), (key.bfloat16(), key), views)
    full = method.objective((query.bfloat16().float(), query), (key.bfloat16().float(), key), views)
    assert mixed['loss_cells'].dtype == torch.float32
    assert mixed['loss_cells'].item() == pytest.approx(full['loss_cells'].item(), rel=1e-4)


def test_the_map_is_the_decoders_at_stride_4():
    method = build_vader()
    assert method.loss_map(torch.randn(2, 3, 64, 64)).shape == (2, 12, 16, 16)
    assert VADeR.queue_keys({}) == dict(queue=32, image_queue=1)
    assert VADeR.queue_keys(dict(num_cells=8))['queue'] == 8


@pytest.mark.parametrize('kind', ['VADeR', 'PLEDMoCo'])
def test_no_tensor_grows_with_cells_times_cells(kind):
    """56 x 56 cells: forward and backward hold maps, and rows times the queue's keys in blocks."""
    class Watched(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in tree_iter(out):
                if isinstance(tensor, torch.Tensor):
                    self.largest = max(self.largest, tensor.untyped_storage().nbytes())
            return out

    method = build_vader() if kind == 'VADeR' else build_plmoco(
        decode_head=DECODER, cell_projector=dict(type='mmdense.Projector', hidden_channels=32,
                                                 out_channels=16), num_cells=32)
    (query, key), _ = maps(2, side=(56, 56))
    boxes = torch.tensor([[[0., 0, 200, 200]] * 2, [[20., 20, 220, 220]] * 2])
    views = Views(boxes, torch.zeros(2, 2, dtype=torch.bool), torch.arange(2))
    query.requires_grad_()
    with Watched() as watched:
        method.objective((query, query.detach()), (key, key), views)['loss_cells'].backward()
    assert query.grad.abs().max() > 0
    maps_bytes, cells = 4 * query.numel(), 56 * 56
    assert maps_bytes <= watched.largest <= 2 * maps_bytes < 2 * cells * cells


@pytest.mark.situation('settings', 'VADeR without a decode head', 'error', 'says what it needs')
def test_it_needs_a_decoder():
    with pytest.raises(TypeError, match='decode_head'):
        build_plmoco(type='mmdense.VADeR')
