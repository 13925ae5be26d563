"""What a config did wrong, from the error that mmengine's builders or a component ended with.

mmengine builds everything that has a ``type`` in ``build_from_cfg``, which wraps no error: the
innermost of its frames in a stack knows the component, its arguments and where its name was looked
up.
"""
from __future__ import annotations

import difflib
import linecache
import re
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import mmengine.registry
from mmengine.registry import Registry, build_functions

BUILDERS = build_functions.__file__
RUNNER = str(Path(mmengine.__file__).parent / 'runner' / 'runner.py')
#: what a constructor raises when it looks at its arguments
CHECKS = (ValueError, KeyError, TypeError, AssertionError, FileNotFoundError, NotImplementedError)
MOST = 200


def _frames(error: BaseException) -> Iterator[TracebackType]:
    found = error.__traceback__
    while found is not None:
        yield found
        found = found.tb_next


def shorten(text: Any) -> str:
    """Return a text in one line of at most ``MOST`` characters."""
    line = ' '.join(str(text).split())
    return line if len(line) <= MOST else f'{line[:MOST]}…'


def _known_names(registry: Registry) -> set[str]:
    """Names that a registry finds: its own, those of its parents, and of others with scope."""
    names, parent = set(registry.module_dict), registry.parent
    if parent is None:
        return names
    others = {f'{scope}.{name}' for scope, child in parent.children.items()
              if child is not registry for name in child.module_dict}
    return names | others | _known_names(parent)


def _unknown(name: str, registry: Registry) -> str:
    near = difflib.get_close_matches(name, _known_names(registry), n=3, cutoff=0.6)
    nearest = f'nearest: {", ".join(near)}' if near else (
        'its module is imported by custom_imports, if it is your own')
    return (f'{name!r} is not a registered {registry.name} (looked in {registry.scope} and its '
            f'parents); {nearest}')


def _in_builder(error: BaseException, frame: FrameType) -> str:
    """Return what was wrong with a config that its builder gave up on."""
    given = frame.f_locals
    kind, registry = given.get('obj_type'), given.get('registry')
    kind = given.get('scheduler_type', kind)
    if isinstance(kind, str) and given.get('obj_cls', given.get('scheduler_cls', kind)) is None:
        return _unknown(kind, registry)
    if kind is not None:
        return f'{getattr(kind, "__name__", kind)}: {_in_words(error)}'
    return f'a {getattr(registry, "name", "component")} of the config: {_in_words(error)}'


def _in_words(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    found = re.search(r"unexpected keyword argument '(\w+)'(.*)", text)
    if found:
        return f'has no argument {found[1]!r}{found[2].replace("Did you mean", "did you mean")}'
    found = re.search(r'missing \d+ required .*arguments?: (.*)', text)
    return f'needs {found[1]}' if found else shorten(text)


def _wrong_arguments(error: BaseException, build: FrameType, after: list[TracebackType]) -> bool:
    """Whether a constructor, perhaps of a base class, was called with a config's wrong arguments.

    Args:
        build: the builder's frame.
        after: the frames that it called.
    """
    if not isinstance(error, TypeError):
        return False
    extra = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if extra:
        return extra[1] in (build.f_locals.get('args') or ())
    lacking = re.match(r'(\w+)\.__init__\(\) missing', str(error))
    bases = getattr(build.f_locals.get('obj_cls'), '__mro__', ())
    return bool(lacking) and lacking[1] in [base.__name__ for base in bases] \
        and all(one.tb_frame.f_code.co_name == '__init__' for one in after)


def _is_check(frames: list[TracebackType]) -> bool:
    """Whether a ``raise`` or ``assert`` of a constructor, or of its base's, ended it."""
    if any(one.tb_frame.f_code.co_name != '__init__' for one in frames):
        return False
    line = linecache.getline(frames[-1].tb_frame.f_code.co_filename, frames[-1].tb_lineno)
    return line.strip().startswith(('raise', 'assert'))


def _runner_message(error: BaseException, frame: FrameType) -> str | None:
    """Return what mmengine's runner, in ``frame``, says against the parts of a config."""
    if frame.f_code.co_filename != RUNNER:
        return None
    if frame.f_code.co_name == 'build_dataloader' and isinstance(error, TypeError):
        return f'a data loader of the config: {_in_words(error)}'
    return _in_words(error) if frame.f_code.co_name == '__init__' else None


def component_message(error: BaseException) -> str | None:
    """Return what to tell the user whose config names or fills a component wrongly, or None.

    Known are: a name that nobody registered, a config without ``type``, arguments that a component
    does not have or lacks, what its constructor refuses by ``raise`` or ``assert``, and the parts
    of a config that mmengine's runner misses.
    """
    frames = list(_frames(error))
    if not frames or not isinstance(error, CHECKS):
        return None
    builds = [at for at, one in enumerate(frames)
              if one.tb_frame.f_code.co_filename == BUILDERS and 'registry' in
              one.tb_frame.f_locals]
    if builds:
        build, after = frames[builds[-1]].tb_frame, frames[builds[-1] + 1:]
        if not after or _wrong_arguments(error, build, after) or _is_check(after):
            return _in_builder(error, build)
    return _runner_message(error, frames[-1].tb_frame)
