"""Files that are written whole or not at all, and folders that belong to one run at a time."""
from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmengine.logging import print_log

from .mistakes import UnusableFile, WrongValue
from .outputs import make_output_folder

PARTIAL = '.partial'
#: in a folder that belongs to one run at a time
LOCK = '.lock'
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: what a disk answers that has no locks, as some network disks are mounted
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
#: descriptors of the locks that this process holds
HELD: set[int] = set()


def read_regular(path: str | os.PathLike) -> bytes:
    """Return a file's bytes; never waits, as opening a pipe does until somebody writes to it.

    Raises:
        OSError: it cannot be read, or is a pipe, device or socket.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, 'rb') as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, 'a pipe, device or socket, not a file', os.fspath(path))
        return file.read()


def write_whole(content: bytes, path: str | os.PathLike, what: str = '') -> None:
    """Write a file so that ``path`` holds the old bytes or all of the new ones at any moment.

    Raises:
        OSError: as of :func:`whole_file`.
    """
    with whole_file(path, len(content), what) as file:
        file.write(content)


@contextmanager
def whole_file(path: str | os.PathLike, size: int | None = None,
               what: str = '') -> Iterator[IO[bytes]]:
    """Open a hidden file beside ``path`` that takes its place when the context ends well.

    Its name is this writer's own, so that several writers of one path do not meet; the last one
    to end stays.

    Args:
        path: of the file; its folder is made.
        size: bytes that it will have, if known, for the message.
        what: it is, for the message, such as the option that asks for it.

    Raises:
        OSError: it could not be written (disk full, no permission); names the path and the space
            that it needs, and nothing of it is left.
    """
    path = Path(path)
    partial = path.with_name(f'.{path.name[:40]}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}')
    try:
        make_output_folder(path.parent, path.name)
        with open(partial, 'xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else error.__context__
        written = remove_partial(partial)
        if not isinstance(reason, OSError):     # torch wraps the errors of the disk, too
            raise
        name = f'{what} {path}'.strip()
        raise UnusableFile(
            f'{name} could not be written: {why_not(reason, path, size, written)}') from None
    except BaseException:                       # Ctrl-C
        remove_partial(partial)
        raise


def remove_partial(partial: Path) -> int:
    """Remove a file that was not finished, if it is there; return its bytes."""
    try:
        size = partial.stat().st_size
        partial.unlink()
    except OSError:
        return 0
    return size


def why_not(error: OSError, path: Path, size: int | None, written: int) -> str:
    """Return why a file could not be written, and the space that it needs where that is it."""
    reason = error.strerror or str(error)
    if error.errno is None:     # what make_output_folder says
        return reason
    if error.errno not in NO_SPACE:
        return f'{reason}; choose another place, or change its permissions'
    needed = f'more than {written:,}' if size is None else f'{size:,}'
    free = shutil.disk_usage(path.parent).free
    return (f'{reason}: it needs {needed} bytes, {free:,} are free there; free the disk, or choose '
            'another place')


def remove_partials(folder: str | os.PathLike, below: bool = False) -> None:
    """Remove what writers that were killed left in a folder that nobody else writes to.

    Args:
        folder: which the caller has locked.
        below: also in the folders in it.
    """
    folder = Path(folder)
    for partial in (folder.rglob if below else folder.glob)(f'.*{PARTIAL}'):
        partial.unlink(missing_ok=True)


def close_inherited() -> None:
    """Leave the locks to the parent: a worker that outlives it must not keep them."""
    for descriptor in HELD:
        os.close(descriptor)
    HELD.clear()


os.register_at_fork(after_in_child=close_inherited)


@contextmanager
def locked(path: str | os.PathLike, wait: bool = False) -> Iterator[int]:
    """Hold the lock file ``path`` while the context lasts; gives its file descriptor.

    The system frees a lock when its process ends, however it ends. Forked processes do not hold
    it; commands do that are started with the descriptor (``pass_fds``). On a disk without locks
    nothing is held, and the log says so.

    Args:
        path: of the lock file, which stays; it notes who holds the lock.
        wait: for another holder.

    Raises:
        ValueError: another process holds it; names process, machine and since when.
    """
    path = Path(path)
    make_output_folder(path.parent, 'folder')
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    HELD.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(descriptor, 1000, 0).decode(errors='replace').strip()
            raise WrongValue(
                f'{path.parent} is in use by another run ({holder or "unknown"}), or by a command '
                'that a killed run left behind; wait for it, end it, or choose another folder '
                '(--work-dir)') from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            print_log(f'{path}: this disk has no locks ({error.strerror}): see to it yourself that '
                      'one run at a time writes there', 'current', level=30)
        note_holder(descriptor)
        yield descriptor
    finally:
        if descriptor in HELD:      # not in a process that was forked meanwhile
            HELD.remove(descriptor)
            os.close(descriptor)


def note_holder(descriptor: int) -> None:
    """Write into a lock file who holds it."""
    since = time.strftime('%Y-%m-%d %H:%M:%S')
    note = f'process {os.getpid()} on {socket.gethostname()} since {since}\n'
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
    except OSError:     # a full disk: the lock holds without the note
        pass
