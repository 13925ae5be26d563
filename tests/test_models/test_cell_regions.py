"""Given, clustered and learnt regions of cells: against slow loops, planted maps and planes."""
from __future__ import annotations

import math
import re

import pytest
import torch
import torch.nn.functional as F
from references import cell_regions as reference
from references.region_pooling import weighted_pool

from mmdense.models.cell_regions import (
    CellRegions,
    ClusteredRegions,
    GivenRegions,
    SoftRegions,
    balance_of,
    carry_cells,
    cluster_cells,
    clustered,
)
from mmdense.models.region_pooling import cells_by_majority, masked_pool
from mmdense.registry import MODELS
from mmdense.structures import Views


def start_from(monkeypatch, starts):
    """Let k-means start from these cells of each image, in this order."""
    def rand(batch, cells, **kwargs):
        values = torch.zeros(batch, cells)
        for row, wanted in zip(values, starts, strict=True):
            row[wanted] = 1 - torch.arange(len(wanted)) / len(wanted) / 2
        return values
    monkeypatch.setattr(torch, 'rand', rand)


def planted(batch, clusters, h=6, w=5, channels=12, noise=0.05):
    """Maps of cells around one of some orthogonal directions, of any length; and which one."""
    which = torch.stack([torch.randperm(h * w) % clusters for _ in range(batch)])
    cells = torch.eye(channels)[which] + noise * torch.randn(batch, h * w, channels)
    cells = cells * (0.1 + 10 * torch.rand(batch, h * w, 1))
    return cells.transpose(1, 2).reshape(batch, channels, h, w), which.view(batch, h, w)


def same_partition(ids, other):
    """Whether the ids are the others up to renaming."""
    pairs = set(zip(ids.flatten().tolist(), other.flatten().tolist(), strict=True))
    return len(pairs) == len(ids.unique()) == len(other.unique())


@pytest.mark.parametrize('iterations', [1, 2, 7])
def test_clusters_equal_the_loops(monkeypatch, iterations):
    maps = torch.randn(3, 6, 4, 5)
    starts = [torch.randperm(20)[:4].tolist() for _ in range(3)]
    start_from(monkeypatch, starts)
    ids = cluster_cells(maps, 4, iterations)
    assert ids.dtype == torch.int64
    assert torch.equal(ids, reference.cluster_cells(maps, starts, iterations))


def test_more_rounds_change_the_clusters_and_end_at_their_own_means():
    maps = torch.randn(4, 3, 8, 8)

    def cluster(iterations):
        torch.manual_seed(0)
        return cluster_cells(maps, 5, iterations)
    assert not torch.equal(cluster(1), cluster(10))
    ids, cells = cluster(100), F.normalize(maps, dim=1)
    means = F.normalize(masked_pool(cells, ids, torch.arange(1, 6).expand(4, -1))[0], dim=2)
    nearest = torch.einsum('bchw,bkc->bkhw', cells, means).argmax(1) + 1
    assert torch.equal(nearest, ids)


def test_a_cluster_without_cells_keeps_its_centre(monkeypatch):
    """Two starts are the same, so the first has all their cells; then the second gets one back.

    Directions in degrees: centres 0, 0 and 90. All cells up to 40 go to the first, whose mean is
    28; cell 0 is then nearer to the second, which has stayed at 0.
    """
    angles = torch.deg2rad(torch.tensor([0., 0, 40, 40, 40, 40, 90, 90]))
    maps = torch.stack([angles.cos(), angles.sin()]).view(1, 2, 2, 4)
    start_from(monkeypatch, [[0, 1, 6]])
    assert cluster_cells(maps, 3, 1).flatten().tolist() == [1, 1, 1, 1, 1, 1, 3, 3]
    assert cluster_cells(maps, 3, 2).flatten().tolist() == [2, 2, 1, 1, 1, 1, 3, 3]


def test_planted_clusters_are_found(monkeypatch):
    """From a start in each of them; lengths do not count."""
    maps, which = planted(4, 3)
    start_from(monkeypatch, [[int((image.flatten() == k).nonzero()[0]) for k in (2, 0, 1)]
                             for image in which])
    ids = cluster_cells(maps, 3)
    for got, expected in zip(ids, which, strict=True):
        assert same_partition(got, expected)


def test_starts_are_drawn_anew_for_each_image_and_from_torchs_generator():
    maps = torch.randn(1, 8, 6, 6).expand(2, -1, -1, -1)
    torch.manual_seed(1)
    first, second = cluster_cells(maps, 4, 1), cluster_cells(maps, 4, 1)
    torch.manual_seed(1)
    assert torch.equal(cluster_cells(maps, 4, 1), first)
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])


