"""Curves from a log, and what a wrong log or key says."""
from __future__ import annotations

import importlib.util
import sys

import cv2
import pytest


@pytest.fixture
def draw(repo, monkeypatch):
    """``draw(*arguments)`` runs tools/analysis_tools/analyze_logs.py in this process."""
    spec = importlib.util.spec_from_file_location(
        'analyze_logs', repo / 'tools/analysis_tools/analyze_logs.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['analyze_logs.py', *map(str, arguments)])
        module.main()

    return call


def test_curves_are_drawn(draw, tmp_path, capsys):
    log, out = tmp_path / 'scalars.json', tmp_path / 'new' / 'curve.png'
    log.write_text('{"loss": 2.0, "step": 1}\n{"loss": 1.0, "step": 2}\n{"mIoU": 3, "step": 2}\n')
    draw(log, '--keys', 'loss', 'mIoU', '--out', out)
    assert 'loss, mIoU' in capsys.readouterr().out
    assert cv2.imread(str(out)).std() > 5


@pytest.mark.parametrize('text, message', [
    ('{"loss": 2.0, "step": 1}', "nothing logged as 'los'; there are loss, step"),
    ('{"loss":', 'line 1: expected one JSON object'),
    (None, 'no such log')])
def test_mistakes_are_named(draw, tmp_path, text, message):
    log = tmp_path / 'scalars.json'
    if text is not None:
        log.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        draw(log, '--keys', 'los', '--out', tmp_path / 'curve.png')
