"""The line that a training run ends with when images were passed over."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from jobs.processes import run_processes
from jobs.skipped_images import said, skipped_images_job
from mmengine.dataset import RepeatDataset
from PIL import Image
from references.damaged import encoded, flipped

from mmdense.datasets import UnlabelledDataset


def images(folder, count=4) -> str:
    for index in range(count):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / f'{index}.png')
    return str(folder)


def test_count_and_names(tmp_path):
    dataset = UnlabelledDataset(data_root=images(tmp_path), on_error='skip')
    wrapped = RepeatDataset(dataset, times=2)
    assert said(wrapped) == ['0 of 4 images could not be read and were skipped']
    dataset.unreadable[[1, 3]] = 1
    assert said(wrapped) == ['2 of 4 images could not be read and were skipped: '
                             f'{tmp_path}/1.png, {tmp_path}/3.png']
    assert said(UnlabelledDataset(data_root=str(tmp_path))) == []


@pytest.mark.situation('numbers', 'training on images of whose damage decoders speak', 'warning',
                       'their number and names at the end of the run')
def test_damage_that_the_decoder_speaks_of_is_counted(tmp_path):
    """Its pixels are used: 20 of 20 TIFF with a broken checksum come as they are."""
    folder = images(tmp_path, 3)
    damaged = list(flipped(encoded('TIFF with deflate')))[10]
    (tmp_path / 'bad.tif').write_bytes(damaged)
    dataset = UnlabelledDataset(data_root=folder, pipeline=[dict(type='mmdense.LoadImage')])
    for index in [*range(4), 3]:
        dataset[index]
    assert said(dataset) == [
        '1 of 4 images are damaged, as their decoder says, and were used as decoded '
        f'(tools/check.py --files lists all): {tmp_path}/bad.tif']


def test_marks_of_all_processes_add_up(tmp_path):
    (tmp_path / 'images').mkdir()
    folder = images(tmp_path / 'images')
    for lines in run_processes(partial(skipped_images_job, folder)):
        assert lines[0].startswith('3 of 4 images could not be read')
