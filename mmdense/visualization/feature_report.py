"""A folder of pictures of what a network has learnt."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmdense.datasets.samplers import SampleIndex
from mmdense.datasets.source import with_source
from mmdense.datasets.transforms.multiview import box_iou
from mmdense.evaluation.features import FrozenEncoder
from mmdense.mistakes import WrongValue
from mmdense.models.matching.geometry import cell_centres, cell_coordinates, visible_in
from mmdense.random_states import kept_random_state
from mmdense.structures import ViewSample

from .colour_figure import draw_colours
from .composite_figure import draw_composites
from .context_figure import draw_context
from .figures import (
    colours_figure,
    draw_predictions,
    matches_figure,
    save,
    shown,
    similarity_figure,
)
from .maps import mutual_matches, principal_colours, similarity_to_cell
from .patch_figure import draw_patches
from .place_figure import draw_places
from .region_figure import draw_regions

LARGEST_SIDE = 512
LARGEST_NUMBER_OF_LINES = 60
#: draws of two views, of which the ones that share most are shown
DRAWS = 8
#: what a method may name among its ``pictures``, of each image: (model, sample, path) -> path
PICTURES = dict(regions=draw_regions, places=draw_places, context=draw_context)
#: and of all images together: (model, samples, path) -> path
SHEETS = dict(composites=draw_composites, patches=draw_patches, colours=draw_colours)


def _array(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).cpu().numpy()


def _centres(maps: Tensor, width: int, height: int) -> Tensor:
    """Return the centres (h * w, 2) of the cells of a map (C, h, w), in an image's pixels."""
    whole = torch.tensor([[0., 0., width, height]])
    return cell_centres(whole, torch.zeros(1, dtype=torch.bool), *maps.shape[1:])[0]


def overlapping_views(dataset: Sequence[dict], index: int) -> dict:
    """Return the sample, of a few draws of an image's views, whose first two share most.

    The same one every time: draws, and images, are told apart by their place in a sampler's order.

    Raises:
        ValueError: the dataset gives no views.
    """
    draws = [dataset[SampleIndex(index, 0, DRAWS * index + draw)] for draw in range(DRAWS)]
    if 'boxes' not in draws[0]['data_samples']:
        raise WrongValue(f'the dataset ({type(dataset).__name__}) gives '
                         f'{type(draws[0]["data_samples"]).__name__}, no views to draw; expected '
                         'a pipeline of pretraining, which ends in mmdense.PackViews')
    boxes = [draw['data_samples'].boxes.tolist() for draw in draws]
    shared = [box_iou(*box[:2]) if len(box) > 1 else 0 for box in boxes]
    return draws[shared.index(max(shared))]


