"""Necks of context: against slow loops, over processes, resumed; in which methods they stand."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.context import context_job
from jobs.location import views_apart
from jobs.processes import run_processes
from references import context as slow
from references.tiny import build, build_pixel, build_plmoco

from mmdense.models.necks import CooccurrenceContext, NeighbourContext
from mmdense.random_states import seed_everything

NECKS = {'PixelPropagation': {}, 'NeighbourContext': dict(radius=2),
         'CooccurrenceContext': dict(num_words=5)}


@pytest.mark.parametrize('size', [(4, 5), (1, 3), (1, 1)])
@pytest.mark.parametrize('radius', [1, 2])
def test_neighbours_equal_the_slow_loop(size, radius):
    """Also where the square is larger than the map, and where a cell has no neighbour."""
    neck, x = NeighbourContext(6, radius), torch.randn(2, 6, *size)
    with torch.no_grad():
        expected = x + neck.value(slow.neighbour_means(x, radius).view(x.shape).float())
        torch.testing.assert_close(neck(x), expected)


@pytest.mark.parametrize('size', [(3, 4), (1, 2)])
def test_cooccurrence_equals_the_slow_loop(size):
    """What comes out, and the table after one and after two steps."""
    neck = CooccurrenceContext(6, num_words=4, temperature=0.3, momentum=0.75)
    tables = []
    for _ in range(2):
        x = torch.randn(3, 6, *size)
        out = neck(x)
        parts = slow.shares(x, neck.codewords.detach(), 0.3)
        tables.append(torch.tensor(slow.counts(parts, *size, 1), dtype=torch.float64))
        kept = tables[0] if len(tables) == 1 else 0.75 * tables[0] + 0.25 * tables[1]
        torch.testing.assert_close(neck.table.double(), kept, rtol=1e-4, atol=1e-6)
        words = slow.expected_words(parts, kept.tolist(), neck.codewords.detach())
        torch.testing.assert_close(out, x + neck.value(words.view(x.shape).float()),
                                   rtol=1e-4, atol=1e-5)
    before = neck.table.clone()
    neck.eval()(x)
    assert torch.equal(neck.table, before) and neck.table.requires_grad is False
    out.sum().backward()
    assert neck.codewords.grad.abs().min() > 0


def test_a_table_that_has_counted_nothing_expects_nothing():
    """A map of one cell, and evaluation before the first step: finite, and the cell itself."""
    neck, x = CooccurrenceContext(6, num_words=4, num_layers=0), torch.randn(2, 6, 1, 1)
    for mode in (True, False):
        torch.testing.assert_close(neck.train(mode)(x), x)


def test_two_processes_are_one():
    one, two = context_job(0, 1), run_processes(context_job)
    for table, _ in two:
        torch.testing.assert_close(table, one[0])
    torch.testing.assert_close(torch.cat([out for _, out in two]), one[1])


@pytest.mark.parametrize('name', NECKS)
def test_in_half_precision(name):
    x = torch.randn(2, 16, 3, 4)
    neck = build_plmoco(context=dict(type=f'mmdense.{name}', **NECKS[name])).context.eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = neck(x.bfloat16())
    torch.testing.assert_close(mixed.float(), neck(x), rtol=0.1, atol=0.1)


def make(kind, name):
    context = dict(type=f'mmdense.{name}', **NECKS[name])
    return build_pixel('PixPro', context=context) if kind == 'PixPro' else \
        {'DenseCL': build, 'PLMoCo': build_plmoco}[kind](context=context)


def step(method, optimizer, seed):
    seed_everything(seed)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    losses = method.loss(images, views_apart(4))
    optimizer.zero_grad()
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    optimizer.step()
    return {key: value.item() for key, value in losses.items()}


@pytest.mark.parametrize('name', NECKS)
@pytest.mark.parametrize('kind', ['DenseCL', 'PLMoCo', 'PixPro'])
def test_every_method_of_cells_takes_every_neck(kind, name):
    """On the asking side alone, all of it is trained, and a resumed run goes on alike."""
    method = make(kind, name)
    assert not any('context' in key for key, _ in method.twin.named_modules())
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    step(method, optimizer, 0)
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in method.context.parameters())
    resumed = make(kind, name)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in (1, 2)] \
        == [step(resumed, other, seed) for seed in (1, 2)]
    assert method.pictures['context'] == ('context', 'projector')
    assert 'context' not in type(method).pictures


@pytest.mark.parametrize('make', [build, build_plmoco])
def test_without_a_neck_nothing_is_added(make):
    method = make()
    assert not any('context' in key for key in method.state_dict())
    assert 'context' not in method.pictures


@pytest.mark.situation('settings', 'a context neck of other channels than the projected cells',
                       'error', 'names both numbers and what to set')
@pytest.mark.parametrize(('kind', 'change', 'told'), [
    ('Neighbour', dict(in_channels=8), r'PLMoCo: context.in_channels=8, but .* cells have 16'),
    ('Neighbour', dict(radius=0), r'NeighbourContext\(radius=0, num_layers=1\)'),
    ('Cooccurrence', dict(num_words=1), r'CooccurrenceContext\(num_words=1, '),
    ('Cooccurrence', dict(temperature=0), r'temperature=0, '),
    ('Cooccurrence', dict(momentum=1), r'momentum=1, ')])
def test_what_does_not_fit_is_told(kind, change, told):
    with pytest.raises(ValueError, match=told):
        build_plmoco(context=dict(type=f'mmdense.{kind}Context', **change))
