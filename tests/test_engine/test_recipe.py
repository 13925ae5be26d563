"""The auto recipe and the check: what they read from a config, and what follows from it."""
from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from references.known_backbones import KNOWN
from references.tiny import BACKBONE, moco_config, multi_task_config
from references.tiny import config as method_config

from mmdense.engine.check import check_cells, check_config, check_method, image_sides
from mmdense.engine.recipe import RunFacts, apply_recipe, auto_changes, read_facts
from mmdense.models.selfsup import MoCo

HEAD = dict(type='mmdense.Projector', hidden_channels=8, out_channels=16)


@pytest.fixture
def folder(tmp_path):
    for i in range(40):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((48, 64, 3), i, np.uint8))
    return tmp_path


def make_config(folder, recipe='published', size=32, **options) -> Config:
    view = [dict(type='mmdense.RandomResizedCrop', size=size)]
    cfg = Config(dict(
        recipe=recipe, default_scope='mmseg',
        model=method_config(queue=dict(size=65536), dense_warmup=1000,
                            twin=dict(momentum=0.999, bn='shuffle')),
        train_dataloader=dict(batch_size=4, dataset=dict(
            type='mmdense.UnlabelledDataset', data_root=str(folder),
            pipeline=[dict(type='mmdense.LoadImage'),
                      dict(type='mmdense.MultiView', views=[view], num_views=[2]),
                      dict(type='mmdense.PackViews')])),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=400),
        optim_wrapper=dict(type='OptimWrapper', accumulative_counts=2,
                           optimizer=dict(type='SGD', lr=0.03, momentum=0.9)),
        auto_scale_lr=dict(enable=False, base_batch_size=256)))
    cfg.merge_from_dict(options)
    return cfg


def test_facts_are_read_from_the_config(folder):
    facts = read_facts(make_config(folder), processes=3)
    assert facts == RunFacts(images=40, per_process=4, processes=3, accumulation=2, iterations=400)
    assert (facts.batch, facts.steps) == (24, 200)


def test_auto_sets_what_the_design_says(folder):
    cfg = make_config(folder, recipe='auto')
    apply_recipe(cfg, processes=1)
    assert cfg.model['twin'] == dict(momentum=0.9, bn='split')  # 1 - 40 / 200 is below 0.9
    assert cfg.model['queue'] == dict(size=20, own_image='masked', init='empty')
    assert cfg.model['dense_warmup'] == 100
    assert cfg.optim_wrapper['optimizer'] == dict(type='AdamW', lr=0.0005, weight_decay=0.05)
    assert [(s['type'], s['begin'], s['end']) for s in cfg.param_scheduler] == [
        ('LinearLR', 0, 20), ('CosineAnnealingLR', 20, 400)]
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8)
    check = {f.subject for f in check_config(cfg, read_facts(cfg, 1), measure=False) if not f.fits}
    assert check <= {'BatchNorm', 'cells'}  # a batch of 4 stays small, as do views of 32 pixels


@pytest.mark.parametrize('images, per_process, processes, size, expected', [
    pytest.param(40, 32, 1, 65536, 32, id='less-than-a-batch', marks=pytest.mark.situation(
        'settings', 'recipe=auto where half the images are less than a batch', 'works',
        'the queue takes the keys of one step, the own image masked')),
    (300, 32, 8, 65536, 256), (300, 32, 2, 65536, 150), (300, 32, 2, 16, 64), (300, 32, 2, 0, 0)])
def test_the_queue_holds_the_keys_of_a_step(images, per_process, processes, size, expected):
    facts = RunFacts(images, per_process, processes, accumulation=2, iterations=400)
    changes = auto_changes(Config(dict(model=dict(type='mmdense.MoCo', queue=dict(size=size)))),
                           facts)
    assert changes['model.queue.size'] == expected
    def fits(**queue) -> list[bool]:
        return [f.fits for f in check_method(dict(type='mmdense.MoCo', queue=queue), facts)]
    assert fits(size=expected, own_image='masked') == [True]
    if expected:
        assert not fits(size=per_process * processes - 1)[0]


def test_the_momentum_of_each_module_is_checked():
    facts = RunFacts(300, 32, 1, accumulation=1, iterations=400)
    found = check_method(dict(type='mmdense.MoCo', twin=dict(momentum=dict(
        backbone=0.999, projector=0.9))), facts)
    assert {one.subject: one.fits for one in found} == {'twin backbone': False,
                                                        'twin projector': True}


class TwoQueues(MoCo):
    """Says what a method of sampled cells would."""
    warmups = ('late', 'given')

    def __init__(self, late: int = 700, given: int = 7, **kwargs) -> None:
        super().__init__(**kwargs)

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        return dict(queue=1, cells=model['samples'], other=5)


