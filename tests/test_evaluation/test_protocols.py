from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from references import labelled, tiny
from references.labelled import blocks, loader, runner, write

from mmdense.evaluation.feature_cache import FeatureExtractor, LayerMaps, ViewPairs
from mmdense.evaluation.feature_statistics import effective_rank, feature_std
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.from_config import build_data, build_random, load_trained, without_weights
from mmdense.evaluation.predictors import labelled_cells
from mmdense.evaluation.protocols import (
    baselines,
    beside_random,
    correspondence,
    knn,
    linear,
    overcluster,
    statistics,
)

PLANTED = dict(type='PlantedModel', backbone=dict(type='PlantedBackbone'))
NOISE = dict(type='PlantedModel', backbone=dict(type='PlantedBackbone', noise=True))


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def datasets(tmp_path):
    """Memory and query of random blocks that do not fit the 8-pixel cells."""
    memory = write(tmp_path, 'memory', [blocks(seed, cell=12) for seed in range(8)])
    return memory, write(tmp_path, 'query', [blocks(100 + seed, cell=12) for seed in range(5)])


def config(memory: dict, query: dict, model: dict = PLANTED, **val_cfg) -> Config:
    return Config(dict(model=model, val_dataloader=loader(query),
                       val_cfg=dict(memory=loader(memory), **val_cfg)))


def maps(cfg: Config) -> tuple[LayerMaps, LayerMaps]:
    data = build_data(cfg, 'config')
    extractor = FeatureExtractor(FrozenEncoder(MODELS.build(cfg.model)))
    return tuple(extractor.extract(part, ['last'])['last'] for part in (data.memory, data.queries))


def test_knn_is_what_the_loop_measures(tmp_path, datasets):
    expected = runner(tmp_path, *datasets, recalibrate_bn=False, memory_size=80, seed=3).val()
    given = maps(config(*datasets))
    found = {**knn(*given, 3, per_image=10, seed=3), **baselines(*given, 3)}
    assert found == {name: pytest.approx(expected[name], abs=0.01) for name in found}
    assert set(found) == {'mIoU', 'position_prior_mIoU', 'ceiling_mIoU'}


def test_a_linear_probe_of_features_that_hold_the_labels_reaches_the_ceiling(datasets):
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    given = maps(config(*datasets))
    found, beside = linear(*given, 3), baselines(*given, 3)
    for name in ('mIoU', 'plain_mIoU'):
        assert beside['ceiling_mIoU'] - 8 < found[name] <= beside['ceiling_mIoU'] + 2
        assert found[name] > beside['position_prior_mIoU'] + 30
    assert found == linear(*given, 3)
    assert torch.equal(state[0], torch.get_rng_state())
    assert (np.random.get_state()[1] == state[1]).all()


def test_noise_is_near_the_prior(datasets):
    given = maps(config(*datasets, model=NOISE))
    for found in (linear(*given, 3), knn(*given, 3)):
        assert found['mIoU'] < baselines(*given, 3)['position_prior_mIoU'] + 8


def test_clusters_of_planted_labels_are_the_classes_and_of_noise_are_not(datasets):
    memory, queries = maps(config(*datasets))
    found = overcluster(queries, 3, num_clusters=12)
    assert set(found) == {'hungarian_mIoU', 'K12_mIoU'}
    prior = baselines(memory, queries, 3)['position_prior_mIoU']
    # cells of two classes make planted features blends, and nearest upsampling cuts corners
    assert found['K12_mIoU'] > prior + 20
    assert found['hungarian_mIoU'] > prior + 20
    noise = overcluster(maps(config(*datasets, model=NOISE))[1], 3, num_clusters=12)
    assert noise['hungarian_mIoU'] < found['hungarian_mIoU'] - 15
    with pytest.raises(ValueError, match='cannot form num_clusters=500 clusters'):
        overcluster(queries, 3)


