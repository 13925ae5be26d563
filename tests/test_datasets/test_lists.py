"""Lists of images that other programs wrote."""
from __future__ import annotations

import json

import pytest

from mmdense.datasets import UnlabelledDataset
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.datasets.lists import read_list

NAMES = ('a b.png', 'größe.png', '写真.png')
TEXT = '\n'.join(NAMES) + '\n'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lists')
    (folder / 'sub').mkdir()
    for name in (*NAMES, 'sub/c.png'):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize('data', [
    pytest.param(TEXT.encode(), id='utf-8', marks=pytest.mark.situation(
        'images', 'names with spaces and letters of any alphabet in a list', 'works',
        'as UTF-8')),
    pytest.param(TEXT.encode('utf-8-sig'), id='mark', marks=pytest.mark.situation(
        'images', 'a list with a byte order mark', 'works', 'the mark is left out')),
    pytest.param(TEXT.encode('utf-16'), id='utf-16', marks=pytest.mark.situation(
        'images', 'a list in UTF-16, as Windows writes it', 'works', 'by its mark')),
    pytest.param(TEXT.replace('\n', '\r\n').encode(), id='crlf', marks=pytest.mark.situation(
        'images', 'a list with line ends of Windows', 'works', 'any line ends do')),
    pytest.param(TEXT.replace('\n', '\r').encode(), id='cr')])
def test_lists_in_any_coding_that_says_itself(folder, data):
    (folder / 'list.txt').write_bytes(data)
    dataset = UnlabelledDataset(data_root=str(folder), ann_file='list.txt')
    paths = [dataset.get_data_info(number)['img_path'] for number in range(len(dataset))]
    assert paths == [f'{folder}/{name}' for name in NAMES]


COCO = json.dumps(dict(images=[dict(id=number, file_name=f'{number:012d}.jpg', height=480)
                               for number in range(6000)]))


@pytest.mark.parametrize(('data', 'said'), [
    pytest.param('a b.png\ngröße.png\n'.encode('latin1'), r'list\.txt, line 2: byte 0xf6 is no '
                 r'UTF-8; .*iconv', id='latin-1', marks=pytest.mark.situation(
                     'images', 'a list in Latin-1', 'error', 'names line and byte, and the command '
                     'that turns it into UTF-8')),
    pytest.param('a b.png\n'.encode('utf-16-le'), 'holds zero bytes', id='utf-16-without-mark'),
    pytest.param(COCO.encode(), 'this is JSON; expected a text file', id='coco',
                 marks=pytest.mark.situation('images', 'a COCO json given as list', 'error',
                                             'one short line that says so')),
    pytest.param(b'[\n  "a b.png"\n]\n', 'this is JSON', id='json-array'),
    pytest.param(b'"a b.png"\n', r"not there: .*the lines have quotes, a b\.png alone is there",
                 id='quotes', marks=pytest.mark.situation(
                     'images', 'a list with quotes, commas, further columns or backslashes',
                     'error', 'names what the lines have too much')),
    pytest.param(b'sub/c.png,1,cat\n', r'columns after a comma, sub/c\.png alone', id='csv'),
    pytest.param(b'sub/c.png 1\n', r'columns after a space, sub/c\.png alone', id='space'),
    pytest.param(b'sub\\c.png\n', r'backslashes, sub/c\.png alone', id='backslash'),
    pytest.param(b'x' * 300_000, r'1 of 1 images are not there: .*… \(300', id='one-long-line')])
def test_lists_that_are_none_get_one_short_line(folder, data, said):
    (folder / 'list.txt').write_bytes(data)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        read_list(str(folder / 'list.txt'), str(folder))
    assert str(folder / 'list.txt') in str(caught.value) and len(str(caught.value)) < 1000


def test_a_name_that_begins_as_json(folder):
    (folder / '[1].png').touch()
    (folder / 'list.txt').write_text('[1].png\n')
    assert read_list(str(folder / 'list.txt'), str(folder)) == ['[1].png']


@pytest.mark.parametrize('coding', ['latin1', 'utf-16', 'utf-8-sig'])
@pytest.mark.situation('images', "a stock mmseg dataset's list in Latin-1, UTF-16 or with a mark",
                       'error', 'names the list, since mmseg reads UTF-8 alone')
def test_lists_that_mmseg_reads(folder, coding):
    (folder / 'list.txt').write_bytes('größe\n'.encode(coding))
    dataset = dict(type='BaseSegDataset', data_root=str(folder), ann_file='list.txt',
                   img_suffix='.png', data_prefix=dict(img_path=''), pipeline=[])
    with pytest.raises(ValueError, match=r'list\.txt.*UTF-8'):
        check_dataset_paths(dataset, 'train_dataloader')
    (folder / 'list.txt').write_bytes('größe\n'.encode())
    check_dataset_paths(dataset, 'train_dataloader')
