"""The README's commands are run as they are printed there, on stand-in data at small size."""
from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from references.commands import (  # noqa: F401
    ROOT,
    build_with_tool,
    call_tool,
    command_line,
    quick_runs,
    tool,
)
from references.configs import (
    NARROW,
    build,
    make_data,
    nodes,
    parsed,
    short_options,
    small_options,
    words,
)

README = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```(\w*)\n(.*?)^```', README, re.MULTILINE | re.DOTALL)
#: what a reader puts the own folder for
OWN_IMAGES = '/my/images'
#: iterations, of which the auto recipe's warm-up takes two
STEPS = 3


def printed_commands() -> list[list[str]]:
    """Return the words of each command in the README's blocks of commands."""
    text = ''.join(text for language, text in BLOCKS if not language).replace('\\\n', ' ')
    return [found for line in text.splitlines() if (found := shlex.split(line, comments=True))]


COMMANDS = printed_commands()
MAKE = [command for command in COMMANDS if command[0] == 'make']
TOOLS = [command for command in COMMANDS if command[0] != 'make']


def tool_of(command: list[str]) -> tuple[str, list[str]]:
    """Return the name of a command's tool and that tool's arguments, without the launcher's."""
    launcher = re.fullmatch(r'tools/dist_(train|test)\.sh', command[0])
    if launcher:
        assert os.access(ROOT / command[0], os.X_OK) and int(command[2]) > 0
        return launcher[1], [command[1], *command[3:]]
    assert command[0] == 'python' and (ROOT / command[1]).is_file()
    return Path(command[1]).stem, command[2:]


def here(command: list[str]) -> list[str]:
    """Return a command with a folder that is there as the reader's own."""
    return [word.replace(OWN_IMAGES, 'data/mine') for word in command]


def small(config: str, name: str) -> list[str]:
    """Return the options that are appended to a printed command."""
    options = small_options(ROOT / config)
    options.pop('train_dataloader.dataset.data_root', None)     # is printed
    steps = {**short_options(ROOT / config), 'train_cfg.max_iters': STEPS,
             'train_cfg.val_interval': STEPS}
    return words({**options, **(steps if name == 'train' else {})})


def named_checkpoints(arguments: list[str]) -> list[str]:
    return [word.rpartition('=')[2] for word in arguments if word.endswith('.pth')]


@pytest.fixture(scope='module')
def home(tmp_path_factory) -> Path:
    """A folder with the repository's configs and tools, and stand-ins of the data."""
    home = tmp_path_factory.mktemp('readme')
    make_data(home / 'data')
    for name in ('configs', 'tools'):
        (home / name).symlink_to(ROOT / name)
    return home


def test_the_commands_are_found():
    assert MAKE == [['make', 'demo'], ['make', 'test']]
    assert {tool_of(command)[0] for command in TOOLS} == {'check', 'train', 'test'}


@pytest.mark.parametrize('command', MAKE, ids=' '.join)
def test_make_knows_its_targets(command: list[str]):
    done = subprocess.run([*command, '--dry-run'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and 'bin/python' in done.stdout, done.stderr


@pytest.mark.parametrize('command', TOOLS, ids=lambda c: ' '.join(c)[:60])
@pytest.mark.usefixtures('quick_runs')
def test_a_command_builds_its_run(command: list[str], home: Path):
    """Its flags, config and options are known, and all that it would run builds."""
    name, arguments = tool_of(here(command))
    with command_line(*arguments, cwd=home):
        args = tool(name).parse_args()
    known = {f'{where}.{key}' for where, node in nodes(parsed(ROOT / args.config)._cfg_dict)
             for key in node}
    assert set(args.cfg_options or ()) <= {*known, 'recipe'}
    for path in named_checkpoints(arguments):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).touch()       # looked for, and not read before the first step
    if name == 'check':
        call_tool(name, *arguments, '--no-measure', *small(args.config, name), cwd=home)
    else:
        runner = build_with_tool(name, *arguments, *small(args.config, name), cwd=home)
        assert Path(runner.work_dir).name == Path(args.config).stem


@pytest.mark.full
@pytest.mark.usefixtures('quick_runs')
@pytest.mark.situation('the road', "the README's commands as they are printed, on stand-in data",
                       'works', 'each from what the one before it left')
def test_the_commands_run_in_their_order(home: Path):
    """As processes: two of the eight that are printed."""
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'PYTHON': sys.executable,
                   'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
    shutil.rmtree(home / 'work_dirs', ignore_errors=True)
    for command in TOOLS:
        name, arguments = tool_of(here(command))
        for path in map(home.joinpath, named_checkpoints(arguments)):
            left = path.with_name(f'iter_{STEPS}.pth')
            if not left.is_file():      # of a config whose training is not printed
                config = f'configs/{path.parent.name}.py'
                call_tool('train', config, *small(config, 'train'), cwd=home)
            shutil.copy(left, path)
        typed = here(command)
        if typed[0].endswith('.sh'):
            typed[2] = '2'
        done = subprocess.run([*typed, *small(arguments[0], name)], env=environment, cwd=home,
                              capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f'{typed}\n{said[-3000:]}'
        assert {'train': f'Iter(train) [{STEPS}/{STEPS}]', 'test': ' mIoU: ',
                'check': ' recipe auto'}[name] in said


def test_the_printed_config_takes_the_weights(home: Path, monkeypatch):
    """The block of Python in the README, as a user's config anywhere."""
    text, = (text for language, text in BLOCKS if language == 'python')
    path = home / 'mine.py'
    path.write_text(text)
    cfg = Config.fromfile(path)
    weights = Path(cfg.model.backbone.init_cfg.checkpoint)
    cfg.merge_from_dict({'model.backbone.base_channels': 64 // NARROW,
                         'model.decode_head.in_channels': 2048 // NARROW,
                         'model.auxiliary_head.in_channels': 1024 // NARROW})
    monkeypatch.chdir(home)
    weights.parent.mkdir(parents=True, exist_ok=True)
    model = build(cfg.model)
    kept = {f'backbone.{name}': torch.rand(tensor.shape) if tensor.is_floating_point() else tensor
            for name, tensor in model.backbone.state_dict().items()}
    torch.save(dict(state_dict=kept), weights)
    model.init_weights()
    for name, tensor in model.backbone.state_dict().items():
        torch.testing.assert_close(tensor, kept[f'backbone.{name}'], rtol=0, atol=0)
