"""Check label maps where they are loaded, not where the loss breaks on them."""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmdense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckAnnotations(BaseTransform):
    """Raise one clear error for a label map that does not fit its image or the classes.

    Put it right after ``LoadAnnotations``, in training and in test pipelines.

    Args:
        num_classes: labels 0..num_classes - 1 are right.
        ignore_index: the one other label that is right.

    Raises:
        ValueError: the label map has another size than its image, is a colour image, or holds
            other labels; the message names the file, the value and what was expected.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.allowed = np.zeros(256, dtype=bool)
        self.allowed[:num_classes] = True
        self.allowed[ignore_index] = True
        self.expected = f'0..{num_classes - 1} or {ignore_index}'

    def transform(self, results: dict) -> dict:
        """Return ``results`` unchanged."""
        labels, path = results['gt_seg_map'], results['seg_map_path']
        # a test pipeline resizes the image before it loads the labels: compare with the original
        size = tuple(results['ori_shape'][:2])
        if labels.ndim != 2:
            raise ValueError(f'{path}: a label map of shape {labels.shape}; expected one channel '
                             'that holds class numbers (a colour image is no label map)')
        if labels.shape != size:
            raise ValueError(f'{path}: a label map of {labels.shape[1]}x{labels.shape[0]} pixels; '
                             f'expected {size[1]}x{size[0]}, the size of {results["img_path"]}')
        counts = np.bincount(labels.ravel(), minlength=256)
        wrong = np.flatnonzero((counts > 0) & ~self.allowed)
        if len(wrong):
            found = ', '.join(f'{value} ({counts[value]} pixels)' for value in wrong[:5])
            raise ValueError(f'{path}: label {found}; expected {self.expected}. Check num_classes, '
                             "reduce_zero_label and the dataset's metainfo")
        return results