def test_training_cells_are_those_with_labels_as_they_are(datasets):
    memory, _ = maps(config(*datasets))
    features, counts = labelled_cells(memory, 3).gathered('cpu')
    assert len(features) == 8 * 24 and torch.equal(counts.sum(1), torch.full((192,), 64.))
    assert features.max() == 1 and torch.allclose(features, counts / 64, atol=1e-5)
    for beside in memory.beside:
        beside['labels'][:] = 255
    with pytest.raises(ValueError, match='no pixel of the memory images is labelled'):
        labelled_cells(memory, 3).gathered('cpu')
    with pytest.raises(ValueError, match='k=0, beta'):
        knn(memory, memory, 3, k=0)


def pairs(kind: str, count: int = 20, h: int = 8, w: int = 10) -> LayerMaps:
    """Maps of random view pairs whose features tell the place in the image, or nothing."""
    generator, found, beside = torch.Generator().manual_seed(0), [], []
    for number in range(2 * count):
        x0, y0 = (torch.rand(2, generator=generator) * 20).tolist()
        box, flip = torch.tensor([x0, y0, x0 + 80, y0 + 64]), torch.tensor(number % 4 == 3)
        x = (torch.arange(w) + 0.5) / w
        x = x0 + 80 * (1 - x if flip else x)
        y = y0 + 64 * (torch.arange(h) + 0.5) / h
        place = torch.stack([x.expand(h, w), y[:, None].expand(h, w)])
        waves = torch.cat([f(place / scale) for scale in (20, 40, 80)
                           for f in (torch.sin, torch.cos)])
        found.append(waves if kind == 'place' else torch.randn(12, h, w, generator=generator))
        beside.append(dict(box=box, flip=flip))
    return LayerMaps(found, beside)


def test_correspondence_of_features_that_know_the_place_is_perfect():
    found = correspondence(pairs('place'))
    assert found['within_1'] == found['within_2'] == 100
    assert found['position_prior_within_1'] < found['position_prior_within_2'] < 80


def test_correspondence_of_noise_is_chance():
    found = correspondence(pairs('noise'))
    assert 1 < found['within_1'] < 10 and 5 < found['within_2'] < 20


def test_correspondence_of_an_images_own_colours(tmp_path):
    ramp = np.stack(np.meshgrid(np.arange(96), np.arange(64)), -1)
    cfg = write(tmp_path, 'query', [blocks(0, size=(64, 96)) * 0] * 4)
    for number in range(4):
        image = np.concatenate([ramp * 2 + 20, np.full((64, 96, 1), 100)], 2).astype(np.uint8)
        labelled.cv2.imwrite(f"{cfg['data_root']}/images/{number:03d}.png", image)
    data = build_data(config(cfg, cfg), 'config')
    extractor = FeatureExtractor(FrozenEncoder(MODELS.build(PLANTED)))
    found = correspondence(extractor.extract(ViewPairs(data.queries), ['last'])['last'])
    assert found['within_1'] > 90 and found['within_2'] > 95


def test_views_that_share_nothing_are_said():
    apart = pairs('place', count=1)
    apart.beside[1]['box'] = apart.beside[1]['box'] + 500
    with pytest.raises(ValueError, match='no cell of 1 images is in both views'):
        correspondence(apart)


