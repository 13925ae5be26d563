"""Images with their labels and predictions as files, for figures of several checkpoints."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmdense.datasets.label_maps import IGNORE
from mmdense.files import write_whole
from mmdense.images.writing import label_png, picture_png

from .feature_cache import LayerMaps
from .predictors import Predictor
from .sources import LabelledImages

#: folders of what is written
IMAGES, LABELS, PREDICTIONS = 'images', 'labels', 'predictions'


def picture(image: Tensor) -> np.ndarray:
    """Return an image (C, H, W), BGR where it has three channels, as (H, W, 3) uint8."""
    array = image.permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    return array if array.shape[2] == 3 else array[..., :1].repeat(3, 2)


def _names(images: LabelledImages, count: int) -> list[str]:
    stems = [Path(images.dataset.get_data_info(number)['img_path']).stem
             for number in range(count)]
    repeated = Counter(stems)
    return [stem if repeated[stem] == 1 else f'{stem}_{number}'
            for number, stem in enumerate(stems)]


@torch.no_grad()
def write_predictions(folder: str | Path, images: LabelledImages, queries: LayerMaps,
                      predictor: Predictor, count: int) -> list[str]:
    """Write the first images, their labels and what a predictor makes of their maps.

    ``images/NAME.png`` (as the pipeline gives it), ``labels/NAME.png`` and
    ``predictions/NAME.png`` (class ids with the dataset's palette), of the labels' size.

    Args:
        folder: for the files; those that are there are replaced.
        images: the queries.
        queries: their maps (D, h, w) with ``labels`` (H, W).
        predictor: gives the classes of a map.
        count: of images; fewer are written if there are fewer.

    Returns:
        their names.

    Raises:
        OSError: a file could not be written.
    """
    names = _names(images, min(count, len(images)))
    palette = images.dataset.metainfo.get('palette') or []
    for number, name in enumerate(names):
        labels = queries.beside[number]['labels']
        found = predictor(queries.maps[number], tuple(labels.shape))
        content = {IMAGES: picture_png(picture(images[number][0]))} | {
            part: label_png(ids.cpu().numpy().astype(np.uint8), palette[:IGNORE])
            for part, ids in ((LABELS, labels), (PREDICTIONS, found))}
        for part, data in content.items():
            write_whole(data, Path(folder) / part / f'{name}.png', '--predictions')
    return names
