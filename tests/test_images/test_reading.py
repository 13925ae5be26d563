"""Reading images: every kind that loads, and one clear error for every kind that does not."""
from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
import tifffile
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmdense.datasets.transforms import LoadImage
from mmdense.images.reading import ImageReadError, image_size, read_image
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
@pytest.mark.situation('images', '12 bits in uint16 (PNG, TIFF)', 'works', 'all 256 levels are '
                       'used with `value_range=(0, 4095)`')
def test_twelve_bits_in_sixteen_use_all_levels(tmp_path, suffix, channels):
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = str(tmp_path / f'a{suffix}')
    cv2.imwrite(path, values)
    image = read_image(path, channels, value_range=(0, 4095))
    wanted = np.rint(values / 4095 * 255)[..., None]
    assert image.dtype == np.uint8 and np.array_equal(image, np.repeat(wanted, channels, axis=2))
    assert len(np.unique(image)) == 256


@pytest.mark.parametrize(('dtype', 'low', 'high', 'line'), [
    pytest.param('uint16', 3, 4000, 'value_range=(0, 4095)', id='twelve-bits',
                 marks=pytest.mark.situation(
                     'images', 'uint16 without a stated range', 'error',
                     "names the file's smallest and largest number and the line to write")),
    pytest.param('int16', -1000, 1500, 'value_range=(-1000, 1500)', id='ct',
                 marks=pytest.mark.situation('images', 'int16 CT without a stated range', 'error',
                                             'names the range in the file; nothing wraps')),
    pytest.param('float32', 0.25, 0.75, 'value_range=(0.25, 0.75)', id='float',
                 marks=pytest.mark.situation('images', 'float32 without a stated range', 'error',
                                             'names the range in the file'))])
def test_numbers_without_a_range_are_told_what_to_write(tmp_path, dtype, low, high, line):
    values = np.full((16, 20), low, dtype)
    values[3, 4] = high
    for suffix in ('.tif', '.npy'):
        path = write_bands(tmp_path / f'a{suffix}', values)
        said = rf'a{suffix}: holds {dtype} numbers, here from {low} to {high}, .*{re.escape(line)}'
        with pytest.raises(ImageReadError, match=said):
            read_image(path)
        with pytest.raises(ImageReadError, match='to_float32=True'):
            read_image(path, channels=1)


def write_bands(path, array: np.ndarray, **options) -> str:
    """Write an array as .npy or TIFF; a TIFF of several bands needs ``planarconfig``."""
    if path.suffix == '.npy':
        np.save(path, array)
    else:
        if array.ndim == 3:
            options.setdefault('planarconfig', 'contig')
        if options.get('planarconfig') == 'separate':
            array = np.moveaxis(array, -1, 0)
        tifffile.imwrite(path, array, **{'photometric': 'minisblack', **options})
    return str(path)


@pytest.mark.situation('images', 'CT: int16 from -1000 to 3000', 'works', 'a window such as '
                       '`value_range=(-1000, 400)` becomes 0 to 255, the rest is cut off')
@pytest.mark.parametrize('suffix', ['.tif', '.npy'])
def test_a_window_of_hounsfield_units(tmp_path, suffix):
    values = np.linspace(-1024, 3000, 400).astype(np.int16).reshape(20, 20)
    image = read_image(write_bands(tmp_path / f'a{suffix}', values), 1, value_range=(-1000, 400))
    wanted = np.clip((values.astype(float) + 1000) / 1400 * 255, 0, 255)
    assert np.abs(image[..., 0] - wanted).max() <= 0.5 + 1e-4


@pytest.mark.parametrize('planar', ['contig', 'separate', 'pages', 'npy'])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32',
                                   'float64'])
@pytest.mark.parametrize('bands', [2, 5, 13])
@pytest.mark.situation('images', '2, 5, 8 or 13 bands of uint8 to float64: TIFF interleaved, '
                       'band-sequential or one band a page, or npy', 'works',
                       'with `channels=` the number of bands')
def test_any_numbers_and_bands(tmp_path, planar, dtype, bands):
    array = (np.random.default_rng(0).random((16, 20, bands)) * 200).astype(dtype)
    if planar == 'npy':
        path = write_bands(tmp_path / 'a.npy', array)
    elif planar == 'pages':
        path = str(tmp_path / 'a.tif')
        with tifffile.TiffWriter(path) as file:
            for band in range(bands):
                file.write(array[..., band], photometric='minisblack')
    else:
        path = write_bands(tmp_path / 'a.tif', array, planarconfig=planar)
    kept = read_image(path, bands, to_float32=True)
    assert kept.dtype == np.float32 and np.array_equal(kept, array.astype(np.float32))
    scaled = read_image(path, bands, value_range=(0, 200))
    assert scaled.dtype == np.uint8 and np.abs(scaled - array / 200 * 255).max() <= 0.501
    if dtype == 'uint8':
        assert np.array_equal(read_image(path, bands), array)
    assert LoadImage(bands, percentiles=(1, 99))(dict(img_path=path))['img'].dtype == np.uint8


