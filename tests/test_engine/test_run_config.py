"""Config file and command line become the config of a run."""
from __future__ import annotations

import os
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from references.commands import call_tool

from mmdense.config_files import require_checkpoint
from mmdense.engine import run_config
from mmdense.engine.run_config import (
    load_config,
    owned_work_dir,
    resume_latest,
    use_amp,
    use_tta,
)
from mmdense.errors import user_message
from mmdense.files import LOCK


def arguments(config, **settings) -> Namespace:
    return Namespace(config=str(config), **{**dict(
        cfg_options=None, launcher='none', work_dir=None), **settings})


def test_options_and_work_dir_in_order_of_precedence(tmp_path):
    path = tmp_path / 'densecl_toy.py'
    path.write_text('model = dict(b=1)')
    assert load_config(arguments(path)).work_dir == 'work_dirs/densecl_toy'
    cfg = load_config(arguments(path, cfg_options={'model.b': '2', 'work_dir': 'x'},
                                launcher='slurm'))
    assert (cfg.model.b, cfg.work_dir, cfg.launcher) == (2, 'x', 'slurm')
    cfg = load_config(arguments(path, cfg_options={'work_dir': 'x'}, work_dir='y'))
    assert cfg.work_dir == 'y'


@pytest.mark.parametrize('name, work_dir', [
    pytest.param('mmdense::densecl_r18_shapes.py', 'work_dirs/densecl_r18_shapes', id='flat',
                 marks=pytest.mark.situation(
                     'the road', 'a config named by package on the command line of a tool '
                     '(`mmdense::NAME.py`, `mmseg::FOLDER/NAME.py`)', 'works', 'as the file does')),
    ('mmdense::finetune/mocofcn_r50_voc12aug', 'work_dirs/mocofcn_r50_voc12aug'),
    ('mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py',
     'work_dirs/fast_scnn_8xb4-160k_cityscapes-512x1024')])
def test_a_config_is_named_by_package(name, work_dir):
    cfg = load_config(arguments(name, cfg_options={'model.backbone.depth': 7}))
    assert cfg.work_dir == work_dir and cfg.model.backbone.depth == 7


@pytest.mark.parametrize('tool', ['train', 'check', 'visualize', 'evaluate', 'test'])
@pytest.mark.parametrize('name, said', [
    pytest.param('mmdense::densecl_r50_vok.py', 'nearest: mmdense::densecl_r50_voc.py', id='ours',
                 marks=pytest.mark.situation(
                     'the road', 'a config named by package that is not there, with each tool',
                     'error', 'what to type, or the nearest names')),
    ('mmseg::fcn_r50-d8.py', 'expected PACKAGE::FOLDER/NAME.py')])
def test_every_tool_says_which_config_is_not_there(tmp_path, tool, name, said):
    checkpoint = tmp_path / 'c.pth'
    checkpoint.touch()
    more = {'train': (), 'check': (), 'visualize': (checkpoint, '--out', tmp_path)}
    with pytest.raises(FileNotFoundError, match=f'config {name}: .*{said}') as caught:
        call_tool(tool, name, *more.get(tool, (checkpoint,)), cwd=tmp_path)
    assert user_message(caught.value)


def test_missing_files_are_named_with_the_place_that_was_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf'config no\.py: .*looked in {tmp_path}'):
        load_config(arguments('no.py'))
    with pytest.raises(FileNotFoundError, match=rf'checkpoint no\.pth: .*looked in {tmp_path}'):
        require_checkpoint('no.pth')
    require_checkpoint('https://example.org/no.pth')


def put(folder: Path, *names: str, pointer: str | None = None, state: bool = True) -> None:
    """Write checkpoints, a damaged one if its name has a ``!``, and what the folder points to."""
    folder.mkdir(exist_ok=True)
    for name in names:
        path = folder / name.rstrip('!')
        torch.save(dict(meta=dict(iter=1, epoch=0), message_hub={}, state_dict={}) if state
                   else dict(weight=torch.ones(1)), path)
        if name.endswith('!'):
            path.write_bytes(path.read_bytes()[:300])
    if pointer is not None:
        (folder / 'last_checkpoint').write_text(pointer)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr(run_config, 'print_log', lambda text, *args: lines.append(text))
    return lines


