"""Geometric pairs against loops over cells, and against the pixels of really cropped images."""
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from references import geometry as reference
from references import tiny

from mmdense.models.losses import pixel_consistency
from mmdense.models.matching import GeometryMatcher, cell_centres, cell_distances, cell_overlaps
from mmdense.registry import MODELS
from mmdense.structures import Views

SIZES = (3, 4), (2, 5)


def draw_views(batch=4):
    """Boxes of any shape, some without overlap, mirrored or not; sizes of their images."""
    start = torch.rand(2, batch, 2) * 60
    boxes = torch.cat([start, start + 20 + torch.rand(2, batch, 2) * 60], 2)
    boxes[1, 0] = boxes[0, 0] + 200                                          # no overlap
    return Views(boxes=boxes, flips=torch.rand(2, batch) < 0.5, index=torch.arange(batch),
                 sizes=torch.tensor([[350, 400]] * batch))


def maps(batch=4, sizes=SIZES):
    return [torch.randn(batch, 6, *size) for size in sizes]


def of_image(views, number):
    return views.boxes[:, number].tolist(), views.flips[:, number].tolist()


@pytest.mark.parametrize('anchor', [0.5, 0., 0.25])
def test_distances_equal_a_loop(anchor):
    views = draw_views()
    found = cell_distances(tuple(views.boxes), tuple(views.flips), SIZES, anchor)
    expected = [reference.distances(*of_image(views, b), SIZES, anchor) for b in range(4)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_overlaps_equal_a_loop_and_cover_the_intersection():
    views = draw_views()
    found = cell_overlaps(tuple(views.boxes), tuple(views.flips), SIZES)
    expected = [reference.overlaps(*of_image(views, b), SIZES) for b in range(4)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=2e-2)
    low = torch.maximum(views.boxes[0, :, :2], views.boxes[1, :, :2])
    high = torch.minimum(views.boxes[0, :, 2:], views.boxes[1, :, 2:])
    torch.testing.assert_close(found.sum((1, 2)), (high - low).clamp_min(0).prod(1), rtol=1e-4,
                               atol=1e-2)


@pytest.mark.parametrize('anchor', [0.5, 0.])
def test_nearest_is_the_nearest_of_the_cells_in_sight(anchor):
    views = draw_views(16)
    matches = GeometryMatcher(cell_anchor=anchor)(*maps(16), views)
    assert 0 < matches.valid.float().mean() < 1 and not matches.valid[0].any()
    for b in range(16):
        boxes, flips = of_image(views, b)
        for n, one in enumerate(reference.cells(SIZES[0])):
            x, y = reference.centre(boxes[0], flips[0], SIZES[0], *one, anchor)
            x0, y0, x1, y1 = boxes[1]
            assert matches.valid[b, n] == (x0 <= x < x1 and y0 <= y < y1)
            if matches.valid[b, n]:
                # nearest along each axis, in cells of the key view
                places = [reference.centre(boxes[1], flips[1], SIZES[1], *other, anchor)
                          for other in reference.cells(SIZES[1])]
                far = [abs(x - px) / (x1 - x0) * SIZES[1][1] + abs(y - py) / (y1 - y0) * SIZES[1][0]
                       for px, py in places]
                assert far[matches.index[b, n]] <= min(far) + 1e-4


def test_distance_gives_equal_shares_of_all_near_cells():
    views = draw_views()
    matches = GeometryMatcher('distance', threshold=0.9)(*maps(), views)
    near = torch.tensor([reference.distances(*of_image(views, b), SIZES) for b in range(4)]) < 0.9
    assert torch.equal(matches.valid, near.any(2)) and not matches.valid[0].any()
    torch.testing.assert_close(matches.weights, near / near.sum(2, keepdim=True).clamp_min(1))


def test_overlap_gives_shares_of_the_area():
    views = draw_views()
    matches = GeometryMatcher('overlap')(*maps(), views)
    areas = torch.tensor([reference.overlaps(*of_image(views, b), SIZES) for b in range(4)])
    assert torch.equal(matches.valid, areas.sum(2) > 0)
    torch.testing.assert_close(matches.weights, areas / areas.sum(2, keepdim=True).clamp_min(1e-6),
                               rtol=1e-3, atol=1e-4)


def test_published_measures_in_fractions_of_the_axes():
    views = draw_views()
    scale = torch.tensor([1 / 400, 1 / 350, 1 / 400, 1 / 350])
    scaled = Views(views.boxes * scale, views.flips, views.index)
    published = GeometryMatcher('distance', published=True)(*maps(), views)
    assert torch.equal(published.valid, GeometryMatcher('distance')(*maps(), scaled).valid)
    torch.testing.assert_close(published.weights,
                               GeometryMatcher('distance')(*maps(), scaled).weights)
    with pytest.raises(ValueError, match='need its size'):
        GeometryMatcher('distance', published=True)(*maps(), scaled)


@pytest.mark.parametrize('options, message', [
    (dict(pairs='near'), "pairs='near'.*expected one of"),
    (dict(pairs='distance', threshold=0), 'threshold=0.*above 0'),
    (dict(threshold=0.5), "'nearest'.*does not use threshold"),
    (dict(pairs='overlap', published=True, cell_anchor=0.), 'use published, cell_anchor')])
def test_options_that_would_do_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GeometryMatcher(**options)


def coordinate_views(height, width, seed):
    """Two views of an image whose pixels are their own coordinates, by our transforms."""
    image = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)[:2],
                     -1).astype(np.float32)
    np.random.seed(seed)
    crop = dict(type='mmdense.RandomResizedCrop', size=64, area=(0.3, 0.8), aspect=(0.5, 2.0))
    flip = dict(type='mmdense.RandomFlip', prob=0.5)
    views = [Compose([dict(crop), dict(flip)])(dict(img=image, img_shape=image.shape[:2]))
             for _ in range(2)]
    pixels = torch.stack([torch.from_numpy(view['img'].copy()) for view in views])
    geometry = Views(boxes=torch.stack([torch.as_tensor(v['box']) for v in views])[:, None].float(),
                     flips=torch.tensor([[bool(v['flip'])] for v in views]),
                     index=torch.zeros(1, dtype=torch.long))
    return pixels.permute(0, 3, 1, 2), geometry