def draw_matches(encoder: FrozenEncoder, views: Sequence[Tensor], sample: ViewSample,
                 path: Path) -> Path:
    """Draw the mutual nearest cells of the first two views (C, h, w) uint8 of one image."""
    first, second = (encoder(view[None])[0] for view in views[:2])
    pairs, _ = mutual_matches(first, second)
    pairs = pairs[:LARGEST_NUMBER_OF_LINES]
    boxes, flips = sample.boxes[:2, None].to(first.device), sample.flips[:2, None].to(first.device)
    centres = cell_centres(boxes[0], flips[0], *first.shape[1:])
    places = cell_coordinates(centres, boxes[1], flips[1], *second.shape[1:])[0]
    visible = visible_in(centres, boxes[1])[0, pairs[:, 0]].cpu()
    width = second.shape[2]
    best = torch.stack([pairs[:, 1] % width, pairs[:, 1] // width], 1)
    near = ((best - places[pairs[:, 0]]).norm(dim=1) <= 1 + 1e-4).cpu()
    state = ['hidden' if not seen else 'right' if good else 'wrong'
             for seen, good in zip(visible, near, strict=True)]
    height = max(view.shape[1] for view in views[:2])
    images, ends = [], []
    for view, maps, cells in zip(views, (first, second), pairs.t().cpu(), strict=False):
        scale = height / view.shape[1]
        size = (round(view.shape[2] * scale), height)
        images.append(cv2.resize(shown(_array(view)), size))
        ends.append(_centres(maps, *size)[cells].numpy())
    right, seen = state.count('right'), len(state) - state.count('hidden')
    title = (f'{len(pairs)} mutual nearest cells; of {seen} whose place is in both views, '
             f'{right} within one cell')
    return save(matches_figure(tuple(images), np.stack(ends, 1), state, title), path)


def evenly(dataset: Sequence[dict], num_images: int) -> list[int]:
    """Return at most ``num_images`` places, taken evenly from a dataset.

    Raises:
        ValueError: it is empty.
    """
    if not len(dataset):
        raise WrongValue('there are no images to draw')
    count = min(num_images, len(dataset))
    return [number * len(dataset) // count for number in range(count)]


def draw_report(model: BaseModel, dataset: Sequence[dict], out_dir: str | Path,
                num_images: int = 6, cell: tuple[float, float] | None = None,
                stride: int = 8, out_index: int | str | None = None) -> list[Path]:
    """Draw matches between views, feature colours and similarities; return the files' paths.

    Also the ``pictures`` that the method names, of the views that it takes.

    Args:
        model: with ``backbone`` and ``data_preprocessor``; a copy of its encoder is used.
        dataset: of samples as the pretraining pipeline packs them: ``inputs`` (views) and
            ``data_samples`` (``ViewSample``). The same views are drawn every time.
        out_dir: gets ``matches_N.png``, ``similarity_N.png`` and ``features.png``, and
            such as ``regions_N.png`` and ``composites.png`` of the method's own pictures.
        num_images: taken evenly from the dataset.
        cell: pixel (x, y) of the images, whose cell is compared with all; None = the middle.
        stride, out_index: of the map, see :class:`FrozenEncoder`.

    Raises:
        ValueError: no images, a dataset whose views cannot be seen made, or ``cell`` lies outside
            an image; or the dataset does not give what the method's pictures show.
    """
    places, out_dir = evenly(dataset, num_images), Path(out_dir)
    encoder, dataset = FrozenEncoder(model, stride, out_index), with_source(dataset)
    own = list(getattr(model, 'pictures', ()))
    paths, images, maps, samples = [], [], [], []
    with kept_random_state(), torch.no_grad():
        for number, index in enumerate(places):
            sample = overlapping_views(dataset, index)
            samples.append(sample)
            views, geometry = sample['inputs'], sample['data_samples']
            if len(views) > 1:
                paths.append(draw_matches(encoder, views, geometry,
                                          out_dir / f'matches_{number}.png'))
            paths += [PICTURES[name](model, sample, out_dir / f'{name}_{number}.png')
                      for name in own if name in PICTURES]
            image = sample['source']['img']      # as the config's own transforms load it
            scale = min(1, LARGEST_SIDE / max(image.shape[:2]))
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            small = small.reshape(*small.shape[:2], -1)
            maps.append(encoder(torch.from_numpy(small).permute(2, 0, 1)[None])[0])
            images.append(shown(small))
            paths.append(draw_similarity(images[-1], maps[-1], cell, scale, geometry.img_path,
                                         out_dir / f'similarity_{number}.png'))
    paths += [SHEETS[name](model, samples, out_dir / f'{name}.png')
              for name in own if name in SHEETS]
    colours = [colour.cpu().numpy() for colour in principal_colours(maps)]
    return [*paths, save(colours_figure(images, colours), out_dir / 'features.png')]


def draw_similarity(image: np.ndarray, maps: Tensor, cell: tuple[float, float] | None,
                    scale: float, name: str, path: Path) -> Path:
    """Draw the similarity of an image's cells to the one at ``cell``, in unscaled pixels.

    Raises:
        ValueError: ``cell`` lies outside the image ``name``.
    """
    height, width = image.shape[:2]
    x, y = (width / 2, height / 2) if cell is None else (side * scale for side in cell)
    if not (0 <= x < width and 0 <= y < height):
        raise WrongValue(f'cell {cell} is outside {name} of {round(width / scale)} x '
                         f'{round(height / scale)} pixels')
    row, column = int(y / height * maps.shape[1]), int(x / width * maps.shape[2])
    centre = _centres(maps, width, height)[row * maps.shape[2] + column].tolist()
    similarity = similarity_to_cell(maps, row, column).cpu().numpy()
    return save(similarity_figure(image, similarity, centre), path)


def draw_segmentations(model: BaseModel, dataset: Sequence[dict], out_dir: str | Path,
                       num_images: int = 6) -> list[Path]:
    """Draw a segmentor's predictions beside the labels as ``predictions.png``.

    Args:
        model: with ``test_step``, an mmseg segmentor.
        dataset: a labelled mmseg dataset with its test pipeline.
        out_dir: gets the file.
        num_images: taken evenly from the dataset.
    """
    images, predictions, labels = [], [], []
    model.eval()
    with kept_random_state(), torch.no_grad():
        for place in evenly(dataset, num_images):
            sample = dataset[place]
            result = model.test_step(dict(inputs=[sample['inputs']],
                                          data_samples=[sample['data_samples']]))[0]
            prediction = result.pred_sem_seg.data[0].cpu().numpy()
            image = shown(_array(sample['inputs']))
            images.append(cv2.resize(image, prediction.shape[::-1]))
            predictions.append(prediction)
            labels.append(result.gt_sem_seg.data[0].cpu().numpy())
    meta = dataset.metainfo
    figure = draw_predictions(images, predictions, labels, meta['palette'], meta['classes'])
    return [save(figure, Path(out_dir) / 'predictions.png')]
