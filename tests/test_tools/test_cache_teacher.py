"""A teacher's maps are written once, and the student of the page's config learns from them."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from references.commands import call_tool, quick_runs  # noqa: F401
from references.configs import CONFIGS, ROOT, make_data, small_options, two_steps, words

from mmdense.teacher_maps import TeacherMaps

LEAF = CONFIGS / 'distill_r50_folder.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp('teacher') / 'data')


@pytest.mark.usefixtures('quick_runs')
def test_the_road_of_the_page(data: Path, tmp_path: Path, capsys):
    """docs/methods/distill.md: write, go on, train with the block; the checkpoint names all."""
    options = words(small_options(LEAF))
    folder = data.parent / 'disk/maps'
    for _ in range(2):
        call_tool('cache_teacher', LEAF, folder, '--num-workers', 0, '--device', 'cpu', *options,
                  cwd=data.parent)
        said = capsys.readouterr().out
        assert 'maps [(64, 2, 2)] of 6 images: 0.00 GB' in said and 'Apache-2.0' in said
    assert TeacherMaps.open(folder).written.all()
    block, = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/methods/distill.md').read_text(),
                        re.DOTALL)
    leaf = tmp_path / 'mine_r50_folder.py'
    leaf.write_text(block.replace("'distill", f"'{CONFIGS}/distill").replace('/disk', 'disk'))
    checkpoint = two_steps(leaf, data, tmp_path / 'run')
    note = json.loads((tmp_path / 'run/teacher.json').read_text())['model']
    assert note == dict(name='DINOv2 ViT-B/14', licence='Apache-2.0', checkpoint='data/teacher.pth')
    meta = torch.load(checkpoint, weights_only=False)['meta']
    assert meta['teachers'] == {'model': note}
    logged = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert ' loss_distill: ' in logged and ' outside: 0.0000' in logged


@pytest.mark.parametrize(('changes', 'told'), [
    ({'model.teacher.checkpoint': None}, 'random weights: name its file'),
    ({'model.teacher.size': None}, 'expected model.teacher.size='),
])
def test_what_cannot_be_written_is_told(changes, told, data: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=told):
        call_tool('cache_teacher', LEAF, tmp_path / 'maps', *words({**small_options(LEAF),
                                                                    **changes}), cwd=data.parent)
    assert not (tmp_path / 'maps').exists()
    with pytest.raises(ValueError, match='mmdense.MoCo has no teacher; expected mmdense.Dense'):
        call_tool('cache_teacher', CONFIGS / 'moco_r50_folder.py', tmp_path / 'maps',
                  cwd=data.parent)