@pytest.mark.situation('images', '`tifffile.imwrite` of (H, W, 8) without `planarconfig`, which '
                       'makes a page of each row', 'works', 'by the shape that it notes')
@pytest.mark.parametrize('bands', [2, 8])
def test_an_array_that_was_written_row_by_row(tmp_path, bands):
    array = (np.random.default_rng(0).random((40, 30, bands)) * 200).astype(np.uint16)
    path = str(tmp_path / 'a.tif')
    tifffile.imwrite(path, array, photometric='minisblack')
    assert np.array_equal(read_image(path, bands, to_float32=True), array)
    assert image_size(path) == (40, 30)
    with pytest.raises(ImageReadError, match=rf'has shape \(40, 30, {bands}\)'):
        read_image(path, bands + 3, to_float32=True)


def test_three_bands_of_a_tiff_are_rgb_in_every_type(tmp_path):
    rgb = (np.random.default_rng(0).random((16, 20, 3)) * 200).astype(np.uint8)
    for number, (dtype, options) in enumerate([
            ('uint8', dict(photometric='rgb')), ('uint8', {}), ('uint16', dict(photometric='rgb')),
            ('uint16', dict(planarconfig='separate')), ('float32', dict(photometric='rgb'))]):
        path = write_bands(tmp_path / f'{number}.tif', rgb.astype(dtype), **options)
        assert np.array_equal(read_image(path, value_range=(0, 255)), rgb[..., ::-1]), number
        if options.get('photometric') == 'rgb':
            grey = read_image(path, 1, value_range=(0, 255))[..., 0]
            assert np.abs(grey - rgb @ [0.299, 0.587, 0.114]).max() <= 1.5
    alpha = np.concatenate([rgb, rgb[..., :1]], axis=2).astype(np.uint16)
    path = write_bands(tmp_path / 'alpha.tif', alpha, photometric='rgb',
                       extrasamples=['unassalpha'])
    assert np.array_equal(read_image(path, value_range=(0, 255)), rgb[..., ::-1])
    path = write_bands(tmp_path / 'infrared.tif', alpha, photometric='rgb',
                       extrasamples=['unspecified'])
    with pytest.raises(ImageReadError, match=r'has shape \(16, 20, 4\)'):
        read_image(path, value_range=(0, 255))
    assert np.array_equal(read_image(path, 4, value_range=(0, 255)), alpha)


@pytest.mark.situation('images', 'a TIFF of 20 pages', 'error', 'names the number of pages and '
                       'both ways out: `page=` or `channels=20`')
def test_pages_are_bands_or_chosen(tmp_path):
    pages = np.random.default_rng(0).integers(0, 255, (20, 16, 24)).astype(np.uint8)
    path = str(tmp_path / 'stack.tif')
    tifffile.imwrite(path, pages, photometric='minisblack')
    with pytest.raises(ImageReadError, match=r'stack\.tif: has 20 pages of 1 band\(s\); .*page=0 '
                                             r'to page=19, .* channels=20'):
        read_image(path)
    assert np.array_equal(read_image(path, 20), pages.transpose(1, 2, 0))
    assert np.array_equal(read_image(path, 1, page=7)[..., 0], pages[7])
    assert np.array_equal(read_image(path, 3, page=0)[..., 2], pages[0])
    with pytest.raises(ImageReadError, match=r'has 20 page\(s\), .* page=20 is asked for'):
        read_image(path, page=20)


@pytest.mark.situation('images', 'a GeoTIFF with overviews', 'works', 'overviews and masks are no '
                       'pages')
def test_overviews_do_not_count_and_other_pages_are_named(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 5)).astype(np.uint16)
    path = tmp_path / 'overview.tif'
    for kind in (1, 0):         # reduced, or a page of its own
        with tifffile.TiffWriter(path) as file:
            file.write(image, photometric='minisblack', planarconfig='contig')
            file.write(image[::2, ::2], photometric='minisblack', planarconfig='contig',
                       subfiletype=kind)
        if kind:
            assert np.array_equal(read_image(str(path), 5, to_float32=True), image)
    with pytest.raises(ImageReadError, match=r'2 pages of different kinds .*page=0 to page=1'):
        read_image(str(path), 5, to_float32=True)
    assert read_image(str(path), 5, to_float32=True, page=1).shape == (16, 20, 5)


