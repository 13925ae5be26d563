"""tools/evaluate.py on a tiny dataset: tables, the JSON line, the cache, and its mistakes."""
from __future__ import annotations

import errno
import importlib.util
import json
import os
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from references import tiny
from references.labelled import blocks, loader, write
from references.tables import Commands

from mmdense.errors import run_command
from mmdense.evaluation.from_config import build_random
from mmdense.evaluation.json_results import to_json

CONFIG = '''
_base_ = ['{root}/configs/_base_/mmdense.py']
default_scope = 'mmseg'
model = {model}
val_dataloader = {query}
val_cfg = dict(type='mmdense.DenseKNNValLoop', k=5, stride=8, memory={memory})
'''

SEGMENTOR = '''
_base_ = ['{root}/configs/_base_/mmdense.py', 'mmseg::_base_/models/fcn_r50-d8.py']
default_scope = 'mmseg'
norm_cfg = dict(type='SyncBN')
data_preprocessor = dict(size=(32, 32))
model = dict(data_preprocessor=data_preprocessor, auxiliary_head=None,
             backbone=dict(depth=18, base_channels=4, norm_cfg=norm_cfg),
             decode_head=dict(in_channels=32, channels=8, num_classes=3, norm_cfg=norm_cfg))
train_dataloader = {memory}
val_dataloader = {query}
val_cfg = dict(type='ValLoop')
'''


@pytest.fixture(scope='module')
def folder(tmp_path_factory, repo):
    """A config, a checkpoint of a random ResNet-18 with 8 channels, and one of a part of it."""
    folder = tmp_path_factory.mktemp('evaluate')
    memory, query = (write(folder, name, [blocks(seed + number, size=(64, 96))
                                          for number in range(4)])
                     for name, seed in (('memory', 0), ('query', 50)))
    model = tiny.config(data_preprocessor=dict(type='mmdense.ViewsPreprocessor'))
    (folder / 'config.py').write_text(CONFIG.format(root=repo, model=model, query=loader(query),
                                                    memory=loader(memory)))
    (folder / 'segmentor.py').write_text(SEGMENTOR.format(root=repo, query=loader(query),
                                                          memory=loader(memory)))
    with DefaultScope.overwrite_default_scope('mmseg'):      # the tool sets the config's
        net = build_random(Config(dict(model=model)), 7)
    torch.save(dict(state_dict=net.state_dict()), folder / 'net.pth')
    for name in ('memory', 'query'):
        (folder / name / 'empty.txt').write_text('')
        void = folder / name / 'void'
        void.mkdir()
        for number in range(4):
            cv2.imwrite(str(void / f'{number:03d}.png'), np.full((64, 96), 255, np.uint8))
    torch.save(dict(state_dict={name: tensor for name, tensor in net.state_dict().items()
                                if 'layer4' not in name}), folder / 'part.pth')
    return folder


