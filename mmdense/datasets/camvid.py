"""CamVid as packed for SegNet: 11 classes, 480x360."""
from __future__ import annotations

from typing import Any

from mmseg.datasets import BaseSegDataset

from mmdense.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """Street scenes of CamVid (Brostow et al., 2009) with the 11 classes of SegNet; 255 is void.

    Layout: ``images/{train,val}/*.jpg`` and ``annotations/{train,val}/*.png`` (class numbers).
    ``ann_file`` may name a list of images of one folder, one name without suffix per line
    (``splits/bank.txt``); without it the whole folder is taken.
    """

    METAINFO = dict(
        classes=('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
                 'pedestrian', 'bicyclist'),
        palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222],
                 [128, 128, 0], [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0],
                 [0, 128, 192]])

    def __init__(self, data_root: str = 'data/camvid', data_prefix: dict | None = None,
                 **kwargs: Any) -> None:
        if data_prefix is None:
            data_prefix = dict(img_path='images/train', seg_map_path='annotations/train')
        super().__init__(data_root=data_root, data_prefix=data_prefix, **kwargs)