@pytest.mark.parametrize('clusters', [6, 9])
def test_as_many_clusters_as_cells_and_more(clusters):
    """Each cell is a start once, so each is a cluster of its own."""
    ids = cluster_cells(torch.randn(3, 16, 2, 3), clusters)
    assert ids.flatten(1).sort().values.tolist() == [[1, 2, 3, 4, 5, 6]] * 3


def test_clusters_have_no_gradient_and_ids_from_one_also_without_any_signal():
    maps = torch.zeros(2, 4, 3, 3, requires_grad=True)
    ids = cluster_cells(maps, 2)
    assert not ids.requires_grad and (ids == 1).all()


#: of the view and of the source: the same, inside, out to the left and below, out to the right
#: and above, outside
BOXES = torch.tensor([[0., 0, 60, 60], [7, 3, 41, 50], [-31, 20, 30, 97], [12, -31, 91, 29],
                      [90, 90, 99, 99]])
WHOLES = torch.tensor([[0., 0, 60, 60], [0, 0, 60, 60], [-5, -3, 48, 61], [0, 0, 60, 60],
                       [0, 0, 60, 60]])


@pytest.mark.parametrize('flips', [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(('source', 'view'), [((5, 7), (4, 6)), ((3, 3), (9, 9)), ((1, 1), (3, 2))])
def test_carried_ids_equal_the_loops(source, view, flips):
    cells = torch.randint(1, 9, (5, *source))
    places = [(boxes, torch.tensor(flip).expand(5))
              for boxes, flip in zip((WHOLES, BOXES), flips, strict=True)]
    expected = reference.carry_cells(cells, *places, *view)
    clear = expected != reference.BORDER
    got = carry_cells(cells, *places, *view)
    assert got.dtype == torch.int64 and got.shape == (5, *view)
    assert torch.equal(got[clear], expected[clear])
    assert clear.float().mean() > 0.8 and got[:2].all() and not got[4].any()
    assert all((expected[n] == 0).any() and (expected[n] > 0).any() for n in (2, 3))


def test_the_boxes_own_cells_are_carried_as_they_are_and_mirrored_where_the_view_is():
    cells = torch.arange(1, 25).view(1, 4, 6)
    boxes, plain, mirrored = torch.tensor([[3., 5, 45, 40]]), *torch.tensor([[False], [True]])
    for source in (plain, mirrored):
        for view in (plain, mirrored):
            got = carry_cells(cells, (boxes, source), (boxes, view), 4, 6)
            assert torch.equal(got, cells if source is view else cells.flip(2))


def place_image(side):
    """An image whose two channels are the place (x, y) of each pixel's centre."""
    line = torch.arange(side) + 0.5
    return torch.stack([line.expand(side, -1), line[:, None].expand(-1, side)])


def cut(image, box, flip, h, w):
    """What the cells (2, h, w) of a view show, of an image of places: the mean place."""
    x0, y0, x1, y1 = box
    view = image[:, y0:y1, x0:x1]
    return F.adaptive_avg_pool2d(view.flip(2) if flip else view, (h, w))


PLACES = [((8, 16, 40, 64), False), ((24, 4, 64, 60), True)]


def test_ids_tell_the_place_on_a_planted_image():
    """Each cell of the whole image its own cluster; so the same place has the same id in both."""
    image, source = place_image(64), ClusteredRegions(clusters=99)
    boxes = torch.tensor([[box] for box, _ in PLACES] + [[(0, 0, 64, 64)]]).float()
    flips = torch.tensor([[flip] for _, flip in PLACES] + [[False]])
    whole = torch.eye(25).view(1, 25, 5, 5)     # 12.8 pixels a cell: no centre is on a border
    views = Views(boxes, flips, torch.arange(1))
    found = source([torch.zeros(1, 3, 8, 8)] * 2, whole, views)
    at = {}
    for regions, (box, flip) in zip(found, PLACES, strict=True):
        assert isinstance(regions, CellRegions) and regions.weights is None
        places = cut(image, box, flip, 8, 8)
        column, row = (places / 12.8).floor().long()
        for place, region in zip((row * 5 + column).flatten().tolist(),
                                 regions.cells.flatten().tolist(), strict=True):
            at.setdefault(place, []).append(region)
    assert all(len(set(ids)) == 1 for ids in at.values()), 'one id a place, in both views'
    assert len({ids[0] for ids in at.values()}) == len(at) > 15
    shared = set(found[0].cells.unique().tolist()) & set(found[1].cells.unique().tolist())
    assert len(shared) > 3 and 0 not in at


def test_numbers_of_clusters_are_drawn_between_both_ends(monkeypatch):
    seen = []

    def cluster(maps, clusters, iterations):
        seen.append((clusters, iterations))
        return cluster_cells(maps, clusters, iterations)
    monkeypatch.setattr(clustered, 'cluster_cells', cluster)
    views = Views(torch.tensor([0., 0, 8, 8]).expand(2, 2, 4), torch.zeros(2, 2).bool(),
                  torch.arange(2))
    for clusters, expected in (((2, 5), {2, 3, 4, 5}), (3, {3}), ((4, 4), {4})):
        source = ClusteredRegions(clusters=clusters, iterations=2)
        seen.clear()
        for _ in range(60):
            source([torch.zeros(2, 3, 2, 2)], torch.randn(2, 3, 3, 3), views)
        assert set(seen) == {(k, 2) for k in expected}
    assert f'{source}' == 'ClusteredRegions(clusters=(4, 4), iterations=2)'


def test_clustering_needs_a_third_view_and_the_others_do_not():
    assert ClusteredRegions.whole_image
    assert not GivenRegions.whole_image and not SoftRegions.whole_image


@pytest.mark.parametrize('settings', [dict(clusters=0), dict(clusters=(0, 3)),
                                      dict(clusters=(5, 4)), dict(iterations=0)])
def test_wrong_clusters_are_named(settings):
    name, value = next(iter(settings.items()))
    text = re.escape(f'{name}={value}')
    with pytest.raises(ValueError, match=f'ClusteredRegions: .*{text}.*expected a number'):
        ClusteredRegions(**settings)
    with pytest.raises(ValueError, match='0 clusters, 3 iterations: expected at least one'):
        cluster_cells(torch.zeros(1, 1, 2, 2), 0, 3)


def test_given_regions_are_those_of_most_pixels():
    maps = [torch.zeros(2, 3, 4, 2), torch.zeros(2, 3, 3, 3)]
    regions = [torch.randint(0, 3, (2, 12, 13)) for _ in range(2)]
    found = GivenRegions()(maps, None, Views(torch.zeros(2, 2, 4), torch.zeros(2, 2).bool(),
                                             torch.arange(2), regions))
    for features, given, got in zip(maps, regions, found, strict=True):
        assert torch.equal(got.cells, cells_by_majority(given, *features.shape[2:]))
        assert got.weights is None
    with pytest.raises(ValueError, match='no regions; expected mmdense.LoadRegions'):
        GivenRegions()(maps, None, Views(torch.zeros(2, 2, 4), torch.zeros(2, 2).bool(),
                                         torch.arange(2)))


def soft(norm=True, **changes):
    return MODELS.build(dict(type='mmdense.SoftRegions', **{**dict(
        in_channels=6, num_regions=4, norm_cfg=dict(type='BN') if norm else None), **changes}))


@pytest.mark.parametrize('norm', [True, False])
@pytest.mark.parametrize('temperature', [0.1, 1.0])
def test_learnt_weights_equal_the_loops(norm, temperature):
    module, maps = soft(norm, temperature=temperature), torch.randn(3, 6, 4, 3) * 4 + 2
    found, = module([maps], None, None)
    expected = reference.soft_weights(maps.double(), module.prototypes.detach().double(),
                                      temperature, norm)
    torch.testing.assert_close(found.weights.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(3, 4, 3))
    assert found.cells.dtype == torch.int64
    assert torch.equal(found.cells, found.weights.argmax(1) + 1)
    assert set(found.cells.unique().tolist()) <= {1, 2, 3, 4} and len(found.cells.unique()) > 1


def test_the_norm_takes_away_what_all_cells_share_and_has_no_weights():
    module, maps = soft(), torch.randn(3, 6, 4, 3)
    shift, scale = torch.randn(1, 6, 1, 1) * 3, torch.rand(1, 6, 1, 1) + 0.5
    torch.testing.assert_close(module.weigh(maps * scale + shift).weights,
                               module.weigh(maps).weights, rtol=1e-3, atol=1e-4)
    assert [name for name, _ in module.named_parameters()] == ['prototypes']


def test_lengths_of_prototypes_and_cells_do_not_count():
    module, maps = soft(norm=False), torch.randn(2, 6, 3, 3)
    expected = module.weigh(maps).weights
    with torch.no_grad():
        module.prototypes *= torch.rand(4, 1) + 2
    scaled = maps * (torch.rand(2, 1, 3, 3) + 0.5)
    torch.testing.assert_close(module.weigh(scaled).weights, expected)


@pytest.mark.parametrize('norm', [True, False])
def test_pooling_with_weights_and_its_gradients_equal_the_loops(norm):
    """Ids several times and 0; the gradient goes to the maps and to the prototypes."""
    module, maps = soft(norm), torch.randn(2, 6, 3, 3, requires_grad=True)
    ids = torch.tensor([[1, 4, 0, 4, 2], [3, 0, 3, 1, 2]])
    got = module.weigh(maps).pool(maps, ids)
    doubles = [x.detach().double().requires_grad_() for x in (maps, module.prototypes)]
    weights = reference.soft_weights(*doubles, 0.1, norm)
    chosen = torch.stack([torch.stack([weights[b, i - 1] * (i > 0) for i in row])
                          for b, row in enumerate(ids.tolist())])
    expected, _ = weighted_pool(doubles[0], chosen)
    assert not got[0, 2].any() and not got[1, 1].any() and got[0, 0].any()
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)
    direction = torch.randn_like(expected)
    for ours, theirs in zip(torch.autograd.grad((got * direction.float()).sum(),
                                                [maps, module.prototypes]),
                            torch.autograd.grad((expected * direction).sum(), doubles),
                            strict=True):
        assert theirs.any()
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4,
                                   atol=1e-5 * float(theirs.abs().max()))


