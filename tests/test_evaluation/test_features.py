from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models import SelfSupDataPreprocessor
from mmseg.models import SegDataPreProcessor
from references import tiny
from references.known_backbones import KNOWN
from torch import nn

import mmdense  # noqa: F401
from mmdense.evaluation import features
from mmdense.evaluation.features import FrozenEncoder, by_size, normalise, recalibrate_bn
from mmdense.models.data_preprocessor import ViewsPreprocessor

MEAN, STD = [10., 20, 30], [2., 3, 4]
BACKBONES = {
    'mmseg ViT': (dict(type='VisionTransformer', img_size=(32, 32), patch_size=16, embed_dims=16,
                       num_layers=2, num_heads=2, out_indices=(0, 1)), (16, 4, 4)),
    'mmpretrain ViT': (dict(type='mmpretrain.VisionTransformer', arch=dict(
        embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16), img_size=32,
        patch_size=16, out_type='featmap'), (16, 4, 4)),
    'mmseg Swin': (dict(type='SwinTransformer', embed_dims=8, depths=(1, 1), num_heads=(1, 1),
                        strides=(4, 2), out_indices=(0, 1), window_size=4), (16, 8, 8)),
    'timm Swin': (dict(type='mmpretrain.TIMMBackbone', model_name='swin_tiny_patch4_window7_224',
                       features_only=True, depths=(1, 1), num_heads=(1, 2), embed_dim=8,
                       out_indices=(0, 1), img_size=64), (16, 8, 8)),
    'timm ResNet': (dict(type='mmpretrain.TIMMBackbone', model_name='resnet18',
                         features_only=True), (512, 8, 8)),
    'mmseg MiT': (dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1],
                       num_heads=[1, 1, 1, 1]), (8, 2, 2)),
}


class Model(nn.Module):
    def __init__(self, backbone: dict | nn.Module, preprocessor: nn.Module | None = None) -> None:
        super().__init__()
        with DefaultScope.overwrite_default_scope('mmseg'):
            self.backbone = MODELS.build(backbone) if isinstance(backbone, dict) else backbone
        self.data_preprocessor = preprocessor or SegDataPreProcessor(MEAN, STD)


@pytest.mark.parametrize('name', BACKBONES)
def test_any_backbone_gives_a_map(name):
    cfg, shape = BACKBONES[name]
    encoder = FrozenEncoder(Model(cfg), stride=8)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert encoder(images).shape == (2, *shape)


@pytest.mark.parametrize('preprocessor', [
    SegDataPreProcessor(MEAN, STD, bgr_to_rgb=True),
    SelfSupDataPreprocessor(MEAN, STD, bgr_to_rgb=True),
    ViewsPreprocessor(mean=MEAN, std=STD, bgr_to_rgb=True)])
def test_images_are_normalised_as_the_model_does(preprocessor):
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = (images[:, [2, 1, 0]].float() - torch.tensor(MEAN).view(3, 1, 1)) \
        / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(normalise(preprocessor, images), expected)


def test_stages_are_chosen_whatever_out_indices_says():
    model = tiny.build()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    for index, shape in enumerate([(8, 16), (16, 8), (32, 4), (64, 2)]):
        assert FrozenEncoder(model, out_index=f'C{index + 2}')(images).shape[1:3] == shape
    last = FrozenEncoder(model)
    expected = last.backbone(normalise(model.data_preprocessor, images))[-1]
    assert torch.equal(last(images), expected)
    with pytest.raises(ValueError, match=r'out_index=1: ResNet gives 1 map'):
        FrozenEncoder(model, out_index=1)(images)
    with pytest.raises(ValueError, match=r"out_index='C6': the backbone is ResNet; expected C2, "):
        FrozenEncoder(model, out_index='C6')(images)


