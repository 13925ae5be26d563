"""DetCon_S and DetCon_B: against slow loops, over processes, resumed, in gradients."""
from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from jobs.densecl import without_gradient
from jobs.detcon import (
    CASES,
    SOURCES,
    branches,
    method_and_ddp_job,
    method_job,
    objective,
    train_images,
)
from jobs.processes import run_processes
from mmengine.logging import MessageHub
from references.detcon import detcon as slow_detcon
from references.tiny import BACKBONE, build_detcon, region_views

from mmdense.models.region_pooling import cells_by_majority, sample_regions
from mmdense.models.selfsup import detcon
from mmdense.random_states import seed_everything

NORM = dict(type='BN')


@pytest.fixture(scope='module', autouse=True)
def _one_thread():
    """Networks this small only wait for a second thread, long where the machine is shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def drawn(monkeypatch):
    """The ids (B, R) of each draw from now on, in order."""
    seen = []

    def sample(cells, count):
        seen.append(sample_regions(cells, count))
        return seen[-1]
    monkeypatch.setattr(detcon, 'sample_regions', sample)
    return seen


def fix_ids(monkeypatch, *ids):
    """Let the next draws be these ids (B, R)."""
    ids = [torch.tensor(rows) for rows in ids]
    monkeypatch.setattr(detcon, 'sample_regions', lambda cells, count: ids.pop(0))


def slow(method, maps, targets, views, ids, **options):
    """The slow loop under the weights of a method, and its gradients to the maps."""
    maps = [x.detach().double().requires_grad_() for x in maps]
    of_b = {}
    if isinstance(method, detcon.DetConB):
        of_b = dict(targets=[x.detach().double() for x in targets],
                    twin_projector=copy.deepcopy(method.twin.projector).double(),
                    predictor=copy.deepcopy(method.predictor).double())
    loss = slow_detcon(maps, views.regions, ids, copy.deepcopy(method.projector).double(),
                       **of_b, **options)
    return loss.item(), torch.autograd.grad(loss, maps)


def move_twin(method):
    """Let the twin be another network, as it is in training."""
    if isinstance(method, detcon.DetConB):
        with torch.no_grad():
            for p in method.twin.parameters():
                p.add_(p.std() * torch.randn_like(p))


def without_overlap(views):
    """Of image 0 one view has none of the other's regions, image 1 has no region at all."""
    views.regions[1][0] += 100
    for regions in views.regions:
        regions[1:2] = 0


def close(ours, theirs, rtol=1e-5):
    for got, expected in zip(ours, theirs, strict=True):
        assert expected.any()
        torch.testing.assert_close(got.double(), expected, rtol=0,
                                   atol=rtol * float(expected.abs().max()))


@pytest.mark.parametrize('kind', ['S', 'B'])
@pytest.mark.parametrize(('batch', 'samples', 'change'), [
    (1, 6, None), (5, 6, None), (5, 6, without_overlap), (5, 1, None)])
