"""docs/robustness.md says what the tests try."""
from __future__ import annotations

import pytest
from references.situations import PAGE, START, all_situations, render, situations_of


def test_the_page_is_what_the_tests_say():
    start = PAGE.read_text(encoding='utf-8').index(START)
    assert PAGE.read_text(encoding='utf-8')[start:] == render(all_situations()), (
        'docs/robustness.md is out of date: python tests/references/situations.py')


def test_marks_of_tests_and_of_single_cases_are_read(tmp_path):
    path = tmp_path / 'test_it.py'
    path.write_text("@pytest.mark.situation('images', 'a', 'works', 'b')\ndef test_one(): ...\n"
                    "@pytest.mark.parametrize('x', [pytest.param(1, id='c', marks=pytest.mark."
                    "situation('labels', 'd', 'error', 'e')), 2])\ndef test_two(x): ...\n")
    found = list(situations_of(path, tmp_path))
    assert [(s.tried, s.test) for s in found] == [('a', 'test_it.py::test_one'),
                                                  ('d', 'test_it.py::test_two[c]')]
    assert '1 work, 1 are told' in render(found)


def test_an_unknown_outcome_is_refused(tmp_path):
    path = tmp_path / 'test_it.py'
    path.write_text("@pytest.mark.situation('images', 'a', 'fine', 'b')\ndef test_one(): ...\n")
    with pytest.raises(ValueError, match='test_one'):
        list(situations_of(path, tmp_path))