def test_statistics_are_those_of_a_bounded_sample_of_all_images(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    # image i lies on axes 2 i and 2 i + 1: only a sample of all images sees eight axes
    found = [torch.zeros(8, 20, 30) for _ in range(4)]
    for number, one in enumerate(found):
        one[2 * number:2 * number + 2] = torch.randn(2, 20, 30, generator=generator)
    maps, state = LayerMaps(found, [{}] * 4), torch.get_rng_state()
    assert statistics(maps) == statistics(maps)
    assert torch.equal(state, torch.get_rng_state())
    everything = torch.cat([one.flatten(1) for one in found], 1)[None, :, :, None]
    assert statistics(maps)['feature_std'] == pytest.approx(float(feature_std(everything)),
                                                            abs=1e-4)
    monkeypatch.setattr('mmdense.evaluation.feature_statistics.CELLS', 400)
    sampled = statistics(maps, seed=3)
    assert sampled['effective_rank'] == pytest.approx(float(effective_rank(everything)), abs=0.3)
    assert sampled != statistics(maps, seed=4)
    assert np.isnan(statistics(LayerMaps([found[0] / 0], [{}]))['effective_rank'])


def test_random_stands_beside_without_the_baselines():
    numbers = dict(mIoU=1., position_prior_mIoU=2., ceiling_mIoU=3.)
    assert beside_random(numbers, dict(numbers, mIoU=0.5)) == {**numbers, 'random_mIoU': 0.5}


def test_a_segmentors_memory_is_its_training_set_clean_and_once(datasets):
    memory, query = datasets
    flipped = dict(memory, pipeline=[*memory['pipeline'][:2], dict(type='RandomFlip', prob=1.),
                                     memory['pipeline'][2]])
    model = dict(type='EncoderDecoder', backbone=tiny.BACKBONE,
                 decode_head=dict(type='FCNHead', in_channels=64, channels=8, num_classes=3))
    cfg = Config(dict(
        model=model, val_dataloader=loader(query), val_cfg=dict(type='ValLoop'),
        train_dataloader=loader(dict(type='RepeatDataset', times=5, dataset=dict(
            type='ConcatDataset', datasets=[flipped])))))
    data = build_data(cfg, 'config')
    plain = build_data(config(memory, query), 'config')
    assert len(data.memory) == 8
    for number in range(8):
        assert torch.equal(data.memory[number][0], plain.memory[number][0])
    cfg.model = tiny.config()
    with pytest.raises(ValueError, match='config names no labelled memory images: expected test_c'):
        build_data(cfg, 'config')
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match='config has no val_dataloader'):
        build_data(cfg, 'config')


def test_a_dataset_without_images_is_said(datasets):
    memory, query = datasets
    for part, given in (('memory', (dict(memory, indices=0), query)),
                        ('query', (memory, dict(query, indices=0)))):
        with pytest.raises(ValueError, match=f'the {part} dataset .*BaseSegDataset, data_root=.*'
                                             'no images'):
            build_data(config(*given), 'config')


def test_memory_size_must_hold_the_images(datasets):
    assert build_data(config(*datasets, memory_size=83), 'config').per_image == 10
    assert build_data(config(*datasets, memory_size=None), 'config').per_image is None
    with pytest.raises(ValueError, match='memory_size=7: expected one cell for each of 8'):
        _ = build_data(config(*datasets, memory_size=7), 'config').per_image


def test_random_networks_repeat_and_ignore_the_configs_files():
    backbone = dict(tiny.BACKBONE, init_cfg=dict(type='mmdense.PretrainedBackbone',
                                                 checkpoint='nowhere.pth'))
    cfg = Config(dict(model=tiny.config(backbone=backbone)))
    state = torch.get_rng_state()
    one, same, other = (build_random(cfg, seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    weights = [net.backbone.layer1[0].conv1.weight for net in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert without_weights(dict(type='mmseg.TIMMBackbone'))['pretrained'] is False
    assert without_weights(dict(pretrained='open-mmlab://x'))['pretrained'] is None


def test_a_decode_head_of_a_method_is_loaded_too(tmp_path):
    head = dict(type='mmdense.Projector', in_channels=12, hidden_channels=8, out_channels=8)
    model = tiny.config(projector=head, dense_projector=head, decode_head=dict(
        type='FCNHead', in_channels=64, channels=12, num_convs=1, in_index=0,
        norm_cfg=dict(type='BN'), concat_input=False))
    cfg, path = Config(dict(model=model)), tmp_path / 'net.pth'
    trained = build_random(cfg, 1)
    torch.save(dict(state_dict=trained.state_dict()), path)
    loaded = load_trained(cfg, str(path), 0)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(loaded.decode_head.convs[0].conv.weight,
                       trained.decode_head.convs[0].conv.weight)
    assert torch.equal(*(net.backbone(images.float())[-1] for net in (loaded, trained)))
    partial = {name: tensor for name, tensor in trained.state_dict().items()
               if 'layer3' not in name}
    torch.save(dict(state_dict=partial), path)
    with pytest.raises(ValueError, match=r'net.pth fills \d+ of \d+ tensors'):
        load_trained(cfg, str(path), 0)
