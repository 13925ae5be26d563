"""Label maps as stored in their files: errors are found before anything changes the map.

mmseg takes whatever comes out of a file for 8-bit class numbers: it drops the upper bits of
larger ones and takes a row of a colour image for a label map. Here both are refused.
"""
from __future__ import annotations

from typing import Any

import mmcv
import numpy as np
from mmengine import fileio

from mmdense.images.decoding import JPEG_START, PNG_END, PNG_START
from mmdense.mistakes import WrongValue

#: mmseg's own value of a pixel that is not counted
IGNORE = 255


class LabelMapError(WrongValue):
    """A label map that cannot be used; the message names the file and what was expected."""


def label_table(reduce_zero_label: bool = False, label_map: dict | None = None) -> np.ndarray:
    """Return (256,) uint8: the label that mmseg makes of each value in a file.

    Args:
        reduce_zero_label: whether 0 is ignored and every other value becomes one less.
        label_map: labels (after that) that become others; a negative one counts as ignored.
    """
    values = np.arange(256)
    if reduce_zero_label:
        values = np.where((values == 0) | (values == IGNORE), IGNORE, values - 1)
    table = values.copy()
    for old, new in (label_map or {}).items():
        table[values == old] = new if new >= 0 else IGNORE
    return table.astype(np.uint8)


def allowed_values(table: np.ndarray, num_classes: int | None, ignore_index: int) -> np.ndarray:
    """Return (256,) bool: which values of a file become a class or an ignored pixel."""
    if num_classes is None:
        return np.ones(256, dtype=bool)
    return (table < num_classes) | (table == IGNORE) | (table == ignore_index)


def in_words(allowed: np.ndarray) -> str:
    """Return the values that are True in a (256,) array, such as ``'0..4 or 255'``."""
    edges = np.flatnonzero(np.diff(allowed.astype(int), prepend=0, append=0)).reshape(-1, 2)
    parts = [str(low) if high == low + 1 else f'{low}..{high - 1}' for low, high in edges]
    return ' or '.join(filter(None, (', '.join(parts[:-1]), parts[-1])))


def decode(path: str, backend: str, backend_args: dict | None = None) -> np.ndarray:
    """Return what is in a file of labels, as its decoder gives it: any type and shape.

    Raises:
        LabelMapError: no file, nothing in it, not whole, no image, or a JPEG.
    """
    try:
        data = fileio.get(path, backend_args=backend_args)
    except OSError as error:
        raise LabelMapError(f'{path}: the label map cannot be read ({error.strerror or error})'
                            ) from None
    expected = 'expected a whole image of one channel that holds class numbers, such as a PNG'
    if not data:
        raise LabelMapError(f'{path}: a label map of 0 bytes; {expected}')
    if data[:3] == JPEG_START:
        raise LabelMapError(f'{path}: a JPEG as label map, whose compression changes class '
                            f'numbers; {expected} made from the original labels')
    if data[:8] == PNG_START and data.rfind(PNG_END) < 0:   # cv2 fills the rest and says nothing
        raise LabelMapError(f'{path}: a PNG of {len(data)} bytes without its end; {expected}')
    try:
        labels = mmcv.imfrombytes(data, flag='unchanged', backend=backend)
    except Exception as error:      # every decoder has its own
        raise LabelMapError(f'{path}: {backend} cannot read the label map of {len(data)} bytes '
                            f'({type(error).__name__}: {error}); {expected}') from None
    if labels is None:
        raise LabelMapError(f'{path}: {backend} cannot read the label map of {len(data)} bytes; '
                            f'{expected}')
    return labels


