"""tools/benchmarks/detcon_step.py measures a step of DetCon_B, and what it cannot do without."""
from __future__ import annotations

import json
import sys

import pytest


@pytest.fixture
def benchmark(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / 'tools/benchmarks'))
    import detcon_step
    return detcon_step


@pytest.mark.parametrize('kind', ['given', 'clustered', 'soft'])
def test_both_are_timed_and_reported(kind, benchmark, monkeypatch, capsys):
    models = []
    build = benchmark.build_detcon
    monkeypatch.setattr(benchmark, 'build_detcon', lambda *args: models.append(build(*args))
                        or models[0])
    monkeypatch.setattr(sys, 'argv', ['detcon_step.py', '--depth', '18', '--size', '64', '--batch',
                                      '2', '--steps', '1', '--device', 'cpu', '--regions', '4',
                                      '--kind', kind])
    benchmark.main()
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found['step_over_encoders'] > 0 and found['settings']['regions'] == 4
    assert [line.split('|')[1].strip() for line in table[2:4]] == ['bare', 'mmdense']
    loss = float(table[3].split('|')[-2])
    assert 0 < loss < 20, 'regions of both views pair up'
    assert type(models[0].regions).__name__.lower() == f'{kind}regions'
    # warm-up, memory and one round
    assert models[0].twin.state_dict()['steps'].item() == 3