@pytest.fixture
def run(repo, folder, monkeypatch, capsys):
    """Call the tool as a command does, and return its output."""
    spec = importlib.util.spec_from_file_location('evaluate_tool', repo / 'tools/evaluate.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def call(*arguments: str, config: str = 'config.py') -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['evaluate.py', config, *arguments])
        MMLogger._instance_dict.clear()      # its stream is of an earlier test
        run_command(tool.main)
        return capsys.readouterr().out

    return call


def test_all_protocols_end_in_one_json_line_and_repeat_from_the_cache(run, folder):
    arguments = ('net.pth', '--protocol', 'knn', 'linear', 'overcluster', 'correspondence',
                 'statistics', '--clusters', '5', '--predictions', 'out', '--images', '2',
                 '--layers', 'C4', 'C5', '--cache', 'cache',
                 '--json', 'out/found.json')
    out = run(*arguments)
    report = json.loads(out.splitlines()[-1])
    assert json.loads((folder / 'out/found.json').read_text()) == report
    assert report['memory_images'] == 4 and report['settings']['stride'] == 8
    assert list(report['results']) == ['C4', 'C5']
    found = report['results']['C5']
    assert set(found['knn']) == {'mIoU', 'position_prior_mIoU', 'ceiling_mIoU', 'random_mIoU',
                                 'memory_mIoU', 'random_memory_mIoU'}
    by_memory = {layer: one['knn']['memory_mIoU'] for layer, one in report['results'].items()}
    assert report['best_layer'] == max(by_memory, key=by_memory.get)
    assert f'best layer: {report["best_layer"]}, by k-NN of memory images' in out
    assert set(found['linear']) == {'mIoU', 'plain_mIoU', 'position_prior_mIoU', 'ceiling_mIoU',
                                    'random_mIoU', 'random_plain_mIoU'}
    assert {'hungarian_mIoU', 'K5_mIoU', 'random_K5_mIoU'} < set(found['overcluster'])
    assert {'within_1', 'random_within_2', 'position_prior_within_1'} < set(
        found['correspondence'])
    assert 0 < found['knn']['mIoU'] <= found['knn']['ceiling_mIoU']
    assert set(found['statistics']) == {'label_place_share'} | {
        f'{of}{name}' for of in ('', 'random_')
        for name in ('effective_rank', 'feature_std', 'place_share')}
    assert 1 < found['statistics']['effective_rank'] < 64
    assert 'linear, per cent' in out and 'statistics, no per cent' in out
    assert out.count('weights of the backbone: net.pth fills') == 1
    assert sorted(path.name for path in (folder / 'out/predictions').iterdir()) == [
        '000.png', '001.png']
    # memory, queries and views of two networks at two layers
    files = {path: path.stat().st_mtime_ns for path in (folder / 'cache').iterdir()}
    assert len(files) == 12
    again = json.loads(run('net.pth', '--protocol', 'knn', 'correspondence', '--layers', 'C5', 'C4',
                           '--cache', 'cache').splitlines()[-1])
    for layer, found in again['results'].items():
        assert found == {name: report['results'][layer][name] for name in found}
    assert files == {path: path.stat().st_mtime_ns for path in (folder / 'cache').iterdir()}


def test_a_segmentor_is_measured_by_its_backbone(run, folder):
    cfg = Config.fromfile(folder / 'segmentor.py')
    assert cfg.model.pretrained                    # is not fetched
    with DefaultScope.overwrite_default_scope('mmseg'):
        torch.save(dict(state_dict=build_random(cfg, 3).state_dict()), folder / 'segmentor.pth')
    report = json.loads(run('segmentor.pth', '--layers', 'C3', 'last', '--no-random', '--stride',
                            '4', config='segmentor.py').splitlines()[-1])
    assert report['memory_images'] == 4 and report['settings']['stride'] == 4
    for found in report['results'].values():
        assert set(found['knn']) == {'mIoU', 'memory_mIoU', 'position_prior_mIoU', 'ceiling_mIoU'}
    out = run('segmentor.pth', '--no-random', config='segmentor.py')
    report = json.loads(out.splitlines()[-1])
    assert set(report['results']['last']['knn']) == {'mIoU', 'position_prior_mIoU', 'ceiling_mIoU'}
    assert report['best_layer'] is None and 'best layer' not in out.rpartition('{"config"')[0]


def test_finetune_runs_a_users_commands_and_goes_on_where_it_stopped(run, folder, monkeypatch):
    cfg = Config.fromfile(folder / 'segmentor.py')
    cfg.model.pretrained = None
    cfg.model.backbone.update(type='ResNet', base_channels=8)
    cfg.model.decode_head.in_channels = 64
    cfg.model.backbone.init_cfg = dict(type='mmdense.PretrainedBackbone', checkpoint=None)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=20)
    cfg.dump(folder / 'tuned.py')
    commands = Commands()
    monkeypatch.setattr('steps.finetuning.run_logged', commands)
    given = ('net.pth', '--protocol', 'finetune', '--work-dir', 'tuning', '--seed', '3',
             '--processes', '4', '--cfg-options', 'train_cfg.max_iters=10')
    out = run(*given, config='tuned.py')
    assert json.loads(out.splitlines()[-1])['finetune'] == dict(mIoU=33., random_mIoU=33.)
    train, test, from_random, _ = commands.run
    assert train[1:3] == ['tuned.py', '4'] and train[4].startswith('tuning/checkpoint/seed3/')
    assert train[-3:] == ['randomness.seed=3', 'train_cfg.max_iters=10',
                          'model.backbone.init_cfg.checkpoint=net.pth']
    assert '--resume' in train and test[3] == f'{train[4]}/iter_9.pth'
    assert from_random[-1].endswith('/random.pth')
    assert f'$ {train[0]} tuned.py 4' in out
    run(*given, config='tuned.py')
    assert len(commands.run) == 4, 'nothing is run twice'
    commands.fail = 'seed4/test_'
    with pytest.raises(SystemExit):
        run('net.pth', '--protocol', 'finetune', '--work-dir', 'tuning', '--seed', '4',
            '--no-random', config='tuned.py')
    commands.fail = ''
    out = run('net.pth', '--protocol', 'finetune', 'statistics', '--work-dir', 'tuning', '--seed',
              '4', '--no-random', config='tuned.py')
    report = json.loads(out.splitlines()[-1])
    assert report['finetune'] == dict(mIoU=34.) and 'statistics' in report['results']['last']
    assert len(commands.run) == 4 + 2 + 1


def test_finetune_needs_a_segmentor_that_takes_a_checkpoint(run, capsys):
    for config, message in (('config.py', "finetune needs a segmentor's config, and config.py is "
                                          'of mmdense.DenseCL'),
                            ('segmentor.py', 'finetune needs a backbone that takes a checkpoint')):
        with pytest.raises(SystemExit):
            run('net.pth', '--protocol', 'finetune', config=config)
        assert f'error: {message}' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'message'), [
    (('part.pth',), r'error: part.pth fills'),
    (('net.pth', '--layers', 'C9'), r"error: layer 'C9': ResNet has no such map; expected C2"),
    (('net.pth', '--stride', '3'), 'error: stride=3 cannot be reached by dilating this ResNet (its '
                                   'stages have strides [4, 8, 16, 32])'),
    (('net.pth', '--images', '0'), 'error: --images 0: expected 1 or more'),
    (('net.pth', '--stride', '-8'), 'error: stride=-8: expected pixels, or 0'),
    (('net.pth', '--cfg-options', 'val_dataloader.dataset.pipeline.1.type=RandomFlip',
      'val_dataloader.dataset.pipeline.1.prob=0.'), 'error: the query dataset (BaseSegDataset, '
     'data_root='),
    (('net.pth', '--cfg-options', 'val_cfg.memory.dataset.ann_file=empty.txt'),
     'error: val_cfg.memory: BaseSegDataset was looked for'),
    (('net.pth', '--cfg-options', 'val_dataloader.dataset.data_prefix.seg_map_path=void'),
     'error: no pixel of the 4 label maps of the query dataset (BaseSegDataset, data_root='),
    (('net.pth', '--cfg-options', 'val_dataloader.dataset.data_root=gone'), r'gone')])
