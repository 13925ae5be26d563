from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from mmengine.registry import DefaultScope
from references import tiny

from mmdense.datasets.source import with_source
from mmdense.regions import grid_regions
from mmdense.visualization import ImageFiles, draw_report
from mmdense.visualization.feature_report import overlapping_views
from mmdense.visualization.figures import shown
from mmdense.visualization.region_figure import (
    NOBODY,
    STRIPES,
    draw_regions,
    regions_figure,
    summary,
)
from mmdense.visualization.regions import deciding_net, see_regions, stretch

VIEW = [dict(type='mmdense.RandomResizedCrop', size=64, area=(0.3, 0.8)),
        dict(type='mmdense.RandomFlip')]
LOAD = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage')]
GRID = [dict(type='mmdense.MakeRegions', sources=dict(method='grid', cells=(3, 4)))]
SMALLER = [dict(type='Resize', scale=(72, 64))]


def views_of(*views: list) -> list[dict]:
    return [dict(type='mmdense.MultiView', views=list(views)), dict(type='mmdense.PackViews')]


PIPELINES = dict(
    given=[*LOAD, *SMALLER, *GRID, *views_of(VIEW, VIEW)],
    clustered=[*LOAD, *SMALLER, *views_of(VIEW, VIEW, SMALLER)],
    soft=[*LOAD, *SMALLER, *views_of(VIEW, VIEW)])
REGIONS = dict(given=dict(type='mmdense.GivenRegions'),
               clustered=dict(type='mmdense.ClusteredRegions', clusters=5),
               soft=dict(type='mmdense.SoftRegions', in_channels=64, num_regions=6))


