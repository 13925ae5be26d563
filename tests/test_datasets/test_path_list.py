"""Lists that are kept: read once for all processes of a machine, and never when they are stale."""
from __future__ import annotations

import os
import pickle
import threading
import time

import numpy as np
import pytest

from mmdense.datasets import UnlabelledDataset, path_list, unlabelled
from mmdense.datasets.path_list import PathList

NAMES = ['a b.png', 'größe.png', '写真.png', os.fsdecode(b'latin-\xe9.png'), 'sub/x.jpg',
         '/abs/y.png']


def paths_of(dataset) -> list[str]:
    return [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]


def age(*folders) -> None:
    """Let the folders' last change be an hour ago; one of a moment ago is not relied upon."""
    for folder in folders:
        before = time.time() - 3600
        os.utime(folder, (before, before))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of three images, and one image beside them."""
    monkeypatch.setenv('MMDENSE_CACHE', str(tmp_path / 'cache'))
    root = tmp_path / 'images'
    for name in ('a/1.jpg', 'a/2.jpg', 'a/3.jpg', 'b/1.jpg', 'b/2.jpg', 'b/3.jpg', 'c.jpg'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / 'list.txt').write_text('b/3.jpg\nc.jpg\na/1.jpg\n')
    age(root, root / 'a', root / 'b', root / 'list.txt')
    return root


@pytest.fixture
def listings(monkeypatch):
    """How often a folder or a list was read."""
    counts = []
    for name in ('list_folder', 'list_named'):
        real = getattr(unlabelled, name)
        monkeypatch.setattr(unlabelled, name,
                            lambda *given, real=real: counts.append(given) or real(*given))
    return counts


def test_paths_are_given_back_as_they_were():
    paths = PathList.pack('root', NAMES)
    wanted = [os.path.join('root', name) for name in NAMES]
    assert list(paths) == wanted and paths[-1] == '/abs/y.png' and len(paths) == 6
    assert paths[np.int64(1)] == wanted[1]
    assert list(paths.take([4, -1, 0])) == [wanted[4], wanted[5], wanted[0]]
    assert list(paths.take(slice(2, None)).take([1, 0])) == [wanted[3], wanted[2]]
    assert list(paths.take([])) == [] == list(PathList.pack('', []))
    assert list(pickle.loads(pickle.dumps(paths.take([3])))) == wanted[3:4]
    for index in (6, -7):
        with pytest.raises(IndexError, match=f'image {index} of 6'):
            paths[index]


@pytest.mark.parametrize('given', [{}, dict(ann_file='list.txt'), dict(recursive=False)])
@pytest.mark.situation('many images', 'a second start on the same folder or list', 'works',
                       'the list is read from its file, shared by all processes of the machine')
def test_the_second_start_reads_the_kept_list(folder, listings, given):
    first = paths_of(UnlabelledDataset(data_root=str(folder), **given))
    again = UnlabelledDataset(data_root=str(folder), **given)
    assert paths_of(again) == first and len(listings) == 1
    mapped = again.data_list.paths.names
    while isinstance(mapped.base, np.ndarray):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)
    assert len(first) == {'ann_file': 3, 'recursive': 1}.get(next(iter(given), ''), 7)


def test_a_folder_is_the_same_one_by_any_name(folder, listings, monkeypatch):
    UnlabelledDataset(data_root=str(folder))
    monkeypatch.chdir(folder.parent)
    assert paths_of(UnlabelledDataset(data_root='images'))[0] == 'images/a/1.jpg'
    (folder.parent / 'link').symlink_to('images')
    assert paths_of(UnlabelledDataset(data_root='link'))[0] == 'link/a/1.jpg'
    assert len(listings) == 1


def rename(folder):
    (folder / 'b').rename(folder / 'd')


def change_list(folder):
    (folder / 'list.txt').write_text('c.jpg\n')


@pytest.mark.parametrize(('change', 'given', 'count'), [
    pytest.param(lambda folder: (folder / 'a/4.jpg').touch(), {}, 8, id='added',
                 marks=pytest.mark.situation('many images', 'a file added since the last start',
                                             'works', "the folder's time says so: listed anew")),
    pytest.param(lambda folder: (folder / 'b/2.jpg').unlink(), {}, 6, id='removed',
                 marks=pytest.mark.situation('many images', 'a file removed since the last start',
                                             'works', 'listed anew')),
    pytest.param(rename, {}, 7, id='renamed-folder', marks=pytest.mark.situation(
        'many images', 'a folder renamed since the last start', 'works', 'listed anew')),
    pytest.param(change_list, dict(ann_file='list.txt'), 1, id='edited-list',
                 marks=pytest.mark.situation('many images', 'a list edited since the last start',
                                             'works', 'read anew')),
    pytest.param(lambda folder: (folder / 'a/.new').mkdir(), {}, 7, id='hidden-folder')])
def test_a_list_that_no_longer_holds_is_made_anew(folder, listings, change, given, count):
    before = paths_of(UnlabelledDataset(data_root=str(folder), **given))
    change(folder)
    after = paths_of(UnlabelledDataset(data_root=str(folder), **given))
    assert len(listings) == 2 and len(after) == count and all(map(os.path.exists, after))
    assert (after == before) == (change.__name__ == '<lambda>' and count == 7)


def test_an_image_of_a_list_that_was_removed_is_named(folder):
    UnlabelledDataset(data_root=str(folder), ann_file='list.txt')
    (folder / 'b/3.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images are not there: .*b/3\.jpg'):
        UnlabelledDataset(data_root=str(folder), ann_file='list.txt')


def test_what_changed_a_moment_ago_is_not_relied_upon(folder, listings):
    (folder / 'a/4.jpg').touch()
    for _ in range(2):      # a change within the clock's tick would leave the folder's time
        assert len(UnlabelledDataset(data_root=str(folder))) == 8
    assert len(listings) == 2


@pytest.mark.situation('many images', 'a file system whose folders have no times (mounts of object '
                       'stores)', 'works', 'listed at every start; one line says why where that '
                       'takes more than 5 seconds')
def test_folders_without_times_are_listed_at_every_start(folder, listings, monkeypatch):
    said = []
    monkeypatch.setattr(path_list, 'print_log', lambda text, *_, **__: said.append(text))
    os.utime(folder / 'a', (0, 0))
    assert len(UnlabelledDataset(data_root=str(folder))) == 7
    clock = iter((10 ** 19, 10 ** 19 + 6 * 10 ** 9))
    monkeypatch.setattr(path_list.time, 'time_ns', lambda: next(clock))
    assert len(UnlabelledDataset(data_root=str(folder))) == 7 and len(listings) == 2
    assert said == [f'the list of 7 images of {folder} took 6 s and is not kept for the next '
                    'start: this file system has no times of folders']


@pytest.mark.parametrize('damage', [
    lambda data: data[:-1], lambda data: b'', lambda data: b'x' * len(data),
    lambda data: data[:-9] + b'\xff' * 9])
def test_a_damaged_list_is_made_anew(folder, listings, damage):
    first = paths_of(UnlabelledDataset(data_root=str(folder)))
    kept = next((folder.parent / 'cache').glob('*.paths'))
    kept.write_bytes(damage(kept.read_bytes()))
    assert paths_of(UnlabelledDataset(data_root=str(folder))) == first and len(listings) == 2


@pytest.mark.situation('many images', 'no permission to keep the list', 'warning',
                       'listed at every start; one line says why and names MMDENSE_CACHE')
def test_without_permission_to_keep_it_is_listed_with_one_line(folder, listings, monkeypatch):
    said = []
    monkeypatch.setattr(path_list, 'print_log', lambda text, *_, **__: said.append(text))
    (folder.parent / 'file').touch()        # root, who may run this, may write anywhere else
    monkeypatch.setenv('MMDENSE_CACHE', str(folder.parent / 'file/cache'))
    assert len(UnlabelledDataset(data_root=str(folder))) == 7 == len(
        UnlabelledDataset(data_root=str(folder)))
    assert len(listings) == len(said) == 2 and 'set MMDENSE_CACHE' in said[0]
    assert 'file/cache' in said[0] and '\n' not in said[0]


def test_a_list_of_another_user_is_read_without_writing(folder, listings, monkeypatch):
    UnlabelledDataset(data_root=str(folder))

    def refuse(*_, **__):
        raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(path_list, 'locked', refuse)
    monkeypatch.setattr(path_list, 'whole_file', refuse)
    assert len(UnlabelledDataset(data_root=str(folder))) == 7 and len(listings) == 1


@pytest.mark.situation('many images', 'all processes of a machine start at once', 'works',
                       'one lists, the others wait for its list')
def test_of_several_at_once_one_lists(folder, listings, monkeypatch):
    slow = unlabelled.list_folder
    monkeypatch.setattr(unlabelled, 'list_folder', lambda *given: time.sleep(0.3) or slow(*given))
    lengths = []
    threads = [threading.Thread(target=lambda: lengths.append(
        len(UnlabelledDataset(data_root=str(folder))))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [7] * 4 and len(listings) == 1
