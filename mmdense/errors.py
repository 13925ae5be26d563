"""How a command ends when its user made a mistake: with one line, not with a stack."""
from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable

from .component_errors import component_message
from .files import NO_SPACE
from .mistakes import Mistake
from .termination import EXIT_CODE, TERMINATION, Terminated, is_first_process, terminable

#: an error of ours in a printed stack: its class, then its text, up to what was raised over it
OURS = re.compile(r'^(?P<module>mmdense(?:\.\w+)*)\.(?P<name>\w+): (?P<text>.*?)'
                  r'(?=\n\n(?:The above exception was|During handling of)|\Z)',
                  re.MULTILINE | re.DOTALL)
#: what torch says when a data loader's worker is gone
DEAD_WORKER = re.compile(r'DataLoader worker \(pid(?:\(s\))? (?P<pid>[\d, ]+)\) '
                         r'(?:is killed by signal: (?P<signal>[\w ]+)|exited unexpectedly)')


def _dead_worker(error: BaseException) -> str | None:
    """Return which worker of a data loader ended, and what that is most often due to, or None."""
    # its signal, if any, is in the first of two errors
    found = DEAD_WORKER.search(str(error.__cause__)) or DEAD_WORKER.search(str(error))
    # it may have ended while its last batch was fetched
    fetching = isinstance(error, (OSError, EOFError)) and any(
        frame.filename.endswith('resource_sharer.py')
        for frame in traceback.extract_tb(error.__traceback__))
    if found is None and not fetching:
        return None
    room = shutil.disk_usage('/dev/shm')
    causes = {'Killed': 'the system ends processes so when memory runs out (dmesg names it)',
              'Bus error': f'/dev/shm is full ({room.free:,} of {room.total:,} bytes are free now; '
                           'docker run --shm-size gives more)'}
    signal_name = found and found['signal']
    cause = causes.get(signal_name) or 'look above for its message; if there is none, ' \
                                       f'{", or ".join(causes.values())}'
    number = f' (process {found["pid"]})' if found else ''
    how = f' by the signal {signal_name}' if signal_name else ''
    return (f"a data loader's worker{number} ended{how}: {cause}; fewer num_workers or a smaller "
            'batch_size take less')


def _worker_message(error: BaseException) -> str | None:
    """Return what we said inside a data loader's worker, from the text that torch makes of it."""
    dead = _dead_worker(error)
    if dead is not None:
        return dead
    for found in OURS.finditer(str(error).partition('Original Traceback')[2]):
        kind = getattr(sys.modules.get(found['module']), found['name'], None)
        if kind is not None and issubclass(kind, Mistake):
            return found['text'].strip()
    return None


def _lost_process_message(error: BaseException) -> str | None:
    """Return what to say of a process group in which another process does not answer."""
    text = str(error) if isinstance(error, RuntimeError) else ''
    waited = re.search(r'Timed out waiting (\d+)ms', text)
    if waited:
        return (f'another process of this run did not answer for {int(waited[1]) / 1000:g} s: it '
                'is stopped, stuck or dead (how long is waited: env_cfg.dist_cfg.timeout, in '
                'seconds); go on with --resume')
    if re.search(r'Connection (closed|reset) by peer|Broken pipe', text) and 'gloo' in text:
        return 'another process of this run has ended; what it said is above, if it said anything'
    return None


def ended_from_outside(error: BaseException | None) -> int | None:
    """Return the exit code of the signal that ended a command; None if none did.

    Libraries with a bare ``except`` make another error of it (mmengine a SyntaxError of Ctrl-C
    while it formats a config), so what an error was raised over counts.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return 128 + signal.SIGINT
        if isinstance(error, Terminated):
            return EXIT_CODE
        error = error.__cause__ or error.__context__
    # what a process meets when the others of its run have left
    return EXIT_CODE if TERMINATION.requested and not is_first_process() else None


def user_message(error: BaseException | None) -> str | None:
    """Return what to tell the user about ``error``, or None if it is nobody's known mistake.

    A known mistake is a :class:`~mmdense.mistakes.Mistake`, or an error over a component that a
    config names or fills wrongly. Exceptions that others wrapped around one count as it, also over
    the border of a worker process.
    """
    while error is not None:
        if isinstance(error, Mistake) and 'Original Traceback' not in str(error):
            return str(error)
        if isinstance(error, OSError) and error.errno in NO_SPACE:     # whoever was writing: a log
            return f'the disk is full: {error}; free it, and go on with the same command'
        message = (_worker_message(error) or component_message(error)
                   or _lost_process_message(error))
        if message is not None:
            return message
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def run_command(main: Callable[[], None]) -> None:
    """Run a tool's ``main``; a user's mistake prints ``error: …`` and ends with exit code 1.

    Ctrl-C prints one line and ends with 130, SIGTERM likewise with 143 (a training saves a
    checkpoint first). With the environment variable ``MMDENSE_DEBUG=1`` the stack is shown as well.
    """
    debug = os.environ.get('MMDENSE_DEBUG') == '1'
    heard_children = None
    try:
        with terminable():
            main()
    except SystemExit:
        raise
    except BaseException as error:
        code = ended_from_outside(error)
        if code is not None and not debug:
            signal.signal(signal.SIGINT, signal.SIG_IGN)     # a launcher passes it on once more
            if code != EXIT_CODE and is_first_process():     # it reaches all processes
                print('interrupted', file=sys.stderr, flush=True)
            sys.exit(code)
        # torch raises from it once more for each worker that is gone, here as well
        heard_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        message = user_message(error)
        if message is None or debug:
            raise
        if not is_first_process():
            # all processes mostly make the same mistake: the first one speaks, and the launcher
            # ends the others meanwhile; a mistake of this process alone is told after a moment
            time.sleep(10)
        print(f'error: {message}', file=sys.stderr, flush=True)
        sys.exit(1)
    finally:
        if heard_children is not None:
            signal.signal(signal.SIGCHLD, heard_children)
