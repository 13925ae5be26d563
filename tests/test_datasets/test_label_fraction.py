"""Shares of labelled images: counts, nesting, groups, and the wrapped dataset."""
from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from PIL import Image

from mmdense.datasets import LabelFraction, label_fraction
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.datasets.generate import SCENE_CLASSES, writing
from mmdense.datasets.label_fraction import FRACTIONS, group_of
from mmdense.datasets.samplers import SampleIndex

NAMES = [f'image_{number:03d}' for number in range(100)]
LOAD = [dict(type='mmseg.LoadImageFromFile'), dict(type='mmseg.LoadAnnotations'),
        dict(type='mmseg.PackSegInputs')]


def paths_of(dataset) -> list[str]:
    return [dataset.get_data_info(number)['img_path'] for number in range(len(dataset))]


@pytest.mark.parametrize('fraction', FRACTIONS)
def test_counts_and_order(fraction):
    chosen = label_fraction(NAMES, fraction, 0)
    assert len(chosen) == len(set(chosen)) == max(1, round(100 * fraction))
    assert chosen == sorted(chosen) and set(chosen) <= set(NAMES)
    assert chosen == label_fraction(NAMES, str(fraction), 0)
    assert label_fraction(NAMES[:1], fraction, 0) == NAMES[:1]
    assert fraction < 1 or chosen == NAMES


def test_the_published_sizes_of_voc():
    # 1464 labelled images of VOC 2012, as semi-supervised splits count them
    counts = [len(label_fraction(['x'] * 1464, f'1/{part}', 0)) for part in (2, 4, 8, 16)]
    assert counts == [732, 366, 183, 92]


@pytest.mark.parametrize('groups', [None, [str(number % 7) for number in range(100)]])
@pytest.mark.parametrize('seed', [0, 1, 2 ** 32 - 1])
def test_smaller_shares_are_parts_of_larger_ones(groups, seed):
    shares = [set(label_fraction(NAMES, fraction, seed, groups)) for fraction in FRACTIONS]
    assert all(small <= large for large, small in zip(shares[:-1], shares[1:], strict=True))


def test_the_draw_is_fixed_for_ever():
    assert label_fraction(NAMES, '1/16', 0) == [NAMES[i] for i in (2, 26, 55, 75, 86, 93)]
    assert label_fraction(NAMES, '1/16', 1) != label_fraction(NAMES, '1/16', 0)
    np.random.seed(5)
    first = np.random.rand()
    np.random.seed(5)
    assert label_fraction(NAMES, '1/16', 0) == [NAMES[i] for i in (2, 26, 55, 75, 86, 93)]
    assert np.random.rand() == first                    # the global stream is left alone


def test_every_image_is_as_likely():
    times = np.zeros(100)
    for seed in range(400):
        times[[NAMES.index(name) for name in label_fraction(NAMES, '1/4', seed)]] += 1
    assert abs(times.mean() - 100) < 1e-9 and times.std() < 15      # binomial: 8.7


def test_each_group_gets_its_share():
    groups = ['a'] * 60 + ['b'] * 37 + ['c'] * 3
    order = np.random.default_rng(0).permutation(100)
    groups = [groups[i] for i in order]                             # interleaved
    chosen = label_fraction(NAMES, '1/8', 0, groups)
    of = dict(zip(NAMES, groups, strict=True))
    counts = {group: sum(of[name] == group for name in chosen) for group in 'abc'}
    assert counts == {'a': 8, 'b': 5, 'c': 1}           # 7.5 to even, 4.6, at least one
    assert chosen == sorted(chosen)


@pytest.mark.parametrize('bad', ['1/3', '1/256', '2', 'half', '1/0', 0.3, float('inf'), None, ''])
def test_other_fractions_are_told_the_allowed_ones(bad):
    with pytest.raises(ValueError, match='expected one of 1, 1/2, 1/4, 1/8, 1/16, 1/32, 1/64, '
                                         '1/128') as error:
        label_fraction(NAMES, bad, 0)
    assert f"fraction='{bad}'" in str(error.value)


def test_other_mistakes_are_named():
    with pytest.raises(ValueError, match='no images to take 1/8 of'):
        label_fraction([], '1/8', 0)
    with pytest.raises(ValueError, match='2 groups for 100 names'):
        label_fraction(NAMES, '1/8', 0, ['a', 'b'])
    for seed in (-1, 2 ** 32, 0.5, None):
        with pytest.raises(ValueError, match=r'expected an integer from 0 to 2\*\*32 - 1'):
            label_fraction(NAMES, '1/8', seed)


