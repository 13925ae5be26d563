"""A resumed run whose settings have changed: followed, said, or refused by name."""
from __future__ import annotations

import re
import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch
from references.run_tool import experiment, quickly, run_tool
from references.toy import write_config

from mmdense.datasets import samplers
from mmdense.engine import launch
from mmdense.engine.config_text import differences, read_changes, read_config_text
from mmdense.engine.resuming import refuse_old_end
from mmdense.errors import user_message

ITERATIONS = 8      # of the first run, checkpoints at 4 and 8; the config's schedule has 12


@pytest.fixture
def lines(monkeypatch) -> list[str]:
    """What is said."""
    said: list[str] = []
    monkeypatch.setattr(launch, 'print_log', lambda text, *args, **kwargs: said.append(text))
    return said


def train(folder: Path, *options: str, config: Path | None = None, words=('--resume',)) -> dict:
    """Train the toy in ``folder``; return its last checkpoint."""
    run_tool('train', config or folder.parent / 'toy.py', '--work-dir', folder, *words,
             '--cfg-options', experiment(), *options)
    return last(folder)


def last(folder: Path) -> dict:
    name = Path((folder / 'last_checkpoint').read_text()).name
    return torch.load(folder / name, weights_only=False)


@pytest.fixture(scope='module', autouse=True)
def quick():
    with quickly():
        yield


@pytest.fixture(scope='module')
def begun(tmp_path_factory, quick) -> Path:
    """Work dir of a run of 12 iterations that was stopped after 8; its config is beside."""
    folder = tmp_path_factory.mktemp('resuming')
    write_config(folder)
    train(folder / 'straight', words=())
    train(folder / 'begun', 'default_hooks.checkpoint.max_keep_ckpts=-1', words=())
    (folder / 'begun/iter_12.pth').unlink()
    return folder / 'begun'


@pytest.fixture
def work_dir(begun, tmp_path) -> Path:
    shutil.copy(begun.parent / 'toy.py', tmp_path)
    (begun / 'last_checkpoint').write_text(str(tmp_path / 'run/iter_8.pth'))
    return Path(shutil.copytree(begun, tmp_path / 'run'))


def rate(checkpoint: dict) -> float:
    return checkpoint['optimizer']['param_groups'][0]['lr']


def poly(done: int, end: int, lr: float = 0.1, power: float = 0.9) -> float:
    return lr * (1 - done / (end - 1)) ** power


@pytest.mark.situation('resuming', '`--resume` with another log interval, data folder, number of '
                       'workers', 'works', 'the run ends as it would have, nothing is said')
def test_what_does_not_change_the_training_passes(begun, work_dir, lines):
    done = train(work_dir, 'default_hooks.logger.interval=1', 'log_level=ERROR',
                 'train_dataloader.num_workers=0', 'visualizer.name=other',
                 'train_cfg.val_interval=5')
    assert not [line for line in lines if line.startswith('resuming:')]
    straight = last(begun.parent / 'straight')
    for name, tensor in straight['state_dict'].items():
        assert torch.equal(tensor, done['state_dict'][name]), name
    assert done['meta']['data'] == dict(batch_size=4, processes=1, position=48, images=13)


@pytest.mark.parametrize('options, expected', [
    pytest.param(['train_cfg.max_iters=20', 'param_scheduler.0.end=20'], poly(9, 20), id='longer',
                 marks=pytest.mark.situation(
                     'resuming', '`--resume` of a run with more iterations and a longer schedule',
                     'works', 'the longer schedule is followed as if it had been so from the '
                     'start, and said')),
    pytest.param(['optim_wrapper.optimizer.lr=0.02'], poly(9, 12, 0.02), id='rate',
                 marks=pytest.mark.situation(
                     'resuming', '`--resume` with another learning rate', 'works',
                     'the new rate is followed from there on, and said')),
    pytest.param(['param_scheduler.0.power=2.0', 'param_scheduler.0.end=16'],
                 poly(9, 16, power=2), id='shape',
                 marks=pytest.mark.situation(
                     'resuming', '`--resume` with another form of the schedule', 'works',
                     'the new schedule is followed from there on, and said'))])