def test_ranges_a_band_and_what_is_kept_as_float(tmp_path):
    array = np.stack([np.linspace(0, 1, 400), np.linspace(-30, 10, 400)], -1).reshape(20, 20, 2)
    path = write_bands(tmp_path / 'a.npy', array.astype(np.float32))
    image = read_image(path, 2, value_range=[(0, 1), (-20, 0)])
    wanted = np.clip(np.stack([array[..., 0], (array[..., 1] + 20) / 20], -1), 0, 1) * 255
    assert np.abs(image - wanted).max() <= 0.501
    exact = read_image(path, 2, value_range=[(0, 1), (-20, 0)], to_float32=True)
    assert exact.dtype == np.float32 and np.allclose(exact, wanted, atol=1e-3)
    stretched = read_image(path, 2, percentiles=(0, 100))
    assert stretched.min((0, 1)).tolist() == [0, 0] and stretched.max((0, 1)).tolist() == [255, 255]
    constant = write_bands(tmp_path / 'b.npy', np.full((9, 9), 7, np.int16))
    assert not read_image(constant, 1, percentiles=(1, 99)).any()


@pytest.mark.situation('images', 'NaN in a float image', 'error', 'names the file and how many')
def test_numbers_that_are_not_finite(tmp_path):
    values = np.ones((16, 20), np.float32)
    values[:2, 0] = np.nan, np.inf
    with pytest.raises(ImageReadError, match=r'a\.tif: 2 of 320 numbers are not finite'):
        read_image(write_bands(tmp_path / 'a.tif', values), 1, to_float32=True)
    with pytest.raises(ImageReadError, match=r'a\.npy: holds complex64 numbers'):
        read_image(write_bands(tmp_path / 'a.npy', values.astype(np.complex64)), 1, to_float32=True)


def test_compressions_that_need_a_package_are_named(tmp_path):
    grey = np.random.default_rng(0).integers(0, 4000, (16, 20)).astype(np.uint16)
    colour = np.random.default_rng(0).integers(0, 4000, (16, 20, 3)).astype(np.uint16)
    lzw = [cv2.IMWRITE_TIFF_COMPRESSION, 5]
    for image in (grey, colour):        # OpenCV reads these
        cv2.imwrite(str(tmp_path / 'a.tif'), image, lzw)
        read = read_image(str(tmp_path / 'a.tif'), to_float32=True)
        assert np.array_equal(read[..., 0], image if image.ndim == 2 else image[..., 0])
    array = np.zeros((16, 20, 8), np.uint16)
    path = write_bands(tmp_path / 'b.tif', array, compression='zlib')
    assert np.array_equal(read_image(path, 8, to_float32=True), array)
    data = bytearray((tmp_path / 'b.tif').read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags['Compression']
    data[tag.valueoffset:tag.valueoffset + 2] = (5).to_bytes(2, 'little')
    (tmp_path / 'b.tif').write_bytes(data)
    with pytest.raises(ImageReadError, match=r'compressed by LZW, .*pip install imagecodecs'):
        read_image(path, 8, to_float32=True)


def test_sizes_come_from_headers(tmp_path, monkeypatch):
    """Also of images above Pillow's limit, whose header alone is read."""
    write_bands(tmp_path / 'a.npy', np.zeros((9, 20, 3), np.int16))
    write_bands(tmp_path / 'a.tif', np.zeros((9, 20, 8), np.int16), planarconfig='separate')
    save(tmp_path / 'a.png', np.zeros((9, 20, 3), np.uint8))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    for suffix in ('npy', 'tif', 'png'):
        assert image_size(str(tmp_path / f'a.{suffix}')) == (9, 20)
    assert Image.MAX_IMAGE_PIXELS == 10
    (tmp_path / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    for read in (image_size, read_image):
        with pytest.raises(ImageReadError, match=r'gone\.png: is a link to .*nowhere\.png, which '
                                                 'is not there'):
            read(str(tmp_path / 'gone.png'))
    for name in ('text.png', 'text.npy', 'text.tif'):
        (tmp_path / name).write_bytes(b'no image')
        with pytest.raises(ImageReadError, match=f'{name}: is truncated, damaged or no image'):
            image_size(str(tmp_path / name))


@pytest.mark.parametrize(('options', 'said'), [
    (dict(value_range=(5, 5)), r'value_range=\(5, 5\); expected \(low, high\), low below high'),
    (dict(value_range=[(0, 1), (0, 2)]), 'one pair for each of the 3 channels'),
    (dict(value_range='auto'), "value_range='auto'"),
    (dict(percentiles=(1, 101)), 'from 0 to 100'),
    (dict(value_range=(0, 1), percentiles=(1, 99)), 'expected one of them'),
    (dict(page=-1), 'page=-1')])
def test_settings_out_of_range(options, said):
    with pytest.raises(ValueError, match=said):
        LoadImage(**options)


def test_exif_orientation_as_mmseg(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / 'a.jpg', rgb, quality=95, exif=exif)
    image = read_image(path)
    assert image.shape == (60, 40, 3)
    assert np.array_equal(image, LoadImageFromFile()(dict(img_path=path))['img'])


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
    said = rf'dot\.png: is {size[1]}x{size[0]} pixels; expected .* at least 8 pixels per side'
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
    with pytest.raises(ValueError, match='channels=0; expected'):
        LoadImage(channels=0)
