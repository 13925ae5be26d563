"""The page of backbones: each row is tried on the whole road, and stands in the page as found."""
from __future__ import annotations

import pytest
from references.known_backbones import HEAD, KNOWN, PAGE, START, Known, row, try_backbone

#: one of each kind, in every run of the tests
KINDS = [known for known in KNOWN if known.kind]


def lines() -> list[str]:
    return PAGE.read_text(encoding='utf-8').partition(START)[2].strip().splitlines()


def assert_as_in_the_page(known: Known) -> None:
    found = row(known, try_backbone(known))
    assert found in lines(), f'run python tests/references/known_backbones.py; now: {found}'


def test_the_page_has_a_row_for_each_backbone():
    page = lines()
    assert page[:2] == HEAD and len(KNOWN) >= 30
    assert [line.split(' | ')[1] for line in page[2:]] == [known.name for known in KNOWN]


@pytest.mark.situation('backbones', 'one backbone of each kind (several branches, maps of all '
                       'strides, channels last, stride 1, transformer, timm) is pretrained, '
                       'evaluated and fine-tuned', 'works',
                       'what to set stands in docs/backbones.md; evaluation reads the map that was '
                       'trained')
@pytest.mark.parametrize('known', KINDS, ids=[known.kind for known in KINDS])
def test_one_of_each_kind_goes_the_whole_road(known):
    assert_as_in_the_page(known)


@pytest.mark.full
@pytest.mark.situation('backbones', 'more than 30 backbones of mmseg, mmpretrain and timm are '
                       'pretrained, evaluated and fine-tuned', 'works',
                       'as docs/backbones.md says of each')
@pytest.mark.parametrize('known', [known for known in KNOWN if not known.kind],
                         ids=[f'{known.library} {known.name}' for known in KNOWN
                              if not known.kind])
def test_each_backbone_goes_the_whole_road(known):
    assert_as_in_the_page(known)