def test_a_changed_schedule_is_followed(work_dir, lines, options, expected):
    """The rate after iteration 9 is that of a run with this schedule from the start."""
    train(work_dir, *options, 'default_hooks.checkpoint.max_keep_ckpts=-1',
          'default_hooks.checkpoint.interval=9')
    checkpoint = torch.load(work_dir / 'iter_9.pth', weights_only=False)
    assert rate(checkpoint) == pytest.approx(expected, abs=1e-9)
    said = next(line for line in lines if 'as if it had been so from the start' in line)
    assert all(option.split('=')[0] in said for option in options if 'max_iters' not in option)
    assert checkpoint['optimizer']['state'][0]['momentum_buffer'].abs().sum() > 0


def test_the_followed_schedule_is_that_of_a_straight_run(work_dir, tmp_path):
    options = ['train_cfg.max_iters=20', 'param_scheduler.0.end=20',
               'default_hooks.checkpoint.max_keep_ckpts=-1']
    train(work_dir, *options)
    train(tmp_path / 'straight', *options, words=())
    for iteration in (12, 16, 20):
        resumed, straight = (torch.load(folder / f'iter_{iteration}.pth', weights_only=False)
                             for folder in (work_dir, tmp_path / 'straight'))
        assert rate(resumed) == pytest.approx(rate(straight), rel=1e-9)


@pytest.mark.parametrize('options, message', [
    pytest.param(['train_cfg.max_iters=20'],
                 r'max_iters 12 -> 20, but the learning rate reaches its end at 12 .*'
                 r'train_cfg.max_iters=20 param_scheduler.0.end=20$', id='length',
                 marks=pytest.mark.situation(
                     'resuming', '`--resume` with more iterations under the old schedule', 'error',
                     'the rate would stay at its end; the options that make it longer are given')),
    pytest.param(['model.norm=GroupNorm2'],
                 r'3 tensors of the model are not those of .*iter_8.pth, such as .*changed since: '
                 r'model.norm not set -> GroupNorm2\. Resume with', id='model',
                 marks=pytest.mark.situation(
                     'resuming', '`--resume` with another width, depth or norm', 'error',
                     'the setting, its old and its new value')),
    pytest.param(['optim_wrapper.optimizer.type=RMSprop'],
                 'optim_wrapper.optimizer.type SGD -> RMSprop; .*holds the state of the former',
                 id='optimiser', marks=pytest.mark.situation(
                     'resuming', '`--resume` with another optimiser', 'error',
                     'the old and the new one')),
    pytest.param(['optim_wrapper.optimizer.weight_decay=0.1',
                  'optim_wrapper.paramwise_cfg.norm_decay_mult=0.0'],
                 r'the optimiser has \d+ groups of \d+ parameters, that of .* 1 groups.*paramwise',
                 id='groups', marks=pytest.mark.situation(
                     'resuming', '`--resume` with other groups of parameters', 'error',
                     'both numbers of groups, and the setting')),
    pytest.param(['randomness.seed=7'], 'randomness.seed 0 -> 7', id='seed',
                 marks=pytest.mark.situation('resuming', '`--resume` with another seed', 'error',
                                             'both seeds: the order of images is that of one'))])
def test_what_a_checkpoint_cannot_go_on_with_is_named(work_dir, options, message, monkeypatch):
    monkeypatch.setattr(torch.nn, 'GroupNorm2', lambda channels: torch.nn.GroupNorm(2, channels),
                        raising=False)
    before = (work_dir / 'iter_8.pth').read_bytes()
    with pytest.raises(ValueError, match=message) as info:
        train(work_dir, *options)
    assert user_message(info.value).startswith('--resume: ')
    assert (work_dir / 'iter_8.pth').read_bytes() == before


