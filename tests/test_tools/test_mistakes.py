"""What users type wrongly, at the commands themselves: one line, exit code 1, nothing written."""
from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from references import tiny
from references.commands import ROOT
from references.labelled import blocks, loader, write
from references.tools import run_tool

import mmdense  # noqa: F401

MODEL = dict(
    type='EncoderDecoder', pretrained=None,
    data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 48)),
    backbone=tiny.BACKBONE, test_cfg=dict(mode='whole'),
    decode_head=dict(type='FCNHead', in_channels=64, in_index=0, channels=8, num_convs=1,
                     num_classes=3))
LAUNCHED = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


@pytest.fixture(scope='module')
def made(tmp_path_factory, repo) -> Path:
    """A segmentor's config and one of pretraining, weights of the segmentor, and images."""
    folder = tmp_path_factory.mktemp('mistakes')
    data = write(folder, 'data', [blocks(number) for number in range(3)])
    base = dict(
        custom_imports=dict(imports=['mmdense']), default_scope='mmseg',
        train_dataloader=loader(data), train_cfg=dict(type='IterBasedTrainLoop', max_iters=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', log_metric_by_epoch=False)))
    test = dict(test_dataloader=loader(data), test_cfg=dict(type='TestLoop'),
                test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']))
    Config(dict(base, **test, val_dataloader=test['test_dataloader'], model=MODEL,
                val_cfg=dict(type='ValLoop'), val_evaluator=test['test_evaluator'])
           ).dump(folder / 'segmentor.py')
    Config(dict(base, model=MODEL)).dump(folder / 'untested.py')
    Config(dict(base, **test, model=tiny.config())).dump(folder / 'pretraining.py')
    Config(dict(base, model=dict(MODEL, backbone=dict(type='ResNett')))).dump(
        folder / 'unknown.py')
    (folder / 'broken.py').write_text('model = dict(\n')
    (folder / 'file').write_text('')
    with DefaultScope.overwrite_default_scope('mmseg'):
        for name, model in (('net', MODEL), ('pretrained', tiny.config())):
            torch.save(dict(state_dict=MODELS.build(model).state_dict()), folder / f'{name}.pth')
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> Path:
    """The same in the current folder, which a test may change."""
    here = tmp_path / 'here'
    shutil.copytree(made, here)
    for config in here.glob('*.py'):
        config.write_text(config.read_text().replace(str(made), str(here)))
    monkeypatch.chdir(here)
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    return here


def files(folder: Path) -> list[Path]:
    """Return all files but a run's log."""
    return sorted(path for path in folder.rglob('*')
                  if path.is_file() and 'work_dirs' not in path.parts)


@pytest.mark.parametrize('tool, arguments, expected', [
    pytest.param('train', ['segmentor.py', '--launcher', 'pytorch'],
                 'RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT are not set', id='launcher-pytorch',
                 marks=pytest.mark.situation(
                     'processes', '--launcher pytorch, slurm or mpi, typed by hand', 'error',
                     'names the variables that are missing and the command to type instead')),
    ('train', ['segmentor.py', '--launcher', 'slurm'], 'tools/slurm_train.sh PARTITION'),
    ('test', ['segmentor.py', 'net.pth', '--launcher', 'mpi'], 'OMPI_COMM_WORLD_RANK'),
    pytest.param('test', ['untested.py', 'net.pth'],
                 'config untested.py has no test_dataloader, no test_cfg, no test_evaluator',
                 id='test-without-test-loader', marks=pytest.mark.situation(
                     'commands', 'test.py of a config without a test loader', 'error',
                     'names the parts that are missing')),
    ('test', ['untested.py', 'net.pth', '--out', 'out'], 'has no test_dataloader'),
    ('test', ['net.pth', 'segmentor.py'], 'the wrong way round'),
    ('test', ['segmentor.py', 'segmentor.py'], 'checkpoint segmentor.py is a config'),
    ('visualize', ['net.pth', 'segmentor.py', '--out', 'out'], 'the wrong way round'),
    ('visualize', ['net.pth', 'net.pth', '--out', 'out'], 'config net.pth is a file of weights'),
    ('evaluate', ['net.pth', 'net.pth'], 'config net.pth is a file of weights'),
    ('train', ['net.pth'], 'config net.pth is a file of weights'),
    ('check', ['net.pth'], 'config net.pth is a file of weights'),
    ('train', ['broken.py'], 'config broken.py, line 1: no Python'),
    ('check', ['segmentor.py', '--cfg-options', 'val_dataloader.dataset.data_root=nowhere'],
     'val_dataloader: BaseSegDataset was looked for in'),
    ('check', ['no.py'], 'config no.py: no such file'),
    ('visualize', ['no.py', 'net.pth', '--out', 'out'], 'config no.py: no such file'),
    pytest.param('visualize', ['untested.py', 'net.pth', '--out', 'out'],
                 'config untested.py has no test_dataloader', id='visualize-untested',
                 marks=pytest.mark.situation(
                     'commands', 'visualize.py of a segmentor without test images', 'error',
                     'says that the config has no test_dataloader')),
    pytest.param('visualize', ['pretraining.py', 'pretrained.pth', '--out', 'out'],
                 'has no mmdense.MultiView, which makes the views', id='visualize-without-views',
                 marks=pytest.mark.situation(
                     'commands', "visualize.py of pretraining on a dataset that makes no views",
                     'error', 'names the dataset and the step that is missing')),
    ('visualize', ['segmentor.py', 'net.pth', '--out', 'out', '--cfg-options',
                   'test_dataloader.dataset.data_root=nowhere'],
     'test_dataloader: BaseSegDataset was looked for in'),
    ('train', ['unknown.py'], "'ResNett' is not a registered model"),
    ('check', ['unknown.py', '--no-measure'], 'nearest: ResNet'),
    ('evaluate', ['segmentor.py', 'net.pth', '--cfg-options', 'model.backbone.type=ResNett'],
     "'ResNett' is not a registered model"),
    ('visualize', ['segmentor.py', 'net.pth', '--out', 'out', '--cfg-options',
                   'model.decode_head.wrong=3'], "FCNHead: has no argument 'wrong'"),
    pytest.param('train', ['segmentor.py', '--work-dir', 'file/below'],
                 'work_dir file/below: file is a file', id='work-dir-below-a-file',
                 marks=pytest.mark.situation(
                     'commands', 'an output folder that is a file, or lies below one', 'error',
                     'names the option, the folder and the file, before anything is computed')),
    ('test', ['segmentor.py', 'net.pth', '--work-dir', 'file'], 'work_dir file: file is a file'),
    ('test', ['segmentor.py', 'net.pth', '--out', 'file'], '--out file: file is a file'),
    ('test', ['segmentor.py', 'net.pth', '--show-dir', 'file/a'], '--show-dir file/a: file is a'),
    ('visualize', ['segmentor.py', 'net.pth', '--out', 'file'], '--out file: file is a file'),
    ('evaluate', ['segmentor.py', 'net.pth', '--json', 'file/a.json'], '--json file: file is a'),
    ('evaluate', ['segmentor.py', 'net.pth', '--json', 'data'], '--json data is a folder'),
    ('evaluate', ['segmentor.py', 'net.pth', '--cache', 'file'], '--cache file: file is a file'),
    ('evaluate', ['segmentor.py', 'net.pth', '--predictions', 'file/a'], '--predictions file/a: '),
    ('make_regions', ['data/images', 'file'], 'OUT file: file is a file'),
    ('make_shapes', ['--out', 'file'], '--out file: file is a file'),
    ('run_table', [ROOT / 'configs/tables/small_scenes.py', '--work-dir', 'file'],
     '--work-dir file: file is a file'),
    ('test', ['pretraining.py', 'net.pth', '--out', 'out'], '--out is of a segmentor'),
    pytest.param('test', ['pretraining.py', 'net.pth', '--show-dir', 'out'],
                 '--show-dir is of a segmentor', id='show-dir-of-pretraining',
                 marks=pytest.mark.situation(
                     'commands', '--out or --show-dir of a pretraining config', 'error',
                     'names the tools that draw and write what a pretrained network sees'))])
def test_a_mistake_ends_in_one_line(folder, capsys, tool, arguments, expected):
    before = files(folder)
    assert run_tool(tool, *arguments) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(said) == 1 and expected in said[0]
    assert files(folder) == before


def test_other_tools_name_the_file_in_the_way(folder, capsys):
    (folder / 'scalars.json').write_text('{"step": 1, "loss": 2}\n')
    assert run_tool('analysis_tools/analyze_logs', 'scalars.json', '--out', 'file/a.png') == 1
    assert '--out file: file is a file' in capsys.readouterr().err
    assert run_tool('demo', '--work-dir', folder / 'file') == 1     # it leaves the folder
    assert f'--work-dir {folder}/file: {folder}/file is a file' in capsys.readouterr().err


def written(folder: Path) -> dict[str, tuple[int, ...]]:
    return {path.name: cv2.imread(str(path), -1).shape for path in folder.glob('*.png')}


@pytest.mark.situation('commands', 'test.py --out with labels', 'works',
                       'predictions are written, and mIoU is measured')
def test_out_with_labels_measures_as_well(folder, capsys):
    assert run_tool('test', 'segmentor.py', 'net.pth', '--out', 'out') == 0
    assert 'mIoU' in capsys.readouterr().out
    assert written(folder / 'out') == {f'00{number}.png': (32, 48) for number in range(3)}


@pytest.mark.parametrize('change', [
    pytest.param('pipeline', id='no-label-step', marks=pytest.mark.situation(
        'commands', 'test.py --out on images without labels', 'works',
        'predictions are written; a line says that nothing is measured')),
    'files', 'one file'])
def test_out_without_labels_only_writes(folder, capsys, change):
    if change == 'pipeline':
        path = folder / 'segmentor.py'
        path.write_text(path.read_text().replace("dict(type='LoadAnnotations'),", ''))
    elif change == 'files':
        shutil.rmtree(folder / 'data/labels')
    else:
        (folder / 'data/labels/001.png').unlink()
    assert run_tool('test', 'segmentor.py', 'net.pth', '--out', 'out') == 0
    out = capsys.readouterr().out
    assert 'predictions are written, and nothing is measured' in out and 'mIoU' not in (
        out.partition('nothing is measured')[2].partition('Iter(test)')[2])
    assert len(written(folder / 'out')) == 3


def test_out_without_labels_and_with_tta_only_writes(folder, capsys):
    scales = [[dict(type='Resize', scale_factor=factor, keep_ratio=True)] for factor in (1., 2.)]
    with (folder / 'segmentor.py').open('a') as file:
        file.write("\ntta_model = dict(type='SegTTAModel')\ntta_pipeline = " + repr([
            dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=[
                sum(scales, []), [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]))
    shutil.rmtree(folder / 'data/labels')
    assert run_tool('test', 'segmentor.py', 'net.pth', '--out', 'out', '--tta') == 0
    assert 'nothing is measured' in capsys.readouterr().out
    assert len(written(folder / 'out')) == 3


@pytest.mark.situation('commands', '--show-dir of a config without a visualizer', 'works',
                       "mmseg's is taken")
def test_show_dir_without_a_visualizer_draws(folder):
    assert run_tool('test', 'segmentor.py', 'net.pth', '--show-dir', 'shown') == 0
    assert len(list((folder / 'shown').rglob('*.png'))) == 3


@pytest.mark.situation('settings', 'check.py on a fine-tuning config', 'works',
                       'data, schedule, rate, BatchNorm and classes are checked')
def test_check_takes_a_segmentor(folder, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '250')
    arguments = ['segmentor.py', '--no-measure', '--amp', '--cfg-options',
                 'model.decode_head.num_classes=9']
    assert run_tool('check', *arguments) == 0
    out = ' '.join(capsys.readouterr().out.split())
    assert 'num_classes=9' in out and 'classes of the datasets: train 3, val 3, test 3' in out
    assert '--amp: ' in out and 'auto recipe' not in out
