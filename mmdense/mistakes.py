"""What a user can mend: the classes of errors that a command tells in one line, without a stack.

Each also is the builtin error that Python's users expect there. Errors that only a bug of ours can
cause stay plain builtin ones, and keep their stack.
"""
from __future__ import annotations


class Mistake(Exception):
    """Something that the user gave is wrong; the text names it and says what was expected."""


class WrongValue(Mistake, ValueError):
    """A setting, an argument, or what a file holds is none of what is expected."""


class WrongType(Mistake, TypeError):
    """A setting names something of another kind than is expected."""


class MissingFile(Mistake, FileNotFoundError):
    """A file or folder is not there."""


class UnusableFile(Mistake, OSError):
    """A file or folder is there, and cannot be read, written or made."""


class Unreachable(Mistake, ConnectionError):
    """Something of the network did not answer."""


class MissingPackage(Mistake, ModuleNotFoundError):
    """An optional package is not installed."""


class LostWorker(Mistake, ChildProcessError):
    """A process that worked for this one has ended."""
