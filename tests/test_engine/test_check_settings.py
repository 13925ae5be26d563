"""check.py on settings: the schedule's length, mixed precision, classes."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdense.engine import check_settings
from mmdense.engine.check_settings import check_classes, check_precision, check_schedule, has_bf16
from mmdense.engine.recipe import RunFacts

FACTS = RunFacts(images=100, per_process=10, processes=1, accumulation=1, iterations=1000)
ITERATIONS = dict(by_epoch=False)


def misfits(findings) -> list[str]:
    return [found.text for found in findings if not found.fits]


def schedule(*parts: dict, **train) -> list[str]:
    cfg = Config(dict(param_scheduler=list(parts), train_cfg=train or dict(max_iters=1000)))
    return misfits(check_schedule(cfg, FACTS))


@pytest.mark.parametrize('parts, train', [
    ([dict(type='PolyLR', begin=0, end=1000, **ITERATIONS)], {}),
    ([dict(type='LinearLR', begin=0, end=50, **ITERATIONS),
      dict(type='CosineAnnealingLR', begin=50, T_max=950, end=1000, **ITERATIONS)], {}),
    ([dict(type='LinearLR', end=50, **ITERATIONS)], {}),       # a constant rate after it
    ([dict(type='MultiStepLR', milestones=[700, 900], **ITERATIONS)], {}),
    ([dict(type='CosineAnnealingLR', T_max=10)], dict(max_epochs=10)),
    ([dict(type='CosineAnnealingLR', T_max=100, convert_to_iter_based=True)], {}), ([], {})])
def test_schedules_that_fit(parts, train):
    assert schedule(*parts, **train) == []


@pytest.mark.parametrize('parts, train, said', [
    pytest.param([dict(type='PolyLR', end=40000, by_epoch=False)], {},
                 'ends at 40000, and the run at 1000 iterations: the rate has not come down',
                 id='too-long', marks=pytest.mark.situation(
                     'settings', "a schedule that is not of the run's length", 'warning',
                     'check.py names the part of the schedule and both lengths')),
    ([dict(type='CosineAnnealingLR', T_max=500, **ITERATIONS)], {}, 'ends at 500'),
    ([dict(type='LinearLR', end=50, **ITERATIONS),
      dict(type='PolyLR', begin=2000, end=3000, **ITERATIONS)], {}, 'begins at 2000'),
    ([dict(type='MultiStepLR', milestones=[700, 1200], **ITERATIONS)], {}, 'not all of them'),
    ([dict(type='CosineAnnealingLR', T_max=100)], {}, 'it never moves'),
    ([dict(type='CosineAnnealingLR', T_max=100)], dict(max_epochs=10), 'at 10 epochs')])
def test_schedules_of_another_length_are_named(parts, train, said):
    found = schedule(*parts, **train)
    assert len(found) == 1 and said in found[0] and 'param_scheduler[' in found[0]


@pytest.mark.parametrize('flags, expected', [
    ('flags\t\t: fpu avx512f avx512_bf16\n', True), ('flags : fpu avx2\n', False),
    ('Features : fp asimd bf16\n', True), ('processor : 0\n', None), (None, None)])
def test_the_cpus_instructions_are_read(tmp_path, monkeypatch, flags, expected):
    path = tmp_path / 'cpuinfo'
    if flags is not None:
        path.write_text(flags)
    monkeypatch.setattr(check_settings, 'CPUINFO', path)
    assert has_bf16() is expected


@pytest.mark.situation('settings', '--amp on a CPU without instructions for bfloat16', 'warning',
                       'check.py says that a step takes about 13 times as long')
def test_mixed_precision_is_judged_by_the_cpu(monkeypatch):
    monkeypatch.setattr(check_settings, 'get_device', lambda: 'cpu')
    plain = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    mixed = Config(dict(optim_wrapper=dict(type='AmpOptimWrapper')))
    for known, fits in ((True, True), (None, True), (False, False)):
        monkeypatch.setattr(check_settings, 'has_bf16', lambda known=known: known)
        assert list(check_precision(plain, False)) == []
        for cfg, amp in ((plain, True), (mixed, False)):
            finding, = check_precision(cfg, amp)
            assert finding.fits is fits and ('13 times' in finding.text) is not fits


@pytest.mark.parametrize('known', [True, False])
def test_mixed_precision_is_told_of_the_gpu(monkeypatch, known):
    monkeypatch.setattr(check_settings, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(check_settings, 'gpu_has_bfloat16', lambda: known)
    said = [finding.text for kind in ('OptimWrapper', 'AmpOptimWrapper') for finding in
            check_precision(Config(dict(optim_wrapper=dict(type=kind))), True)]
    assert [' bfloat16 on the GPU' in text for text in said] == [known, False]


def segmentor(**model) -> Config:
    data = dict(type='BaseSegDataset', metainfo=dict(classes=['a', 'b', 'c']))
    nested = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[data]))
    return Config(dict(
        model=model, train_dataloader=dict(dataset=nested),
        val_dataloader=dict(dataset=dict(type='PascalVOCDataset')),
        test_dataloader=dict(dataset=dict(type='mmdense.UnlabelledDataset'))))


@pytest.mark.situation('settings', "a head whose classes are not the dataset's", 'warning',
                       'check.py names the head and the classes of each dataset')
def test_classes_of_heads_and_datasets_are_compared():
    assert misfits(check_classes(segmentor(decode_head=dict(num_classes=3)))) == [
        'model.decode_head has num_classes=3; classes of the datasets: val 21']
    heads = dict(decode_head=[dict(num_classes=21)], auxiliary_head=[dict(num_classes=19), dict()])
    assert misfits(check_classes(segmentor(**heads))) == [
        'model.decode_head has num_classes=21; classes of the datasets: train 3',
        'model.auxiliary_head has num_classes=19; classes of the datasets: train 3, val 21']
    cfg = segmentor(decode_head=dict(num_classes=3))
    cfg.pop('val_dataloader')
    assert [found.fits for found in check_classes(cfg)] == [True]
    assert list(check_classes(segmentor(backbone=dict()))) == []
