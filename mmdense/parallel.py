"""Do one thing to many files, in several processes."""
from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import Any

import cv2

from .mistakes import LostWorker


def _start_worker(stopped: Connection) -> None:
    """End a worker when its parent asks for it or was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C: the parent ends its workers
    ends = [stopped, multiprocessing.parent_process().sentinel]
    threading.Thread(target=lambda: wait(ends) and os._exit(1), daemon=True).start()


def map_in_processes(job: Callable[[Any], Any], items: Sequence[Any], workers: int,
                     chunk: int = 4) -> Iterator[Any]:
    """Yield ``job`` of each item, in order, as it comes; close it to end the workers.

    Args:
        job: a function that can be pickled, or a ``functools.partial`` of one.
        items: what it is called with.
        workers: processes; 1 does it in this one.
        chunk: items that a worker takes at once.

    Raises:
        ChildProcessError: a worker was killed.
    """
    if workers <= 1 or len(items) < 2:
        yield from map(job, items)
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)            # here: a forked worker would wait for threads that it has not
    stopped, stop = multiprocessing.Pipe(duplex=False)
    pool = ProcessPoolExecutor(min(workers, len(items)), multiprocessing.get_context('fork'),
                               _start_worker, (stopped,))
    try:
        # each part is kept in memory until it is done: fewer, larger ones of many files
        yield from pool.map(job, items, chunksize=chunk if len(items) < 10_000 else 8 * chunk)
    except BrokenProcessPool:
        raise LostWorker('a worker was killed, perhaps because memory ran out: take '
                         'fewer (--workers)') from None
    except BaseException:               # Ctrl-C, too: what is begun is not waited for
        stop.send(None)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)
