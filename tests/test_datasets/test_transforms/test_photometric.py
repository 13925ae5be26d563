"""Each operation against torchvision's on tensors, in grey levels.

Ours rounds where torchvision cuts off, hence 1; its contrast and saturation round the grey first,
hence 2; hue goes through 8-bit HSV, hence up to 8 on saturated colours, below 2 on average.
"""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference

from mmdense.datasets.transforms import ColorJitter, GaussianBlur, RandomGrayscale, Solarize
from mmdense.datasets.transforms import photometric as ours


def picture(channels: int = 3, side: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth uint8 image (side, side, C) that uses the whole range."""
    noise = np.random.RandomState(seed).rand(side, side, channels).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).reshape(noise.shape)
    low, high = smooth.min((0, 1)), smooth.max((0, 1))
    return np.rint((smooth - low) / (high - low) * 255).astype(np.uint8)


def as_rgb(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())


def difference(image: np.ndarray, expected: torch.Tensor) -> np.ndarray:
    return np.abs(as_rgb(image).numpy().astype(int) - expected.numpy().astype(int))


@pytest.mark.parametrize('factor', [0.0, 0.6, 1.0, 1.4, 2.5])
@pytest.mark.parametrize('name, levels', [('brightness', 1), ('contrast', 2), ('saturation', 2)])
def test_brightness_contrast_saturation_equal_torchvision(name, levels, factor):
    image = picture()
    before = image.copy()
    changed = getattr(ours, f'adjust_{name}')(image, factor)
    expected = getattr(reference, f'adjust_{name}')(as_rgb(image), factor)
    assert difference(changed, expected).max() <= levels
    assert (image == before).all()


@pytest.mark.parametrize('shift', [-0.5, -0.1, 0.0, 0.03, 0.1, 0.4])
def test_hue_equals_torchvision(shift):
    image = picture()
    before = image.copy()
    error = difference(ours.shift_hue(image, shift), reference.adjust_hue(as_rgb(image), shift))
    assert error.max() <= 8 and error.mean() < 2
    assert (image == before).all()


def test_hue_turns_red_to_green_by_a_third():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 255
    green = ours.shift_hue(red, 1 / 3)
    assert np.abs(green.astype(int) - [0, 255, 0]).max() <= 4


def test_grey_equals_torchvision():
    image = picture()
    expected = reference.rgb_to_grayscale(as_rgb(image), num_output_channels=3)
    assert difference(ours.to_grey(image), expected).max() <= 1


@pytest.mark.parametrize('threshold', [0, 128, 200])
def test_solarize_equals_torchvision(threshold):
    image = picture()
    expected = reference.solarize(as_rgb(image), threshold)
    assert difference(ours.solarize(image, threshold), expected).max() == 0


@pytest.mark.parametrize('side, kernel', [(224, 23), (96, 9), (128, 13), (32, 3), (8, 3)])
def test_blur_equals_torchvision_with_the_papers_kernel(side, kernel):
    assert ours.blur_kernel_size(side, side + 50) == kernel
    image = np.random.RandomState(0).randint(0, 256, (side, side, 3), np.uint8)
    for sigma in (0.1, 0.7, 2.0):
        expected = reference.gaussian_blur(as_rgb(image), kernel, sigma)
        assert difference(ours.gaussian_blur(image, sigma), expected).max() <= 1


@pytest.mark.parametrize('channels', [1, 2, 4, 13])
def test_other_channel_counts(channels):
    image = picture(channels)
    for change in (lambda x: ours.adjust_brightness(x, 1.3), lambda x: ours.gaussian_blur(x, 1.5),
                   lambda x: ours.solarize(x, 128), lambda x: ours.adjust_contrast(x, 0.5)):
        alone = [change(image[..., [c]]) for c in range(channels)]
        changed = change(image)
        assert (changed == np.concatenate(alone, axis=-1)).all()
        assert (changed != image).mean() > 0.3
    mean = image.mean((0, 1))
    assert np.abs(ours.adjust_contrast(image, 0.5) - (image * 0.5 + mean * 0.5)).max() <= 0.51
    assert ours.adjust_saturation(image, 0.2) is image
    assert ours.shift_hue(image, 0.2) is image
    assert ours.to_grey(image) is image


TRANSFORMS = [
    (ColorJitter, dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)),
    (RandomGrayscale, {}), (GaussianBlur, {}), (Solarize, {}),
]


@pytest.mark.parametrize('transform, options', TRANSFORMS)
def test_probability(transform, options):
    np.random.seed(0)
    image = picture(side=20)
    for prob, low, high in ((0.0, 0, 0), (0.3, 0.23, 0.37), (1.0, 1, 1)):
        change = transform(**options, prob=prob)
        share = np.mean([change(dict(img=image))['img'] is not image for _ in range(600)])
        assert low <= share <= high


@pytest.mark.parametrize('transform, options', TRANSFORMS)
def test_same_seed_same_image(transform, options):
    change, image = transform(**options, prob=0.5), picture()
    runs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        runs.append([change(dict(img=image))['img'] for _ in range(8)])
    assert all((a == b).all() for a, b in zip(runs[0], runs[1], strict=True))
    assert any((a != b).any() for a, b in zip(runs[0], runs[2], strict=True))


def test_jitter_without_strength_is_the_identity():
    image = picture()
    assert (ColorJitter()(dict(img=image))['img'] == image).all()


def test_jitter_draws_factors_and_orders(monkeypatch):
    """Factors uniform in the documented ranges; all 24 orders; each adjustment once."""
    calls: list[tuple[str, float]] = []
    jitter = ColorJitter(brightness=0.4, contrast=1.5, saturation=0.2, hue=0.1)
    names = ('brightness', 'contrast', 'saturation', 'hue')
    jitter.steps = [(lambda image, value, name=name: calls.append((name, value)), low, high)
                    for name, (_, low, high) in zip(names, jitter.steps, strict=True)]
    np.random.seed(0)
    orders = set()
    for _ in range(600):
        jitter.change(None)
        orders.add(tuple(name for name, _ in calls[-4:]))
    assert len(orders) == 24 and all(len(set(order)) == 4 for order in orders)
    for name, low, high in (('brightness', 0.6, 1.4), ('contrast', 0, 2.5),
                            ('saturation', 0.8, 1.2), ('hue', -0.1, 0.1)):
        values = np.array([value for called, value in calls if called == name])
        drawn = np.quantile((values - low) / (high - low), [0, 0.25, 0.5, 0.75, 1])
        assert np.allclose(drawn, [0, 0.25, 0.5, 0.75, 1], atol=0.07)


def test_view_of_one_pixel():
    image = np.full((1, 1, 3), 100, np.uint8)
    for transform, options in TRANSFORMS:
        assert transform(**options, prob=1.0)(dict(img=image))['img'].shape == (1, 1, 3)


@pytest.mark.parametrize('channels', [1, 3, 8])
@pytest.mark.situation('images', 'float32 images: brightness, contrast, saturation, grey, blur',
                       'works', 'as on 8 bits, neither rounded nor cut off')
def test_floats_change_as_levels_do(channels):
    image = picture(channels)
    floats = image.astype(np.float32) * 0.5 + 60        # changes stay within 0 to 255
    levels = np.rint(floats).astype(np.uint8)
    for change in (lambda x: ours.adjust_brightness(x, 1.2), lambda x: ours.adjust_contrast(x, 0.7),
                   lambda x: ours.adjust_saturation(x, 0.6), ours.to_grey,
                   lambda x: ours.gaussian_blur(x, 1.5)):
        before = floats.copy()
        changed = change(floats)
        assert changed.dtype == np.float32 and np.array_equal(floats, before)
        assert np.abs(changed - change(levels)).max() <= 2
    assert ours.adjust_brightness(floats, 10).max() > 255
    for transform in (ColorJitter(0.4, 0.4, 0.4), RandomGrayscale(1.0), GaussianBlur(prob=1.0)):
        assert transform(dict(img=floats))['img'].dtype == np.float32


@pytest.mark.situation('images', 'hue or solarisation of float32 images', 'error', 'names the file '
                       'and how to load it as 8 bits')
@pytest.mark.parametrize('transform', [Solarize(prob=0.0), ColorJitter(hue=0.1)])
def test_hue_and_solarisation_need_levels(transform):
    message = r'(Solarize|hue) needs uint8 images .*a\.tif is float32: .*value_range'
    with pytest.raises(ValueError, match=message):
        transform(dict(img=np.zeros((4, 4, 3), np.float32), img_path='a.tif'))
    if isinstance(transform, ColorJitter):          # eight bands have no hue
        assert transform(dict(img=np.ones((4, 4, 8), np.float32)))['img'].all()


@pytest.mark.parametrize('dtype', [np.uint16, np.float64])
def test_other_types_get_one_clear_error(dtype):
    message = f'GaussianBlur: changes uint8 and float32 images, but a.tif is {np.dtype(dtype)}'
    with pytest.raises(ValueError, match=message):
        GaussianBlur(prob=0.0)(dict(img=np.zeros((4, 4, 3), dtype), img_path='a.tif'))


@pytest.mark.parametrize('transform, options, message', [
    (ColorJitter, dict(hue=0.6), 'ColorJitter: hue=0.6'),
    (ColorJitter, dict(contrast=-1), 'ColorJitter: contrast=-1'),
    (RandomGrayscale, dict(prob=2), 'RandomGrayscale: prob=2'),
    (GaussianBlur, dict(sigma=(0, 1)), 'GaussianBlur: sigma='),
    (Solarize, dict(threshold=300), 'Solarize: threshold=300'),
])
def test_wrong_options_are_named(transform, options, message):
    with pytest.raises(ValueError, match=message):
        transform(**options)