def test_loss_and_gradients_equal_the_slow_loop(kind, batch, samples, change, drawn):
    """One image, images without a region, views without a common one, one sample a view."""
    method, (maps, targets, views) = build_detcon(kind, num_samples=samples), branches(batch)
    move_twin(method)
    if change:
        change(views)
    maps = [x.requires_grad_() for x in maps]
    losses = objective(method, maps, targets, views)
    assert list(losses) == ['loss_region']
    for ids, regions in zip(drawn, views.regions, strict=True):
        cells = cells_by_majority(regions, 4, 3)
        assert ids.shape == (batch, samples)
        for row, image in zip(ids, cells, strict=True):
            assert set(row.tolist()) <= (set(image.unique().tolist()) - {0} or {0})
    value, gradients = slow(method, maps, targets, views, drawn)
    assert value > 0
    assert losses['loss_region'].item() == pytest.approx(value, rel=1e-5)
    close(torch.autograd.grad(losses['loss_region'], maps), gradients)


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_the_heads_norm_sees_all_regions_of_a_view(kind, drawn):
    """And a row of zeros for each sample of an image without any."""
    heads = {name: dict(type='mmdense.Projector', in_channels=channels, hidden_channels=32,
                        out_channels=16, norm_cfg=NORM, last_bias=False)
             for name, channels in (('projector', 64), ('predictor', 16))
             if kind == 'B' or name == 'projector'}
    method, (maps, targets, views) = build_detcon(kind, num_samples=6, **heads), branches(4)
    move_twin(method)
    without_overlap(views)
    weights = copy.deepcopy(method)     # before its BatchNorms have seen anything
    losses = objective(method, [x.requires_grad_() for x in maps], targets, views)
    value, gradients = slow(weights, maps, targets, views, drawn)
    assert losses['loss_region'].item() == pytest.approx(value, rel=1e-5)
    close(torch.autograd.grad(losses['loss_region'], maps), gradients, 1e-4)


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_autocast_stays_close_to_the_slow_loop(kind, drawn):
    method, (maps, targets, views) = build_detcon(kind), branches(4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = objective(method, [x.bfloat16() for x in maps], [x.bfloat16() for x in targets],
                           views)
    value, _ = slow(method, maps, targets, views, drawn)
    assert losses['loss_region'].dtype == torch.float32
    assert losses['loss_region'].item() == pytest.approx(value, rel=2e-2)


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_images_without_any_region_give_zero_and_finite_gradients(kind):
    method, views = build_detcon(kind), region_views(3)
    for regions in views.regions:
        regions.zero_()
    losses = method.loss(train_images(3, 2), views)
    assert losses['loss_region'].item() == 0
    losses['loss_region'].backward()
    assert without_gradient(method) == ([], [])
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


@pytest.fixture(scope='module')
def processes():
    """What :func:`method_job` gives on one process; the same and what DDP gives of two."""
    two = run_processes(method_and_ddp_job)
    return method_job(0, 1), *zip(*two, strict=True)


@pytest.mark.parametrize('case', CASES)
def test_two_processes_give_the_loss_and_gradients_of_one(processes, case):
    (losses, gradients, weights), two = processes[0][case], [part[case] for part in processes[1]]
    assert set(losses) == {'loss_region'} | ({'loss_balance'} if 'soft' in case else set())
    for name, value in losses.items():
        assert value > 0
        assert sum(part[0][name] for part in two) / 2 == pytest.approx(value, rel=1e-5)
    close([torch.cat(parts) for parts in zip(*(part[1] for part in two), strict=True)],
          [x.double() for x in gradients])
    assert {name.split('.')[0] for name in weights} == (
        {'projector'} | ({'predictor'} if case[0] == 'B' else set())
        | ({'regions'} if 'soft' in case else set()))
    for name, expected in weights.items():
        close([sum(part[2][name] for part in two)], [expected.double()], 1e-4)


@pytest.mark.parametrize('source', SOURCES)
@pytest.mark.parametrize('kind', ['S', 'B'])
def test_every_parameter_gets_a_gradient_but_the_twins(kind, source):
    method = build_detcon(kind, regions=SOURCES[source])
    losses = method.loss(train_images(4), region_views(4, views=3))
    sum(losses.values()).backward()
    assert without_gradient(method) == ([], [])
    moved = {name.split('.')[0] for name, p in method.named_parameters() if p.grad is not None}
    assert moved == ({'backbone', 'projector'} | ({'predictor'} if kind == 'B' else set())
                     | ({'regions'} if source == 'soft' else set()))
    assert all(p.grad.abs().sum() > 0 for name, p in method.named_parameters() if name.startswith(
        ('projector.', 'predictor.', 'regions.', 'backbone.layer4')))


def test_every_parameter_gets_a_gradient_under_ddp(processes):
    expected = {(kind, source): ([], []) for kind in 'SB' for source in SOURCES}
    assert list(processes[2]) == [expected] * 2


def step(method, optimizer, number, images=2, seed=0):
    """One step as in a run; returns its losses and the twin's weights after it."""
    g = torch.Generator().manual_seed(number)
    inputs = [torch.randn(images, 3, 64, 64, generator=g) for _ in range(3)]
    torch.manual_seed(number)
    views = region_views(images, views=3)
    seed_everything(seed, number, 0)
    losses = method.loss(inputs, views)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    state = method.state_dict()                         # the twin follows before it is saved
    return ({name: loss.item() for name, loss in losses.items()},
            [state[name].clone() for name, _ in method.named_parameters() if name[:5] == 'twin.'])


@pytest.mark.parametrize(('kind', 'source'), [('S', 'given'), ('B', 'given'), ('B', 'clustered'),
                                              ('B', 'soft')])
def test_a_resumed_method_gives_the_same_next_loss(kind, source, monkeypatch):
    of_b = dict(twin=dict(momentum=0.6, end_momentum=1.0, bn='plain')) if kind == 'B' else {}

    def method_and_optimizer():
        method = build_detcon(kind, regions=SOURCES[source], **of_b)
        return method, torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)

    def go(number, *pair, **options):
        hub = MessageHub.get_current_instance().runtime_info
        monkeypatch.setitem(hub, 'iter', number)
        monkeypatch.setitem(hub, 'max_iters', 4)
        return step(*pair, number, **options)
    pair = method_and_optimizer()
    twins = [go(number, *pair)[1] for number in range(2)]
    resumed = method_and_optimizer()
    resumed[0].load_state_dict(copy.deepcopy(pair[0].state_dict()))
    others = [copy.deepcopy(pair[0]) for _ in range(2)]
    for number in range(2, 5):
        losses, twin = go(number, *pair)
        again, twin_again = go(number, *resumed)
        assert losses == again and all(map(math.isfinite, losses.values()))
        for ours, theirs in zip(twin, twin_again, strict=True):
            assert torch.equal(ours, theirs)
        twins.append(twin)
    first, second = (go(2, other, torch.optim.SGD(other.parameters(), lr=0.1), seed=seed)[0]
                     for seed, other in enumerate(others))
    assert first != second, 'the draws matter'
    if kind == 'B':
        # momentum 0.6 to 1: it moves less and less, and in step 4 of 4 not at all
        ways = [sum(float((a - b).norm()) for a, b in zip(*both, strict=True))
                for both in zip(twins, twins[1:], strict=False)]
        assert ways[-1] == 0 and all(way > 0 for way in ways[:-1])


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_one_view_stands_for_both_where_asked(kind, drawn):
    """The second view and its regions are not looked at; the ids are drawn for each side."""
    images, views = train_images(3, 2), region_views(3)
    method = build_detcon(kind, two_views=False)
    seen = []
    method.regions.register_forward_hook(lambda module, args, found: seen.append(found))
    losses = []
    for other in range(3):
        torch.manual_seed(0)
        losses.append(copy.deepcopy(method).loss(images, views)['loss_region'].item())
        images[1] = torch.full_like(images[1], math.nan) if other else images[1] + 1
        views.regions[1] = views.regions[1].flip(0)
    assert losses[0] > 0 and len(set(losses)) == 1
    assert not torch.equal(drawn[0], drawn[1])
    inputs, taken = method.choose(images, views)
    assert len(inputs) == 2 and inputs[0] is images[0] and inputs[1] is images[0]
    assert torch.equal(taken.boxes, views.boxes[[0, 0]])


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_the_whole_image_is_the_third_view_also_where_one_stands_for_both(kind):
    method = build_detcon(kind, two_views=False, regions=SOURCES['clustered'])
    images, views = train_images(2), region_views(2, views=3)
    inputs, taken = method.choose(images, views)
    assert [next(i for i, image in enumerate(images) if image is x) for x in inputs] == [0, 0, 2]
    assert torch.equal(taken.boxes, views.boxes[[0, 0, 2]])
    assert math.isfinite(method.loss(images, views)['loss_region'].item())


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_the_whole_image_is_looked_at_without_gradient(kind):
    """By the twin where there is one."""
    method = build_detcon(kind, regions=SOURCES['clustered'])
    with torch.no_grad():
        for p in method.backbone.parameters():
            p.mul_(1.1)      # of a trained method: the twin is behind
    if kind == 'B':
        method.twin.steps += 1
    method.eval()
    images, views, net = train_images(2), region_views(2, views=3), method
    if kind == 'B':
        net = method.twin
    wholes = []
    net.regions.register_forward_pre_hook(lambda module, args: wholes.append(args[1]))
    method.loss(images, views)
    assert len(wholes) == 1 and not wholes[0].requires_grad
    torch.testing.assert_close(wholes[0], net.backbone(images[2])[-1])


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_mistakes_are_named(kind):
    images, views = train_images(2), region_views(2, views=3)
    with pytest.raises(ValueError, match='num_samples=0: expected at least 1 region per view'):
        build_detcon(kind, num_samples=0)
    method = build_detcon(kind)
    with pytest.raises(ValueError, match=rf'DetCon{kind} got 1 view\(s\).*expected 2: mmdense'):
        method(images[:1], views, mode='loss')
    with pytest.raises(ValueError, match=rf'DetCon{kind} got 3 view\(s\).*expected 2: mmdense'):
        method(images, views, mode='loss')
    views.regions = None
    with pytest.raises(ValueError, match='no regions; expected mmdense.LoadRegions.*Clustered'):
        method.loss(images, views)
    method = build_detcon(kind, regions=SOURCES['clustered'])
    with pytest.raises(ValueError, match=rf'DetCon{kind} got 2 view\(s\).*expected 3: mmdense'):
        method(images[:2], views, mode='loss')


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_an_id_that_was_drawn_twice_counts_once(kind, monkeypatch):
    """By hand: ids 1, 1, 2 of one image; a row's keys are all but its own region in its view."""
    ids = [[1, 1, 2]]
    fix_ids(monkeypatch, ids, ids)
    method, (maps, targets, views) = build_detcon(kind, num_samples=3), branches(1)
    for regions in views.regions:
        regions[:, :12], regions[:, 12:] = 1, 2
    got = objective(method, maps, targets, views)['loss_region'].item()

    def means(net, both):
        return [net.projector(torch.stack([x[0, :, :2].mean((1, 2)), x[0, :, 2:].mean((1, 2))]))
                for x in both]
    keys = means(method, maps) if kind == 'S' else means(method.twin, targets)
    pred = means(method, maps)
    pred = pred if kind == 'S' else [method.predictor(x) for x in pred]
    expected = 0
    for view in range(2):
        rows, own, other = (F.normalize(x) for x in (pred[view], keys[view], keys[1 - view]))
        for region, copies in ((0, 2), (1, 1)):
            logits = [rows[region] @ x / 0.1 for x in (other[0], other[0], other[1])]
            logits += [rows[region] @ own[1 - region] / 0.1] * (3 - copies)
            pulled = logits[0] if region == 0 else logits[2]
            expected += (torch.stack(logits).logsumexp(0) - pulled).item() / 3
    assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_more_samples_than_regions(kind, drawn):
    method, (maps, targets, views) = build_detcon(kind, num_samples=16), branches(2, ids=2)
    loss = objective(method, maps, targets, views)['loss_region'].item()
    assert all(len(row.unique()) <= 2 for ids in drawn for row in ids)
    assert loss == pytest.approx(slow(method, maps, targets, views, drawn)[0], rel=1e-5)


