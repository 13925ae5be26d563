"""What an installed MMDense holds, and what it asks for."""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import mmengine
import pytest
from mmengine.hub import get_config
from packaging.requirements import Requirement

import mmdense
from mmdense import compat

MM_DISTRIBUTION = re.compile(r'(onedl-)?(mm[a-z]+|openmim)')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory, repo) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'model-index.yml'):
        shutil.copy(repo / name, source)
    for name in ('mmdense', 'configs', 'tools', 'requirements'):
        shutil.copytree(repo / name, source / name,
                        ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
                    '--no-build-isolation', '-w', folder, source], check=True)
    return zipfile.ZipFile(next(folder.glob('*.whl')))


def requirements(text: str) -> dict[str | None, list[Requirement]]:
    """Requirements of a METADATA file by extra (None: always)."""
    found = {}
    for line in re.findall(r'^Requires-Dist: (.*)$', text, re.MULTILINE):
        requirement = Requirement(line)
        extra = re.search(r"extra == ['\"](\w+)['\"]", str(requirement.marker))
        found.setdefault(extra and extra.group(1), []).append(requirement)
    return found


def test_the_wheel_carries_every_config_and_tool(wheel, repo):
    names = set(wheel.namelist())
    files = [path for folder in ('configs', 'tools') for path in (repo / folder).rglob('*')
             if path.is_file() and '__pycache__' not in path.parts]
    assert len(files) > 10
    for path in [*files, repo / 'model-index.yml']:
        assert f'mmdense/.mim/{path.relative_to(repo)}' in names
    assert {f'mmdense/{path.relative_to(repo / "mmdense")}'
            for path in (repo / 'mmdense').rglob('*.py') if '.mim' not in path.parts} <= names
    assert f'mmdense/{Path(mmdense.BASE).relative_to(Path(mmdense.__file__).parent)}' in names
    assert not any(name.startswith('tests/') for name in names)


def test_base_requirements_name_no_mm_distribution(wheel):
    path = next(name for name in wheel.namelist() if name.endswith('METADATA'))
    text = wheel.read(path).decode()
    wanted = requirements(text)
    assert not [r.name for r in wanted[None] if MM_DISTRIBUTION.fullmatch(r.name)]
    assert {'ftfy', 'regex', 'opencv-python'} <= {r.name for r in wanted[None]}
    assert [r.name for r in wanted['onedl']] == [
        'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmpretrain']
    assert {'openmmlab', 'mim', 'tests'} <= set(wanted)
    assert 'opencv-python-headless' not in text
    assert 'Requires-Python: >=3.11' in text and f'Version: {mmdense.__version__}' in text


def test_the_wheel_carries_its_licence(wheel, repo):
    names = wheel.namelist()
    text = wheel.read(next(name for name in names if name.endswith('/METADATA'))).decode()
    assert 'License-Expression: Apache-2.0\n' in text and 'License-File: LICENSE\n' in text
    kept = next(name for name in names if name.endswith('.dist-info/licenses/LICENSE'))
    assert wheel.read(kept) == (repo / 'LICENSE').read_bytes()


def test_the_oldest_versions_are_those_that_the_import_checks(wheel):
    """What pip asks for (setup.py) is what `import mmdense` warns below (compat.py)."""
    text = wheel.read(next(n for n in wheel.namelist() if n.endswith('/METADATA'))).decode()
    asked = {r.name: str(r.specifier) for rs in requirements(text).values() for r in rs}
    checked = {name: f'>={oldest}' for distributions in compat.DISTRIBUTIONS.values()
               for name, oldest in distributions.items()}
    del checked['mmcv-lite']    # works, but no extra asks for it
    assert {name: asked.get(name) for name in checked} == checked


def test_constraints_pin_what_is_installed_and_asked_for(repo):
    lines = (repo / 'requirements/constraints.txt').read_text().splitlines()
    pins = dict(line.split('==') for line in lines if not line.startswith('#'))
    text = metadata.metadata('mmdense').as_string()
    named = [r for group, rs in requirements(text).items() if group in (None, 'onedl', 'tests')
             for r in rs]
    for requirement in named:
        assert requirement.specifier.contains(pins[requirement.name]), requirement
    assert 'opencv-python-headless' not in pins


def test_an_editable_install_has_links(repo):
    mim = Path(mmdense.__file__).parent / '.mim'
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (mim / name).resolve() == repo / name


def test_mmengine_finds_our_configs_by_the_model_index(repo):
    listed = mmengine.load(repo / 'model-index.yml')['Import']
    models = [model for path in listed for model in mmengine.load(repo / path)['Models']]
    assert models
    for model in models:
        assert (repo / model['Config']).is_file()
        name = model['Config'].partition('/')[2]
        if '/' in name:
            assert get_config(f'mmdense::{name}').filename.endswith(name)


def test_set_up_without_a_new_enough_python_says_so(repo, tmp_path):
    tools = tmp_path / 'bin'
    tools.mkdir()
    for name in ('python3', 'python', 'python3.11', 'python3.12', 'python3.13'):
        (tools / name).write_text('#!/bin/sh\nexit 1\n')
        (tools / name).chmod(0o755)
    done = subprocess.run(['/bin/bash', repo / 'tools/make_venv.sh', tmp_path / 'venv'],
                          env={'PATH': str(tools)}, capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / 'venv').exists()
    assert done.stderr.startswith('error: no Python >= 3.11 found')
