"""Stock datasets that are not there, or not whole: one error with place, layout and command."""
from __future__ import annotations

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmdense.datasets.dataset_paths import absent_files, check_dataset_paths

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def voc(root, split='train', masks='SegmentationClass', **more) -> dict:
    return dict(type='PascalVOCDataset', data_root=str(root), pipeline=LOAD,
                data_prefix=dict(img_path='JPEGImages', seg_map_path=masks),
                ann_file=f'ImageSets/Segmentation/{split}.txt', **more)


@pytest.fixture
def voc_root(tmp_path):
    """A whole VOC of three images, without augmented masks."""
    root = tmp_path / 'VOCdevkit/VOC2012'
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / name).mkdir(parents=True)
    for name in 'abc':
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(root / f'JPEGImages/{name}.jpg')
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(root / f'SegmentationClass/{name}.png')
    (root / 'ImageSets/Segmentation/train.txt').write_text('a\nb\nc\n')
    return root


def error(cfg, name='train_dataloader', **more) -> str:
    with pytest.raises(FileNotFoundError) as caught:
        check_dataset_paths(cfg, name, **more)
    return str(caught.value)


def test_whole_dataset_passes(voc_root):
    check_dataset_paths(voc(voc_root), 'train_dataloader')
    check_dataset_paths(Config(dict(dataset=voc(voc_root))).dataset, 'train_dataloader')


def test_not_there_says_where_and_what_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = error(voc('data/VOCdevkit/VOC2012'))
    root = f'{tmp_path}/data/VOCdevkit/VOC2012'
    assert said.startswith(f'train_dataloader: PascalVOCDataset was looked for in {root}: ')
    assert f'{root}/JPEGImages/*.jpg' in said and f'{root}/SegmentationClass/*.png' in said
    assert f'{root}/ImageSets/Segmentation/train.txt' in said
    assert 'voc_aug' not in said


def test_voc_aug_command(voc_root):
    """The command names a script that is installed, and mmseg's own arguments."""
    said = error(voc(voc_root, 'aug', 'SegmentationClassAug'))
    command = said.splitlines()[-1].split()
    assert command[0] == 'python' and command[1].endswith('dataset_converters/voc_aug.py')
    assert open(command[1]).read().count("add_argument('devkit_path'") == 1
    assert command[2:] == [str(voc_root.parent), f'{voc_root.parent}/VOCaug', '--nproc', '8']
    assert f'no {voc_root}/SegmentationClassAug' in said
    assert f'no {voc_root}/ImageSets/Segmentation/aug.txt' in said


def test_missing_files_are_named(voc_root):
    (voc_root / 'SegmentationClass/b.png').unlink()
    assert '1 of 3 label maps are not there: ' + str(voc_root / 'SegmentationClass/b.png') \
        in error(voc(voc_root))
    check_dataset_paths(voc(voc_root), 'x', labels=False)
    check_dataset_paths({**voc(voc_root), 'pipeline': LOAD[:1]}, 'x')
    (voc_root / 'JPEGImages/c.jpg').unlink()
    assert '1 of 3 images are not there: ' + str(voc_root / 'JPEGImages/c.jpg') \
        in error(voc(voc_root), labels=False)


def test_wrapped_datasets(voc_root):
    both = dict(type='ConcatDataset',
                datasets=[voc(voc_root), voc(voc_root, 'aug', 'SegmentationClassAug')])
    assert 'aug.txt' in error(dict(type='RepeatDataset', times=2, dataset=both))
    check_dataset_paths(dict(type='RepeatDataset', times=2, dataset=voc(voc_root)), 'x')
    # labels are dropped, so their masks need not be there
    (voc_root / 'ImageSets/Segmentation/aug.txt').write_text('a\n')
    check_dataset_paths(dict(type='mmdense.UnlabelledDataset', dataset=both), 'x')