@pytest.mark.parametrize('source', ['given', 'soft'])
def test_nothing_of_the_twin_and_of_the_keys_gets_a_gradient(source):
    """Also where the loss is not told to stop it."""
    method = build_detcon('B', regions=SOURCES[source],
                          loss=dict(type='mmdense.DetConLoss', gather_grad=True))
    maps, targets, views = branches(3)
    method.twin.requires_grad_(True)
    for x in (*maps, *targets):
        x.requires_grad_()
    objective(method, maps, targets, views)['loss_region'].backward()
    assert all(x.grad is None for x in targets) and all(x.grad.any() for x in maps)
    assert all(p.grad is None for p in method.twin.parameters())


def test_both_sides_get_a_gradient(drawn):
    """The keys' part is what is missing where the loss takes them as constants."""
    method, (maps, targets, views) = build_detcon('S'), branches(3)
    maps = [x.requires_grad_() for x in maps]
    gradients, losses = [], []
    for gather_grad in (True, False):
        torch.manual_seed(0)
        method.contrast.options['gather_grad'] = gather_grad
        losses.append(objective(method, maps, targets, views)['loss_region'])
        gradients.append(torch.autograd.grad(losses[-1], maps))
    assert losses[0].item() == losses[1].item()
    for both, queries in zip(*gradients, strict=True):
        assert (both - queries).norm() > 0.1 * both.norm() and queries.any()


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_negatives_of_the_group_alone(kind, drawn):
    """Groups of one image: the mean of the losses of the images by themselves."""
    options = dict(type='mmdense.DetConLoss', gather_grad=kind == 'S')
    method = build_detcon(kind, loss=dict(**options, negative_group=1))
    maps, targets, views = branches(3)
    loss = objective(method, maps, targets, views)['loss_region'].item()
    assert loss == pytest.approx(slow(method, maps, targets, views, drawn, group=1)[0], rel=1e-5)
    assert loss != pytest.approx(slow(method, maps, targets, views, drawn)[0], rel=1e-2)


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_each_side_pools_with_its_own_learnt_weights(kind, drawn):
    """The ids are of the side that makes the keys; the balance is of the trained side."""
    method = build_detcon(kind, regions=dict(SOURCES['soft'], balance_weight=3.0))
    maps, targets, views = branches(2)
    if kind == 'B':
        method.twin.regions.prototypes.copy_(torch.randn(5, 64))
    losses = objective(method, maps, targets, views)
    weighed = method.regions(maps, None, views)
    keys = weighed if kind == 'S' else method.twin.regions(targets, None, views)
    for ids, found in zip(drawn, keys, strict=True):
        assert all(set(row.tolist()) <= set(cells.unique().tolist())
                   for row, cells in zip(ids, found.cells, strict=True))

    def vectors(net, both, regions):
        return [net.projector(found.pool(x, ids).flatten(0, 1)).unflatten(0, ids.shape)
                for x, found, ids in zip(both, regions, drawn, strict=True)]
    pred = vectors(method, maps, weighed)
    key_vectors = pred
    if kind == 'B':
        key_vectors = vectors(method.twin, targets, keys)
        pred = [method.predictor(x) for x in pred]
    expected = method.contrast(*pred, *key_vectors, *drawn, *drawn)
    torch.testing.assert_close(losses['loss_region'], expected)
    share = torch.stack([found.weights for found in weighed]).mean((0, 1, 3, 4))
    balance = math.log(5) + (share * share.log()).sum()
    torch.testing.assert_close(losses['loss_balance'], 3 * balance)


@pytest.mark.parametrize('kind', ['S', 'B'])
def test_a_decode_head_is_pretrained_with_the_backbone(kind):
    """Regions are those of the head's map, and the twin has a head of its own."""
    method = build_detcon(
        kind, backbone={**BACKBONE, 'out_indices': (0, 1, 2, 3)},
        decode_head=dict(type='FCNHead', in_channels=64, in_index=-1, channels=12, num_convs=1,
                         concat_input=False, norm_cfg=NORM),
        projector=dict(type='mmdense.Projector', in_channels=12, hidden_channels=32,
                       out_channels=16))
    sum(method.loss(train_images(4, 2), region_views(4)).values()).backward()
    assert without_gradient(method) == ([], [])
    assert method.decode_head.convs[0].conv.weight.grad.abs().sum() > 0
    assert any(name.startswith('twin.decode_head.') for name in method.state_dict()) == (
        kind == 'B')
