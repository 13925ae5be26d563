"""Reading checkpoints as mmengine does, without ever running code in them."""
from __future__ import annotations

import functools
import os
import pickle
import pickletools
import re
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log

from mmdense.mistakes import MissingFile, Unreachable, WrongValue

from .contents import require_weights, without_program
from .frozen_types import safe_globals, thaw
from .values import check_values

#: types that only hold values and that torch can read once they are allowed (it fills no deque and
#: no defaultdict); a function never belongs here
HARMLESS = re.compile(
    r'pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path'
    r'|datetime\.(datetime|date|time|timedelta|timezone)'
    r'|builtins\.(list|dict|set|frozenset|tuple|int|float|complex|str|bool|bytearray|range)'
    r'|(decimal\.Decimal|fractions\.Fraction|uuid\.UUID)'
    r'|mmengine\.config\.config\.ConfigDict'
    r'|numpy\.(bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)|str)_?')
WEIGHT_SUFFIXES = ('.pth', '.pt', '.tar', '.bin', '.safetensors')


def read_checkpoint(path: str | os.PathLike, map_location: Any = 'cpu') -> dict:
    """Return the dict saved in the file ``path``; never runs code of the file.

    Reads what torch allows in weight files, mmengine's checkpoints with their message hub and
    optimiser state, and ``.safetensors``.

    Raises:
        FileNotFoundError: there is no such file; names the absolute path.
        ValueError: not a checkpoint (text, empty, truncated, damaged bytes), no dict, its pickle
            asks for something that a checkpoint does not need, or weights that are no numbers.
    """
    content = read_file(path, map_location)
    if not isinstance(content, dict):
        raise WrongValue(f'{path} is not a checkpoint: it holds a {type(content).__name__}, '
                         'expected a dict of tensors')
    return content


def read_file(source: str | os.PathLike | IO[bytes], map_location: Any = 'cpu') -> Any:
    """Return what was saved in a file or open binary stream; as :func:`read_checkpoint`."""
    source = source if hasattr(source, 'read') else existing_file(source)
    content = read_content(source, map_location)
    check_values(content, source_name(source))
    return content


def read_content(source: Path | IO[bytes], map_location: Any) -> Any:
    """Return what was saved, with its bytes checked as far as the format has checksums."""
    if isinstance(source, Path) and source.suffix == '.safetensors':
        tell_unchecked(source)
        return read_safetensors(source, map_location)
    check_bytes(source)
    try:
        with torch.serialization.safe_globals(safe_globals()):
            content = thaw(torch.load(source, map_location=map_location, weights_only=True))
    except Exception as error:  # torch has a dozen kinds of error for a broken file
        if 'CUDA' in str(error) or isinstance(error, MemoryError):
            raise  # the machine, not the file
        raise refusal(source, error) from None
    return without_program(content, source if isinstance(source, Path) else 'the stream')


def source_name(source: Path | IO[bytes]) -> str:
    """Return what a message calls the source."""
    return str(source) if isinstance(source, Path) else 'the stream'


@functools.cache
def tell_unchecked(source: Path | IO[bytes]) -> None:
    """Log, once per file, that nothing in it tells whether its bytes are whole."""
    print_log(f'{source_name(source)} holds no checksums: whether its bytes are whole could not be '
              'checked', 'current')


def check_bytes(source: Path | IO[bytes]) -> None:
    """Compare the members of a checkpoint with their checksums, which torch does not look at.

    About 30 ms for 100 MB. Older formats and files written without checksums have none.

    Raises:
        ValueError: bytes have changed since they were written.
    """
    with nullcontext(source) if hasattr(source, 'read') else open(source, 'rb') as stream:
        start = stream.tell()
        zipped = stream.read(4) == b'PK\3\4'        # as torch tells the formats apart
        stream.seek(start)
        if not zipped:
            tell_unchecked(source)
            return
        try:
            damaged, checked = damaged_member(stream)
        except Exception as error:  # zipfile has half a dozen kinds of error for a broken file
            raise refusal(source, error) from None
        stream.seek(start)
    if damaged is not None:
        raise WrongValue(f"{source_name(source)} is damaged: the bytes of its part '{damaged}' do "
                         'not fit their checksum; copy the file again, or take another one')
    if not checked:
        tell_unchecked(source)


def damaged_member(stream: IO[bytes]) -> tuple[str | None, bool]:
    """Return a zip's first member that does not match its CRC-32, and whether it has any CRC-32."""
    with zipfile.ZipFile(stream) as archive:
        if not any(member.CRC for member in archive.infolist()):
            return None, False
        return archive.testzip(), True