def test_pooling_without_weights_is_the_mean_of_the_ids_cells():
    features, cells = torch.randn(2, 5, 3, 3), torch.randint(0, 3, (2, 3, 3))
    ids = torch.tensor([[2, 0, 1, 9], [1, 1, 2, 0]])
    got = CellRegions(cells).pool(features, ids)
    assert torch.equal(got, masked_pool(features, cells, ids)[0])
    assert not got[0, 1].any() and not got[0, 3].any() and got[0, 0].any()


def shares(*values, cells=(2, 3)):
    """Weights (2, K, h, w) that are the same in all cells."""
    weights = torch.tensor(values).view(1, -1, 1, 1).expand(2, -1, *cells).contiguous()
    return CellRegions(weights.argmax(1) + 1, weights.requires_grad_())


def test_balance_equals_the_formula():
    module, views = soft(), [torch.randn(3, 6, 4, 3), torch.randn(3, 6, 4, 3)]
    found = module(views, None, None)
    expected = reference.balance([x.weights.detach().double() for x in found])
    assert expected > 1e-3
    torch.testing.assert_close(balance_of(found).double(), expected, rtol=1e-4, atol=1e-6)


def test_balance_is_0_of_equal_regions_and_log_k_where_one_has_all():
    equal, one = shares(0.25, 0.25, 0.25, 0.25), shares(0., 0, 1, 0)
    assert balance_of([equal, equal]).item() == pytest.approx(0, abs=1e-6)
    assert balance_of([one, one]).item() == pytest.approx(math.log(4))
    # each view has another region alone: together they are two of four
    assert balance_of([one, shares(1., 0, 0, 0)]).item() == pytest.approx(math.log(2))


