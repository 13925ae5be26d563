"""Config files that are none, are broken, or describe something else."""
from __future__ import annotations

import json

import pytest
import torch
from mmengine.config import Config

from mmdense.config_files import read_config, require_checkpoint, require_parts


def refused(path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_config(str(path))
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('content, expected', [
    pytest.param('a = 1\nmodel = dict(\n', 'line 2: no Python: ', id='syntax',
                 marks=pytest.mark.situation('settings', 'a config that is no Python, or whose '
                                             'Python fails', 'error',
                                             'names the file, the line and the reason')),
    ('a = 1\n\nmodel = nowhere_said\n', "line 3: NameError: name 'nowhere_said' is not defined"),
    ('def f():\n    return {}["deep"]\nmodel = f()\n', 'line 2: KeyError: deep'),
    ("_base_ = ['nowhere.py']", 'FileNotFoundError'),
    ("custom_imports = dict(imports=['no_such_module_here'])",
     "custom_imports: No module named 'no_such_module_here'"),
    (b'model = "\xff\xfe"', 'no text in UTF-8'), (b'\0\0\0', ': ')])
def test_broken_python_names_file_line_and_reason(tmp_path, content, expected):
    assert expected in refused(tmp_path / 'c.py', content)


def test_a_broken_base_is_named_beside_the_config(tmp_path):
    (tmp_path / 'base.py').write_text('a = 1\nb = nothing\n')
    message = refused(tmp_path / 'c.py', "_base_ = ['base.py']")
    assert f'its base {tmp_path}/base.py, line 2: NameError' in message


@pytest.mark.parametrize('name, content', [
    ('c.yaml', '- a\n- b\n'), ('c.json', '[1, 2'), ('c.yml', 'a: [1'), ('c.txt', 'model = 1'),
    ('c', 'model = 1')])
def test_other_files_are_refused(tmp_path, name, content):
    refused(tmp_path / name, content)


@pytest.mark.situation('commands', 'CONFIG and CHECKPOINT the wrong way round', 'error',
                       'says which is which')
def test_swapped_arguments_are_told(tmp_path):
    torch.save(dict(a=1), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth is a file of weights.*the wrong way round'):
        read_config(str(tmp_path / 'a.pth'))
    for name in ('c.py', 'c.json'):
        (tmp_path / name).write_text('{}')
        with pytest.raises(ValueError, match=r'is a config; .*the wrong way round'):
            require_checkpoint(str(tmp_path / name))


@pytest.mark.situation('commands', 'a config of something else, such as a json without a model',
                       'error', 'names the parts that are missing and those that are there')
def test_a_file_of_another_kind_lacks_a_model(tmp_path):
    (tmp_path / 'c.json').write_text(json.dumps(dict(images=[], annotations=[])))
    cfg = read_config(str(tmp_path / 'c.json'))
    with pytest.raises(ValueError, match='has no model; it has annotations, images'):
        require_parts(cfg, 'c.json')
    with pytest.raises(ValueError, match='has no model, no test_cfg; it has nothing'):
        require_parts(Config(dict(test_cfg=None)), 'c.py', ('test_cfg',))
    with pytest.raises(ValueError, match="model={'a': 1}; expected a dict with type"):
        require_parts(Config(dict(model=dict(a=1))), 'c.py')
