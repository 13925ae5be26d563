"""The page of what was tried and what happens: read from the tests, never written by hand.

A test says what it tries with ``@pytest.mark.situation(chapter, tried, outcome, happens)``, or one
case of several with ``pytest.param(…, id=…, marks=pytest.mark.situation(…))``. The arguments are
literals: the tests are read, not imported. ``python tests/references/situations.py`` writes
``docs/robustness.md`` anew.
"""
from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/robustness.md'
#: what stands in the page is replaced after this line; what comes before it is written by hand
START = '<!-- generated from the tests: python tests/references/situations.py -->'
CHAPTERS = ('the road', 'backbones', 'images', 'labels', 'weights', 'settings', 'commands',
            'processes', 'resuming', 'security', 'numbers', 'lost runs', 'many images')
#: works: as a user expects; warning, error: one clear line; silent: nothing is said
OUTCOMES = ('works', 'warning', 'error', 'silent')


@dataclass(frozen=True)
class Situation:
    """One line of the page."""
    chapter: str
    tried: str
    outcome: str
    happens: str
    test: str


def is_situation(node: ast.AST) -> bool:
    """Return whether a call is ``pytest.mark.situation(…)``."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == 'pytest.mark.situation'


def read_situation(node: ast.Call, test: str) -> Situation:
    """Return the situation of a mark.

    Raises:
        ValueError: it is not four literal texts, or an unknown chapter or outcome.
    """
    texts = [ast.literal_eval(argument) for argument in node.args]
    if len(texts) != 4 or texts[0] not in CHAPTERS or texts[2] not in OUTCOMES:
        raise ValueError(f'{test}: situation{tuple(texts)}; expected a chapter of {CHAPTERS}, what '
                         f'is tried, an outcome of {OUTCOMES}, and what happens')
    return Situation(*texts, test)


def situations_of(path: Path, root: Path = ROOT) -> Iterator[Situation]:
    """Yield the situations of a test file, in the file's order."""
    name = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text(encoding='utf-8'))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or not function.name.startswith('test_'):
            continue
        for decorator in function.decorator_list:
            if is_situation(decorator):
                yield read_situation(decorator, f'{name}::{function.name}')
            for call in ast.walk(decorator):
                if not isinstance(call, ast.Call) or ast.unparse(call.func) != 'pytest.param':
                    continue
                keywords = {keyword.arg: keyword.value for keyword in call.keywords}
                for mark in filter(is_situation, ast.walk(keywords.get('marks', ast.Pass()))):
                    case = ast.literal_eval(keywords['id'])
                    yield read_situation(mark, f'{name}::{function.name}[{case}]')


def all_situations() -> list[Situation]:
    """Return the situations of all tests."""
    return [found for path in sorted((ROOT / 'tests').rglob('test_*.py'))
            for found in situations_of(path)]


def render(situations: list[Situation]) -> str:
    """Return the generated part of the page."""
    counts = Counter(situation.outcome for situation in situations)
    clear = counts['warning'] + counts['error']
    lines = [START, '', f'**{len(situations)} situations tried: {counts["works"]} work, {clear} '
             f'are told in one clear line, {counts["silent"]} pass in silence.**']
    for chapter in CHAPTERS:
        rows = [s for s in situations if s.chapter == chapter]
        if rows:
            lines += ['', f'## {chapter.capitalize()}', '', '| tried | what happens | test |',
                      '|---|---|---|']
            lines += [f'| {row.tried} | {row.outcome}: {row.happens} | `{row.test}` |'
                      for row in rows]
    return '\n'.join(lines) + '\n'


def main() -> None:
    head = PAGE.read_text(encoding='utf-8').partition(START)[0]
    PAGE.write_text(head + render(all_situations()), encoding='utf-8')


if __name__ == '__main__':
    main()
