"""A process of a run ends when the launcher that started it was killed."""
from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

#: seconds between two looks, and from the request to end until the end
INTERVAL, PATIENCE = 0.25, 20.0


def end_with_launcher(launcher: str) -> None:
    """Watch torchrun from now on, in a thread; srun and mpirun end their processes themselves."""
    if launcher == 'pytorch' and 'TORCHELASTIC_RUN_ID' in os.environ:
        threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()


def watch(parent: int, end: Callable[[], None] | None = None) -> None:
    """Wait until ``parent`` is not this process's parent any more, then end this process.

    Without the launcher nobody would end it where another process fails, and a run that is
    started again would meet it in its folder.
    """
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    (end or end_process)()


def end_process() -> None:
    """Ask this process to end, and end it where it does not listen."""
    print('error: the launcher of this process was killed, so it ends too', file=sys.stderr,
          flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)
