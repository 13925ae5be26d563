"""Region files of a folder: continued after a kill, current, of one kind of settings."""
from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdense.datasets.transforms.regions import make_command
from mmdense.regions import METHODS, folder, make_folder, make_regions, read_regions
from mmdense.regions.folder import SIDECAR, noted_settings, summary

OPTIONS = dict(scale=50, min_size=20)


@pytest.fixture
def images(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / 'images' / f'{number % 2}' / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, 255, (3, 4, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(blocks, (40, 30), interpolation=cv2.INTER_NEAREST))
    return tmp_path / 'images'


def make(images: Path, out: Path, **changes):
    settings = dict(method='fh', options=OPTIONS) | changes
    files = sorted(str(path) for path in images.rglob('*.*') if path.suffix in ('.png', '.jpg'))
    return make_folder(str(images), files, str(out), **settings)


def written(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(out.rglob('*.png'))}


@pytest.mark.parametrize('workers', [1, 2])
def test_a_folder_gets_the_regions_of_each_image(workers, images, tmp_path):
    made = make(images, tmp_path / 'out', workers=workers)
    assert [one.new for one in made] == [True] * 6
    for one in made:
        image = cv2.imread(one.image)
        path = tmp_path / 'out' / Path(one.image).relative_to(images)
        regions = read_regions(path, image.shape[:2])
        assert np.array_equal(regions, make_regions(image, **OPTIONS))
        assert one.regions == regions.max() and one.shares.sum() == pytest.approx(1)
    sidecar = json.loads((tmp_path / 'out' / SIDECAR).read_text())
    assert sidecar == dict(method='fh', options=dict(scale=50, sigma=0.8, min_size=20),
                           suffix='.png', images=str(images.resolve()))


def test_a_killed_run_is_continued(images, tmp_path):
    out = tmp_path / 'out'
    reference = tmp_path / 'reference'
    make(images, reference)

    def kill(made):
        if made.image.endswith('2.png'):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(images, out, on_image=kill)
    (out / '1').mkdir()
    (out / '1/.5.png.7-ab.partial').write_bytes(b'\x89PNG half of it')       # killed while it wrote
    before = written(out)
    assert len(before) == 2
    made = make(images, out)
    assert [one.new for one in made] == [False, False, True, True, True, True]
    after = written(out)
    assert before.items() <= after.items()
    assert not list(out.rglob('*.partial'))
    for path in after:
        assert path.read_bytes() == (reference / path.relative_to(out)).read_bytes()
    assert not any(one.new for one in make(images, out)) and written(out) == after


def test_damaged_and_outdated_files_are_made_anew(images, tmp_path):
    out = tmp_path / 'out'
    make(images, out)
    whole = (out / '0/2.png').read_bytes()
    (out / '0/2.png').write_bytes(whole[:30])
    later = time.time_ns() + 10 ** 10
    os.utime(images / '1/3.png', ns=(later, later))
    new = {Path(one.image).name for one in make(images, out) if one.new}
    assert new == {'2.png', '3.png'} and (out / '0/2.png').read_bytes() == whole


def test_an_image_replaced_by_an_older_one_is_made_anew(images, tmp_path):
    """As ``cp -p``, rsync and tar leave it, before its regions: another size gives it away."""
    out = tmp_path / 'out'
    make(images, out)
    path = images / '0/4.png'
    cv2.imwrite(str(path), np.zeros((20, 50, 3), np.uint8))
    os.utime(path, ns=(0, 0))
    assert [Path(one.image).name for one in make(images, out) if one.new] == ['4.png']
    assert read_regions(out / '0/4.png', (20, 50)).max() == 1


def test_regions_of_other_images_are_not_taken_for_these(images, tmp_path):
    out, other = tmp_path / 'out', tmp_path / 'other'
    make(images, out)
    shutil.copytree(images, other)
    with pytest.raises(ValueError, match=f'regions of the images in {images}, not of .*{other}'):
        make(other, out)
    note = json.loads((out / SIDECAR).read_text())
    (out / SIDECAR).write_text(json.dumps({**note, 'images': str(other)}))
    assert not any(one.new for one in make(other, out))         # as the message says
    del note['images']
    (out / SIDECAR).write_text(json.dumps(note))
    assert not any(one.new for one in make(images, out))        # a note of an earlier version


def test_an_interrupted_run_does_not_wait_for_its_workers(images, tmp_path, monkeypatch):
    def slow(image):
        time.sleep(60 if list((tmp_path / 'out').rglob('*.png')) else 0)
        return np.ones(image.shape[:2], np.int32)

    def stop(made):
        raise KeyboardInterrupt

    for number in range(6, 40):
        shutil.copy(images / '0/0.png', images / f'0/{number}.png')
    monkeypatch.setitem(METHODS, 'slow', slow)
    monkeypatch.setattr(folder, 'CHUNK', 1)
    others, start = set(multiprocessing.active_children()), time.time()
    with pytest.raises(KeyboardInterrupt):
        make(images, tmp_path / 'out', method='slow', options={}, workers=2, on_image=stop)
    assert time.time() - start < 30
    assert set(multiprocessing.active_children()) <= others


@pytest.mark.parametrize('changes', [
    dict(options=dict(scale=51, min_size=20)), dict(method='grid', options={}),
    dict(suffix='.npz')])
def test_other_settings_are_refused_and_nothing_changes(changes, images, tmp_path):
    out = tmp_path / 'out'
    make(images, out)
    before = written(out)
    with pytest.raises(ValueError, match='out holds regions made with other settings.*"scale": 50'):
        make(images, out, **changes)
    assert written(out) == before and not list(out.rglob('*.npz'))


def test_folders_that_are_not_ours_are_refused(images, tmp_path):
    labels = tmp_path / 'labels'
    labels.mkdir()
    (labels / 'a.png').write_bytes(b'a label map')
    with pytest.raises(ValueError, match=r'labels holds .* files, but no regions\.json'):
        make(images, labels)
    with pytest.raises(ValueError, match='would be taken for images'):
        make(images, images / 'regions')
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / SIDECAR).write_text('{"method": ')
    with pytest.raises(ValueError, match=r'broken/regions\.json is damaged'):
        make(images, tmp_path / 'broken')
    assert [path.name for path in labels.iterdir()] == ['a.png']