def test_it_is_a_copy_without_twin_and_queue():
    model = tiny.build()
    model.backbone.conv1.weight.grad = torch.ones_like(model.backbone.conv1.weight)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    encoder = FrozenEncoder(model, stride=8)
    recalibrate_bn(encoder, [list(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(module.training for module in model.backbone.modules())
    assert model.backbone.layer4[0].conv1.stride == (2, 2)
    assert model.backbone.conv1.weight.grad is not None
    names = {name.split('.')[0] for name, _ in encoder.named_parameters()}
    assert names == {'backbone'}


def test_the_decode_head_of_a_method_is_used():
    model = tiny.build(decode_head=dict(type='FCNHead', in_channels=64, channels=12, num_convs=1,
                                        in_index=0, norm_cfg=dict(type='BN'),
                                        concat_input=False),
                       projector=dict(type='mmdense.Projector', in_channels=12,
                                      hidden_channels=8, out_channels=8),
                       dense_projector=dict(type='mmdense.Projector', in_channels=12,
                                            hidden_channels=8, out_channels=8))
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert FrozenEncoder(model, stride=8)(images).shape == (1, 12, 8, 8)


@pytest.mark.parametrize(('model', 'message'), [
    (nn.Linear(1, 1), 'Linear has no backbone'),
    (Model(dict(type='mmpretrain.VisionTransformer', arch=dict(
        embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16), img_size=64)),
     r"VisionTransformer gives \(1, 16\).*out_type='featmap'")])
def test_what_gives_no_map_is_said(model, message):
    with pytest.raises(ValueError, match=message):
        FrozenEncoder(model)(torch.zeros(1, 3, 64, 64))


def test_batch_norm_is_the_plain_average_over_batches():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4))
    encoder = FrozenEncoder(Model(net))
    batches = [list(torch.randint(0, 256, (3, 3, 6, 5), dtype=torch.uint8)) for _ in range(3)]
    recalibrate_bn(encoder, batches)
    maps = [net[0](normalise(encoder.preprocessor, torch.stack(batch))) for batch in batches]
    norm = encoder.backbone[1]
    torch.testing.assert_close(norm.running_mean, sum(m.mean((0, 2, 3)) for m in maps) / 3)
    torch.testing.assert_close(norm.running_var, sum(m.var((0, 2, 3)) for m in maps) / 3)
    assert not norm.training


def test_images_of_one_size_are_one_batch():
    images = [torch.full((3, *size), number) for number, size in
              enumerate([(2, 3), (4, 4), (2, 3)])]
    groups = list(by_size(images))
    assert [numbers for numbers, _ in groups] == [[0, 2], [1]]
    assert groups[0][1].shape == (2, 3, 2, 3) and groups[0][1][1].unique() == 2


def test_evaluation_takes_the_map_of_a_segmentors_decoder():
    class Segmentor(Model):
        def __init__(self, in_index) -> None:
            super().__init__(tiny.BACKBONE | dict(out_indices=(0, 1, 2)))
            self.decode_head = nn.Identity()
            self.decode_head.in_index = in_index
    for in_index, expected in ((0, 0), ([0, 1], 1), (-1, -1)):
        assert FrozenEncoder(Segmentor(in_index)).out_index == expected


def test_a_resnet_inside_another_network_is_no_resnet():
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    cfg = next(known.cfg for known in KNOWN if known.name == 'BiSeNetV1')
    encoder = FrozenEncoder(Model(cfg), 8, 0)
    assert not encoder.stages and encoder(images).shape == (1, 256, 8, 8)


@pytest.mark.situation('backbones', 'a network whose map is as large as the image (U-Net) is '
                       'evaluated with `stride=8`', 'works',
                       'the map is averaged to one cell per 8 pixels, and the log says so')
@pytest.mark.parametrize('size, stride, cells', [((64, 64), 8, (8, 8)), ((70, 45), 8, (9, 6)),
                                                 ((64, 64), 3, (22, 22)), ((64, 64), 1, (64, 64))])
def test_finer_maps_are_averaged(monkeypatch, size, stride, cells):
    said = []
    monkeypatch.setattr(features, 'print_log', lambda text, *_: said.append(text))
    encoder = FrozenEncoder(Model(nn.Conv2d(3, 4, 1)), stride)
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    whole = FrozenEncoder(Model(encoder.backbone, encoder.preprocessor))(images)
    for _ in range(2):
        assert encoder(images).shape == (1, 4, *cells)
    torch.testing.assert_close(encoder(images).mean((2, 3)), whole.mean((2, 3)), rtol=0.05,
                               atol=0.5)
    assert said == ([] if stride == 1 else
                    [f'maps of stride 1 are averaged to stride={stride}'])


def test_a_coarser_map_that_cannot_become_finer_is_told(monkeypatch):
    said = []
    monkeypatch.setattr(features, 'print_log', lambda text, *_: said.append(text))
    encoder = FrozenEncoder(Model(BACKBONES['mmseg ViT'][0]), stride=8)
    assert encoder(torch.zeros(1, 3, 64, 64)).shape == (1, 16, 4, 4)
    assert said == ['VisionTransformer keeps its stride 16: stride=8 makes maps of ResNets finer, '
                    'and averages those that are finer']
    with pytest.raises(ValueError, match='stride=-8: expected pixels'):
        FrozenEncoder(Model(nn.Conv2d(3, 4, 1)), -8)
