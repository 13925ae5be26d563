"""What a process of ours asks of the system: open files, and memory that it freed before."""
from __future__ import annotations

import ctypes
import os
import resource

#: descriptors that no run of ours exceeds; some systems' hard limit is a thousand million
MOST_DESCRIPTORS = 65536
#: what glibc keeps of freed memory: by the name of its environment variable, the number of
#: ``mallopt`` (malloc.h) and the value in bytes. Blocks up to the first come from the heap, freed
#: memory at its end stays up to the second, and it grows by the third. 32 MiB is glibc's most.
KEPT_MEMORY = {
    'MALLOC_MMAP_THRESHOLD_': (-3, 32 << 20),
    'MALLOC_TRIM_THRESHOLD_': (-1, 1 << 30),
    'MALLOC_TOP_PAD_': (-2, 64 << 20),
}


def raise_descriptor_limit() -> None:
    """Let this process, and the workers that it will start, open as many files as it may.

    torch sends a file descriptor for each tensor of a batch. The usual soft limit of 1024 is for
    programs that use ``select``; the hard one is what the system allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GiB of freed memory for the next step, however a run was started.

    By itself it gives the memory of large tensors back after every step and fetches it again: on
    CPU an eighth of the time. What the user set by glibc's own environment variables stays. Other
    C libraries, which have no ``mallopt``, are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None or 'glibc.malloc' in os.environ.get('GLIBC_TUNABLES', ''):
        return
    for name, (number, size) in KEPT_MEMORY.items():
        if name not in os.environ:
            mallopt(number, size)
