"""Which part of the package may import which: no arrow runs up."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmdense

PACKAGE = Path(mmdense.__file__).parent
#: what the folders may import, apart from the ground floor
ALLOWED = {
    'images': set(), 'checkpoints': set(), 'models': set(),
    'regions': {'images'},
    'datasets': {'images', 'regions'},
    'evaluation': {'checkpoints', 'datasets', 'images', 'models'},
    'engine': {'checkpoints', 'config_files', 'datasets', 'images', 'models'},
    'visualization': {'datasets', 'evaluation', 'images', 'models'},
}
#: files on which all stand; they import each other alone
GROUND = {'cells', 'digests', 'files', 'gathering', 'limits', 'mistakes', 'outputs', 'parallel',
          'progress', 'random_states', 'registry', 'structures', 'teacher_maps', 'termination'}
PARTS = [*ALLOWED, *GROUND]


def imported(path: Path) -> Iterator[str]:
    """Yield the first part, below the package, of what a file imports of it, anywhere in it."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else ()
            start = '.'.join([*above, *filter(None, [node.module])])
            names = [f'{start}.{alias.name}' for alias in node.names]
        else:
            continue
        yield from (name.split('.')[1] for name in names if name.startswith('mmdense.'))


@pytest.mark.parametrize('part', sorted(PARTS))
def test_nothing_is_imported_from_above(part):
    folder = PACKAGE / part
    files = sorted(folder.rglob('*.py')) if part in ALLOWED else [PACKAGE / f'{part}.py']
    allowed = {part, *GROUND, *ALLOWED.get(part, ())}
    wrong = {f'{path.relative_to(PACKAGE)} imports {name}' for path in files
             for name in imported(path) if name not in allowed}
    assert files and not wrong


def test_every_folder_has_its_place():
    assert {path.parent.name for path in PACKAGE.glob('*/__init__.py')} == set(ALLOWED)


def test_the_product_imports_nothing_of_unittest(repo):
    found = [str(path) for folder in ('mmdense', 'tools') for path in (repo / folder).rglob('*.py')
             if re.search(r'^\s*(import|from) unittest', path.read_text(), re.MULTILINE)]
    assert found == []
