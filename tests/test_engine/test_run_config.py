"""Config file and command line become the config of a run."""
from __future__ import annotations

from argparse import Namespace

import pytest
from mmengine.config import Config
from references.commands import call_tool

from mmdense.config_files import require_checkpoint
from mmdense.engine import run_config
from mmdense.engine.run_config import (
    latest_checkpoint,
    load_config,
    resume_latest,
    use_amp,
    use_tta,
)
from mmdense.errors import user_message


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


def test_resume_takes_the_latest_checkpoint_and_not_load_from(tmp_path):
    (tmp_path / 'iter_5.pth').write_bytes(b'')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/before/it/was/moved/iter_5.pth')
    cfg = Config(dict(work_dir=str(tmp_path), load_from='start.pth'))
    resume_latest(cfg)
    assert cfg.resume is True and cfg.load_from == str(tmp_path / 'iter_5.pth')


@pytest.mark.parametrize('pointer', [None, '', '/gone/iter_9.pth'])
def test_resume_without_a_checkpoint_starts_as_configured(tmp_path, capsys, pointer):
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(pointer)
    assert latest_checkpoint(tmp_path) is None
    cfg = Config(dict(work_dir=str(tmp_path), load_from='start.pth', resume=True))
    resume_latest(cfg)
    assert cfg.resume is False and cfg.load_from == 'start.pth'


@pytest.mark.parametrize('device, wanted, given, expected', [
    ('cpu', False, dict(), 'OptimWrapper'),
    ('cpu', True, dict(), 'mmdense.BFloat16OptimWrapper'),
    ('cpu', False, dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16'),
     'mmdense.BFloat16OptimWrapper'),
    ('cuda', True, dict(), 'AmpOptimWrapper'),
    ('cuda', True, dict(type='AmpOptimWrapper', loss_scale=512.), 'AmpOptimWrapper'),
    ('cuda', False, dict(type='Own'), 'Own')])
def test_amp_by_device(monkeypatch, device, wanted, given, expected):
    monkeypatch.setattr(run_config, 'get_device', lambda: device)
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