def test_mistakes_are_one_line(run, arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    said = capsys.readouterr().err
    assert end.value.code == 1 and 'Traceback' not in said
    assert message in next(line for line in said.splitlines() if line.startswith('error: '))


@pytest.mark.situation('labels', 'masks of 0 and 255, tools/evaluate.py', 'error',
                       'instead of an mIoU of 100')
def test_a_single_class_in_many_masks_ends_the_evaluation(run, folder, capsys):
    query = write(folder, 'one', [np.where(blocks(number) == 0, 0, 255) for number in range(21)])
    with pytest.raises(SystemExit):
        run('net.pth', '--no-random', '--cfg-options',
            f'val_dataloader.dataset.data_root={query["data_root"]}')
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith('error: labels of the query dataset (BaseSegDataset, data_root=')
    assert 'blue is the only one of 3 classes' in said and 'masks of 0 and 255' in said


@pytest.mark.situation('labels', 'a mask of 0 bytes, tools/evaluate.py', 'error', 'the file')
def test_a_mask_of_0_bytes_is_named(run, folder, capsys):
    query = write(folder, 'empty', [blocks(number, size=(64, 96)) for number in range(2)])
    (folder / 'empty/labels/001.png').write_bytes(b'')
    with pytest.raises(SystemExit):
        run('net.pth', '--no-random', '--cfg-options',
            f'val_dataloader.dataset.data_root={query["data_root"]}')
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith('error: ') and 'labels/001.png: a label map of 0 bytes' in said


def test_classes_that_the_memory_lacks_are_named(run, folder):
    shown = folder / 'memory/two'
    shown.mkdir()
    for number in range(4):
        labels = blocks(number, size=(64, 96))
        cv2.imwrite(str(shown / f'{number:03d}.png'), np.where(labels == 1, 255, labels))
    out = run('net.pth', '--no-random', '--cfg-options',
              'val_cfg.memory.dataset.data_prefix.seg_map_path=two')
    assert 'warning: no memory image shows green, which query images do: never predicted' in out
    report = json.loads(out.splitlines()[-1])
    assert report['absent_classes'] == ['green']
    assert report['results']['last']['knn']['mIoU'] < 67


def test_images_without_labels_are_enough_for_some_protocols(run, folder):
    options = ('--cfg-options', 'val_dataloader.dataset.data_prefix.seg_map_path=gone')
    given = ('net.pth', '--no-random', '--protocol', 'correspondence', 'statistics')
    plain = json.loads(run(*given).splitlines()[-1])
    found = json.loads(run(*given, *options).splitlines()[-1])
    assert found['results'] == plain['results']
    cfg = Config.fromfile(folder / 'config.py')
    cfg.val_cfg = None
    cfg.val_dataloader.dataset.pipeline.pop(1)
    cfg.val_dataloader.dataset.metainfo = None
    cfg.dump(folder / 'unlabelled.py')
    found = json.loads(run(*given, config='unlabelled.py').splitlines()[-1])
    assert found['memory_images'] == 4 and set(found['results']['last']) == {
        'correspondence', 'statistics'}
    with pytest.raises(SystemExit):
        run('net.pth', config='unlabelled.py')


def test_results_are_printed_before_a_file_fails(run, folder, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(os, 'fsync', full)
        run('net.pth', '--no-random', '--protocol', 'statistics', '--json', 'full/found.json')
    said = capsys.readouterr()
    assert end.value.code == 1 and json.loads(said.out.splitlines()[-1])['results']
    assert said.err.splitlines()[-1].startswith(
        'error: --json full/found.json could not be written: ') and 'No space left' in said.err
    assert not list((folder / 'full').iterdir())
    with pytest.raises(SystemExit):
        run('net.pth', '--no-random', '--protocol', 'statistics', '--json', 'net.pth/found.json')
    said = capsys.readouterr()
    assert 'error: --json net.pth: net.pth is a file, expected a folder' in said.err
    assert not said.out         # before anything was measured


def test_what_could_not_be_measured_is_null():
    text = to_json(dict(a=[1.5, float('nan')], b=dict(c=float('inf'), d=None), e='nan'))
    assert json.loads(text, parse_constant=pytest.fail) == dict(
        a=[1.5, None], b=dict(c=None, d=None), e='nan')