@pytest.mark.parametrize('seed', range(6))
def test_cells_lie_where_their_pixels_come_from(seed):
    pixels, views = coordinate_views(120, 200, seed)
    # the mean over a cell's pixels of the source coordinates that they carry is its centre
    places = F.avg_pool2d(pixels, 16).flatten(2).transpose(1, 2)
    for view in range(2):
        centres = cell_centres(views.boxes[view], views.flips[view], 4, 4)
        torch.testing.assert_close(centres[0], places[view], rtol=0, atol=0.6)
    # the pixel at a cell's upper left corner carries what anchor 0 says, in a mirrored view too
    corners = pixels[:, :, ::16, ::16].flatten(2).transpose(1, 2)
    for view in range(2):
        anchors = cell_centres(views.boxes[view], views.flips[view], 4, 4, anchor=0.5 / 16)
        torch.testing.assert_close(anchors[0], corners[view], rtol=0, atol=1.1)
    near = torch.cdist(places[0], places[1])
    matches = GeometryMatcher()(*maps(1, ((4, 4), (4, 4))), views)
    side = (views.boxes[1, 0, 2:] - views.boxes[1, 0, :2]).max() / 4
    for n in matches.valid[0].nonzero()[:, 0]:
        assert near[n, matches.index[0, n]] < side * 0.71 + 1


@pytest.mark.parametrize('threshold', [0.7, 1.5])
def test_consistency_equals_a_loop(threshold):
    views, (query, target) = draw_views(), maps()
    query.requires_grad_()
    loss = pixel_consistency(query, target, *views.boxes, *views.flips, threshold)
    double = query.detach().double().requires_grad_()
    expected = reference.pixel_consistency(double, target.double(), tuple(views.boxes),
                                           tuple(views.flips), threshold)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)
    ours, theirs = (torch.autograd.grad(one, of)[0] for one, of in ((loss, query),
                                                                    (expected, double)))
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-5)
    assert ours.abs().sum() > 0 and not ours[0].any()


def test_consistency_of_one_image_with_itself_is_the_least():
    views = Views(boxes=torch.tensor([0., 0, 64, 64]).expand(2, 1, 4),
                  flips=torch.zeros(2, 1, dtype=torch.bool), index=torch.zeros(1).long())
    query = torch.randn(1, 6, 4, 4)
    loss = pixel_consistency(query, 3 * query, *views.boxes, *views.flips)
    torch.testing.assert_close(loss, torch.tensor(-2.), rtol=0, atol=1e-5)


def test_consistency_without_any_pair_is_zero_with_a_zero_gradient():
    views, (query, target) = draw_views(1), maps(1)
    query.requires_grad_()
    loss = pixel_consistency(query, target, *views.boxes, *views.flips)
    loss.backward()
    assert loss == 0 and not query.grad.any()


def test_consistency_under_autocast_is_that_of_float32():
    views, (query, target) = draw_views(), maps()
    plain = pixel_consistency(query, target, *views.boxes, *views.flips)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(pixel_consistency(query, target, *views.boxes, *views.flips), plain)
    with pytest.raises(ValueError, match='differ in batch or channels'):
        pixel_consistency(query, target[:, :3], *views.boxes, *views.flips)


@pytest.mark.parametrize('pairs', ['nearest', 'distance', 'overlap'])
def test_densecl_takes_it(pairs):
    model = tiny.build(matcher=dict(type='mmdense.GeometryMatcher', pairs=pairs), dense_warmup=0)
    assert MODELS.get('mmdense.GeometryMatcher') is GeometryMatcher
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    losses = model(images, tiny.region_views(4), mode='loss')
    sum(losses.values()).backward()
    assert losses['loss_dense'] > 0
    assert all(p.grad is not None for p in model.dense_projector.parameters())
