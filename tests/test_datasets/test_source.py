from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

import mmdense  # noqa: F401
from mmdense.datasets.samplers import SampleIndex
from mmdense.datasets.source import source_images, with_source
from mmdense.errors import user_message
from mmdense.visualization import ImageFiles

LOAD = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage'),
        dict(type='Resize', scale=(72, 64))]
GRID = [dict(type='mmdense.MakeRegions', sources=[dict(method='grid', cells=n) for n in (2, 3, 4)])]
VIEWS = [dict(type='mmdense.MultiView', num_views=[2],
              views=[[dict(type='mmdense.RandomResizedCrop', size=64)]]),
         dict(type='mmdense.PackViews')]


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def files(tmp_path) -> list[str]:
    paths = [str(tmp_path / f'{number}.png') for number in range(2)]
    for number, path in enumerate(paths):
        cv2.imwrite(path, np.full((80, 96, 3), 100 + number, np.uint8))
    return paths


def test_the_source_is_what_the_views_were_cut_from(files):
    sample = with_source(ImageFiles(files, [LOAD[1], *GRID, *VIEWS]))[1]        # without a seed
    source = sample['source']
    assert source['img'].shape == (80, 96, 3) and (source['img'] == 101).all()
    for (left, top, right, bottom), regions in zip(sample['data_samples'].boxes.int().tolist(),
                                                   sample['data_samples'].regions, strict=True):
        cut = source['regions'][top:bottom, left:right]
        assert set(np.unique(cut)) == set(regions.unique().tolist())


def test_it_is_found_inside_wrappers_and_the_dataset_stays_as_it_is(tmp_path, files):
    parts = [dict(type='mmdense.UnlabelledDataset', data_root=str(tmp_path), pipeline=pipeline)
             for pipeline in ([*LOAD, *VIEWS], [*LOAD, *GRID, *VIEWS])]
    dataset = DATASETS.build(dict(type='RepeatDataset', times=2, dataset=dict(
        type='ConcatDataset', datasets=parts)))
    seen = with_source(dataset)
    for index, path in ((5, files[1]), (6, files[0])):       # the second image, the third
        sample, plain = (part[SampleIndex(index, 0, 3)] for part in (seen, dataset))
        assert sample['data_samples'].img_path == path
        assert sample['source']['img'].shape == (64, 72, 3)
        assert ('regions' in sample['source']) == (index == 6)
        assert 'source' not in plain
        assert plain['data_samples'].boxes.equal(sample['data_samples'].boxes)


def test_what_has_no_source_is_said(files):
    with pytest.raises(ValueError, match='list has no pipeline'):
        with_source([])
    with pytest.raises(ValueError, match='ImageFiles has no mmdense.MultiView'):
        with_source(ImageFiles(files, LOAD))


def test_labels_that_image_files_do_not_have_are_said_in_one_line(files):
    with pytest.raises(ValueError, match='the config.s pipeline loads labels') as error:
        ImageFiles(files, [*LOAD, dict(type='LoadAnnotations'), *VIEWS])
    assert user_message(error.value).startswith(f'--images {files[0]} {files[1]}: ')


def test_the_loaded_image_is_what_comes_to_the_views(tmp_path, files):
    np.save(tmp_path / 'z.npy', np.full((50, 40, 3), 7, np.uint8))
    part = dict(type='mmdense.UnlabelledDataset', data_root=str(tmp_path))
    stock = [dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5)]
    for pipeline, shape in (([*LOAD, *VIEWS], (64, 72, 3)), ([*LOAD[:2], *VIEWS], (50, 40, 3)),
                            (stock, (80, 96, 3))):
        dataset = DATASETS.build(dict(type='RepeatDataset', times=2,
                                      dataset=dict(part, pipeline=pipeline)))
        loaded = source_images(dataset)
        assert loaded[0 if pipeline is stock else 5]['img'].shape == shape
    with pytest.raises(ValueError, match='ImageFiles loads no image; expected mmdense.LoadImage'):
        source_images(ImageFiles(files, VIEWS[1:]))