def resumed(folder: Path, **settings) -> str | None:
    """Return the checkpoint that ``--resume`` takes, relative to ``folder``."""
    cfg = Config(dict(work_dir=str(folder), load_from='start.pth', **settings))
    resume_latest(cfg)
    assert cfg.resume is (cfg.load_from != 'start.pth')
    return os.path.relpath(cfg.load_from, folder) if cfg.resume else None


def test_resume_takes_the_latest_checkpoint_and_not_load_from(tmp_path, said):
    put(tmp_path, 'iter_5.pth', 'iter_6.pth', pointer='/before/it/was/moved/iter_5.pth')
    assert resumed(tmp_path) == 'iter_5.pth' and len(said) == 1


@pytest.mark.parametrize('names, pointer, expected, message', [
    pytest.param(['iter_4.pth', 'iter_8.pth'], '/gone/iter_12.pth', 'iter_8.pth',
                 'iter_12.pth, which last_checkpoint names, is not there', id='deleted',
                 marks=pytest.mark.situation(
                     'lost runs', '--resume after the last checkpoint was deleted', 'warning',
                     'goes on from the newest one that is whole, and says so')),
    pytest.param(['iter_8.pth', 'iter_12.pth', 'best_mIoU_iter_99.pth', 'iter_9-ab120000.pth'],
                 None, 'iter_12.pth', 'resuming from', id='no-pointer', marks=pytest.mark.situation(
                     'lost runs', '--resume without the file last_checkpoint', 'works',
                     'goes on from the newest checkpoint; best and published ones do not count')),
    pytest.param(['iter_8.pth', 'iter_12.pth!'], 'iter_12.pth', 'iter_8.pth',
                 'iter_12.pth is not a checkpoint, or only a part of one', id='damaged',
                 marks=pytest.mark.situation(
                     'lost runs', '--resume where the last checkpoint is damaged', 'warning',
                     'goes on from the newest one that is whole, and says what is wrong')),
    pytest.param(['epoch_9.pth', 'epoch_10.pth'], '', 'epoch_10.pth', 'resuming from', id='epochs'),
    pytest.param(['step12.pth', 'step5.pth'], 'step9.pth', 'step12.pth', 'is not there',
                 id='other-names'),
    pytest.param([], None, None, 'starting from the beginning', id='empty'),
    pytest.param([], '', None, 'starting from the beginning', id='empty-pointer'),
    pytest.param([], '/gone/iter_9.pth', None, 'is not there', id='nothing-left',
                 marks=pytest.mark.situation(
                     'lost runs', '--resume where no checkpoint is left', 'warning',
                     'starts as configured, and says which one is missing'))])
def test_resume_takes_the_newest_whole_checkpoint(tmp_path, said, names, pointer, expected,
                                                  message):
    put(tmp_path, *names, pointer=pointer)
    assert resumed(tmp_path) == expected and message in said[0]
    assert said[-1].startswith('resuming from' if expected else '--resume: no checkpoint in')


@pytest.mark.situation('lost runs', '--resume where every checkpoint is damaged', 'error',
                       'names each, and starts nothing that would overwrite them')
def test_resume_stops_where_nothing_can_be_used(tmp_path):
    put(tmp_path, 'iter_4.pth!', 'iter_8.pth!', pointer='iter_8.pth')
    put(tmp_path, 'iter_2.pth', state=False)
    with pytest.raises(ValueError, match=(
            r'no checkpoint in .* can be used: .*iter_8\.pth is not .*iter_4\.pth is not '
            r'.*iter_2\.pth holds weights and no state of a run.*leave --resume out')):
        resumed(tmp_path)


@pytest.mark.situation('lost runs', '--resume in a copied work_dir', 'works',
                       "goes on from the copy's checkpoint; the original stays as it is")
