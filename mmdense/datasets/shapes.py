"""The generated sets as datasets; they are written on first use."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmseg.datasets import BaseSegDataset

from mmdense.mistakes import WrongValue
from mmdense.registry import DATASETS

from .generate import (
    OBJECT_CLASSES,
    OBJECT_LIST,
    SCENE_CLASSES,
    SCENE_PALETTE,
    ensure_objects,
    ensure_scenes,
)


@DATASETS.register_module()
class ShapesDataset(BaseSegDataset):
    """Generated scenes of 128x128 pixels: six kinds of object, told by outline and texture.

    In VOC's layout; ``ann_file`` chooses ``unlabelled.txt`` (600 images), ``labelled.txt`` (60) or
    ``val.txt`` (150) in ``ImageSets/Segmentation``. Written into ``data_root`` when nothing is
    there, with seed 0 (``tools/make_shapes.py`` writes others).
    """

    METAINFO = dict(classes=SCENE_CLASSES, palette=SCENE_PALETTE)
    #: its data need not be there before the dataset is built
    GENERATED = True

    def __init__(self, data_root: str = 'data/shapes',
                 ann_file: str = 'ImageSets/Segmentation/labelled.txt',
                 data_prefix: dict | None = None, img_suffix: str = '.png',
                 **kwargs: Any) -> None:
        if data_prefix is None:
            data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
        super().__init__(data_root=data_root, ann_file=ann_file, data_prefix=data_prefix,
                         img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Write the set if it is not there, then list it."""
        ensure_scenes(self.data_root)
        return super().load_data_list()


@DATASETS.register_module()
class ShapeObjectsDataset(BaseDataset):
    """Generated images of one object each, in 20 classes: every outline with every texture.

    Samples hold ``img_path`` and ``gt_label`` (int), as mmpretrain's datasets do. Images that are
    not there are written into ``data_root``; a shorter set is continued.

    Args:
        num_images: the first ``num_images`` of the set are used.
        data_root: where the set is.
        **kwargs: see mmengine's ``BaseDataset``.
    """

    METAINFO = dict(classes=OBJECT_CLASSES)
    GENERATED = True

    def __init__(self, num_images: int, data_root: str = 'data/shapes_objects',
                 **kwargs: Any) -> None:
        if num_images < 1:
            raise WrongValue(f'ShapeObjectsDataset: num_images={num_images}; expected at least 1')
        self.num_images = num_images
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Write what is missing, then list the first ``num_images``."""
        ensure_objects(self.data_root, self.num_images)
        root = Path(self.data_root)
        lines = (root / OBJECT_LIST).read_text().splitlines()[:self.num_images]
        pairs = (line.rsplit(' ', 1) for line in lines)
        return [dict(img_path=str(root / name), gt_label=int(label)) for name, label in pairs]