@pytest.mark.situation('resuming', '`--resume` with another batch or number of processes', 'works',
                       'the order of images goes on at its place, none is left out or repeated; '
                       'the position is said')
def test_a_changed_batch_goes_on_at_the_place_of_the_run(work_dir, lines):
    done = train(work_dir, 'train_dataloader.batch_size=6')
    assert 'resuming: 4 images x 1 processes -> 6 x 1: the order of images continues at position ' \
           '32 (epoch 2), none is left out or repeated' in lines
    assert done['meta']['data']['position'] == 32 + 4 * 6
    # and once more: the first iterations had another batch
    done = train(work_dir, 'train_dataloader.batch_size=2', 'train_cfg.max_iters=14',
                 'param_scheduler.0.end=14')
    assert done['meta']['data']['position'] == 32 + 4 * 6 + 2 * 2 and done['meta']['iter'] == 14


def test_other_processes_go_on_at_the_place_of_the_run(monkeypatch):
    """8 iterations of 4 images on 3 processes, then batches of 5 on 2."""
    found = []
    for rank in range(2):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, 2))
        sampler = samplers.ResumableSampler(range(13), seed=0)
        sampler.shift = 8 * 4 * 3 - 8 * 5 * 2
        sampler.skip(8 * 5)
        found += [sample.position for sample in islice(iter(sampler), 10)]
    assert sorted(found) == list(range(96, 116))


@pytest.mark.parametrize('schedule, refused', [
    (dict(type='LinearLR', begin=0, end=3), None), ([], None),
    ([dict(type='LinearLR', end=3), dict(type='CosineAnnealingLR', begin=3, end=12, T_max=9)],
     'param_scheduler.1.end=20 param_scheduler.1.T_max=17$'),
    ([dict(type='CosineAnnealingLR', begin=3, T_max=9)], 'param_scheduler.0.T_max=17$'),
    (dict(type='MultiStepLR', milestones=[4], end=12), 'param_scheduler.end=20$'),
    ([dict(type='PolyLR', end=20)], None)])
def test_a_longer_run_needs_a_longer_schedule(schedule, refused):
    changes = {'train_cfg.max_iters': (12, 20)}
    if refused is None:
        refuse_old_end(dict(param_scheduler=schedule), changes)
    else:
        with pytest.raises(ValueError, match=refused):
            refuse_old_end(dict(param_scheduler=schedule), changes)


@pytest.mark.situation('resuming', '`--resume` with more or fewer images', 'works',
                       'their order is a new one from there on, which is said')
def test_other_images_are_said(work_dir, lines):
    train(work_dir, 'train_dataloader.dataset.size=17')
    assert any(line.startswith('resuming: 13 images -> 17') for line in lines)
    assert any('dataset.size not set -> 17, from iteration 8 on' in line for line in lines)


@pytest.mark.situation('resuming', '`--resume` with `--amp`, or without it again', 'works',
                       'mixed precision from there on, which is said')
def test_mixed_precision_can_be_switched(work_dir, lines):
    train(work_dir, words=('--resume', '--amp'))
    assert any('optim_wrapper.type OptimWrapper -> mmdense.BFloat16OptimWrapper' in line
               for line in lines)
    train(work_dir, 'train_cfg.max_iters=14', 'param_scheduler.0.end=14')
    assert any('mmdense.BFloat16OptimWrapper -> OptimWrapper' in line for line in lines)


def test_a_loss_scale_of_float16_is_left_behind(work_dir):
    path = work_dir / 'iter_8.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['optimizer']['loss_scaler'] = dict(scale=65536.)
    torch.save(checkpoint, path)
    assert train(work_dir)['meta']['iter'] == 12


@pytest.mark.situation('resuming', '`--resume` of a finished run', 'works',
                       'nothing is left to do, which is said; no file of it changes')
