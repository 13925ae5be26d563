"""A frozen teacher's maps of an image, from files."""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS
from mmdense.teacher_maps import TeacherMaps


@TRANSFORMS.register_module()
class LoadTeacherMaps(BaseTransform):
    """Give a view its teacher's maps of the whole image as ``target``: (L,) float16.

    ``mmdense.DenseDistill(cache=...)`` reads them at the view's cells. At the end of a view's
    pipeline.

    Args:
        folder: that ``tools/cache_teacher.py`` wrote.

    Raises:
        FileNotFoundError, ValueError: as of :meth:`TeacherMaps.open`.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.maps: TeacherMaps | None = None

    def transform(self, results: dict) -> dict:
        """Add ``target``.

        Raises:
            ValueError: there are no maps of this image, or it has no path.
        """
        if self.maps is None:               # in the worker: memory maps are not sent to it
            self.maps = TeacherMaps.open(self.folder)
        if results.get('img_path') is None:
            raise WrongValue('LoadTeacherMaps: the image has no img_path; expected one from a file')
        results['target'] = np.array(self.maps.row(results['img_path']))
        return results
