"""The benchmark of nearest neighbours finds the same with every contender and measures memory."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='reads /proc')
def test_contenders_agree_and_the_product_takes_more_memory(repo):
    done = subprocess.run(
        [sys.executable, repo / 'tools/benchmarks/knn.py', '--keys', '150000', '--dim', '16',
         '--queries', '200', '--k', '5', '--dtype', 'float16', '--block', '1000000',
         '--repeats', '1', '--only', 'mmdense', 'product'],
        env={**os.environ, 'PYTHONPATH': str(repo)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert [line.split('|')[1].strip() for line in lines[-3:-1]] == ['mmdense', 'product']
    found = json.loads(lines[-1])
    ours, product = (found['results'][name] for name in ('mmdense', 'product'))
    assert ours['same_neighbours'] == 100 and product['same_neighbours'] > 99.9
    assert product['difference'] < 1e-5 and ours['keys_mb'] == pytest.approx(4.6, abs=0.1)
    # 200 x 150000 similarities are 114 MB, blocks of a million 4 MB
    assert product['extra_mb'] > 110 and ours['extra_mb'] < 40
    assert found['settings']['dtype'] == 'float16'


def test_impossible_settings_are_said(repo):
    done = subprocess.run([sys.executable, repo / 'tools/benchmarks/knn.py', '--keys', '3'],
                          capture_output=True, text=True)
    assert done.returncode == 2 and '--k at most --keys' in done.stderr
