"""Where results go: what is in the way is named before anything is written."""
from __future__ import annotations

import pytest

from mmdense.errors import user_message
from mmdense.files import write_whole
from mmdense.outputs import check_output_file, make_output_folder


@pytest.mark.parametrize('place', ['file', 'file/below', 'file/far/below'])
def test_a_file_in_the_way_is_named(tmp_path, place):
    (tmp_path / 'file').write_text('')
    for make in (lambda: make_output_folder(tmp_path / place, '--out'),
                 lambda: check_output_file(tmp_path / place / 'a.json', '--out'),
                 lambda: write_whole(b'', tmp_path / place / 'a.json')):
        with pytest.raises(OSError, match='is a file, expected a folder') as caught:
            make()
        assert f'{tmp_path}/file is a file' in user_message(caught.value)


@pytest.mark.situation('commands', 'an output folder on a disk that takes no files', 'error',
                       'names the folder and the reason')
def test_a_place_that_takes_no_folder_is_named(tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r'--out /proc/mmdense: could not be made in /proc'):
        make_output_folder('/proc/mmdense', '--out')
    monkeypatch.setattr('os.access', lambda *_: False)       # tests may run as root
    with pytest.raises(OSError, match=r'--out .*: nothing can be written there'):
        make_output_folder(tmp_path, '--out')


def test_folders_are_made_and_a_folder_is_no_file(tmp_path):
    assert make_output_folder(tmp_path / 'a' / 'b', '--out').is_dir()
    assert check_output_file(tmp_path / 'c' / 'd.json', '--json').parent.is_dir()
    with pytest.raises(OSError, match=r'--json .*/a is a folder, expected a file'):
        check_output_file(tmp_path / 'a', '--json')
