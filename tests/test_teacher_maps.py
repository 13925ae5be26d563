"""A teacher's maps in files: written once, read by image, refused where they are another's."""
from __future__ import annotations

import json
import shutil
from collections import namedtuple

import numpy as np
import pytest

from mmdense.datasets.transforms import LoadTeacherMaps
from mmdense.teacher_maps import IMAGES, MAPS, NOTE, WRITTEN, TeacherMaps, bytes_of

NOTES = dict(key='k', name='small', licence='MIT', size=[8, 8], shapes=[[2, 2, 2], [3, 1, 1]])


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f'{name}.jpg' for name in 'dacb']
    for number, path in enumerate(found):
        path.write_bytes(bytes(number + 1))
    return [str(path) for path in found]


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 11)).astype(np.float16)


def test_an_interrupted_writing_goes_on_and_a_row_is_found_by_its_image(paths, tmp_path):
    folder, given = tmp_path / 'maps', rows(4)
    TeacherMaps.begin(folder, NOTES, paths).write(np.array([2, 0]), given[[2, 0]])
    with pytest.raises(ValueError, match='maps of 2 of 4 images; .* goes on where it stopped'):
        TeacherMaps.open(folder)
    again = TeacherMaps.begin(folder, NOTES, paths)
    assert again.written.tolist() == [True, False, True, False]
    again.write(np.array([1, 3]), given[[1, 3]])
    found = TeacherMaps.open(folder)
    assert found.shapes == [(2, 2, 2), (3, 1, 1)] and bytes_of(4, NOTES['shapes']) == 4 * 11 * 2
    transform = LoadTeacherMaps(str(folder))
    for path, expected in zip(paths, given, strict=True):
        np.testing.assert_array_equal(transform(dict(img_path=path))['target'], expected)


@pytest.mark.situation('settings', "a teacher's maps of another teacher, of other images, damaged, "
                       'or without room on the disk', 'error',
                       'names the folder; nothing is written')
def test_what_is_not_there_or_another_is_told(paths, tmp_path, monkeypatch):
    folder = tmp_path / 'maps'
    TeacherMaps.begin(folder, NOTES, paths).write(np.arange(4), rows(4))
    with pytest.raises(ValueError, match=r'another teacher or input \(small, size \[8, 8\]\)'):
        TeacherMaps.begin(folder, {**NOTES, 'key': 'other'}, paths)
    with pytest.raises(ValueError, match='maps of other images'):
        TeacherMaps.begin(folder, NOTES, paths[:3])
    with pytest.raises(ValueError, match='4 images have 3 different names'):
        TeacherMaps.begin(tmp_path / 'twice', NOTES, [*paths[:3], paths[0]])
    with pytest.raises(FileNotFoundError, match='absent.jpg: no such image'):
        TeacherMaps.begin(tmp_path / 'absent', NOTES, ['absent.jpg'])
    with pytest.raises(ValueError, match='not finite in half precision'):
        TeacherMaps.open(folder, writing=True).write(np.array([0]), rows(1) + 1e6)
    found, new = TeacherMaps.open(folder), tmp_path / 'new.jpg'
    new.write_bytes(b'new')
    with pytest.raises(ValueError, match=r'has no maps of .*new.jpg'):
        found.row(str(new))
    with open(paths[0], 'ab') as file:
        file.write(b'more')
    with pytest.raises(ValueError, match='has 5 bytes, and 1 when .* its maps are of another'):
        found.row(paths[0])
    with pytest.raises(ValueError, match='the image has no img_path'):
        LoadTeacherMaps(str(folder))(dict(img=None))
    with pytest.raises(FileNotFoundError, match=f'has no {NOTE}'):
        TeacherMaps.open(tmp_path / 'nowhere')
    usage = namedtuple('usage', 'total used free')(9, 8, 1)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match=r'take 0.00 GB, and 0.00 GB are free'):
        TeacherMaps.begin(tmp_path / 'full', NOTES, paths)
    assert not [*(tmp_path / 'full').iterdir()]


@pytest.mark.parametrize('damage', ['note', 'images', 'written', 'shape'])
def test_damaged_files_are_told(damage, paths, tmp_path):
    folder = tmp_path / 'maps'
    TeacherMaps.begin(folder, NOTES, paths).write(np.arange(4), rows(4))
    if damage == 'note':
        (folder / NOTE).write_text('{')
    elif damage == 'shape':
        (folder / NOTE).write_text(json.dumps({**NOTES, 'format': 1, 'shapes': [[2, 2, 2]]}))
    else:
        name = dict(images=IMAGES, written=WRITTEN)[damage]
        (folder / name).write_bytes((folder / MAPS).read_bytes()[:40])
    with pytest.raises(OSError, match='cannot be read .* remove the folder'):
        TeacherMaps.open(folder)
