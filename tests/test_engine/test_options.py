"""Options arrive as they were typed, or are refused because they would change nothing."""
from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdense.engine.options import ConfigOptions, merge_options, typed
from mmdense.errors import user_message


def parse(*words: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


@pytest.fixture(scope='module')
def leaf(repo) -> Config:
    return Config.fromfile(repo / 'configs/finetune/mocofcn_r18_shapes.py')


@pytest.fixture
def cfg(leaf) -> Config:
    return Config(leaf.to_dict())


ROOT = 'train_dataloader.dataset.data_root'


@pytest.mark.parametrize('text, expected', [
    pytest.param('my imgs', 'my imgs', id='blank', marks=pytest.mark.situation(
        'settings', '`data_root="my imgs"` in `--cfg-options`', 'works', 'the blank stays')),
    pytest.param('a,b', 'a,b', id='comma', marks=pytest.mark.situation(
        'settings', '`data_root=a,b`', 'works', 'one path, not a list')),
    pytest.param('2024', '2024', id='number', marks=pytest.mark.situation(
        'settings', '`data_root=2024`', 'works', 'a path, not a number')),
    pytest.param('~/x', str(Path('~/x').expanduser()), id='home', marks=pytest.mark.situation(
        'settings', '`data_root=~/x`', 'works', 'the home folder')),
    pytest.param('a=b', 'a=b', id='equals'), pytest.param('/a (1)/[b', '/a (1)/[b', id='brackets'),
    pytest.param("'a b'", 'a b', id='quotes'), pytest.param('None', None, id='none'),
    pytest.param('true', 'true', id='bool')])
def test_a_path_is_the_text_that_was_typed(cfg, text, expected):
    merge_options(cfg, parse(f'{ROOT}={text}'))
    assert cfg.train_dataloader.dataset.data_root == expected


@pytest.mark.parametrize('key, text, expected', [
    ('model.backbone.depth', '34', 34), ('optim_wrapper.optimizer.lr', '1e-3', 1e-3),
    ('optim_wrapper.clip_grad', 'None', None), ('train_dataloader.persistent_workers', 'False',
                                                False),
    ('model.data_preprocessor.size', '(64,64)', (64, 64)),
    ('optim_wrapper.optimizer.betas', '0.9,0.95', [0.9, 0.95]),
    ('default_hooks.checkpoint.save_best', '[mIoU, aAcc]', ['mIoU', 'aAcc']),
    ('experiment_name', 'my run', 'my run'), ('model.backbone.init_cfg.checkpoint', '5', '5'),
    ('train_dataloader.dataset.data_prefix.img_path', '7', '7'),
    ('train_dataloader.dataset.pipeline.1.type', 'mmdense.LoadImage', 'mmdense.LoadImage'),
    ('train_dataloader.dataset.ann_file', '[a b.txt,c.txt]', ['a b.txt', 'c.txt']),
    ('param_scheduler.1.end', '7', 7), ('load_from', '~', str(Path.home()))])
def test_everything_else_is_typed_as_by_mmengine(cfg, key, text, expected):
    assert merge_options(cfg, parse(f'{key}={text}')) == {key: expected}


def test_a_value_that_is_no_text_stays(cfg):
    merge_options(cfg, {'randomness.seed': 3, ROOT: 'data'})
    assert cfg.randomness.seed == 3


@pytest.mark.parametrize('option, meant', [
    pytest.param('iterations=1', r"'iterations' is a variable inside the config, already used .*"
                 r'train_cfg.max_iters, train_cfg.val_interval, param_scheduler.1.end$',
                 id='variable', marks=pytest.mark.situation(
                     'settings', '`--cfg-options iterations=1`, a variable of the config', 'error',
                     'it is used up; the settings that have its value are named')),
    pytest.param('optimizer.lr=0.5', "has no 'optimizer' .*optim_wrapper.optimizer.lr$",
                 id='part', marks=pytest.mark.situation(
                     'settings', '`--cfg-options optimizer.lr=0.5`', 'error',
                     '`optim_wrapper.optimizer.lr` is meant')),
    pytest.param('max_iters=1', 'train_cfg.max_iters$', id='leaf', marks=pytest.mark.situation(
        'settings', '`--cfg-options max_iters=1`', 'error', '`train_cfg.max_iters` is meant')),
    pytest.param('crop_size=(9,9)', r'model.data_preprocessor.size|pipeline', id='crop'),
    pytest.param('num_classes=3', r'model.decode_head.num_classes', id='classes'),
    pytest.param('train_pipeline.0.type=X', r'perhaps you meant train_dataloader.dataset.pipeline',
                 id='pipeline'),
    pytest.param('batch_size=2', 'train_dataloader.batch_size', id='batch'),
    pytest.param('train_dataloadr.batch_size=2', 'train_dataloader.batch_size$', id='spelling'),
    pytest.param('vis_backends=None', 'visualizer.vis_backends', id='copied'),
    pytest.param('seed=1', 'randomness.seed', id='seed')])
def test_an_option_that_changes_nothing_names_what_was_meant(cfg, option, meant):
    before = cfg.to_dict()
    with pytest.raises(ValueError, match=meant) as info:
        merge_options(cfg, parse(option))
    assert user_message(info.value).startswith(f'--cfg-options {option.split("=")[0]} changes')
    assert cfg.to_dict() == before


def test_all_such_options_are_told_at_once(cfg):
    with pytest.raises(ValueError, match=r'(?s)iterations.*optimizer.lr.*max_iters'):
        merge_options(cfg, parse('iterations=1', 'optimizer.lr=0.5', 'max_iters=1'))


def test_settings_of_runner_and_tools_need_not_stand_in_the_config(cfg):
    merge_options(cfg, parse('find_unused_parameters=True', 'recipe=auto', 'compile=True',
                             'model_wrapper_cfg.type=X', 'auto_scale_lr.enable=True'))
    assert cfg.find_unused_parameters is True and cfg.recipe == 'auto'


@pytest.mark.parametrize('option, message', [
    ('param_scheduler.7.end=1', r'param_scheduler.7.end=1 does not fit .*param_scheduler='),
    ('train_cfg.max_iters.x=1', 'does not fit the config, which has train_cfg.max_iters=120'),
    ('model.backbone.out_indices=[1,(2', 'brackets do not match')])
def test_an_option_that_does_not_fit_is_named(cfg, option, message):
    with pytest.raises(ValueError, match=message):
        merge_options(cfg, parse(option))


def test_a_word_without_a_value_is_told(capsys):
    with pytest.raises(SystemExit):
        parse('a=1', 'imgs')
    assert '--cfg-options imgs: expected KEY=VALUE' in capsys.readouterr().err


def test_a_path_stands_where_its_name_or_its_value_says_so():
    assert typed('x.data_root', '1', None) == '1' and typed('x.size', '1', None) == 1
    assert typed('x.size', 'a,b', 'c/d') == 'a,b' and typed('max_keep_file', '1', 3) == 1
