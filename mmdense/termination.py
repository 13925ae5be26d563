"""How a command ends on SIGTERM (Slurm, a service, `kill`), and its workers with it."""
from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: exit code of a process that SIGTERM ended, as the shell counts
EXIT_CODE = 128 + signal.SIGTERM
#: seconds that a process which saves nothing waits for the one that does, before it ends
PATIENCE = 60.0
#: prctl: the signal that this process gets when its parent dies (Linux)
PR_SET_PDEATHSIG = 1


class Terminated(SystemExit):
    """SIGTERM came; ends the process with :data:`EXIT_CODE` and no stack."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class Termination:
    """What SIGTERM does in this process.

    Attributes:
        requested: whether it came.
        deferred: whether it waits for :meth:`obey`, so that a training can end its iteration and
            save. It ends the process at once otherwise.
        commands: how many commands run in this process: forked workers of one end with it.
    """

    def __init__(self) -> None:
        self.requested = self.deferred = False
        self.commands = 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if self.requested and self.deferred:     # launcher and scheduler each send one
            return
        self.requested = True
        if not self.deferred:
            self.obey('ended by SIGTERM')
        if not is_first_process():
            threading.Thread(target=leave_later, daemon=True).start()

    def obey(self, text: str) -> None:
        """Say why (the first process does) and end this process.

        Raises:
            Terminated: always.
        """
        if is_first_process():
            print(text, file=sys.stderr, flush=True)
        raise Terminated


TERMINATION = Termination()


def is_first_process() -> bool:
    """Whether this process speaks for all of a run, also before they have met."""
    names = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK', 'LOCAL_RANK')
    return next((os.environ[name] for name in names if name in os.environ), '0') == '0'


def leave_later() -> None:
    """End this process after :data:`PATIENCE`, whatever it is doing."""
    threading.Event().wait(PATIENCE)
    os._exit(EXIT_CODE)


def defer_termination() -> None:
    """Let SIGTERM wait for ``TERMINATION.obey`` from now on."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL \
            and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, TERMINATION)       # a training by another tool than ours
    TERMINATION.deferred = True


def _follow_parent() -> None:
    """In a forked worker: only its parent ends it, and the death of its parent does.

    torchrun and Slurm send SIGTERM to all processes, and a training that lost its workers could
    not save any more. A worker that hands over a batch waits for its reader for ever, dead or
    not, since the other workers hold the same pipe open.
    """
    if not TERMINATION.commands:
        return
    TERMINATION.commands = 0
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if PRCTL is not None:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


PRCTL = getattr(ctypes.CDLL(None), 'prctl', None) if sys.platform == 'linux' else None
os.register_at_fork(after_in_child=_follow_parent)


@contextmanager
def terminable() -> Iterator[None]:
    """Handle SIGTERM while the context lasts, in the main thread."""
    TERMINATION.requested = TERMINATION.deferred = False
    TERMINATION.commands += 1
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, TERMINATION) if main else None
    try:
        yield
    finally:
        TERMINATION.commands -= 1
        if main:
            signal.signal(signal.SIGTERM, before)