def test_two_images_of_one_name_are_refused(images, tmp_path):
    cv2.imwrite(str(images / '0/2.jpg'), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(ValueError, match=r'2\.jpg and .*2\.png would both get .*out/0/2\.png'):
        make(images, tmp_path / 'out')


@pytest.mark.parametrize('workers', [1, 2])
def test_an_unreadable_image_does_not_stop_the_others(workers, images, tmp_path):
    (images / '1/1.png').write_bytes(b'no image')
    made = make(images, tmp_path / 'out', workers=workers)
    failed = [one for one in made if one.error]
    assert len(failed) == 1 and '1/1.png: is truncated, damaged or no image' in failed[0].error
    assert len(written(tmp_path / 'out')) == 5
    facts = summary(made)
    assert (facts['images'], facts['failed'], facts['new']) == (5, 1, 5)
    assert facts['covered'] == pytest.approx(100)
    counts = [one.regions for one in made if not one.error]
    assert (facts['regions_min'], facts['regions_max']) == (min(counts), max(counts))
    assert facts['images_of_one_region'] == counts.count(1) and facts['area_min'] < 100 / 12
    assert summary(failed) == dict(images=0, new=0, failed=1)


def test_more_than_65535_regions_need_npz(images, tmp_path):
    cv2.imwrite(str(images / '0/big.png'), np.zeros((300, 300, 3), np.uint8))
    for path in images.rglob('[0-9].png'):
        path.unlink()
    grid = dict(method='grid', options=dict(cells=260))
    made = make(images, tmp_path / 'png', **grid)
    assert 'more go into a .npz file' in made[0].error
    made = make(images, tmp_path / 'npz', suffix='.npz', **grid)
    assert made[0].regions == 67600
    assert read_regions(tmp_path / 'npz/0/big.npz').max() == 67600


def _is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='reads /proc')
def test_workers_end_when_their_parent_is_killed(images, tmp_path, monkeypatch):
    def slow(image):
        (tmp_path / f'worker_{os.getpid()}').touch()
        if image.shape[0] == 30:
            time.sleep(60)
        return np.ones(image.shape[:2], np.int32)

    monkeypatch.setitem(METHODS, 'slow', slow)
    fork = multiprocessing.get_context('fork')
    parent = fork.Process(target=make, args=(images, tmp_path / 'out'),
                          kwargs=dict(method='slow', options={}, workers=2))
    parent.start()

    def workers() -> list[int]:
        found = [int(path.name.partition('_')[2]) for path in tmp_path.glob('worker_*')]
        return [pid for pid in found if pid != parent.pid]

    deadline = time.time() + 60
    while len(workers()) < 2 and time.time() < deadline:
        time.sleep(0.05)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    while any(map(_is_alive, workers())) and time.time() < deadline:
        time.sleep(0.05)
    assert len(workers()) == 2 and not any(map(_is_alive, workers()))