def test_balance_has_the_gradient_of_the_formula():
    views = [shares(0.1, 0.2, 0.3, 0.4), shares(0.5, 0.1, 0.1, 0.3)]
    inputs = [x.weights for x in views]
    doubles = [x.detach().double().requires_grad_() for x in inputs]
    for ours, theirs in zip(torch.autograd.grad(balance_of(views), inputs),
                            torch.autograd.grad(reference.balance(doubles), doubles), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-7)


def test_balance_of_a_region_of_weight_0_has_a_finite_gradient():
    """As the softmax gives it of a small temperature, in float32."""
    module, maps = soft(norm=False, temperature=0.005), torch.randn(1, 6, 1, 1).expand(2, 6, 3, 3)
    with torch.no_grad():
        module.prototypes.copy_(torch.stack([maps[0, :, 0, 0], -maps[0, :, 0, 0]] * 2))
    found = module([maps, maps], None, None)
    assert (found[0].weights[:, 1] == 0).all()
    assert balance_of(found).item() == pytest.approx(math.log(2))
    gradient, = torch.autograd.grad(balance_of(found), [module.prototypes])
    assert gradient.isfinite().all()


def test_learnt_regions_are_computed_in_float32_under_autocast():
    module, maps = soft(), torch.randn(2, 6, 4, 4).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found, = module([maps], None, None)
        pooled, balance = found.pool(maps, torch.tensor([[1, 2]] * 2)), balance_of([found])
    expected = module.weigh(maps.float())
    for ours, theirs in ((found.weights, expected.weights),
                         (pooled, expected.pool(maps.float(), torch.tensor([[1, 2]] * 2))),
                         (balance, balance_of([expected]))):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize('settings', [dict(num_regions=1), dict(temperature=0)])
def test_wrong_learnt_regions_are_named(settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=f'{name}={value}.*expected at least 2, and above 0'):
        soft(**settings)


def test_clusters_are_the_same_under_autocast():
    maps = torch.randn(3, 8, 12, 12)
    torch.manual_seed(1)
    expected = cluster_cells(maps, 6)
    torch.manual_seed(1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(cluster_cells(maps, 6), expected)
