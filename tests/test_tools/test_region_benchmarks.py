"""The benchmarks of regions measure what they say, on images whose regions are known."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from references.run_tool import run_tool

from mmdense.regions import grid_regions, write_regions


def run(name: str, capsys, *options) -> tuple[list[str], dict]:
    """Run a benchmark in this process; return its lines and the JSON of the last one."""
    run_tool(f'benchmarks/{name}', *options)
    lines = capsys.readouterr().out.splitlines()
    return lines, json.loads(lines[-1])


@pytest.fixture
def images(tmp_path) -> Path:
    """Three images of 5 x 5 cells with a little noise, and those cells as the human regions."""
    rng = np.random.default_rng(0)
    (tmp_path / 'images').mkdir()
    for number in range(3):
        cells = rng.permutation(np.linspace(0, 255, 25)).astype(np.uint8).reshape(5, 5, 1)
        image = cv2.resize(cells.repeat(3, 2), (100, 80), interpolation=cv2.INTER_NEAREST)
        image = (image + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{number}.png'), image)
        write_regions(tmp_path / f'human/{number}.png', grid_regions(image, 5))
    return tmp_path


def test_speed_and_equality(images, capsys):
    lines, found = run('regions', capsys, images / 'images', '--repeats', 1, '--min-size', 20,
                       '--scale', 30)
    assert [line.split('|')[1].strip() for line in lines[-3:-1]] == ['mmdense', 'scikit-image']
    ours, theirs = (found['results'][name] for name in ('mmdense', 'scikit-image'))
    assert found['images'] == 3 and ours['regions'] == theirs['regions'] > 10
    assert ours['same_pixels'] > 99.5 and ours['cpu_over_mmdense'] == 1
    assert theirs['cpu_ms'] > ours['cpu_ms'] > 0


def test_quality(images, capsys):
    sheet = images / 'sheet.png'
    lines, found = run('region_quality', capsys, images / 'images', images / 'human', '--limit', 2,
                       '--sheet', sheet, '--rows', 'grid 5 x 5', 'grid 10 x 10', 'one region',
                       'fh 300, 0.2 %')
    rows = found['results']
    assert len(lines) == 3 + 4 + 1 and found['images'] == 2 and found['human_regions'] == 25
    for name in ('recall', 'precision', 'achievable', 'covering'):
        assert rows['grid 5 x 5'][name] == 100
    assert rows['grid 10 x 10']['achievable'] == 100 and rows['grid 10 x 10']['covering'] == 25
    assert rows['one region']['recall'] == 0 and rows['one region']['one'] == 2
    assert rows['one region']['achievable'] == rows['one region']['covering'] == 4
    assert rows['fh 300, 0.2 %']['covering'] > 50
    assert cv2.imread(str(sheet)).shape == (2 * 164 - 4, 6 * 164 - 4, 3)


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='reads /proc')
@pytest.mark.parametrize('options', [[], ['--constant-targets']])
def test_the_plain_loss_is_the_same_loss(options, capsys):
    """What the time is compared with gives the same value and gradients."""
    _, found = run('detcon_loss', capsys, '--batch', 6, '--dim', 8, '--repeats',
                   1, *options)
    ours, theirs = found['results']['6']['mmdense'], found['results']['6']['plain']
    for name in ('loss', 'gradient'):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-5) and ours[name] > 0.1
    assert set(found['mmdense_over_plain']['6']) == {'seconds', 'cpu_seconds', 'extra_mb'}


def test_images_without_human_regions(images, capsys):
    (images / 'human/1.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'human/1\.png: no such region file'):
        run('region_quality', capsys, images / 'images', images / 'human')