def test_groups_of_paths():
    assert group_of('data/city/img/ulm/a/1.png', 'data/city/img', 'folder') == 'ulm'
    assert group_of('data/city/img/ulm/1.png', 'data/city/img/', 'folder') == 'ulm'
    assert group_of('camvid/0001TP_006690.png', 'camvid', r'^([^_]+)_') == '0001TP'
    # what lies above the prefix is no part of any name
    assert group_of('a_b/0001TP_006690.png', 'a_b', r'([^_]+)_') == '0001TP'
    for path in ('data/1.png', 'other/ulm/1.png'):
        with pytest.raises(ValueError, match=f'{path} is in no folder of data'):
            group_of(path, 'data', 'folder')
    with pytest.raises(ValueError, match=r"'\^\(b\)' is not found in 1.png \(data/1.png\)"):
        group_of('data/1.png', 'data', '^(b)')
    with pytest.raises(ValueError, match='is not found'):
        group_of('data/1.png', 'data', '1|(b)')


@pytest.fixture
def shapes(tmp_path, monkeypatch) -> dict:
    """Config of eight labelled scenes."""
    monkeypatch.setattr(writing, 'SCENE_COUNTS', {'unlabelled': 1, 'labelled': 8, 'val': 1})
    return dict(type='mmdense.ShapesDataset', data_root=str(tmp_path / 'shapes'), pipeline=LOAD)


def share(dataset, **arguments) -> dict:
    return dict(type='mmdense.LabelFraction', dataset=dataset, **arguments)


def test_a_share_of_the_scenes(shapes):
    whole = DATASETS.build(shapes)
    dataset = DATASETS.build(share(shapes, fraction='1/4', seed=3))
    assert isinstance(dataset, LabelFraction) and len(dataset) == 2
    names = label_fraction(paths_of(whole), '1/4', 3)
    assert paths_of(dataset) == names
    assert [dataset.get_data_info(number)['sample_idx'] for number in (0, 1, -1)] == [0, 1, 1]
    assert dataset.metainfo == whole.metainfo and dataset.metainfo['classes'] == SCENE_CLASSES
    expected = whole[paths_of(whole).index(names[1])]
    assert torch.equal(dataset[1]['inputs'], expected['inputs'])
    assert torch.equal(dataset[1]['data_samples'].gt_sem_seg.data,
                       expected['data_samples'].gt_sem_seg.data)
    assert [sample['data_samples'].img_path for sample in (dataset[0], dataset[1])] == names
    with pytest.raises(IndexError):
        dataset[2]
    assert len(DATASETS.build(share(shapes, fraction='1'))) == 8
    assert len(DATASETS.build(share(shapes))) == 1
    dataset.full_init()
    assert len(dataset) == 2                                    # the share of no share
    assert paths_of(DATASETS.build(share(dict(shapes, serialize_data=False), fraction='1/4',
                                         seed=3))) == names


def test_lazy(shapes, tmp_path):
    dataset = DATASETS.build(share(dict(shapes, lazy_init=True), fraction='1/2', lazy_init=True))
    assert not (tmp_path / 'shapes').exists() and dataset.metainfo['classes'] == SCENE_CLASSES
    assert dataset[0]['inputs'].shape == (3, 128, 128) and len(dataset) == 4


def test_what_replaces_a_sample_is_of_the_share(shapes):
    dataset = DATASETS.build(share(shapes, fraction='1/4'))
    allowed = set(paths_of(dataset))
    load, calls = dataset.dataset.pipeline, []

    def every_second_fails(sample):
        calls.append(sample['img_path'])
        return None if len(calls) % 2 else load(sample)

    dataset.dataset.pipeline = every_second_fails
    for _ in range(20):
        assert dataset[0]['data_samples'].img_path in allowed
    assert set(calls) == allowed


def test_inside_other_wrappers(shapes):
    half = share(shapes, fraction='1/2')
    assert len(RepeatDataset(half, times=5)) == 20
    joined = ConcatDataset([half, share(shapes, fraction='1/4')])
    assert len(joined) == 6 and joined.metainfo['classes'] == SCENE_CLASSES
    assert joined[5]['inputs'].shape == (3, 128, 128)
    check_dataset_paths(half, 'train_dataloader')
    seen = []
    dataset = DATASETS.build(half)
    dataset.dataset.prepare_data = lambda index: seen.append(index) or 1
    dataset[SampleIndex(1, seed=5, position=7)]
    assert seen[0].position == 7                                # SeedSample needs it


