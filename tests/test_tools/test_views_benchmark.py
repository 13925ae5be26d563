"""The benchmark of views measures ours without and with regions, and these are in the views."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from references.commands import tool

from mmdense.regions import grid_regions, write_regions


@pytest.fixture
def benchmark():
    threads = cv2.getNumThreads()
    yield tool('benchmarks/views')
    cv2.setNumThreads(threads)


@pytest.fixture
def image(tmp_path) -> Path:
    """An image of 5 x 4 flat cells, as a JPEG."""
    cells = np.random.default_rng(0).permutation(np.linspace(0, 255, 20)).astype(np.uint8)
    pixels = cv2.resize(cells.reshape(4, 5, 1).repeat(3, 2), (200, 160),
                        interpolation=cv2.INTER_NEAREST)
    path = tmp_path / 'images/a.jpg'
    path.parent.mkdir()
    cv2.imwrite(str(path), pixels)
    return path


def run(benchmark, monkeypatch, capsys, *options) -> tuple[list[str], dict]:
    """Run the benchmark in this process; return its lines and the JSON of the last one."""
    monkeypatch.setattr(sys, 'argv', ['views.py', *map(str, options)])
    benchmark.main()
    lines = capsys.readouterr().out.splitlines()
    return lines, json.loads(lines[-1])


@pytest.mark.parametrize('given', [True, False], ids=['file', 'generated'])
def test_cost_of_regions(given, benchmark, image, monkeypatch, capsys):
    options = ['--image', image] if given else []
    lines, found = run(benchmark, monkeypatch, capsys, '--regions', '--draws', 3, *options)
    assert [line.split('|')[1].strip() for line in lines[-3:-1]] == ['MoCo v2', 'DetCon']
    assert found['target'] == 1.15 and found['regions'] >= (10 if given else 2)
    assert lines[0].startswith('200x160' if given else '481x321')
    for result in found['results'].values():
        assert result['with_ms'] > 0 and result['without_ms'] > 0
        assert result['ratio'] == pytest.approx(result['with_ms'] / result['without_ms'], rel=0.01)
    # nothing was written beside the image
    assert [path.name for path in image.parent.parent.rglob('*') if path.is_file()] == ['a.jpg']


def test_regions_are_in_the_views(benchmark, image, tmp_path):
    """Both pipelines make the same views of a draw, one of them with their part of the map."""
    write_regions(tmp_path / 'regions/a.png', grid_regions(cv2.imread(str(image)), 5))
    for name, pair in benchmark.region_pipelines(image, tmp_path / 'regions').items():
        made = {}
        for kind, pipeline in pair.items():
            np.random.seed(0)
            made[kind] = pipeline(dict(img_path=str(image)))['views']
        assert len(made['without']) == 2, name
        for plain, with_regions in zip(made['without'], made['regions'], strict=True):
            assert 'regions' not in plain and with_regions['regions'].shape == (224, 224)
            assert len(np.unique(with_regions['regions'])) > 1
            np.testing.assert_array_equal(plain['img'], with_regions['img'])


def test_cost_of_pretexts(benchmark, monkeypatch, capsys):
    """A row for each config, whose views are those that it trains on."""
    lines, found = run(benchmark, monkeypatch, capsys, '--pretexts', '--draws', 3)
    assert [line.split('|')[1].strip() for line in lines[-1 - len(benchmark.PRETEXTS):-1]] \
        == [*benchmark.PRETEXTS] == [*found['results']]
    for name, (alone, _) in benchmark.PRETEXTS.items():
        result = found['results'][name]
        assert 0 < result['alone_ms'] < result['own_ms']
        assert any(step['type'] == alone['type'] for view in benchmark.config_views(name)
                   for step in view)
    with pytest.raises(SystemExit):
        run(benchmark, monkeypatch, capsys, '--pretexts', '--regions')


def test_comparison_with_mmpretrain(benchmark, image, monkeypatch, capsys):
    lines, found = run(benchmark, monkeypatch, capsys, '--image', image, '--draws', 3)
    assert found['ratio'] > 0 and lines[-2].startswith('| **two views** |')
    assert len(lines) == 5 + len(benchmark.peer_views()) + 3