def test_a_copied_folder_resumes_from_itself(tmp_path):
    put(tmp_path / 'a', 'iter_4.pth', pointer=str(tmp_path / 'a' / 'iter_4.pth'))
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    assert resumed(tmp_path / 'b') == 'iter_4.pth'
    (tmp_path / 'b' / 'iter_4.pth').unlink()
    assert resumed(tmp_path / 'b') is None


def test_checkpoints_in_a_folder_of_their_own_are_found(tmp_path):
    put(tmp_path / 'out')
    put(tmp_path / 'out' / 'work', 'iter_4.pth')
    put(tmp_path / 'work')
    hooks = dict(checkpoint=dict(out_dir=str(tmp_path / 'out')))
    assert resumed(tmp_path / 'work', default_hooks=hooks) == '../out/work/iter_4.pth'


@pytest.mark.situation('lost runs', 'a second run in the folder of a running one', 'error',
                       'names process, machine and time of the first, which goes on')
def test_a_work_dir_belongs_to_one_run(tmp_path, monkeypatch):
    put(tmp_path)
    (tmp_path / '.iter_4.pth.7-ab.partial').touch()
    cfg = Config(dict(work_dir=str(tmp_path), launcher='pytorch'))
    with owned_work_dir(cfg):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        with pytest.raises(ValueError, match='is in use by another run'), owned_work_dir(cfg):
            pass
        monkeypatch.setenv('RANK', '1')
        with owned_work_dir(cfg):       # another process of the same run
            pass


@pytest.mark.parametrize('device, wanted, given, expected', [
    ('cpu', False, dict(), 'OptimWrapper'),
    ('cpu', True, dict(), 'mmdense.BFloat16OptimWrapper'),
    pytest.param('cuda with bfloat16', True, dict(), 'mmdense.BFloat16OptimWrapper',
                 id='gpu-bfloat16', marks=pytest.mark.situation(
                     'numbers', '--amp on a GPU with bfloat16', 'works', 'takes it, without a '
                     'loss scale; the log says so')),
    ('cuda with bfloat16', False, dict(), 'OptimWrapper'),
    ('cuda with bfloat16', True, dict(type='AmpOptimWrapper', loss_scale=512.), 'AmpOptimWrapper'),
    ('cpu', False, dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16'),
     'mmdense.BFloat16OptimWrapper'),
    pytest.param('cuda', True, dict(), 'AmpOptimWrapper', id='gpu-float16',
                 marks=pytest.mark.situation(
                     'numbers', '--amp on a GPU without bfloat16', 'works', 'takes float16 with a '
                     'loss scale; the log says so')),
    ('cuda', True, dict(type='AmpOptimWrapper', loss_scale=512.), 'AmpOptimWrapper'),
    ('cuda', False, dict(type='Own'), 'Own')])
def test_amp_by_device(monkeypatch, device, wanted, given, expected):
    monkeypatch.setattr(run_config, 'get_device', lambda: device.split()[0])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: device != 'cpu')
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported',
                        lambda including_emulation=True: including_emulation or ' ' in device)
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD'), **given)))
    use_amp(cfg, wanted)
    assert cfg.optim_wrapper.pop('type') == expected
    scale = {'AmpOptimWrapper': dict(loss_scale=given.get('loss_scale', 'dynamic'))}
    assert cfg.optim_wrapper == dict(optimizer=dict(type='SGD'), **scale.get(expected, {}))


def test_amp_refuses_a_wrapper_that_it_does_not_know():
    with pytest.raises(ValueError, match="--amp: optim_wrapper.type is 'Own'"):
        use_amp(Config(dict(optim_wrapper=dict(type='Own'))), True)


def test_tta_wraps_the_model_or_says_what_is_missing():
    model = dict(type='EncoderDecoder')
    cfg = Config(dict(model=model, tta_model=dict(type='SegTTAModel'), tta_pipeline=['flip'],
                      test_dataloader=dict(dataset=dict(pipeline=['plain']))))
    use_tta(cfg)
    assert cfg.model == dict(type='SegTTAModel', module=model)
    assert cfg.test_dataloader.dataset.pipeline == ['flip']
    with pytest.raises(ValueError, match='no tta_model and tta_pipeline'):
        use_tta(Config(dict(model=model)))
