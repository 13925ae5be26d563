"""The rows of the tables: trained and measured, and what their names say they are."""
from __future__ import annotations

import ast
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from references.commands import quick_runs  # noqa: F401
from references.configs import (
    CONFIGS,
    NARROW,
    ROOT,
    TABLES,
    build,
    build_shapes,
    make_data,
    move,
    parsed,
    read,
    row_file,
    two_steps,
    views_of,
)

from mmdense.datasets.generate import SCENE_COUNTS
from mmdense.engine.check import check_config, view_sizes
from mmdense.engine.recipe import RunFacts, auto_changes, read_facts
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.from_config import build_data, load_trained
from steps.options import read_with
from steps.step import Settings
from tables.chains import chain
from tables.definition import read_table
from tables.row_config import config_file

every_table = pytest.mark.parametrize('path', TABLES, ids=lambda path: path.stem)
#: road.py has nine methods on two networks, in 27 rows
every_row = pytest.mark.parametrize('path', [
    pytest.param(path, id=path.stem, marks=(pytest.mark.full,) if path.stem == 'road' else ())
    for path in TABLES])


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp('configs') / 'data')


@pytest.mark.parametrize('table, name', [
    ('small_scenes', 'MoCo v2, stock'), ('small_scenes', 'DenseCL, stock'),
    ('detcon_budget', 'BYOL, 400 steps'), ('detcon_budget', 'SimCLR, 400 steps'),
    ('small_scenes', 'DenseCL, objects'), ('small_scenes', 'supervised, objects')])
