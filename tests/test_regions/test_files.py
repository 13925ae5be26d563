"""Region files: what is written comes back, and what is wrong with one is said."""
from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdense.regions import (
    RegionFileError,
    compact_regions,
    read_regions,
    region_file,
    write_regions,
)
from mmdense.regions.files import read_ids


def ids(count: int, height: int = 300, width: int = 300) -> np.ndarray:
    return (np.arange(height * width) % count + 1).reshape(height, width).astype(np.int32)


def interlaced_png(pixels: np.ndarray) -> bytes:
    """Return a PNG of grey values (H, W) in the seven passes of its interlacing, unfiltered."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))
    rows = b''.join(b'\0' + row.astype(row.dtype.newbyteorder('>')).tobytes()
                    for y, x, dy, dx in passes for row in pixels[y::dy, x::dx])
    header = struct.pack('>IIBBBBB', *pixels.shape[::-1], 8 * pixels.itemsize, 0, 0, 0, 1)
    chunks = ((b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + kind + content
        + struct.pack('>I', zlib.crc32(kind + content)) for kind, content in chunks)


@pytest.mark.parametrize('count, name, mode', [
    (255, 'a/b.png', 'L'), (256, 'b.png', 'I;16'), (65535, 'b.png', 'I;16'),
    (80000, 'b.npz', None)])
def test_ids_come_back_whatever_their_number(count, name, mode, tmp_path):
    regions = ids(count)
    regions[0, 0] = 0
    write_regions(tmp_path / name, regions)
    assert np.array_equal(read_regions(tmp_path / name, (300, 300)), regions)
    assert mode is None or Image.open(tmp_path / name).mode == mode
    assert [path.name for path in tmp_path.rglob('*.*')] == [name.rpartition('/')[2]]


def test_more_ids_than_a_file_holds_never_wrap(tmp_path):
    with pytest.raises(ValueError, match=r'b\.png: region ids 0\.\.65536; a png file holds 0'):
        write_regions(tmp_path / 'b.png', ids(65536))
    with pytest.raises(ValueError, match=r'-3\.\.0'):
        write_regions(tmp_path / 'b.png', ids(5) * 0 - 3)
    with pytest.raises(ValueError, match=r'region files end in \.png or \.npz'):
        write_regions(tmp_path / 'b.jpg', ids(5))
    assert not list(tmp_path.iterdir())


def test_ids_are_renumbered_and_counted_when_they_are_read(tmp_path):
    Image.fromarray(np.array([[0, 40000], [7, 900]], np.uint16)).save(tmp_path / 'a.png')
    assert read_regions(tmp_path / 'a.png').tolist() == [[0, 3], [1, 2]]
    assert read_regions(tmp_path / 'a.png', max_regions=3).max() == 3
    with pytest.raises(RegionFileError, match=r'a\.png: 3 regions; expected at most 2'):
        read_regions(tmp_path / 'a.png', max_regions=2)


def test_ids_of_8_bits_are_renumbered_only_where_it_matters(tmp_path):
    Image.fromarray(np.array([[0, 200], [7, 200]], np.uint8)).save(tmp_path / 'a.png')
    read = partial(read_regions, tmp_path / 'a.png', keep_8_bits=True)
    assert read().tolist() == [[0, 200], [7, 200]] and read().dtype == np.uint8
    assert read(max_regions=200).tolist() == [[0, 200], [7, 200]]
    assert read(max_regions=2).tolist() == [[0, 2], [1, 2]]     # two, though one is called 200
    with pytest.raises(RegionFileError, match=r'a\.png: 2 regions; expected at most 1'):
        read(max_regions=1)


def test_a_palette_gives_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8), 'P')
    image.putpalette([9, 9, 9, 255, 0, 0, 9, 9, 9])      # two of the same colour
    image.save(tmp_path / 'a.png')
    assert read_regions(tmp_path / 'a.png').tolist() == [[0, 2], [1, 2]]
    Image.fromarray(np.array([[False, True]])).save(tmp_path / 'b.png')
    assert read_regions(tmp_path / 'b.png').tolist() == [[0, 1]]
    wide = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8).repeat(20, 0).repeat(20, 1), 'P')
    wide.putpalette([9, 9, 9, 255, 0, 0, 9, 9, 9])
    wide.save(tmp_path / 'c.png')
    for small in (False, True):
        found = read_regions(tmp_path / 'c.png', keep_8_bits=small)
        assert found.flags.writeable and found[::20, ::20].tolist() == [[0, 2], [1, 2]]


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('write', ['pillow', 'cv2', 'interlaced', 'many chunks'])
def test_grey_files_of_other_programs(kind, write, tmp_path):
    """Filtered, interlaced and in many pieces: all give the ids that were written."""
    regions = np.random.default_rng(0).integers(1, 200, (90, 70)).astype(kind)
    regions[0, :30], regions[-1, -1] = np.arange(1, 31), 0
    path = tmp_path / 'a.png'
    if write == 'pillow':
        Image.fromarray(regions).save(path)
    elif write == 'interlaced':
        path.write_bytes(interlaced_png(regions))
    elif write == 'cv2':
        cv2.imwrite(str(path), regions, (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH))
    else:
        regions = np.random.default_rng(0).integers(0, 200, (900, 700)).astype(kind)
        regions[0, 0] = np.iinfo(kind).max
        write_regions(path, regions)
        assert path.read_bytes().count(b'IDAT') > 1
    found = read_regions(path, regions.shape)
    assert np.array_equal(found, compact_regions(regions)) and found.flags.writeable
    assert found.dtype == np.int32
    small = read_regions(path, regions.shape, keep_8_bits=True)
    assert np.array_equal(small, regions if kind is np.uint8 else found) and small.flags.writeable
    assert small.dtype == (np.uint8 if kind is np.uint8 else np.int32)
    assert np.array_equal(read_ids(path), regions) and read_ids(path).dtype == kind


def test_a_header_that_claims_another_size(tmp_path):
    """The file is whole, but its pixels are fewer than it says, up to absurdly many."""
    write_regions(tmp_path / 'a.png', ids(5, 60, 60))
    data = (tmp_path / 'a.png').read_bytes()
    for width, height in ((60, 61), (61, 60), (2 ** 31 - 1, 2 ** 31 - 1), (0, 60)):
        header = b'IHDR' + struct.pack('>II', width, height) + data[24:29]
        (tmp_path / 'a.png').write_bytes(
            data[:12] + header + struct.pack('>I', zlib.crc32(header)) + data[33:])
        with pytest.raises(RegionFileError, match=r'a\.png: (damaged, cut off|declares 2147)'):
            read_regions(tmp_path / 'a.png')


def test_an_image_of_one_region_or_none(tmp_path):
    for value in (0, 1):
        write_regions(tmp_path / 'a.png', np.full((9, 8), value))
        assert (read_regions(tmp_path / 'a.png', (9, 8)) == value).all()


@pytest.mark.parametrize('suffix', ['.png', '.npz'])
def test_cut_off_changed_and_empty_files(suffix, tmp_path):
    path = tmp_path / f'a{suffix}'
    write_regions(path, np.random.default_rng(0).integers(1, 200, (60, 60)))
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1:]
    for content in (whole[:middle], whole[:-9], whole[:20], b'', b'no image', flipped):
        path.write_bytes(content)
        with pytest.raises(RegionFileError, match=rf'a\{suffix}: damaged, cut off or no'):
            read_regions(path)


def test_files_that_hold_something_else(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'a.png')
    with pytest.raises(RegionFileError, match=r'a\.png.*is a colour image \(mode RGB\)'):
        read_regions(tmp_path / 'a.png')
    for name, array in dict(regions=np.zeros((2, 2)), other=np.zeros((2, 2), int)).items():
        np.savez(tmp_path / 'b.npz', **{name: array})
        with pytest.raises(RegionFileError, match=r'b\.npz: damaged.*under \'regions\''):
            read_regions(tmp_path / 'b.npz')
    write_regions(tmp_path / 'c.png', ids(4, 8, 6))
    with pytest.raises(RegionFileError, match=r'c\.png: a region map of 6x8 pixels; expected 8x6'):
        read_regions(tmp_path / 'c.png', (6, 8))
    with pytest.raises(FileNotFoundError, match=r'd\.png: no such region file'):
        read_regions(tmp_path / 'd.png')


def test_files_lie_as_the_images_do(tmp_path):
    assert region_file('im/a/b.jpg', 'im', 'out') == region_file('./im/a/b.jpg', 'im/', 'out')
    assert str(region_file('im/a/b.c.jpg', 'im', 'out')) == 'out/a/b.c.png'
    assert str(region_file('im/..a/b.jpg', 'im', 'out')) == 'out/..a/b.png'
    with pytest.raises(ValueError, match='other/b.jpg is not below im'):
        region_file('other/b.jpg', 'im', 'out')


@pytest.mark.parametrize('kind', [np.bool_, np.uint8, np.int16, np.uint64])
def test_compact_ids_of_any_type_stay(kind):
    ids = np.ones((16, 16), kind)
    ids[8:] = 0
    assert np.array_equal(compact_regions(ids), ids) and compact_regions(ids).dtype == np.int32


def test_a_double_slash_stays_below_the_folder(tmp_path):
    assert region_file(f'{tmp_path}//a.jpg', tmp_path, 'out') == Path('out/a.png')


def npz(path: Path, change: str) -> None:
    """Write an npz file that is wrong in the way that ``change`` says."""
    array = io.BytesIO()
    np.save(array, ids(4, 8, 6))
    content, name, kind = array.getvalue(), 'regions.npy', zipfile.ZIP_DEFLATED
    if change == 'lzma':
        kind = zipfile.ZIP_LZMA
    elif change == 'no npy':
        content = b'text'
    elif change == 'other name':
        name = 'other.npy'
    elif change == 'claims more':
        content = content.replace(b'(8, 6)', b'(9, 6)')
    elif change == 'claims fewer':
        content = content.replace(b'(8, 6)', b'(7, 6)')
    elif change == 'broken header':
        content = content.replace(b"{'descr'", b"{'descr(")
    elif change == 'objects':
        array = io.BytesIO()
        np.save(array, np.array([[None]]), allow_pickle=True)
        content = array.getvalue()
    elif change == 'long texts':
        content = content.replace(b"'<i4'", b"'S9999999999'").replace(b' ' * 9, b' ')
    with zipfile.ZipFile(path, 'w', kind) as archive:
        archive.writestr(name, content)
    if change == 'encrypted':       # the flags of both headers say so
        data = bytearray(path.read_bytes())
        for mark, at in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
            data[data.index(mark) + at] |= 1
        path.write_bytes(data)
    elif change == 'other compression':
        data = bytearray(path.read_bytes())
        for mark, at in ((b'PK\3\4', 8), (b'PK\1\2', 10)):
            data[data.index(mark) + at] = 97
        path.write_bytes(data)


@pytest.mark.parametrize('change', [
    'encrypted', 'other compression', 'no npy', 'other name', 'claims more', 'claims fewer',
    'broken header', 'objects', 'long texts'])
@pytest.mark.situation(
    'labels', 'a region npz that is encrypted, packed otherwise, without an array, or whose header '
    'is broken or declares another size', 'error', 'names the file, and what was expected')
def test_npz_files_that_are_wrong_inside(tmp_path, change):
    npz(tmp_path / 'a.npz', change)
    with pytest.raises(RegionFileError, match=r"a\.npz: damaged.*in an npz file under 'regions'"):
        read_regions(tmp_path / 'a.npz')


def test_npz_files_of_other_compression_that_zip_knows(tmp_path):
    npz(tmp_path / 'a.npz', 'lzma')
    assert np.array_equal(read_regions(tmp_path / 'a.npz'), ids(4, 8, 6))


def huge_png(path: Path, side: int = 20_000) -> None:
    """Write a whole PNG of zeros, 1 bit a pixel where that is the only way to write it fast."""
    Image.new('1', (side, side)).save(path)


def huge_npz(path: Path) -> None:
    np.savez_compressed(path, regions=np.zeros((1200, 1000), np.uint8))


@pytest.mark.parametrize('write, name', [(huge_png, 'a.png'), (huge_npz, 'a.npz')])
@pytest.mark.situation(
    'security', 'a region file of a few bytes that unpacks to a huge map', 'error',
    "names the file, its size and its image's, before anything is unpacked")
def test_a_map_of_another_size_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, write, name):
    write(tmp_path / name)
    monkeypatch.setattr(np.lib.format, 'read_array', None)
    monkeypatch.setattr(Image.Image, 'load', None)
    with pytest.raises(RegionFileError, match=r'a region map of \d+x\d+ pixels; expected 8x6, the'):
        read_regions(tmp_path / name, (6, 8))
    with pytest.raises(RegionFileError, match=r'declares .* pixels, more than|damaged'):
        read_regions(tmp_path / name)


def test_pixels_beyond_the_declared_ones_are_not_unpacked(tmp_path):
    """A grey PNG of 8x6 pixels whose stream holds 100 MB of zeros."""
    rows = zlib.compress(bytes(100_000_000), 1)
    header = struct.pack('>IIBBBBB', 8, 6, 8, 0, 0, 0, 0)
    (tmp_path / 'a.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(
            kind + content)) for kind, content in ((b'IHDR', header), (b'IDAT', rows),
                                                   (b'IEND', b''))))
    tracemalloc.start()
    with pytest.raises(RegionFileError, match=r'a\.png: damaged.*for 8x6 of them'):
        read_regions(tmp_path / 'a.png', (6, 8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.situation('security', 'a named pipe in place of a region file', 'error',
                       'says so at once, and does not wait for a writer')
def test_a_pipe_is_no_region_file(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    with pytest.raises(RegionFileError, match=r'a\.png: cannot be read \(a pipe, device or socket'):
        read_regions(tmp_path / 'a.png')
