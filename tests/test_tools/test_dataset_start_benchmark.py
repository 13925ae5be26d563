"""The benchmark of starts measures both datasets on the same links, and leaves none."""
from __future__ import annotations

import json
import sys

import pytest
from references.commands import tool

from mmdense.datasets import path_list


@pytest.fixture
def benchmark(monkeypatch):
    module = tool('benchmarks/dataset_start')
    monkeypatch.setattr(module, 'IN_A_FOLDER', 64)
    monkeypatch.setattr(module, 'LINKS', 100)
    monkeypatch.setattr(module.time, 'sleep', lambda _: None)
    monkeypatch.setattr(path_list, 'SURE_AFTER', -10 ** 10)     # the links are new
    monkeypatch.setenv('MMDENSE_CACHE', 'put back at the end')
    return module


def test_both_start_on_all_links(benchmark, tmp_path, monkeypatch, capsys):
    made = []
    real = benchmark.compare
    monkeypatch.setattr(benchmark, 'compare', lambda folder, few, cache: made.extend(
        sorted(folder.glob('*/*.jpg'))) or real(folder, few, cache))
    monkeypatch.setattr(sys, 'argv', ['x', '--images', '250', '--root', str(tmp_path)])
    benchmark.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('|')[1].strip() for line in lines[3:6]] == [
        'ours, first start', 'ours, second start', 'ImageFolder']
    found = json.loads(lines[-1])
    assert {result['images'] for result in found['results'].values()} == {250}
    for result in found['results'].values():
        assert 0 < result['seconds'] and 0 <= result['ready_mb'] <= 50
    seconds = [found['results'][name]['seconds'] for name in ('ImageFolder', 'ours, second start')]
    assert found['ratio'] == seconds[0] / seconds[1]
    assert len(made) == len({path.name for path in made}) == 250
    assert len({path.parent for path in made}) == 4
    assert not list(tmp_path.iterdir())


def test_the_links_are_kept_if_wanted(benchmark, tmp_path):
    folder = benchmark.make_links(tmp_path, 7)
    assert benchmark.make_links(tmp_path, 7) == folder
    names = sorted(path.name for path in folder.glob('set/*/*'))
    assert names == [f'n{number:010d}.jpg' for number in range(7)]
    assert len({path.stat().st_ino for path in folder.glob('set/*/*')}) == 1