def test_workers_start_though_opencv_had_threads(images, tmp_path):
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 5)
        assert len(make(images, tmp_path / 'out', workers=2)) == 6
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(threads)


def test_a_killed_worker_ends_the_run_and_loses_nothing(images, tmp_path, monkeypatch):
    def dies(image):
        if len(list((tmp_path / 'out').rglob('*.png'))) >= 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.ones(image.shape[:2], np.int32)

    for number in range(6, 40):
        shutil.copy(images / '0/0.png', images / f'0/{number}.png')
    monkeypatch.setitem(METHODS, 'dies', dies)
    with pytest.raises(ChildProcessError, match='a worker was killed.*goes on from there'):
        make(images, tmp_path / 'out', method='dies', options={}, workers=2)
    assert len(written(tmp_path / 'out')) >= 4
    monkeypatch.setitem(METHODS, 'dies', lambda image: np.ones(image.shape[:2], np.int32))
    made = make(images, tmp_path / 'out', method='dies', options={}, workers=2)
    assert len(made) == 40 and {one.new for one in made} == {True, False}


@pytest.mark.situation('images', 'regions of images of five bands of 16 bits', 'works',
                       'with `tools/make_regions.py --load channels=5 value_range=…`')
def test_images_of_other_numbers_and_bands(tmp_path):
    array = np.zeros((30, 40, 5), np.uint16)
    array[:, 20:, 4] = 4000
    images, out = tmp_path / 'images', str(tmp_path / 'out')
    images.mkdir()
    np.save(images / 'a.npy', array)
    files, load = [str(images / 'a.npy')], dict(channels=5, value_range=[0, 4000])
    plain, = make_folder(str(images), files, str(tmp_path / 'plain'), options=OPTIONS)
    assert 'has shape (30, 40, 5)' in plain.error
    made, = make_folder(str(images), files, out, options=OPTIONS, load=load)
    assert made.regions > 1 and noted_settings(out)['load'] == load
    assert "--load channels=5 'value_range=[0, 4000]'" in make_command(str(images), out)
    with pytest.raises(ValueError, match="not by 'to_float32'"):
        make_folder(str(images), files, out, load=dict(to_float32=True))
    with pytest.raises(ValueError, match='LoadImage: channels=0'):
        make_folder(str(images), files, out, load=dict(channels=0))


def test_the_tool_makes_shows_and_refuses(repo, images, tmp_path):
    def tool(*options):
        return subprocess.run(
            [sys.executable, repo / 'tools/make_regions.py', images, tmp_path / 'out', *options],
            env={**os.environ, 'PYTHONPATH': f'{repo}:{os.environ.get("PYTHONPATH", "")}'},
            capture_output=True, text=True)

    done = tool('--options', 'scale=50', 'min_size=0.02', '--workers', '2')
    assert done.returncode == 0, done.stderr[-3000:]
    assert '6 images have regions, 6 of them new' in done.stdout
    assert 'images/s' in done.stdout and 'pixels in a region: 100.0 %' in done.stdout
    sheet = cv2.imread(str(tmp_path / 'out/contact_sheet.jpg'))
    assert sheet.shape == (2 * 164 - 4, 6 * 164 - 4, 3)
    assert json.loads((tmp_path / 'out' / SIDECAR).read_text())['options']['min_size'] == 0.02
    done = tool('--method', 'grid')
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith('error: ') and 'made with other settings' in error