STOCK = """
_base_ = [__import__('mmdense').BASE, '{base}']
whole = dict(_base_.train_dataloader.dataset)
unlabelled = dict(type='mmdense.UnlabelledDataset', dataset=whole)
"""


@pytest.mark.parametrize('base, cls, root', [
    pytest.param('mmseg::_base_/datasets/pascal_voc12_aug.py', 'PascalVOCDataset',
                 'data/VOCdevkit/VOC2012', id='voc_aug', marks=pytest.mark.situation(
                     'the road', 'a dataset from an `mmseg::…` or `mmpretrain::…` base that is not '
                     'there', 'error', 'where it was looked for, and the layout expected')),
    ('mmseg::_base_/datasets/ade20k.py', 'ADE20KDataset', 'data/ade/ADEChallengeData2016'),
    ('mmpretrain::_base_/datasets/imagenet_bs32.py', 'ImageNet', 'data/imagenet')])
def test_datasets_of_stock_bases_are_looked_up_in_their_scope(tmp_path, monkeypatch, base, cls,
                                                              root):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'leaf.py'
    path.write_text(STOCK.format(base=base))
    cfg = Config.fromfile(path)
    assert '_scope_' in cfg.whole
    for dataset in (cfg.train_dataloader.dataset, cfg.unlabelled):
        assert f'{cls} was looked for in {tmp_path}/{root}' in error(dataset)


def test_whole_datasets_of_a_stock_base_pass_and_lose_their_labels(voc_root, monkeypatch):
    monkeypatch.chdir(voc_root.parents[1])
    voc_root.parent.parent.joinpath('data').symlink_to('.')
    (voc_root / 'ImageSets/Segmentation/aug.txt').write_text('a\n')
    (voc_root / 'SegmentationClassAug').symlink_to('SegmentationClass')
    path = voc_root / 'leaf.py'
    path.write_text(STOCK.format(base='mmseg::_base_/datasets/pascal_voc12_aug.py'))
    cfg = Config.fromfile(path)
    check_dataset_paths(cfg.train_dataloader.dataset, 'x')
    assert len(DATASETS.build(cfg.unlabelled)) == 3


def test_cityscapes_without_converted_labels(tmp_path):
    for folder in ('leftImg8bit/train/ulm', 'gtFine/train/ulm'):
        (tmp_path / folder).mkdir(parents=True)
    cfg = dict(type='CityscapesDataset', data_root=str(tmp_path), pipeline=LOAD,
               data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'))
    assert 'no image is named in' in error(cfg)
    (tmp_path / 'leftImg8bit/train/ulm/ulm_1_leftImg8bit.png').write_bytes(b'x')
    said = error(cfg)
    assert 'ulm/ulm_1_gtFine_labelTrainIds.png' in said and 'cityscapes.py' in said


def test_other_datasets_and_generated_ones(tmp_path):
    said = error(dict(type='mmpretrain.CIFAR10', data_root=str(tmp_path / 'cifar')))
    assert said == ('train_dataloader: CIFAR10 was looked for in '
                    f'{tmp_path}/cifar, which is not there')
    check_dataset_paths(dict(type='mmdense.ShapesDataset', data_root=str(tmp_path / 'shapes'),
                             pipeline=LOAD), 'x')
    check_dataset_paths(dict(type='mmdense.ShapeObjectsDataset', num_images=3,
                             data_root=str(tmp_path / 'objects')), 'x')


def test_defaults_of_a_class_are_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = error(dict(type='mmdense.CamVidDataset', ann_file='splits/bank.txt', pipeline=LOAD))
    assert f'no {tmp_path}/data/camvid/images/train' in said
    assert f'no {tmp_path}/data/camvid/splits/bank.txt' in said


def test_absent_files(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a/1').touch()
    paths = [str(tmp_path / name) for name in ('a/1', 'a/2', 'b/1', 'a/../a/1')]
    assert absent_files(paths) == paths[1:3]
