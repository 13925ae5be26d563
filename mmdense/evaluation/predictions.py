"""Images with their labels and predictions as files, for figures of several checkpoints."""
from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmdense.datasets.label_maps import IGNORE
from mmdense.files import write_whole

from .feature_cache import LayerMaps
from .predictors import Predictor
from .sources import LabelledImages

#: folders of what is written
IMAGES, LABELS, PREDICTIONS = 'images', 'labels', 'predictions'


def label_png(labels: Tensor, palette: Sequence[Sequence[int]]) -> bytes:
    """Return labels (H, W), 255 = none (white), as a PNG of class ids with a palette."""
    image = Image.fromarray(labels.cpu().numpy().astype(np.uint8))
    colours = np.full((256, 3), 255, np.uint8)
    colours[:len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)[:IGNORE]
    image.putpalette(colours.tobytes())
    content = io.BytesIO()
    image.save(content, 'PNG')
    return content.getvalue()


def image_png(image: Tensor) -> bytes:
    """Return an image (C, H, W), uint8, BGR where it has three channels, as PNG."""
    array = image.permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    colour = array[..., ::-1] if array.shape[2] == 3 else array[..., :1].repeat(3, 2)
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colour)).save(content, 'PNG')
    return content.getvalue()


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
        content = {IMAGES: image_png(images[number][0]), LABELS: label_png(labels, palette),
                   PREDICTIONS: label_png(found, palette)}
        for part, data in content.items():
            write_whole(data, Path(folder) / part / f'{name}.png', '--predictions')
    return names