def test_stock_loader_and_metric(shapes):
    loader = Runner.build_dataloader(dict(
        dataset=share(shapes, fraction='1/2'), batch_size=2, num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False)))
    evaluator = Evaluator(dict(type='mmseg.IoUMetric'))
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        for sample in batch['data_samples']:
            sample.pred_sem_seg = PixelData(data=sample.gt_sem_seg.data.long())
        evaluator.process(batch['data_samples'], batch)
    assert evaluator.evaluate(len(loader.dataset))['mIoU'] == 100


def test_cities_and_drives(tmp_path):
    names = [f'{city}/{drive}_{number}.png' for city, drive, count in
             (('aachen', '0006R0', 8), ('ulm', '0001TP', 3), ('ulm', '0006R0', 1))
             for number in range(count)]
    for name in names:
        for part in ('images', 'labels'):
            (tmp_path / part / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / part / name)
    inner = dict(type='BaseSegDataset', data_root=str(tmp_path), img_suffix='.png',
                 data_prefix=dict(img_path='images', seg_map_path='labels'),
                 metainfo=dict(classes=('a', 'b')), pipeline=[])

    def chosen(**arguments):
        paths = paths_of(DATASETS.build(share(inner, **arguments)))
        return [path.removeprefix(f'{tmp_path}/images/') for path in paths]

    cities = [name.split('/')[0] for name in chosen(fraction='1/4', group='folder')]
    assert cities == ['aachen', 'aachen', 'ulm']
    drives = [name.split('/')[1].split('_')[0]
              for name in chosen(fraction='1/4', group=r'/([^_/]+)_\d')]
    assert sorted(drives) == ['0001TP', '0006R0', '0006R0']
    assert chosen(fraction='1/2', group='folder') == label_fraction(
        names, Fraction(1, 2), 0, [name.split('/')[0] for name in names])
    with pytest.raises(ValueError, match='is in no folder of'):
        DATASETS.build(share(dict(inner, data_prefix=dict(img_path='images/ulm')), group='folder'))
    with pytest.raises(ValueError, match=r"is not found in aachen/0006R0_0.png"):
        chosen(group='(.TP)_')


def test_wrong_arguments_are_named(shapes, tmp_path):
    with pytest.raises(ValueError, match="fraction='1/3'; expected one of 1, 1/2"):
        LabelFraction(shapes, fraction='1/3')
    for group in ('city', '(', 7):
        with pytest.raises(ValueError, match="expected None, 'folder' or a regular expression"):
            LabelFraction(shapes, group=group)
    with pytest.raises(ValueError, match='seed=-1; expected an integer'):
        LabelFraction(shapes, seed=-1)
    with pytest.raises(ValueError, match='is a ConcatDataset; expected one on BaseDataset'):
        LabelFraction(dict(type='ConcatDataset', datasets=[shapes]))
    with pytest.raises(ValueError, match="of type ShapesDataset; expected a dataset's config"):
        LabelFraction(DATASETS.build(shapes))
    (tmp_path / 'empty').mkdir()
    empty = dict(type='BaseSegDataset', data_root=str(tmp_path), pipeline=[],
                 data_prefix=dict(img_path='empty', seg_map_path='empty'))
    with pytest.raises(FileNotFoundError, match=f'LabelFraction: BaseSegDataset was looked for in '
                                                f'{tmp_path}: no image is named in '):
        LabelFraction(empty)
    with pytest.raises(ValueError, match=r'BaseSegDataset has no images to take 1/8 of; expected '
                                         rf'at least one in {tmp_path}/empty$'):
        len(LabelFraction(dict(empty, serialize_data=False), lazy_init=True))
    with pytest.raises(FileNotFoundError, match='PascalVOCDataset was looked for in .*/nowhere'):
        LabelFraction(dict(type='PascalVOCDataset', data_root=str(tmp_path / 'nowhere'),
                           ann_file='train.txt'))
    objects = dict(type='mmdense.ShapeObjectsDataset', num_images=2,
                   data_root=str(tmp_path / 'objects'))
    assert len(LabelFraction(objects, '1/2')) == 1