def test_a_method_says_its_queues_and_warm_ups():
    model = dict(type=TwoQueues, samples=64, queue=dict(size=65536), given=600,
                 cells=dict(size=65536, own_image='negative'), other=None)
    facts = RunFacts(images=300, per_process=32, processes=2, accumulation=1, iterations=100)
    misfits = [(f.subject, f.text.split(':')[0]) for f in check_method(model, facts) if not f.fits]
    assert misfits == [('queue', '65536 keys hold each image 218.5 times'),
                       ('cells', '65536 keys hold each image 3.4 times'),
                       ('warm-up', 'late = 700 steps is 700% of the run'),
                       ('warm-up', 'given = 600 steps is 600% of the run')]
    changes = auto_changes(Config(dict(model=model)), facts)
    assert changes['model.queue.size'] == 150 and changes['model.cells.size'] == 150 * 64
    assert changes['model.late'] == changes['model.given'] == 50
    assert changes['model.cells.own_image'] == 'masked'
    assert not [name for name in changes if 'other' in name]


def test_a_very_short_run_reaches_its_learning_rate(folder):
    cfg = make_config(folder, recipe='auto', **{'train_cfg.max_iters': 10})
    apply_recipe(cfg, processes=1)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=cfg.optim_wrapper['optimizer']['lr'])
    with DefaultScope.overwrite_default_scope('mmengine'):
        schedules = [PARAM_SCHEDULERS.build(dict(part, optimizer=optimizer))
                     for part in cfg.param_scheduler]
    seen = []
    for _ in range(10):
        seen.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    assert max(seen) == pytest.approx(cfg.optim_wrapper['optimizer']['lr'])


def test_a_method_with_plain_batch_norm_keeps_it(folder):
    cfg = make_config(folder, recipe='auto')
    cfg.model.twin = dict(momentum=0.996, end_momentum=1.0, bn='plain')
    apply_recipe(cfg, processes=1)
    assert cfg.model.twin == dict(momentum=0.9, end_momentum=1.0, bn='plain')


def test_a_long_run_keeps_the_published_values():
    facts = RunFacts(images=1_281_167, per_process=32, processes=8, accumulation=1,
                     iterations=1_000_000)
    cfg = Config(dict(model=dict(type='mmdense.DenseCL', twin=dict(momentum=0.999),
                                 queue=dict(size=65536))))
    changes = auto_changes(cfg, facts)
    assert changes['model.twin.momentum'] == 0.999 and changes['model.twin.bn'] == 'shuffle'
    assert changes['model.queue.size'] == 65536 and changes['model.dense_warmup'] == 1000


@pytest.mark.parametrize('steps, momentum', [(100, 0.9), (4000, 0.99), (400_000, 0.999)])
def test_the_twin_follows_a_short_run_faster(steps, momentum):
    facts = RunFacts(images=100, per_process=4, processes=1, accumulation=1, iterations=steps)
    changes = auto_changes(Config(dict(model=dict(twin=dict(momentum=0.999)))), facts)
    assert changes['model.twin.momentum'] == momentum


def test_each_part_of_the_twin_follows_a_short_run_faster():
    facts = RunFacts(images=100, per_process=4, processes=1, accumulation=1, iterations=4000)
    model = method_config(twin=dict(momentum=dict(projector=0.95)))
    changes = auto_changes(Config(dict(model=model)), facts)
    assert {name: value for name, value in changes.items() if '.momentum' in name} == {
        'model.twin.momentum.backbone': 0.99, 'model.twin.momentum.projector': 0.95,
        'model.twin.momentum.dense_projector': 0.99}


def test_published_changes_nothing(folder):
    cfg = make_config(folder)
    before = cfg.to_dict()
    apply_recipe(cfg)
    assert cfg.to_dict() == before


def test_an_unknown_recipe_is_named(folder):
    with pytest.raises(ValueError, match="recipe='best': expected 'published' or 'auto'"):
        apply_recipe(make_config(folder, recipe='best'))


@pytest.mark.parametrize('model, steps, misfit', [
    (dict(type='mmdense.MoCo', queue=dict(size=100)), 1000, 'queue'),
    (dict(type='mmdense.MoCo', queue=dict(size=100, own_image='masked')), 1000, None),
    (dict(type='mmdense.MoCo', queue=dict(size=50)), 1000, None),
    (dict(type='mmdense.DenseCL', dense_warmup=600), 1000, 'warm-up'),
    (dict(type='mmdense.DenseCL'), 1000, 'warm-up'),        # 1000, though it is not in the config
    (dict(twin=dict(momentum=0.999)), 1000, 'twin'),
    (dict(twin=dict(momentum=0.99)), 1000, None)])
def test_the_method_is_checked_against_the_run(model, steps, misfit):
    facts = RunFacts(images=100, per_process=4, processes=1, accumulation=1, iterations=steps)
    assert [f.subject for f in check_method(model, facts) if not f.fits] == (
        [misfit] if misfit else [])


