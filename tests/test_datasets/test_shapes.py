"""The generated world as datasets: first use, layout, stock loading, one writer at a time."""
from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmdense.datasets import ShapeObjectsDataset, ShapesDataset, UnlabelledDataset
from mmdense.datasets.generate import (
    SCENE_CLASSES,
    ensure_objects,
    ensure_scenes,
    make_object,
    make_scene,
    writing,
)

FEW = {'unlabelled': 4, 'labelled': 3, 'val': 2}
LOAD = [dict(type='mmseg.LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(writing, 'SCENE_COUNTS', FEW)


def digest(folder: Path) -> str:
    """Return the hash of the names and bytes of all files."""
    parts = [f'{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}'
             for path in sorted(folder.rglob('*')) if path.is_file()]
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()


def test_first_use_writes_and_stock_transforms_read(tmp_path):
    root = tmp_path / 'data/shapes'
    cfg = dict(type='mmdense.ShapesDataset', data_root=str(root), pipeline=LOAD)
    assert not DATASETS.build(dict(cfg, lazy_init=True))._fully_initialized and not root.exists()
    labelled = DATASETS.build(cfg)
    sample, (image, label) = labelled[2], make_scene(0, 'labelled', 2)
    assert np.array_equal(sample['img'], image) and np.array_equal(sample['gt_seg_map'], label)
    for split, count in FEW.items():
        assert len(ShapesDataset(str(root), f'ImageSets/Segmentation/{split}.txt')) == count
    assert labelled.metainfo['classes'] == SCENE_CLASSES
    assert len(labelled.metainfo['palette']) == len(SCENE_CLASSES)


def test_layout_is_that_of_voc(tmp_path):
    ensure_scenes(tmp_path / 'shapes')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.shapes.lock', 'shapes']
    label = Image.open(tmp_path / 'shapes/SegmentationClass/val_00001.png')
    assert label.mode == 'P' and label.getpalette()[3:6] == [230, 25, 75]
    lines = (tmp_path / 'shapes/ImageSets/Segmentation/val.txt').read_text()
    assert lines == 'val_00000\nval_00001\n'


def test_same_files_for_the_same_seed(tmp_path):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        assert ensure_scenes(tmp_path / name, seed=seed)
        ensure_objects(tmp_path / f'{name}_objects', 5, seed=seed)
    for kind in ('', '_objects'):
        hashes = [digest(tmp_path / f'{name}{kind}') for name in 'abc']
        assert hashes[0] == hashes[1] != hashes[2]


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/file').touch()
    assert not ensure_scenes(tmp_path / 'mine')
    (tmp_path / 'none').mkdir()
    assert ensure_scenes(tmp_path / 'none')         # an empty folder is no data set


def test_half_written_set_is_done_again(tmp_path, monkeypatch):
    def stop(seed, split, index):
        if split == 'val':
            raise KeyboardInterrupt
        return make_scene(seed, split, index)

    monkeypatch.setattr(writing, 'make_scene', stop)
    with pytest.raises(KeyboardInterrupt):
        ensure_scenes(tmp_path / 'shapes')
    assert not (tmp_path / 'shapes').exists() and (tmp_path / 'shapes.partial').is_dir()
    (tmp_path / 'shapes.partial/JPEGImages/stray.png').touch()
    monkeypatch.undo()
    monkeypatch.setattr(writing, 'SCENE_COUNTS', FEW)
    ensure_scenes(tmp_path / 'shapes')
    ensure_scenes(tmp_path / 'again')
    assert digest(tmp_path / 'shapes') == digest(tmp_path / 'again')
    assert not (tmp_path / 'shapes.partial').exists()


def test_two_processes_write_once(tmp_path):
    code = ('import sys; from mmdense.datasets.generate import ensure_scenes;'
            'print(ensure_scenes(sys.argv[1], dict(unlabelled=20, val=20)))')
    runs = [subprocess.Popen([sys.executable, '-c', code, str(tmp_path / 'shapes')],
                             stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(run.communicate()[0].splitlines()[-1] for run in runs)
    assert said == ['False', 'True'] and all(run.returncode == 0 for run in runs)
    assert len(list((tmp_path / 'shapes/JPEGImages').iterdir())) == 40


def test_objects_list_and_continuation(tmp_path):
    root = tmp_path / 'objects'
    short = ShapeObjectsDataset(num_images=3, data_root=str(root), pipeline=[])
    before = {path: path.read_bytes() for path in (root / 'images').iterdir()}
    longer = DATASETS.build(dict(type='mmdense.ShapeObjectsDataset', num_images=5,
                                 data_root=str(root), pipeline=[dict(type='mmdense.LoadImage')]))
    assert (len(short), len(longer)) == (3, 5)
    assert all(path.read_bytes() == data for path, data in before.items())
    image, label = make_object(0, 4)
    assert np.array_equal(longer[4]['img'], image) and longer[4]['gt_label'] == label
    assert (root / 'list.txt').read_text().splitlines()[4] == f'images/00004.png {label}'
    assert len(ShapeObjectsDataset(num_images=2, data_root=str(root))) == 2
    with pytest.raises(ValueError, match='num_images=0; expected at least 1'):
        ShapeObjectsDataset(num_images=0)


def test_unlabelled_pretraining_on_both(tmp_path):
    scenes = dict(type='mmdense.ShapesDataset', data_root=str(tmp_path / 'shapes'),
                  ann_file='ImageSets/Segmentation/unlabelled.txt')
    objects = dict(type='mmdense.ShapeObjectsDataset', data_root=str(tmp_path / 'objects'),
                   num_images=3)
    for cfg, count in ((scenes, 4), (objects, 3)):
        dataset = UnlabelledDataset(dataset=cfg, pipeline=[dict(type='mmdense.LoadImage')])
        assert len(dataset) == count and 'gt_label' not in dataset[0]


def test_tool(tmp_path, repo, monkeypatch, capsys):
    import runpy
    monkeypatch.setattr(sys, 'argv', ['make_shapes.py', '--out', str(tmp_path), '--objects', '2'])
    for said in ('2 written', 'is there already'):
        runpy.run_path(str(repo / 'tools/make_shapes.py'), run_name='__main__')
        assert said in ' '.join(capsys.readouterr().out.split())
    assert len(list((tmp_path / 'shapes/JPEGImages').iterdir())) == 9
