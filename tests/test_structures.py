from __future__ import annotations

import pickle

import pytest
import torch

from mmdense.structures import Views, ViewSample


def sample(index: int, regions: bool = False) -> ViewSample:
    fields = dict(boxes=torch.arange(8.).view(2, 4) + 100 * index,
                  flips=torch.tensor([True, index == 1]))
    if regions:
        fields['regions'] = [torch.full((3, 4), index), torch.full((2, 2), 10 + index)]
    return ViewSample(**fields, metainfo=dict(img_path=f'{index}.jpg', index=index))


def test_collate_stacks_views_first_and_images_second():
    views = Views.collate([sample(0), sample(1), sample(5)])
    assert views.boxes.shape == (2, 3, 4)
    assert views.boxes[1, 2].tolist() == [504., 505., 506., 507.]
    assert views.flips.tolist() == [[True, True, True], [False, True, False]]
    assert views.index.tolist() == [0, 1, 5] and views.index.dtype == torch.int64
    assert views.regions is None


def test_collate_stacks_regions_of_each_view():
    views = Views.collate([sample(0, True), sample(3, True)])
    assert [tuple(maps.shape) for maps in views.regions] == [(2, 3, 4), (2, 2, 2)]
    assert views.regions[1][:, 0, 0].tolist() == [10, 13]


def test_on_the_device_region_ids_are_int32():
    one = sample(1)
    one.regions = [torch.full((3, 4), 200, dtype=torch.uint8)]
    one.set_metainfo(dict(num_regions=200))
    views = Views.collate([one, one])
    moved = views.to('cpu')
    assert views.regions[0].dtype == torch.uint8 and moved.regions[0].dtype == torch.int32
    assert moved.regions[0].eq(200).all() and moved.num_regions == 255
    for name in ('boxes', 'flips', 'index'):
        assert torch.equal(getattr(moved, name), getattr(views, name))
    assert Views.collate([sample(0)]).to('cpu').regions is None


def test_every_tensor_is_pinned(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda self: pinned.append(self) or self)
    views = Views.collate([sample(0, True), sample(3, True)])
    again = views.pin_memory()
    assert isinstance(again, Views) and len(pinned) == 5 and again.num_regions is None
    for tensor in (views.boxes, views.flips, views.index, *views.regions):
        assert any(tensor is one for one in pinned)


def test_collate_names_the_image_without_regions():
    with pytest.raises(ValueError, match='1 of 2 images.*7.jpg has none'):
        Views.collate([sample(0, True), sample(7)])


def test_sample_survives_pickling():
    back = pickle.loads(pickle.dumps(sample(2, True)))
    assert back.index == 2 and torch.equal(back.boxes, sample(2).boxes)
    assert torch.equal(back.regions[1], sample(2, True).regions[1])


def test_take_orders_repeats_and_leaves_out_views():
    views = Views.collate([sample(0, True), sample(3, True), sample(1, True)])
    taken = views.take((1, 0, 1))
    assert torch.equal(taken.boxes, torch.stack([views.boxes[n] for n in (1, 0, 1)]))
    assert torch.equal(taken.flips, torch.stack([views.flips[n] for n in (1, 0, 1)]))
    assert [m is views.regions[n] for m, n in zip(taken.regions, (1, 0, 1), strict=True)] \
        == [True] * 3
    assert torch.equal(taken.index, views.index)
    assert not torch.equal(views.boxes[0], views.boxes[1])
    assert not torch.equal(views.flips[0], views.flips[1])
    last = views.take([1])
    assert last.boxes.shape == (1, 3, 4) and last.flips.shape == (1, 3) and len(last.regions) == 1


def test_take_without_regions():
    taken = Views.collate([sample(0), sample(3)]).take((1,))
    assert taken.regions is None and taken.boxes[0, 1].tolist() == [304., 305., 306., 307.]


def test_the_highest_id_of_a_batch_is_known_where_all_samples_say_it():
    samples = [sample(0, True), sample(3, True)]
    assert Views.collate(samples).num_regions is None
    for number, one in enumerate(samples):
        one.set_metainfo(dict(num_regions=7 - number))
    views = Views.collate(samples)
    assert views.num_regions == 7 and views.take([1]).num_regions == 7
    assert Views.collate([sample(0)]).num_regions is None
