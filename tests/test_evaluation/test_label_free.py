"""Signals without labels: right on planted features, and the loops that measure them."""
from __future__ import annotations

import math
import random
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from jobs.label_free import label_free_job
from jobs.processes import run_processes
from mmengine.registry import MODELS, DefaultScope
from references import labelled, planted
from references.labelled import blocks, write

from mmdense.evaluation import feature_statistics
from mmdense.evaluation.datasets import build_dataset
from mmdense.evaluation.feature_cache import FeatureExtractor, ViewPairs
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.label_free import label_free_metrics
from mmdense.evaluation.protocols import correspondence, statistics
from mmdense.evaluation.sources import RawImages

NAMES = {'correspondence_accuracy', 'effective_rank', 'feature_std'}


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def encoder(kind: int = 1, **backbone) -> FrozenEncoder:
    return FrozenEncoder(MODELS.build(dict(type='PlantedModel', backbone=dict(
        type='ChangingBackbone', kind=kind, **backbone))))


def images(cfg: dict, count: int | None = None) -> RawImages:
    return RawImages(build_dataset(dict(dataset=cfg), 'validation'), count)


def settings(cfg: dict, **loop) -> dict:
    return dict(val_cfg=dict(type='mmdense.LabelFreeValLoop', **loop), val_evaluator=[],
                val_dataloader=dict(batch_size=2, num_workers=0, dataset=cfg))


def test_planted_features_get_what_they_are_worth(tmp_path):
    found = images(planted.write_ramps(tmp_path / 'val'))
    place, noise, line = (label_free_metrics(encoder(kind), found) for kind in (1, 2, 0))
    assert set(place) == set(noise) == NAMES
    assert place['correspondence_accuracy'] > 90 > 20 > noise['correspondence_accuracy']
    assert line['effective_rank'] == pytest.approx(1, abs=1e-3)
    # two colours of three change
    assert 1.5 < place['effective_rank'] < 2.2 and noise['effective_rank'] > 15
    assert noise['feature_std'] == pytest.approx(1, abs=0.05) and line['feature_std'] < 1e-3


def test_the_numbers_are_those_of_the_protocols(tmp_path):
    found = images(planted.write_ramps(tmp_path / 'val'))
    pairs, queries = (FeatureExtractor(encoder(1)).extract(source, ['last'])['last']
                      for source in (ViewPairs(found, seed=4), found))
    expected = dict(correspondence_accuracy=correspondence(pairs)['within_1'],
                    **statistics(queries, seed=4))
    del expected['place_share']              # of whole images, and no metric of a checkpoint
    ours = label_free_metrics(encoder(1), found, seed=4, batch_size=4)
    assert ours == pytest.approx(expected, abs=0.006)


def test_images_of_several_sizes_keep_their_pairs(tmp_path):
    cfg = planted.write_ramps(tmp_path / 'val', 3)
    planted.write_ramps(tmp_path / 'val' / 'other', 2, (48, 64))
    found = label_free_metrics(encoder(), images(cfg), batch_size=5)
    assert found['correspondence_accuracy'] > 90


def test_a_bounded_number_of_cells_is_kept(tmp_path, monkeypatch):
    found, sizes = images(planted.write_ramps(tmp_path / 'val')), []
    monkeypatch.setattr(feature_statistics, 'CELLS', 30)
    monkeypatch.setattr(feature_statistics, 'effective_rank',
                        lambda maps: sizes.append(maps.shape) or maps.mean())
    one = label_free_metrics(encoder(2), found)
    assert sizes == [(1, 16, 1, 30)]
    assert label_free_metrics(encoder(2), found) == one
    assert label_free_metrics(encoder(2), found, seed=1) != one


def test_evenly_chosen_images(tmp_path):
    cfg = planted.write_ramps(tmp_path / 'val', 7)
    assert images(cfg, 3).numbers == [0, 2, 4] and images(cfg, 9).numbers == list(range(7))
    assert images(cfg).numbers == list(range(7))


def test_features_that_are_not_finite_are_no_numbers(tmp_path):
    net = encoder()
    net.backbone.scale.data.fill_(math.nan)
    found = label_free_metrics(net, images(planted.write_ramps(tmp_path / 'val', 2)))
    assert set(found) == NAMES and all(math.isnan(value) for value in found.values())


def test_two_processes_give_what_one_gives(tmp_path):
    cfg = planted.write_ramps(tmp_path / 'val', 5)
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (8, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / 'val' / f'{number}.png'), cv2.resize(noise, (96, 64)))
    one = label_free_job(cfg, 0, 1)
    two = run_processes(partial(label_free_job, cfg))
    assert two[0] == two[1] == {name: pytest.approx(value, rel=1e-4)
                                for name, value in one.items()}


def test_the_loop_needs_no_labels_and_leaves_no_trace(tmp_path):
    cfg = planted.write_ramps(tmp_path / 'val')
    without = planted.runner(tmp_path, 'without')
    without.train()
    expected = without.model.backbone.scale.detach(), torch.rand(3), random.random()
    run = planted.runner(tmp_path, 'with', **settings(cfg))
    run.train()
    assert torch.equal(run.model.backbone.scale.detach(), expected[0])
    assert torch.equal(torch.rand(3), expected[1]) and random.random() == expected[2]
    logged = {name: run.message_hub.get_scalar(f'val/{name}').current() for name in NAMES}
    found = label_free_metrics(FrozenEncoder(run.model), images(cfg), batch_size=2)
    assert logged == pytest.approx(found)
    assert 'correspondence_accuracy' in next((tmp_path / 'with').glob('*/*.log')).read_text()


def test_batchnorm_is_re_estimated_on_the_images(tmp_path):
    cfg = planted.write_ramps(tmp_path / 'val')
    found = [planted.runner(tmp_path, f'{bn}', **settings(cfg, recalibrate_bn=bn, stride=8),
                            model=labelled.RESNET).val() for bn in (True, False)]
    assert found[0]['feature_std'] != pytest.approx(found[1]['feature_std'], rel=0.05)


def test_dense_knn_adds_the_same_numbers(tmp_path):
    memory, query = (write(tmp_path, name, [blocks(seed + 9 * n, (64, 96)) for seed in range(3)])
                     for n, name in enumerate(('memory', 'query')))
    plain = labelled.runner(tmp_path / 'a', memory, query).val()
    run = labelled.runner(tmp_path / 'b', memory, query, label_free=True, seed=3,
                          recalibrate_bn=False)
    both = run.val()
    assert set(both) == set(plain) | NAMES and not NAMES & set(plain)
    expected = label_free_metrics(FrozenEncoder(run.model), images(query), seed=3)
    assert {name: both[name] for name in NAMES} == pytest.approx(expected)


@pytest.mark.parametrize(('place', 'value', 'message'), [
    ('val_evaluator', dict(type='IoUMetric'), r'got val_evaluator=.*expected val_evaluator=\[\]'),
    ('val_cfg.max_images', 0, 'max_images=0; expected at least 1'),
    ('val_cfg.out_index', 3, 'out_index=3: ChangingBackbone gives 1 map'),
    ('val_dataloader.dataset.pipeline', [dict(type='LoadImageFromFile')],
     "UnlabelledDataset: 'inputs' of sample 0 is NoneType; expected one raw image")])
def test_mistakes_are_said(tmp_path, place, value, message):
    cfg = settings(planted.write_ramps(tmp_path / 'val', 2))
    *folders, name = place.split('.')
    node = cfg
    for folder in folders:
        node = node[folder]
    node[name] = value
    with pytest.raises(ValueError, match=message):
        planted.runner(tmp_path, 'run', **cfg).val()