@pytest.fixture(autouse=True)
def _one_thread():
    # on a busy machine threads wait longer for each other than such small maps take
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(kind: str, method: str = 'DetConB', **changes):
    head = dict(type='mmdense.Projector', in_channels=64, hidden_channels=32, out_channels=16)
    config = dict(
        type=f'mmdense.{method}', backbone=dict(tiny.BACKBONE, strides=(1, 2, 1, 1)),
        projector=head, loss=dict(type='mmdense.DetConLoss', gather_grad=method == 'DetConS'),
        regions=REGIONS[kind], num_samples=9, **changes)
    if method == 'DetConB':
        config |= dict(predictor=dict(head, in_channels=16), twin=dict(momentum=0.9, bn='plain'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return tiny.MODELS.build(config)


@pytest.fixture
def files(tmp_path) -> list[str]:
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cv2.imwrite(path := str(tmp_path / '0.png'), cv2.resize(small, (96, 80)))
    return [path]


def images(files: list[str], kind: str) -> ImageFiles:
    with DefaultScope.overwrite_default_scope('mmseg'):
        return ImageFiles(files, PIPELINES[kind])


def sample_of(files: list[str], kind: str) -> dict:
    return overlapping_views(with_source(images(files, kind)), 0)


def figure_of(sample: dict, seen):
    views = [shown(view.permute(1, 2, 0).numpy()) for view in sample['inputs'][:2]]
    return regions_figure(shown(sample['source']['img']), views, seen)


def drawn_lines(axis) -> set[tuple]:
    return {tuple(line.ravel()) for line in axis.collections[0].get_segments()}


def walls(regions: np.ndarray) -> set[tuple]:
    """Return the edges (x, y, x, y) between pixels of different regions, by a loop."""
    found, (height, width) = set(), regions.shape
    for y in range(height):
        for x in range(width):
            if x + 1 < width and regions[y, x] != regions[y, x + 1]:
                found.add((x + 1, y, x + 1, y + 1))
            if y + 1 < height and regions[y, x] != regions[y + 1, x]:
                found.add((x, y + 1, x + 1, y + 1))
    return found


def test_reports_have_regions_and_matches_of_the_first_two_views(tmp_path, files):
    matches = set()
    for kind in PIPELINES:
        torch.manual_seed(0)
        paths = draw_report(build(kind), images(files, kind), tmp_path / kind, 1)
        assert [path.name for path in paths] == ['matches_0.png', 'regions_0.png',
                                                 'similarity_0.png', 'features.png']
        assert min(cv2.imread(str(paths[1])).shape[:2]) > 800
        matches.add(paths[0].read_bytes())
    assert len(matches) == 1                     # where a third view is made, too


@pytest.mark.parametrize('kind, method', [('clustered', 'DetConS'), ('soft', 'DetConB')])
def test_regions_are_drawn_alike_every_time_and_leave_no_trace(tmp_path, files, kind, method):
    model, sample = build(kind, method), sample_of(files, kind)
    model.backbone.layer1.eval()
    modes = [module.training for module in model.modules()]
    drawn = set()
    for seed in (1, 2):
        state = torch.manual_seed(seed).get_state()
        drawn.add(draw_regions(model, sample, tmp_path / f'{seed}.png').read_bytes())
        assert torch.equal(state, torch.get_rng_state())
    assert len(drawn) == 1
    assert modes == [module.training for module in model.modules()]


def test_borders_on_the_image_are_those_of_its_region_map(files):
    sample = sample_of(files, 'given')
    figure = figure_of(sample, see_regions(build('given'), sample))
    regions = grid_regions(sample['source']['img'], (3, 4))
    assert regions.shape == (64, 72)                         # as resized, not as the file is
    assert drawn_lines(figure.axes[0]) == walls(regions)


@pytest.mark.parametrize('kind', ['given', 'clustered'])
def test_views_show_the_regions_that_the_image_has_at_their_place(files, kind):
    sample = sample_of(files, kind)
    seen = see_regions(build(kind), sample)
    geometry = sample['data_samples']
    for regions, (left, top, right, bottom), flip in zip(seen.pixels, geometry.boxes.tolist(),
                                                         geometry.flips, strict=False):
        y, x = (np.arange(64) + 0.5) / 64, (np.arange(64) + 0.5) / 64
        x = 1 - x if flip else x
        rows, columns = top + y * (bottom - top), left + x * (right - left)
        expected = seen.source[rows.astype(int)[:, None], columns.astype(int)]
        assert (regions == expected).mean() > 0.98
    assert seen.number == len(np.unique(seen.source)) == (12 if kind == 'given' else 5)


def test_clusters_lie_on_the_image_and_only_boxes_where_regions_are_learnt(files):
    for kind, lines in (('clustered', 2), ('soft', 0)):
        sample = sample_of(files, kind)
        seen = see_regions(build(kind), sample)
        axis = figure_of(sample, seen).axes[0]
        assert len(axis.collections) == lines
        if lines:
            assert drawn_lines(axis) == walls(seen.source)
            assert np.array_equal(stretch(seen.source[4::8, 4::8], 64, 72), seen.source)
        boxes = [patch.get_bbox().extents for patch in axis.patches[1::2]]
        assert np.allclose(boxes, sample['data_samples'].boxes[:2])
    assert seen.number == 6 and summary(seen).startswith('6 learnt regions; ')
    assert np.array_equal(seen.pixels[0], np.kron(seen.cells[0], np.ones((8, 8), int)))


@pytest.mark.parametrize('kind', PIPELINES)
def test_a_shared_region_has_one_colour_in_both_views_and_others_are_grey(files, kind):
    sample = sample_of(files, kind)
    seen = see_regions(build(kind), sample)
    axes, stripes = figure_of(sample, seen).axes, set(STRIPES)
    both = set(seen.cells[0].flat) & set(seen.cells[1].flat)
    assert set(seen.shared()) == both and both
    found = {region: set() for part in (*seen.pixels, *seen.cells) for region in part.flat}
    for place, regions, layer in ((1, seen.pixels[0], 1), (2, seen.pixels[1], 1),
                                  (4, stretch(seen.cells[0], 64, 64), 0),
                                  (5, stretch(seen.cells[1], 64, 64), 0)):
        picture = np.asarray(axes[place].images[layer].get_array())
        for region in np.unique(regions):
            mask = (regions == region).repeat(5, 0).repeat(5, 1)
            found[region] |= set(map(to_hex, np.unique(picture[mask][:, :3], axis=0)))
    assert all(len(found[region]) == 1 for region in both)
    assert len({min(found[region]) for region in both}) == len(both)
    assert all(found[region] <= stripes for region in found if region not in both)


@pytest.mark.parametrize('kind', PIPELINES)
def test_the_ids_listed_are_those_drawn(monkeypatch, files, kind):
    model, kept = build(kind), []
    draw = model.draw
    monkeypatch.setattr(model, 'draw', lambda *args: kept.append(draw(*args)) or kept[-1])
    sample = sample_of(files, kind)
    seen = see_regions(model, sample)
    ids = [part[0].tolist() for part in kept[0][1][:2]]
    listed = {region: counts for region, *counts in seen.listing()}
    for view in (0, 1):
        owners = set(kept[0][0][view].cells.unique().tolist()) - {0}
        assert {r for r, counts in listed.items() if counts[view] is not None} == owners
        assert {r: c[view] for r, c in listed.items() if c[view]} == Counter(ids[view])
        positive = sum(region in ids[1 - view] for region in ids[view])
        assert f'{positive} of 9 of view {view + 1}' in summary(seen)
    figure = figure_of(sample, seen)
    texts = [text.get_text() for text in figure.axes[3].texts]
    for region, counts in listed.items():
        at = texts.index(str(region))
        assert texts[at + 1:at + 3] == ['–' if c is None else f'{c} ×' for c in counts]
    boxed = [{text.get_text() for text in figure.axes[view + 4].texts if text.get_bbox_patch()}
             for view in (0, 1)]
    assert boxed == [set(map(str, part)) for part in ids]


def test_an_image_without_regions_has_none_to_list(files):
    sample = sample_of(files, 'given')
    sample['source']['regions'][:] = 0
    for regions in sample['data_samples'].regions:
        regions.zero_()
    seen = see_regions(build('given'), sample)
    assert seen.number == 0 and seen.shared() == seen.listing() == []
    assert '0 of 18 drawn rows have a positive' in summary(seen)
    cells = figure_of(sample, seen).axes[4]
    assert not cells.texts and to_hex(cells.images[0].get_array()[9, 9]) == NOBODY


def test_the_twin_decides_once_it_has_made_a_step(files):
    model, sample = build('soft'), sample_of(files, 'soft')
    single = build('given', 'DetConS')
    assert deciding_net(single) is single
    model.twin.regions.prototypes.data.neg_()
    before = see_regions(model, sample)
    model.twin.steps += 1
    after = see_regions(model, sample)
    assert not np.array_equal(before.cells[0], after.cells[0])
    model.regions.prototypes.data.neg_()
    assert np.array_equal(after.cells[0], see_regions(model, sample).cells[0])


def test_one_view_on_both_sides_is_drawn_twice(files):
    seen = see_regions(build('clustered', two_views=False), sample_of(files, 'clustered'))
    assert np.array_equal(seen.boxes[0], seen.boxes[1])
    assert np.array_equal(*seen.cells) and np.array_equal(*seen.pixels)


def test_regions_or_a_view_that_are_missing_are_said(files):
    with pytest.raises(ValueError, match='the images have no regions'):
        see_regions(build('given'), sample_of(files, 'soft'))
    with pytest.raises(ValueError, match=r'got 2 view\(s\)'):
        see_regions(build('clustered'), sample_of(files, 'soft'))