def test_a_finished_run_says_so(begun, tmp_path, lines):
    shutil.copy(begun.parent / 'toy.py', tmp_path)
    folder = Path(shutil.copytree(begun.parent / 'straight', tmp_path / 'run'))
    before = (folder / 'iter_12.pth').read_bytes()
    train(folder)
    assert any(line.startswith('nothing is left to do: 12 of 12 iterations') for line in lines)
    train(folder, 'train_cfg.max_iters=10')
    assert lines[-1].startswith('nothing is left to do: 12 of 10 iterations')
    assert [path.name for path in folder.glob('*.pth')] == ['iter_12.pth']
    assert (folder / 'iter_12.pth').read_bytes() == before


@pytest.mark.situation('resuming', '`--resume` from a file of weights alone', 'error',
                       'it holds no state of a run, load_from starts from it')
def test_weights_alone_are_no_run(work_dir):
    torch.save(dict(state_dict=last(work_dir)['state_dict']), work_dir / 'iter_8.pth')
    with pytest.raises(ValueError, match='holds weights and no state of a run'):
        train(work_dir)


@pytest.mark.situation('security', '`--resume` from a checkpoint whose config is a program',
                       'works', 'it is not run; the settings are not compared, which is said')
@pytest.mark.parametrize('key', ['cfg', 'config'])
def test_the_config_of_a_checkpoint_is_never_run(work_dir, tmp_path, lines, key):
    """mmengine runs the text that old checkpoints have as ``config``."""
    path, trace = work_dir / 'iter_8.pth', tmp_path / 'trace'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['meta'][key] = f'import os\nos.mkdir({str(trace)!r})\n'
    torch.save(checkpoint, path)
    assert train(work_dir)['meta']['iter'] == 12
    assert not trace.exists()
    assert key == 'config' or any('line 1: import os sets nothing' in line for line in lines)


@pytest.mark.parametrize('text, expected', [
    ('a = 1', dict(a=1)),
    ("a=dict(b=[-1, (2., inf)], c=None)\nd=dict({'x.y': dict(e=True), 1: 'z'})",
     dict(a=dict(b=[-1, [2., float('inf')]], c=None), d={'x.y': dict(e=True), 1: 'z'})),
    ('a=dict(type=torch.nn.ReLU)', dict(a=dict(type='torch.nn.ReLU')))])
def test_the_text_of_a_config_is_read(text, expected):
    assert read_config_text(text) == expected


@pytest.mark.parametrize('text', ['import os', 'a = open("x")', 'a = 1 + 1', 'a = <object at 0x1>',
                                  'a = dict(**b)', 'a = [x for x in y]', 'print(1)',
                                  'a = (lambda: 1)()', 'a = f"{b}"', 'a.b = 1', 'a = dict(b())',
                                  'a = {[1]: 2}', 'a = [[[[[[[[b()]]]]]]]]'])
def test_a_program_is_refused(text):
    with pytest.raises(ValueError, match=r'no Python text|line 1'):
        read_config_text(text)


def test_every_config_of_ours_comes_back_without_a_difference(repo, lines):
    from mmengine.config import Config
    for name in ('densecl_r18_shapes.py', 'detcon_b_r50_voc.py',
                 'finetune/deeplabv3plus_r50_voc12aug.py'):
        cfg = Config.fromfile(repo / 'configs' / name)
        assert read_changes(dict(cfg=cfg.pretty_text), cfg, name) == {} and not lines
        cfg.model.backbone.depth = 34
        text = re.sub(r'depth=34', 'depth=101', cfg.pretty_text)
        assert read_changes(dict(cfg=text), cfg, name) == {'model.backbone.depth': (101, 34)}


def test_differences_name_what_is_set_on_one_side_only():
    assert differences(dict(a=[1, 2], b=dict(c=1)), dict(a=[1, 3], d=2)) == {
        'a.1': (2, 3), 'b': (dict(c=1), 'not set'), 'd': ('not set', 2)}