@pytest.mark.usefixtures('quick_runs')
def test_a_row_is_trained_and_measured_by_two_configs(table: str, name: str, data: Path,
                                                      tmp_path: Path):
    """Two steps with frozen mIoU; the weights go into DenseCL's network and into their own."""
    leaf = row_file(table, name, tmp_path / 'configs')
    checkpoint = two_steps(leaf, data, tmp_path)
    logged = next(tmp_path.glob('*/*.log')).read_text()
    assert ' mIoU: ' in logged and ' loss: ' in logged
    saved = torch.load(checkpoint, weights_only=False)
    weights, counted = saved['state_dict'], saved['message_hub']['runtime_info']['forwards']
    # a view in each of two networks; SimCLR's two in one, BYOL's two in both
    passes = 1 if 'supervised' in name else 4 if 'BYOL' in name else 2
    assert counted == saved['meta']['iter'] * 2 * passes
    for config in (CONFIGS / 'densecl_r18_shapes.py', leaf):
        cfg = read(config, data)
        cfg.merge_from_dict({'model.backbone.base_channels': 64 // NARROW})
        with DefaultScope.overwrite_default_scope('mmseg'):
            model = load_trained(cfg, str(checkpoint), seed=0)
            assert len(build_data(cfg, name).memory) == 12
        for key, tensor in model.backbone.state_dict().items():
            torch.testing.assert_close(tensor, weights[f'backbone.{key}'], rtol=0, atol=0)
        features = FrozenEncoder(model, stride=8)(torch.zeros(1, 3, 64, 64))
        assert features.shape == (1, 512 // NARROW, 8, 8)


def unscoped(node):
    """Return a config's content with the names that mmpretrain's own files use."""
    if isinstance(node, dict):
        return {key: unscoped(value) for key, value in node.items() if key != '_scope_'}
    if isinstance(node, (list, tuple)):
        return [unscoped(child) for child in node]
    return node.removeprefix('mmpretrain.') if isinstance(node, str) else node


@pytest.mark.parametrize('table', ['small', 'small_scenes'])
@pytest.mark.parametrize('row, name', [('MoCo v2, stock', 'mocov2'), ('DenseCL, stock', 'densecl')])
def test_stock_rows_are_what_mmpretrain_publishes(table: str, row: str, name: str, tmp_path: Path):
    """Model, views and optimiser, but for what the table says."""
    theirs = Config.fromfile(Path(mmpretrain.__file__).parent / '.mim/configs' / name
                             / f'{name}_resnet50_8xb32-coslr-200e_in1k.py')
    ours = parsed(row_file(table, row, tmp_path))
    model = unscoped(ours.model.to_dict())
    assert model['backbone'].pop('strides', None) == (
        [1, 2, 2, 1] if table == 'small_scenes' else None)
    model['backbone']['depth'], model['neck']['in_channels'] = 50, 2048
    preprocessor = model.pop('data_preprocessor')
    assert preprocessor == theirs.data_preprocessor.to_dict()
    assert model == unscoped(theirs.model.to_dict())
    views, packed = unscoped(ours.train_dataloader.dataset.pipeline[-2:])
    views['transforms'][0][0]['scale'] = 224
    assert [views, packed] == unscoped(theirs.train_pipeline[1:])
    ours.optim_wrapper.optimizer.lr *= 256 / 32
    assert ours.optim_wrapper.to_dict() == theirs.optim_wrapper.to_dict()
    assert ours.get('find_unused_parameters') == theirs.get('find_unused_parameters')
    assert [part.type for part in ours.param_scheduler] == [
        part.type for part in theirs.param_scheduler]
    # mmpretrain asserts it in training
    assert ours.model.queue_len % ours.auto_scale_lr.base_batch_size == 0


@pytest.mark.parametrize('row, published, changes', [
    ('BYOL', 'byol_resnet50_16xb256-coslr-200e_in1k', {
        'base_momentum': 0.004, 'neck.hid_channels': 512, 'neck.out_channels': 128,
        'head.predictor.in_channels': 128, 'head.predictor.hid_channels': 512,
        'head.predictor.out_channels': 128, 'head.predictor.norm_cfg': dict(type='BN1d')}),
    ('SimCLR', 'simclr_resnet50_8xb32-coslr-200e_in1k', {
        'backbone.zero_init_residual': False, 'neck.hid_channels': 512})])
def test_rows_with_our_recipe_are_mmpretrains_methods(row: str, published: str, changes: dict,
                                                      tmp_path: Path):
    """Model but for what its base says; data, schedule and recipe are those of our DenseCL."""
    theirs = Config.fromfile(Path(mmpretrain.__file__).parent / '.mim/configs' / row.lower()
                             / f'{published}.py')
    cfg = parsed(row_file('detcon_budget', f'{row}, 400 steps', tmp_path))
    ours = parsed(CONFIGS / 'densecl_r18_shapes.py')
    theirs.merge_from_dict({f'model.{key}': value for key, value in {
        'backbone.depth': 18, 'backbone.norm_cfg': dict(type='BN'),
        'backbone.strides': [1, 2, 2, 1], 'neck.in_channels': 512,
        'neck.norm_cfg': dict(type='BN1d'), **changes}.items()})
    model = unscoped(cfg.model.to_dict())
    assert model.pop('data_preprocessor') == ours.model.data_preprocessor.to_dict()
    assert model == unscoped(theirs.model.to_dict())
    for key in cfg:
        if key != 'model':
            assert cfg[key] == ours[key], key
    facts = RunFacts(SCENE_COUNTS['unlabelled'], 16, 2, 1, 100)
    changed = auto_changes(cfg, facts)
    assert not any(key.startswith('model') for key in changed)
    assert changed['param_scheduler'][1]['end'] == 100


def test_the_explicit_row_has_the_values_of_the_auto_recipe(tmp_path: Path):
    """Of 600 images on two processes, so that a row of tables/small_recipe.py changes one."""
    auto = parsed(CONFIGS / 'densecl_r18_shapes.py')
    explicit = parsed(row_file('small_recipe', 'auto values', tmp_path))
    assert (auto.recipe, explicit.recipe) == ('auto', 'published')
    facts = RunFacts(SCENE_COUNTS['unlabelled'], auto.train_dataloader.batch_size, 2, 1,
                     auto.train_cfg.max_iters)
    changes = auto_changes(auto, facts)
    for parts in (changes['param_scheduler'], explicit.param_scheduler):
        for part in parts:      # mmengine's default where it is not given
            assert part.pop('T_max', part['end'] - part['begin']) == part['end'] - part['begin']
    auto.merge_from_dict({name: value for name, value in changes.items()
                          if name not in ('param_scheduler', 'optim_wrapper.optimizer')})
    assert explicit.param_scheduler == changes['param_scheduler']
    assert explicit.optim_wrapper.optimizer.to_dict() == changes['optim_wrapper.optimizer']
    *load, views, pack = explicit.train_dataloader.dataset.pipeline
    assert [part.type for part in views.views[0][-2:]] == [
        'mmdense.RandomGrayscale', 'mmdense.GaussianBlur']
    views.views[0] = [part for part in views.views[0] if part.get('prob') != 0]
    for key in ('model', 'train_dataloader', 'val_cfg', 'val_dataloader', 'train_cfg',
                'auto_scale_lr'):
        assert explicit[key] == auto[key], key


@every_table
def test_every_table_can_be_run(path: Path, tmp_path: Path):
    """It reads, its command is its own, and every step of every row can be planned."""
    table = read_table(path)
    command = f'Command: python tools/run_table.py {path.relative_to(ROOT)}'
    assert command in ast.get_docstring(ast.parse(path.read_text()))
    settings = Settings(tmp_path, ROOT / 'tools', budget=0.1)
    for row in table.rows:
        assert [step.name for step in chain(table, row, 0, settings)][1] == 'evaluate'


def setting(cfg: Config, name: str):
    """The value of a dotted name, None where there is none."""
    for key in name.split('.'):
        cfg = cfg[int(key)] if isinstance(cfg, (list, tuple)) else (cfg or {}).get(key)
    return cfg


@every_row
def test_every_row_of_a_table_builds_with_its_options(path: Path, data: Path, tmp_path: Path):
    """And each option changes the config that it is for."""
    table = read_table(path)
    for row in (row for row in table.rows if row.pretrain is not None):
        config = config_file(row.pretrain, tmp_path, 'row')
        cfg = read_with(config, row.options)
        for name, value in row.options.items():
            before = setting(read_with(config, {}), name)
            assert setting(cfg, name) == value != before, (row.name, name)
        move(cfg._cfg_dict, data)
        if 'teacher' in cfg.model:
            cfg.model.teacher.checkpoint = None             # a file of the user's
            if cfg.model.get('cache'):
                cfg.model.cache = str(data / 'animals_lite0')
        build_shapes(cfg.model)
        sample = build(cfg.train_dataloader.dataset, DATASETS)[0]
        if 'tasks' in cfg.model:
            assert {name: len(task['inputs']) for name, (task,) in sample.items()} == {
                name: views_of(task) for name, task in cfg.model.tasks.items()}
        elif 'regions' in cfg.model:
            kind = cfg.model.regions.type
            assert ('regions' in sample['data_samples']) == (kind == 'mmdense.GivenRegions')
            assert len(sample['inputs']) == (3 if kind == 'mmdense.ClusteredRegions' else 2)
        elif cfg.model.type == 'mmpretrain.ImageClassifier':
            assert 0 <= sample['data_samples'].gt_label < cfg.model.head.num_classes
        else:
            assert len(sample['inputs']) == cfg.model.get('num_views', views_of(cfg.model))


@pytest.mark.parametrize('table, name', [
    ('small_scenes', 'DenseCL, stock'), ('detcon_budget', 'BYOL, 400 steps'),
    ('detcon_ablation', 'clustered'), ('small_scenes', 'supervised, objects')])
def test_rows_of_others_can_be_checked_before_they_run(table: str, name: str, data: Path,
                                                       tmp_path: Path):
    cfg = read(row_file(table, name, tmp_path), data)
    findings = check_config(cfg, read_facts(cfg, processes=2))
    said = {finding.subject: finding.text for finding in findings}
    assert view_sizes(cfg) == [64]
    assert ('not measured' in said['time']) == name.startswith('supervised')
    assert ('memory' in said) != name.startswith('supervised')