def test_check_measures_and_finds_what_does_not_fit(folder):
    cfg = make_config(folder, size=64)
    findings = check_config(cfg, read_facts(cfg, 1))
    assert {f.subject for f in findings if not f.fits} == {
        'crop', 'queue', 'warm-up', 'twin', 'learning rate', 'BatchNorm', 'twin BatchNorm',
        'cells'}
    assert {'time', 'memory'} <= {f.subject for f in findings}


@pytest.mark.situation('settings', '`tools/check.py` on a config with fewer than 5 x 5 cells at '
                       'the loss', 'warning', 'a line "cells" with their number and the size of '
                       'the views')
@pytest.mark.parametrize('model, size, cells', [
    (method_config(), 160, '5 x 5'), (method_config(), 128, '4 x 4'),
    (method_config(num_grid=3), 160, '3 x 3'),
    (method_config(backbone={**BACKBONE, 'out_indices': (1, 3)}, cell_index=-2,
                   dense_projector=HEAD), 32, '4 x 4'),
    (moco_config(), 32, None), (multi_task_config(), 96, '3 x 3')])
def test_few_cells_at_the_loss_are_told(folder, model, size, cells):
    cfg = make_config(folder, size=size)
    cfg.model = model
    with DefaultScope.overwrite_default_scope('mmseg'):
        found = list(check_cells(MODELS.build(model), cfg))
    assert [(f.fits, f.text.partition(' at')[0]) for f in found] == (
        [] if cells is None else [(cells == '5 x 5', cells)])
    assert all(f'views of {size} pixels' in f.text for f in found)


def test_the_tool_prints_findings_and_the_recipe(folder, repo, tmp_path):
    path = tmp_path / 'config.py'
    cfg = make_config(folder)
    cfg.custom_imports = dict(imports=['mmdense'])
    cfg.dump(str(path))
    out = subprocess.run([sys.executable, 'tools/check.py', str(path), '--no-measure'], cwd=repo,
                         capture_output=True, text=True, check=True).stdout
    assert 'momentum 0.999 averages over 1000 steps' in ' '.join(out.split())
    assert 'model.twin.momentum = 0.9\n' in out


@pytest.mark.situation('images', 'one, two or three images with `recipe=auto`', 'error',
                       'says how many images the method needs: no keys of other images would be '
                       'in its queue, and the loss 0')
@pytest.mark.parametrize('recipe, own, images, fewest', [
    ('auto', 'negative', 1, 4), ('auto', 'masked', 2, 4), ('auto', 'negative', 3, 4),
    ('published', 'masked', 1, 2)])
def test_too_few_images_for_a_queue_are_an_error(tmp_path, recipe, own, images, fewest):
    for number in range(images):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((48, 64, 3), number, np.uint8))
    cfg = make_config(tmp_path, recipe=recipe, **{'model.queue.own_image': own})
    with pytest.raises(ValueError, match=rf'mmdense.DenseCL learns from {images} image\(s\): .* at '
                                         f'least {fewest} images'):
        apply_recipe(cfg, processes=1)


def test_enough_images_for_a_queue_pass(tmp_path):
    for number in range(4):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((48, 64, 3), number, np.uint8))
    cfg = make_config(tmp_path, recipe='auto')
    apply_recipe(cfg, processes=1)
    assert cfg.model.queue.size == 4      # a batch
    one_crop = make_config(tmp_path, **{'train_dataloader.dataset.indices': 1})
    apply_recipe(one_crop, processes=1)        # old keys of the one image are negatives


@pytest.mark.situation('commands', '`tools/check.py` on images that Pillow does not read (npy)',
                       'works', "they are read by the config's own transforms")
def test_sides_are_read_by_the_pipelines_own_transforms(tmp_path):
    for number in range(2):
        np.save(tmp_path / f'{number}.npy', np.zeros((50 + number * 20, 90, 3), np.uint8))
    cfg = make_config(tmp_path)
    assert image_sides(cfg) == [50, 70]
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline.insert(1, dict(type='Resize', scale=(30, 30)))
    assert image_sides(cfg) == [30, 30]
    (tmp_path / '0.npy').write_bytes(b'')       # told elsewhere
    assert image_sides(cfg) == [30]


@pytest.mark.situation('backbones', '`tools/check.py` on a network of which the loss reaches '
                       'only a part', 'warning', 'a line "gradients" with the parts, their share '
                       'and `model.out_index`')
def test_check_names_what_gets_no_gradient(folder):
    cfg = make_config(folder, size=64)
    cfg.model = method_config(
        backbone=next(known.cfg for known in KNOWN if known.name == 'PIDNet'),
        **{name: dict(type='mmdense.Projector', in_channels=16, hidden_channels=8,
                      out_channels=8) for name in ('projector', 'dense_projector')})
    found, = (f for f in check_config(cfg, read_facts(cfg, 1)) if f.subject == 'gradients')
    assert not found.fits and "PIDNet's parameters get no gradient" in found.text
