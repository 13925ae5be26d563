"""Region files: what is written comes back, and what is wrong with one is said."""
from __future__ import annotations

from pathlib import Path

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


def ids(count: int, height: int = 300, width: int = 300) -> np.ndarray:
    return (np.arange(height * width) % count + 1).reshape(height, width).astype(np.int32)


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


def test_a_palette_gives_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8), 'P')
    image.putpalette([9, 9, 9, 255, 0, 0, 9, 9, 9])      # two of the same colour
    image.save(tmp_path / 'a.png')
    assert read_regions(tmp_path / 'a.png').tolist() == [[0, 2], [1, 2]]
    Image.fromarray(np.array([[False, True]])).save(tmp_path / 'b.png')
    assert read_regions(tmp_path / 'b.png').tolist() == [[0, 1]]


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