def check_shape(path: str, labels: np.ndarray, results: dict) -> np.ndarray:
    """Return the label map as (H, W).

    Raises:
        LabelMapError: more channels than one, other numbers than integers, another size than
            the image's (where the image was loaded before).
    """
    if labels.ndim == 3 and labels.shape[2] == 1:
        labels = labels[..., 0]
    if labels.ndim != 2:
        raise LabelMapError(
            f'{path}: a label map of shape {labels.shape}; expected (H, W), one channel that holds '
            "class numbers. A colour image is none; of a PNG with a palette imdecode_backend="
            "'pillow' gives the class numbers, 'cv2' the colours")
    if labels.dtype.kind not in 'bui':
        raise LabelMapError(f'{path}: a label map of {labels.dtype}, values from {labels.min()} '
                            f'to {labels.max()}; expected whole numbers of 8 bits')
    # a test pipeline resizes the image before it loads the labels: compare with the original
    size = tuple(results.get('ori_shape') or labels.shape)[:2]
    if labels.shape != size:
        raise LabelMapError(f'{path}: a label map of {labels.shape[1]}x{labels.shape[0]} pixels; '
                            f'expected {size[1]}x{size[0]}, the size of {results.get("img_path")}')
    return labels


def check_values(path: str, labels: np.ndarray, allowed: np.ndarray, remark: str) -> None:
    """Compare the values of a label map of integers with the (256,) bool ``allowed``.

    Raises:
        LabelMapError: some are not allowed; the message names them, how many pixels have them,
            and what was expected, with ``remark``.
    """
    within = labels.dtype == np.uint8 or not ((labels < 0) | (labels > 255)).any()
    if within:
        counts = np.bincount(labels.ravel().astype(np.uint8, copy=False), minlength=256)
        values = np.flatnonzero((counts > 0) & ~allowed)
        counts = counts[values]
    else:
        values, counts = np.unique(labels, return_counts=True)
        right = (values >= 0) & (values < 256) & allowed[np.clip(values, 0, 255)]
        values, counts = values[~right], counts[~right]
    if len(values):
        found = ', '.join(f'{value} ({count} pixels)'
                          for value, count in zip(values[:5], counts[:5], strict=True))
        more = f' and {len(values) - 5} more values' if len(values) > 5 else ''
        raise LabelMapError(f'{path}: label {found}{more}; expected {in_words(allowed)}{remark}. '
                            'Check the classes, reduce_zero_label and ignore_index of the dataset')


def _reduces(transform: Any, results: dict, path: str) -> bool:
    """Return whether label 0 is ignored; a transform learns it from its first sample, as mmseg's.

    Raises:
        LabelMapError: the transform says other than the dataset.
    """
    asked = bool(results.get('reduce_zero_label', False))
    if getattr(transform, 'reduce_zero_label', None) is None:
        transform.reduce_zero_label = asked
    if transform.reduce_zero_label != asked:
        raise LabelMapError(f'{path}: LoadAnnotations has reduce_zero_label='
                            f'{transform.reduce_zero_label}, the dataset has {asked}; expected '
                            'the same, or none in LoadAnnotations')
    return asked


def load_label_map(transform: Any, results: dict) -> None:
    """Load a label map as mmseg's ``LoadAnnotations`` does, and check it while reading.

    Args:
        transform: the ``LoadAnnotations``, whose decoder and storage are used.
        results: the sample: ``seg_map_path``; ``reduce_zero_label``, ``label_map``,
            ``num_classes`` and ``ignore_index`` of its dataset where it has them; ``ori_shape``
            of the image if that is loaded. Gets ``gt_seg_map`` (H, W) uint8.

    Raises:
        LabelMapError: a label map that is not what the dataset says.
    """
    path = results.get('seg_map_path')
    if path is None:
        raise LabelMapError(f'{results.get("img_path")}: LoadAnnotations finds no label map, the '
                            'dataset names none; expected data_prefix.seg_map_path in the dataset')
    reduces, label_map = _reduces(transform, results, path), results.get('label_map')
    table = label_table(reduces, label_map)
    allowed = allowed_values(table, results.get('num_classes'), results.get('ignore_index', IGNORE))
    causes = [cause for cause, there in (('reduce_zero_label=True', reduces),
                                         ('label_map of the dataset', label_map)) if there]
    labels = check_shape(path, decode(path, transform.imdecode_backend, transform.backend_args),
                         results)
    check_values(path, labels, allowed, f' ({", ".join(causes)})' if causes else '')
    results['gt_seg_map'] = table[labels.astype(np.uint8, copy=False)]
    results.setdefault('seg_fields', []).append('gt_seg_map')
