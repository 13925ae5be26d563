from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from references.labelled import blocks, write

from mmdense.evaluation.datasets import build_dataset
from mmdense.evaluation.feature_cache import LabelledImages, LayerMaps
from mmdense.evaluation.predictions import write_predictions


def test_files_hold_ids_with_the_palette_named_after_the_image(tmp_path):
    labels = [blocks(seed) for seed in range(3)]
    labels[1][:8] = 255
    cfg = write(tmp_path, 'query', labels)
    with DefaultScope.overwrite_default_scope('mmseg'):
        images = LabelledImages(build_dataset(dict(dataset=cfg), 'query'), cfg, 3)
        queries = LayerMaps([torch.full((1, 2, 3), float(n)) for n in range(3)],
                            [images[n][1] for n in range(3)])
        names = write_predictions(tmp_path / 'out', images, queries, lambda maps, size: torch.full(
            size, int(maps.max())), 2)
    assert names == ['000', '001']
    assert sorted(path.name for path in (tmp_path / 'out/predictions').iterdir()) == [
        '000.png', '001.png']
    for number, name in enumerate(names):
        label = Image.open(tmp_path / f'out/labels/{name}.png')
        assert label.mode == 'P' and (np.array(label) == labels[number]).all()
        prediction = Image.open(tmp_path / f'out/predictions/{name}.png')
        assert prediction.size == (48, 32) and (np.array(prediction) == number).all()
        given = np.array(Image.open(tmp_path / f'query/images/{name}.png'))
        assert (np.array(Image.open(tmp_path / f'out/images/{name}.png')) == given).all()
    colours = np.array(label.convert('RGB'))
    for value, colour in ((0, [0, 0, 255]), (2, [255, 0, 0]), (255, [255, 255, 255])):
        assert (colours[labels[1] == value] == colour).all()
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='--predictions .*file/images/000.png could not be written'):
        write_predictions(tmp_path / 'file', images, queries, lambda maps, size: torch.zeros(size),
                          2)
