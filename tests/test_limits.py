"""What a process keeps of the memory that it freed."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mmdense.limits import KEPT_MEMORY

#: page faults of ten rounds that fill 128 MiB and free them, after a first one
CODE = '''
import resource
{imports}
import numpy as np

def fill():
    return [np.ones(16 << 17) for _ in range(8)]     # 16 MiB each

fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
'''


def faults(imports: str, **environment: str) -> int:
    given = {name: value for name, value in os.environ.items() if name not in KEPT_MEMORY}
    done = subprocess.run([sys.executable, '-c', CODE.format(imports=imports)],
                          env={**given, **environment}, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc only')
def test_freed_memory_is_kept_however_a_process_starts():
    given_back, kept = faults(''), faults('import mmdense')
    assert kept < given_back / 20, (kept, given_back)


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc only')
def test_what_the_user_set_stays():
    kept, given_back = (faults('import mmdense', **environment) for environment in (
        {}, dict(MALLOC_TRIM_THRESHOLD_='131072')))
    assert kept < given_back / 20, (kept, given_back)
