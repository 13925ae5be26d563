from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from references import labelled
from references.labelled import blocks, write

from mmdense.evaluation import feature_cache
from mmdense.evaluation.datasets import build_dataset
from mmdense.evaluation.feature_cache import (
    FeatureExtractor,
    LabelledImages,
    ViewPairs,
    layer_index,
    strides_of,
)
from mmdense.evaluation.features import FrozenEncoder, recalibrate_bn


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def cfg(tmp_path):
    labels = [blocks(0), blocks(1), blocks(2, size=(40, 32))]
    return write(tmp_path, 'memory', labels)


def source(cfg: dict) -> LabelledImages:
    return LabelledImages(build_dataset(dict(dataset=cfg), 'memory'), cfg, 3)


def encoder(stride: int | None = 8, model: dict = labelled.RESNET) -> FrozenEncoder:
    torch.manual_seed(5)
    return FrozenEncoder(MODELS.build(model), stride)


class Passes:
    """Counts the images that an extractor's encoder sees."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.images = 0
        extractor.encoder.backbone.register_forward_pre_hook(self)

    def __call__(self, _, inputs) -> None:
        self.images += len(inputs[0])


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(a, b) for layer in one
               for a, b in zip(one[layer].maps, other[layer].maps, strict=True))


def test_several_layers_from_one_pass_are_those_of_single_ones(cfg):
    extractor, ticks = FeatureExtractor(encoder()), []
    passes = Passes(extractor)
    found = extractor.extract(source(cfg), ['C3', 'C4', 'C5', 'last'], lambda: ticks.append(1))
    assert passes.images == len(ticks) == 3
    for number, layer in enumerate(['C3', 'C4', 'C5'], 1):
        single = encoder()
        single.out_index = number
        for (image, beside), maps, kept in zip(source(cfg), found[layer].maps,
                                               found[layer].beside, strict=True):
            torch.testing.assert_close(single(image[None])[0], maps)
            assert torch.equal(beside['labels'], kept['labels'])
    assert same({'C5': found['C5']}, {'C5': found['last']})
    assert found['C3'].maps[2].shape == (16, 5, 4)


def test_a_second_run_does_not_run_the_encoder(cfg, tmp_path):
    folder, images = tmp_path / 'cache', source(cfg)
    first = FeatureExtractor(encoder(), folder, images, batch_size=2).extract(images, ['C4', 'C5'])
    again = FeatureExtractor(encoder(), folder, images, batch_size=2)
    passes = Passes(again)
    found = again.extract(source(cfg), ['C5', 'C4'])
    assert passes.images == 0 and same(first, found)
    assert torch.equal(found['C5'].beside[2]['labels'], first['C5'].beside[2]['labels'])
    assert len(list(folder.iterdir())) == 2
    again.extract(images, ['C3', 'C4'])          # 3 images of statistics, 3 of maps
    assert passes.images == 6


@pytest.mark.parametrize('change', ['weight', 'statistic', 'stride', 'bn', 'layer', 'mean',
                                    'file', 'pipeline', 'format'])
def test_whatever_changes_the_maps_changes_the_key(cfg, tmp_path, change, monkeypatch):
    folder, images = tmp_path / 'cache', source(cfg)
    FeatureExtractor(encoder(), folder).extract(images, ['C4'])
    net, layer, bn_images = encoder(None if change == 'stride' else 8), 'C4', None
    if change == 'weight':
        net.backbone.layer1[0].conv1.weight[0, 0, 1, 0] += 1e-4
    elif change == 'statistic':
        net.backbone.bn1.running_mean[0] += 1e-4
    elif change == 'mean':
        net.preprocessor.mean.add_(1)
    elif change == 'bn':
        bn_images = images
    elif change == 'layer':
        layer = 'C5'
    elif change == 'file':
        path = f"{cfg['data_root']}/labels/001.png"
        os.utime(path, ns=(1, 1))
        images = source(cfg)
    elif change == 'pipeline':
        cfg['pipeline'].insert(1, dict(type='Resize', scale=(48, 32)))
        images = source(cfg)
    elif change == 'format':
        monkeypatch.setattr(feature_cache, 'FORMAT', 99)
    extractor = FeatureExtractor(net, folder, bn_images)
    passes = Passes(extractor)
    extractor.extract(images, [layer])
    assert passes.images >= 3 and len(list(folder.iterdir())) == 2


@pytest.mark.parametrize('damage', ['truncated', 'renamed', 'text'])
def test_a_file_that_is_not_it_is_reported_and_made_again(cfg, tmp_path, damage, monkeypatch):
    folder, images, said = tmp_path / 'cache', source(cfg), []
    monkeypatch.setattr(feature_cache, 'print_log', lambda text, *_: said.append(text))
    expected = FeatureExtractor(encoder(), folder).extract(images, ['C4', 'C5'])
    one, other = sorted(folder.iterdir())
    if damage == 'truncated':
        one.write_bytes(one.read_bytes()[:-200])
    elif damage == 'text':
        one.write_text('none')
    else:
        one.write_bytes(other.read_bytes())
    extractor = FeatureExtractor(encoder(), folder)
    passes = Passes(extractor)
    assert same(expected, extractor.extract(images, ['C4', 'C5'])) and passes.images == 3
    assert [text.partition(':')[0] for text in said] == [
        f'feature cache {one} is not used and made again']
    assert same(expected, extractor.extract(images, ['C4', 'C5'])) and passes.images == 3


def test_a_full_disk_is_one_error_and_leaves_nothing(cfg, tmp_path, monkeypatch):
    folder = tmp_path / 'cache'

    def full(content, file):
        file.write(b'some')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match=f'feature cache {folder}/.*No space left'):
        FeatureExtractor(encoder(), folder).extract(source(cfg), ['C5'])
    assert not list(folder.iterdir())


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_torchs_own_words_for_a_full_disk_are_understood(tmp_path, monkeypatch):
    save = torch.save

    def full(content, file):
        with open('/dev/full', 'wb') as other:
            save(content, other)

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match='could not be written: .*No space left'):
        feature_cache.write_cached(dict(maps=[torch.zeros(100_000)]), tmp_path / 'a' / 'b.pth')
    assert not list((tmp_path / 'a').iterdir())


def test_a_folder_that_is_a_file_is_said(cfg, tmp_path):
    (tmp_path / 'cache').write_text('')
    with pytest.raises(OSError, match='could not be written'):
        FeatureExtractor(encoder(), tmp_path / 'cache').extract(source(cfg), ['C5'])


def test_statistics_are_re_estimated_as_elsewhere(cfg):
    images, expected = source(cfg), encoder()
    inputs = [image for image, _ in images]
    recalibrate_bn(expected, [inputs[:2], inputs[2:]])
    found = FeatureExtractor(encoder(), None, images, batch_size=2).extract(images, ['C5'])
    for image, maps in zip(inputs, found['C5'].maps, strict=True):
        torch.testing.assert_close(expected(image[None])[0], maps, atol=1e-4, rtol=1e-3)


def test_views_are_crops_that_repeat_and_touch_no_state(cfg):
    images = source(cfg)
    views = ViewPairs(images, seed=3)
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    items = [views[number] for number in range(len(views))]
    assert (np.random.get_state()[1] == state[0]).all()
    assert torch.equal(torch.get_rng_state(), state[1])
    assert len(items) == 6 and not items[0][1]['flip']
    for number, (view, beside) in enumerate(items):
        height, width = images[number // 2][0].shape[1:]
        x0, y0, x1, y1 = beside['box'].tolist()
        assert view.shape == (3, height, width) and view.dtype == torch.uint8
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        again, place = ViewPairs(images, seed=3)[number]
        assert torch.equal(again, view) and torch.equal(place['box'], beside['box'])
    other = ViewPairs(images, seed=4)
    assert other.key != views.key
    assert any(not torch.equal(other[n][1]['box'], items[n][1]['box']) for n in range(6))


def test_extraction_touches_no_random_state(cfg, tmp_path):
    net, images = encoder(), source(cfg)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    FeatureExtractor(net, tmp_path / 'cache', images).extract(ViewPairs(images), ['C5'])
    assert torch.equal(state[0], torch.get_rng_state())
    assert (np.random.get_state()[1] == state[1]).all()


def test_layers_that_are_not_there_are_said(cfg):
    assert layer_index(encoder(), 'C2') == 'C2' and layer_index(encoder(), 'last') == -1
    with pytest.raises(ValueError, match=r"layer 'C6': ResNet .*expected C2, C3, C4, C5, 'last'"):
        FeatureExtractor(encoder()).extract(source(cfg), ['C6'])
    planted = encoder(model=dict(type='PlantedModel', backbone=dict(type='PlantedBackbone')))
    with pytest.raises(ValueError, match="layer 'C5': PlantedBackbone .*expected 'last' or"):
        layer_index(planted, 'C5')
    with pytest.raises(ValueError, match='out_index=2: PlantedBackbone gives 1 map'):
        FeatureExtractor(planted).extract(source(cfg), ['2'])


def test_a_transformer_has_places_and_no_stages(cfg):
    net = encoder(model=dict(type='PlantedModel', backbone=dict(
        type='mmseg.VisionTransformer', img_size=32, patch_size=16, embed_dims=16, num_layers=1,
        num_heads=2)))
    assert layer_index(net, '0') == 0
    with pytest.raises(ValueError, match="layer 'C3': VisionTransformer has no such map; expected "
                                         "'last' or the place of a map"):
        FeatureExtractor(net).extract(source(cfg), ['C3'])


def test_other_networks_have_stages_by_their_strides():
    """The last map of stride 8 is C3, whatever the network calls it."""
    net = encoder(model=dict(type='PlantedModel', backbone=dict(
        type='mmseg.TIMMBackbone', model_name='test_efficientnet', features_only=True,
        pretrained=False)))
    assert strides_of(net.backbone) == [2, 4, 8, 16, 32]
    assert [layer_index(net, name) for name in ('C2', 'C3', 'C4', 'C5')] == [1, 2, 3, 4]


def test_wrong_labels_and_absent_files_are_named(cfg):
    path = f"{cfg['data_root']}/labels/001.png"
    labelled.cv2.imwrite(path, np.full((32, 48), 7, np.uint8))
    with pytest.raises(ValueError, match=rf'{path}: label 7 \(1536 pixels\); expected 0..2 or 255'):
        source(cfg)[1]
    images = build_dataset(dict(dataset=cfg), 'memory')
    os.unlink(path)
    with pytest.raises(FileNotFoundError, match=f'{path}, which the dataset lists'):
        LabelledImages(images, cfg, 3)
