"""An image that declares too much is refused by its header; a pipe is no image."""
from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmdense.datasets.transforms import LoadImage
from mmdense.images.image_size import declared_pixels
from mmdense.images.reading import ImageReadError, read_image


def jpeg(width: int, height: int) -> bytes:
    """Return a small JPEG whose header declares another size."""
    data = bytearray(cv2.imencode('.jpg', np.full((16, 16, 3), 99, np.uint8))[1].tobytes())
    at = data.index(b'\xff\xc0')
    data[at + 5:at + 9] = struct.pack('>HH', height, width)
    return bytes(data)


def png(width: int, height: int) -> bytes:
    """Return a PNG that has hardly any pixels of those that it declares."""
    parts = ((b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)),
             (b'IDAT', zlib.compress(bytes(1000))), (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + kind + content + struct.pack(
            '>I', zlib.crc32(kind + content)) for kind, content in parts)


def saved(width: int, height: int, suffix: str) -> bytes:
    file = io.BytesIO()
    Image.new('L', (width, height)).save(file, suffix)
    return file.getvalue()


def npy(shape: str = '(16, 16, 3)', header: str = "{'descr': '|u1', 'fortran_order': False, "
        "'shape': SHAPE, }", length: int = 768) -> bytes:
    text = header.replace('SHAPE', shape).encode().ljust(117) + b'\n'
    return b'\x93NUMPY\1\0' + struct.pack('<H', len(text)) + text + bytes(length)


def refused(tmp_path: Path, name: str, data: bytes, monkeypatch=None, **options) -> str:
    (tmp_path / name).write_bytes(data)
    for owner, function in ((cv2, 'imdecode'), (Image.Image, 'load'), (np, 'load')):
        monkeypatch.setattr(owner, function, None)      # decoding would end in a TypeError
    with pytest.raises(ImageReadError) as error:
        read_image(str(tmp_path / name), **options)
    return str(error.value)


@pytest.mark.parametrize('name, data', [
    pytest.param('a.jpg', jpeg(20_000, 20_000), id='jpeg', marks=pytest.mark.situation(
        'security', 'a small JPEG that declares 20,000 x 20,000 pixels', 'error',
        'refused by its header; LoadImage(max_pixels=…) takes larger ones')),
    pytest.param('a.png', png(40_000, 30_000), id='png', marks=pytest.mark.situation(
        'security', 'a grey PNG that declares a gigapixel', 'error', 'refused by its header')),
    pytest.param('a.png', png(10_001, 10_000), id='just-over')])
def test_an_image_that_declares_too_much(tmp_path, monkeypatch, name, data):
    message = refused(tmp_path, name, data, monkeypatch)
    assert name in message and 'more than 100,000,000 (LoadImage(max_pixels=…))' in message


@pytest.mark.parametrize('shape, header, what', [
    ('(99999999, 99999999)', None, 'declares an array'), ('(16, 16, 4)', None, 'and has 768'),
    ('(-1, 16, 3)', None, 'declares the shape'), ('(16', None, 'broken header'),
    ('(16, 16, 3)', "{'descr': '|u1'}", 'broken header'), ('(16, 16)', '[' * 90, 'broken header'),
    ('(16, 16)', '\0' * 90, 'broken header')])
@pytest.mark.situation('images', 'a .npy file with a broken header, or one that declares more than '
                       'there is', 'error', 'names the file, what it declares and what it has')
def test_an_array_that_is_not_what_its_header_says(tmp_path, monkeypatch, shape, header, what):
    data = npy(shape) if header is None else npy(shape, header)
    message = refused(tmp_path, 'a.npy', data, monkeypatch)
    assert 'a.npy: ' in message and what in message


def test_the_limit_is_an_option(tmp_path):
    (tmp_path / 'a.png').write_bytes(saved(40, 30, 'png'))
    (tmp_path / 'a.npy').write_bytes(npy())
    with pytest.raises(ImageReadError, match=r'a\.npy: declares 256 pixels'):
        read_image(str(tmp_path / 'a.npy'), max_pixels=255)
    results = dict(img_path=str(tmp_path / 'a.png'))
    assert LoadImage(max_pixels=1200).transform(results)['img'].shape == (30, 40, 3)
    with pytest.raises(ImageReadError, match=r'a\.png: declares 1,200 pixels .*more than 1,199'):
        LoadImage(max_pixels=1199).transform(results)
    for value in (0, 1e8, None):
        with pytest.raises(ValueError, match='LoadImage: max_pixels='):
            LoadImage(max_pixels=value)


@pytest.mark.parametrize('suffix', ['jpeg', 'png', 'bmp', 'tiff', 'webp', 'gif', 'ppm'])
def test_the_size_is_in_the_header_of_every_kind(suffix):
    assert declared_pixels(saved(40, 30, suffix)) == 1200
    assert declared_pixels(b'no image') is None


def test_the_largest_page_counts(tmp_path, monkeypatch):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(np.zeros((16, 16), np.uint8))
        tiff.write(np.zeros((4000, 3000), np.uint8), compression='zlib')
    assert declared_pixels(file.getvalue()) == 12_000_000
    monkeypatch.setattr(tifffile, 'imread', None)
    message = refused(tmp_path, 'a.tif', file.getvalue(), monkeypatch, max_pixels=11_999_999)
    assert 'a.tif: declares 12,000,000 pixels' in message


@pytest.mark.situation('security', 'a named pipe among the images', 'error',
                       'says so at once, and does not wait for a writer')
def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / 'a.jpg')
    with pytest.raises(ImageReadError, match=r'a\.jpg: .*a pipe, device or socket, not a file'):
        read_image(str(tmp_path / 'a.jpg'))
    with pytest.raises(ImageReadError, match='/dev/zero: .*not a file'):
        read_image('/dev/zero')
