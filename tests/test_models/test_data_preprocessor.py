from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate

from mmdense.datasets import collate_views
from mmdense.models.data_preprocessor import ViewsPreprocessor
from mmdense.registry import MODELS
from mmdense.structures import Views

MEAN, STD = [10., 20., 30.], [2., 4., 8.]


def batch(size: int = 4, regions: bool = False, channels: int = 3,
          collate=collate_views) -> tuple[dict, list[dict]]:
    """Collated samples of two views (12x16 and 8x8), and the view dicts that they were made of."""
    views = [[dict(type='mmdense.RandomResizedCrop', size=side), dict(type='mmdense.RandomFlip')]
             for side in ((12, 16), 8)]
    make, pack = Compose([dict(type='mmdense.MultiView', views=views)]), \
        Compose([dict(type='mmdense.PackViews')])
    np.random.seed(0)
    made = []
    for index in range(size):
        results = dict(img=np.random.randint(0, 256, (30, 40, channels), np.uint8),
                       sample_idx=index + 5, img_path=None, ori_shape=(30, 40))
        if regions:
            results['regions'] = np.random.randint(0, 9, (30, 40))
        made.append(make(results))
    return collate([pack(results) for results in made]), [r['views'] for r in made]


@pytest.mark.parametrize('regions', [False, True])
@pytest.mark.parametrize('channels_last', [False, True])
def test_views_are_stacked_swapped_and_normalised(regions, channels_last):
    data, made = batch(regions=regions)
    preprocessor = MODELS.build(dict(type='mmdense.ViewsPreprocessor', mean=MEAN, std=STD,
                                     channels_last=channels_last))
    out = preprocessor(data, training=True)
    views = out['data_samples']
    assert isinstance(views, Views) and views.index.tolist() == [5, 6, 7, 8]
    for v, inputs in enumerate(out['inputs']):
        assert inputs.dtype == torch.float32
        order = torch.channels_last if channels_last else torch.contiguous_format
        assert inputs.is_contiguous(memory_format=order)
        for b in range(4):
            view = made[b][v]
            expected = (view['img'][..., ::-1].astype(np.float64) - MEAN) / STD
            assert np.allclose(inputs[b].permute(1, 2, 0).numpy(), expected, atol=1e-5)
            assert views.boxes[v, b].tolist() == view['box'].tolist()
            assert bool(views.flips[v, b]) == view['flip']
            if regions:
                assert (views.regions[v][b].numpy() == view['regions']).all()
    assert (views.regions is not None) == regions


def test_views_that_come_image_by_image_are_refused():
    data, _ = batch(collate=pseudo_collate)
    with pytest.raises(ValueError, match=r"collate_fn=dict\(type='mmdense\.collate_views'\)"):
        ViewsPreprocessor()(data)


def test_without_swap_and_with_other_channel_counts_the_order_stays():
    image = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    expected = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.allclose(ViewsPreprocessor(MEAN, STD, False).normalise(image), expected)
    mean, std = [float(c) for c in range(5)], [1.] * 5
    data, made = batch(channels=5)
    out = ViewsPreprocessor(mean, std)(data)['inputs'][0][1]
    assert np.allclose(out.permute(1, 2, 0).numpy(), made[1][0]['img'] - np.array(mean))


@pytest.mark.parametrize('swap', [False, True])
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32, torch.float64])
def test_plain_images_are_normalised_and_their_samples_pass_through(dtype, swap):
    preprocessor = ViewsPreprocessor(MEAN, STD, bgr_to_rgb=swap)
    images = torch.randint(0, 256, (3, 3, 6, 7)).to(dtype)
    before, samples = images.clone(), ['a', 'b', 'c']
    expected = preprocessor.normalise(images)
    assert expected.dtype == torch.float32
    for inputs in (images, list(images)):
        out = preprocessor(dict(inputs=inputs, data_samples=samples))
        assert torch.equal(out['inputs'], expected) and out['data_samples'] == samples
    assert torch.equal(images, before)
    assert preprocessor(dict(inputs=images))['data_samples'] is None


@pytest.mark.parametrize('channels', [1, 4])
def test_channels_that_do_not_fit_are_named_with_mean_and_std(channels):
    with pytest.raises(ValueError) as error:
        ViewsPreprocessor(MEAN, STD)(dict(inputs=torch.zeros(2, channels, 4, 4)))
    message = str(error.value)
    assert f'{channels} channels' in message and '[10.0, 20.0, 30.0]' in message
    assert '[2.0, 4.0, 8.0]' in message


def test_images_of_different_sizes_are_named():
    with pytest.raises(ValueError, match=r'\(3, 4, 4\) and \(3, 4, 5\)'):
        ViewsPreprocessor()(dict(inputs=[torch.zeros(3, 4, 5), torch.zeros(3, 4, 4)]))


@pytest.mark.parametrize('mean, std', [([1.], [1., 2.]), ([], []), ([1.], [0.])])
def test_wrong_statistics_are_named(mean, std):
    with pytest.raises(ValueError, match='ViewsPreprocessor: mean=.*std above 0'):
        ViewsPreprocessor(mean, std)


def test_state_dict_holds_nothing_of_it():
    assert not ViewsPreprocessor().state_dict()
