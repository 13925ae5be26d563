"""Reading images: every kind that loads, and one clear error for every kind that does not."""
from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmdense.datasets.transforms.loading import ImageReadError, LoadImage, read_image
from mmdense.registry import TRANSFORMS


@pytest.fixture
def rgb() -> np.ndarray:
    """A smooth image (40, 60, 3), so that JPEG changes it little."""
    y, x = np.mgrid[:40, :60]
    return np.stack([4 * x, 6 * y, 2 * (x + y)], axis=-1).astype(np.uint8)


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return str(path)


def test_results_and_equality_with_mmseg(tmp_path, rgb):
    path = save(tmp_path / 'a.jpg', rgb, quality=95)
    results = TRANSFORMS.build(dict(type='LoadImage'))(dict(img_path=path))
    stock = LoadImageFromFile()(dict(img_path=path))
    assert results['img_shape'] == results['ori_shape'] == (40, 60)
    assert np.array_equal(results['img'], stock['img']) and results['img'].dtype == np.uint8


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tiff', '.webp', '.gif'])
def test_lossless_formats_are_bgr(tmp_path, rgb, suffix):
    options = dict(lossless=True) if suffix == '.webp' else {}
    image = read_image(save(tmp_path / f'a{suffix}', rgb, **options))
    # a GIF has 256 colours
    assert np.abs(image[..., ::-1].astype(int) - rgb).max() <= (60 if suffix == '.gif' else 0)


def test_grey_is_repeated(tmp_path, rgb):
    image = read_image(save(tmp_path / 'grey.png', rgb[..., 0]))
    assert np.array_equal(image, np.repeat(rgb[..., :1], 3, axis=2))


def test_alpha_is_dropped(tmp_path, rgb):
    rgba = np.concatenate([rgb, rgb[..., :1]], axis=2)
    assert np.array_equal(read_image(save(tmp_path / 'a.png', rgba)), rgb[..., ::-1])


@pytest.mark.parametrize('suffix', ['.jpg', '.tiff'])
def test_cmyk_is_converted(tmp_path, rgb, suffix):
    image = read_image(save(tmp_path / f'a{suffix}', rgb, mode='CMYK'))
    assert np.abs(image[..., ::-1].astype(int) - rgb).mean() < 3


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
@pytest.mark.parametrize('channels', [1, 3])
def test_sixteen_bit_is_divided_by_256(tmp_path, suffix, channels):
    values = np.arange(0, 65536, 27, dtype=np.uint16)[:2400].reshape(40, 60)
    path = str(tmp_path / f'a{suffix}')
    cv2.imwrite(path, values)
    image = read_image(path, channels)
    assert np.array_equal(image, np.repeat((values // 256)[..., None], channels, axis=2))


def test_exif_orientation_as_mmseg(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / 'a.jpg', rgb, quality=95, exif=exif)
    image = read_image(path)
    assert image.shape == (60, 40, 3)
    assert np.array_equal(image, LoadImageFromFile()(dict(img_path=path))['img'])


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_other_channel_counts_from_npy(tmp_path, dtype):
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 30, 6)).astype(dtype)
    np.save(tmp_path / 'a.npy', array)
    wanted = array if dtype == np.uint8 else array // 256
    assert np.array_equal(read_image(str(tmp_path / 'a.npy'), channels=6), wanted)


def test_one_and_four_channels(tmp_path, rgb):
    rgba = np.concatenate([rgb, rgb[..., :1]], axis=2)
    path = save(tmp_path / 'a.png', rgba)
    assert np.array_equal(read_image(path, channels=4)[..., [2, 1, 0, 3]], rgba)
    assert read_image(path, channels=1).shape == (40, 60, 1)


def jpeg(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG', **options)
    return buffer.getvalue()


def big() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('tail', ['', 'zeros'])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.98])
def test_truncated_jpeg(tmp_path, progressive, tail, share):
    """Also one whose lost part was filled with zeros, and one with a whole thumbnail inside."""
    exif = Image.Exif()
    exif[0x010e] = 'thumbnail end \u00ff\u00d9 inside'
    data = jpeg(big(), progressive=progressive, exif=exif)
    cut = int(len(data) * share)
    path = tmp_path / 'broken.jpg'
    path.write_bytes(data[:cut] + (bytes(len(data) - cut) if tail else b''))
    with pytest.raises(ImageReadError, match=r'broken\.jpg: is truncated, damaged or no image'):
        read_image(str(path))


def test_jpeg_with_something_behind_its_end(tmp_path):
    path = tmp_path / 'trailer.jpg'
    path.write_bytes(jpeg(big()) + b'maker notes' * 10)
    assert read_image(str(path)).shape == (300, 400, 3)


@pytest.mark.parametrize('suffix', ['PNG', 'TIFF', 'BMP', 'WEBP'])
def test_other_truncated_formats(tmp_path, suffix, capfd):
    buffer = io.BytesIO()
    Image.fromarray(big()).save(buffer, suffix)
    path = tmp_path / 'broken'
    path.write_bytes(buffer.getvalue()[:int(len(buffer.getvalue()) * 0.9)])
    with pytest.raises(ImageReadError, match='is truncated'):
        read_image(str(path))


@pytest.mark.parametrize(('name', 'data', 'said'), [
    ('empty.jpg', b'', r'is empty \(0 bytes\)'),
    ('text.png', b'no image', 'is truncated, damaged or no image'),
    ('text.npy', b'no array', 'is truncated, damaged or no image'),
    ('signature.jpg', b'\xff\xd8\xff', 'is truncated'),
])
def test_no_image_at_all(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageReadError, match=f'{name}: {said}') as caught:
        read_image(str(tmp_path / name))
    assert '; expected a' in str(caught.value) and caught.value.__context__ is None


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageReadError, match=r'gone\.png: cannot be read \(No such file'):
        read_image(str(tmp_path / 'gone.png'))
    with pytest.raises(ImageReadError, match='cannot be read'):
        read_image(str(tmp_path))


@pytest.mark.parametrize('size', [(1, 1), (7, 100), (100, 7)])
def test_too_small(tmp_path, size):
    path = save(tmp_path / 'dot.png', np.zeros((*size, 3), np.uint8))
    said = rf'dot\.png: is {size[1]}x{size[0]} pixels; expected .* at least 8 pixels a side'
    with pytest.raises(ImageReadError, match=said):
        read_image(path)
    save(tmp_path / 'dot.png', np.zeros((8, 8, 3), np.uint8))
    assert read_image(path).shape == (8, 8, 3)


def test_channels_that_do_not_fit(tmp_path, rgb):
    path = save(tmp_path / 'a.png', rgb)
    with pytest.raises(ImageReadError, match=r'has shape \(40, 60, 3\); expected .* of 6 channel'):
        read_image(path, channels=6)
    np.save(tmp_path / 'a.npy', rgb)
    with pytest.raises(ImageReadError, match='of 6 channel'):
        read_image(str(tmp_path / 'a.npy'), channels=6)
    np.save(tmp_path / 'a.npy', rgb.astype(np.float32))
    with pytest.raises(ImageReadError, match='holds float32 numbers'):
        read_image(str(tmp_path / 'a.npy'))
    with pytest.raises(ValueError, match='channels=0; expected'):
        LoadImage(channels=0)