def existing_file(path: str | os.PathLike) -> Path:
    """Return the absolute path of the file; say where it was looked for when it is not there."""
    full = Path(path).expanduser().absolute()
    if full.is_file():
        return full
    if full.is_dir():
        raise MissingFile(f'checkpoint {path} is a folder, expected a file: {full}')
    if full.exists():       # opening a pipe waits for a writer, for ever
        raise MissingFile(f'checkpoint {path} is a pipe, device or socket, expected a file: '
                          f'{full}')
    beside = sorted(p.name for p in full.parent.glob('*') if p.suffix in WEIGHT_SUFFIXES)
    there = f'that folder holds {", ".join(beside[:5])}' if beside else (
        'no weights in that folder' if full.parent.is_dir() else 'that folder does not exist')
    raise MissingFile(f'checkpoint {path} not found: looked for {full} ({there})')


def read_safetensors(path: Path, map_location: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` file, a format without code."""
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise WrongValue(f'{path}: reading it needs safetensors: pip install safetensors'
                         ) from None
    device = map_location if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        return load_file(path, device=str(device))
    except Exception as error:
        raise WrongValue(f'{path} is not a safetensors file: {first_line(error)}') from None


def refusal(source: Path | IO[bytes], error: Exception) -> ValueError:
    """Return the one-line error for a file that torch's restricted unpickler gave up on."""
    name = source_name(source)
    found = re.search(r"GLOBAL ([\w.'()]+)", str(error))
    unsafe = unsafe_globals(source)
    names = [found.group(1)] if found else [] if unsafe == [] else named_globals(source)
    if names and (found or isinstance(error, pickle.UnpicklingError)):
        return WrongValue(
            f'{name} refused: its pickle asks for {", ".join(names[:3])}, which no checkpoint '
            f'needs; nothing of it was executed{how_to_allow(unsafe or [])}')
    return WrongValue(f'{name} is not a checkpoint, or only a part of one: {first_line(error)}')


def unsafe_globals(source: Path | IO[bytes]) -> list[str] | None:
    """Return what a file's pickle asks for beyond what may be read; None if torch cannot tell."""
    try:
        with torch.serialization.safe_globals(safe_globals()):
            return torch.serialization.get_unsafe_globals_in_checkpoint(source)
    except Exception:       # no zip file of torch's
        return None


def how_to_allow(names: list[str]) -> str:
    """Return how to read a file whose pickle asks for these, if all are plain values; else ''."""
    if not names or not all(HARMLESS.fullmatch(name) for name in names):
        return ''
    modules = sorted({name.rpartition('.')[0] for name in names})
    return ('. These are plain values: if you trust the file, name a module with these lines in '
            f'custom_imports of the config: import torch, {", ".join(modules)}; '
            f'torch.serialization.add_safe_globals([{", ".join(sorted(names))}])')


def first_line(error: Exception) -> str:
    """Return what an error says, in one line without torch's advice to switch safety off."""
    text = re.sub(r'Weights only load failed.*?WeightsUnpickler error: ', '', str(error),
                  flags=re.DOTALL).strip()
    text = text.splitlines()[0] if text else ''
    return f'{type(error).__name__} {text[:150]}'.strip()


def named_globals(source: Path | IO[bytes]) -> list[str]:
    """Return the globals that a pickle names, found without running it; [] if it is none."""
    if hasattr(source, 'read'):
        return []
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                member = next(n for n in archive.namelist() if n.endswith('data.pkl'))
                content = archive.read(member)
        else:
            content = source.read_bytes()[:1 << 20]
    except Exception:  # zipfile has half a dozen kinds of error for a broken file
        return []
    names, texts = [], []
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name in ('GLOBAL', 'INST'):
                names.append(argument.replace(' ', '.'))
            elif code.name == 'STACK_GLOBAL' and len(texts) > 1:
                names.append('.'.join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:  # text, or a pickle that breaks off
        pass
    return names


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """mmengine's loader of a local path; its log says 'Loads checkpoint by local backend'."""
    return require_weights(read_file(filename, map_location), filename)


def load_stream(stream: IO[bytes] | str, map_location: Any = None,
                weights_only: bool | None = None) -> Any:
    """mmengine's loader of what came from a store: an open stream, or a file."""
    name = stream if isinstance(stream, str) else getattr(stream, 'name', 'the stream')
    return require_weights(read_file(stream, map_location), name)


def load_url(url: str, model_dir: str | None = None, map_location: Any = None,
             progress: bool = True, **kwargs: Any) -> Any:
    """Stand in for torch's ``load_url``, which runs what it downloads: download, then read.

    Raises:
        ConnectionError: the address gives no file.
    """
    folder = Path(model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints'))
    path = folder / os.path.basename(urlparse(url).path)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except OSError as error:
            raise Unreachable(f'checkpoint {url} could not be fetched: {error}') from None
    return require_weights(read_file(path, map_location), url)
