"""CamVid in the layout of SegNet's package."""
from __future__ import annotations

import numpy as np
from mmseg.registry import DATASETS
from PIL import Image


def test_lists_and_classes(tmp_path):
    for folder in ('images/train', 'annotations/train', 'splits'):
        (tmp_path / folder).mkdir(parents=True)
    for name in ('0001TP_1', '0001TP_2'):
        Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(tmp_path / f'images/train/{name}.jpg')
        Image.fromarray(np.full((9, 12), 10, np.uint8)).save(
            tmp_path / f'annotations/train/{name}.png')
    (tmp_path / 'splits/bank.txt').write_text('0001TP_2\n')
    cfg = dict(type='mmdense.CamVidDataset', data_root=str(tmp_path), pipeline=[
        dict(type='mmseg.LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')])
    assert len(DATASETS.build(cfg)) == 2
    dataset = DATASETS.build(dict(cfg, ann_file='splits/bank.txt'))
    assert len(dataset) == 1 and dataset[0]['img_path'].endswith('0001TP_2.jpg')
    assert (dataset[0]['gt_seg_map'] == 10).all()       # class 0 is sky, not to be ignored
    classes = dataset.metainfo['classes']
    assert len(classes) == len(dataset.metainfo['palette']) == 11
    assert (classes[0], classes[3], classes[10]) == ('sky', 'road', 'bicyclist')
