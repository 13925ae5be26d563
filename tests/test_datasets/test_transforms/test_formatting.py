from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdense.datasets.samplers import SampleIndex
from mmdense.datasets.transforms import MultiView, PackViews
from mmdense.datasets.transforms.formatting import image_index
from mmdense.structures import Views

CROP = [dict(type='mmdense.RandomResizedCrop', size=(12, 16)), dict(type='mmdense.RandomFlip')]


def results(channels: int = 3, **more) -> dict:
    image = np.random.RandomState(0).randint(0, 256, (40, 50, channels), np.uint8)
    return dict(img=image, img_path='a.jpg', ori_shape=(40, 50), sample_idx=SampleIndex(7, 0, 3),
                **more)


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_packed_tensors_are_the_views(channels):
    np.random.seed(0)
    made = MultiView([CROP], [3])(results(channels))
    packed = PackViews()(made)
    sample = packed['data_samples']
    assert sample.boxes.shape == (3, 4) and sample.boxes.dtype == torch.float32
    assert sample.flips.shape == (3,) and sample.flips.dtype == torch.bool
    for number, view in enumerate(made['views']):
        tensor = packed['inputs'][number]
        assert tensor.dtype == torch.uint8 and tensor.is_contiguous()
        assert (tensor.permute(1, 2, 0).numpy() == view['img']).all()
        assert sample.boxes[number].tolist() == view['box'].tolist()
        assert bool(sample.flips[number]) == view['flip']
    assert 'regions' not in sample
    assert sample.metainfo == dict(img_path='a.jpg', ori_shape=(40, 50), img_shape=(40, 50),
                                   index=image_index(made))
    assert type(sample.index) is int
    without_path = dict(made, img_path=None)
    assert PackViews()(without_path)['data_samples'].index == 7


@pytest.mark.parametrize('count, packed_kind', [(256, torch.uint8), (257, torch.int32),
                                                (2000, torch.int32)])
@pytest.mark.parametrize('kind', [np.uint8, np.uint16, np.int32, np.int64])
def test_regions_are_packed_as_small_as_their_highest_id_allows(kind, count, packed_kind):
    if count > 256 and kind is np.uint8:
        count, packed_kind = 200, torch.uint8
    regions = (np.arange(2000) % count).reshape(40, 50).astype(kind)
    made = MultiView([CROP], [2])(results(regions=regions))
    packed = PackViews()(made)
    for tensor, view in zip(packed['data_samples'].regions, made['views'], strict=True):
        assert tensor.dtype == packed_kind and (tensor.numpy() == view['regions']).all()
    assert packed['data_samples'].num_regions == count - 1


def test_images_of_few_and_of_many_regions_share_a_batch():
    samples = []
    for count in (200, 2000):
        np.random.seed(0)                                   # the same crops of both
        ids = (np.arange(2000) % count).reshape(40, 50)
        samples.append(PackViews()(MultiView([CROP], [2])(results(regions=ids)))['data_samples'])
    views = Views.collate(samples)
    for view, few, many in zip(views.regions, *(s.regions for s in samples), strict=True):
        assert view.dtype == torch.int32 and torch.equal(view[0], few.int())
        assert torch.equal(view[1], many) and torch.equal(view[0], view[1] % 200)
    assert views.num_regions == 2047 and Views.collate(samples[:1]).regions[0].dtype == torch.uint8


@pytest.mark.parametrize('wrong', [-1, 2 ** 31])
def test_a_region_id_that_is_none_is_named(wrong):
    made = MultiView([CROP], [2])(results(regions=np.full((40, 50), wrong)))
    with pytest.raises(ValueError, match=f'a.jpg: region id {wrong}; expected 0, no region, to'):
        PackViews()(made)


def test_the_source_size_is_that_of_the_boxes():
    """Of the image that the views were cut from, not of the file."""
    made = MultiView([[]], [2])(dict(results(), ori_shape=(400, 500)))
    views = Views.collate([PackViews()(made)['data_samples']] * 3)
    assert views.sizes.tolist() == [[40, 50]] * 3
    assert views.boxes[0, 0].tolist() == [0, 0, 50, 40]


def test_targets_and_masks_of_views_go_along():
    """As arrays or tensors, of those views that have one."""
    def sample(number):
        made = MultiView([CROP], [2])(results())
        made['views'][0] |= dict(mask=np.arange(6).reshape(2, 3) < number,
                                 target=torch.full((4, 2, 3), float(number)))
        made['views'][1] |= dict(target=np.full(5, number))
        return PackViews()(made)['data_samples']
    views = Views.collate([sample(1), sample(2)])
    assert views.masks[1] is None and views.masks[0].dtype == torch.bool
    assert views.masks[0].flatten(1).sum(1).tolist() == [1, 2]
    assert [target.shape for target in views.targets] == [(2, 4, 2, 3), (2, 5)]
    taken = views.take((1, 0))
    assert taken.masks[0] is None and taken.targets[0] is views.targets[1]
    assert taken.sizes is views.sizes
    moved = views.to('meta')
    assert all(part.device.type == 'meta' for part in
               (moved.sizes, moved.masks[0], *moved.targets)) and moved.masks[1] is None
    without = Views.collate([PackViews()(MultiView([CROP], [2])(results()))['data_samples']])
    assert without.targets is None and without.masks is None


@pytest.mark.parametrize('other, message', [
    (None, r'view 0: masks of a.jpg is \(2, 3\), of b.jpg None: give one of the same shape to'),
    (np.zeros((3, 3), bool), r'masks of a.jpg is \(2, 3\), of b.jpg \(3, 3\)')])
@pytest.mark.situation('images', 'a target or mask of a view that some images of a batch have in '
                       'another shape, or not at all', 'error', 'names view, files and shapes')
def test_masks_that_do_not_stack_are_named(other, message):
    samples = []
    for path, mask in (('a.jpg', np.zeros((2, 3), bool)), ('b.jpg', other)):
        made = MultiView([CROP], [2])(dict(results(), img_path=path))
        made['views'][0]['mask'] = mask
        samples.append(PackViews()(made)['data_samples'])
    with pytest.raises(ValueError, match=message):
        Views.collate(samples)


def test_packing_without_views_says_what_is_missing():
    with pytest.raises(ValueError, match='put mmdense.MultiView before it'):
        PackViews()(results())
