"""``compile=True``: a step is one graph, and gives what it gives without."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.distill import build_distill, build_paka
from mmengine.optim import OptimWrapper
from references.tiny import (
    BACKBONE,
    build,
    build_cp2,
    build_detcon,
    build_location,
    build_pixel,
    build_plmoco,
    build_pretext,
    build_rotation,
    region_views,
    views_of,
)
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.autograd.graph import increment_version

TAUGHT = ('PaKA', 'DenseDistill')
PRETEXTS = ('PatchRotation', 'RelativePosition', 'Exemplar', 'Colorization')
HEAD = dict(type='mmdense.Projector', in_channels=8, hidden_channels=16, out_channels=8)
SMALL = dict(backbone={**BACKBONE, 'num_stages': 1, 'strides': (1,), 'dilations': (1,),
                       'out_indices': (0,), 'stem_channels': 8}, projector=HEAD)


@pytest.fixture(autouse=True)
def _no_graph_of_another_test():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def method_and_views(name: str, **changes):
    """A method whose twin is not yet what it follows, as after loading weights."""
    if name in ('DenseCL', 'penalty'):
        if name == 'penalty':
            changes = dict(penalties=dict(place=dict(type='mmdense.PlacePenalty')))
        method = build(**SMALL, dense_projector=HEAD, queue=dict(size=10, own_image='masked'),
                       **changes)
        views = views_of(torch.tensor([1, 2, 1, 4]))
    elif name == 'CP2':
        method, views = build_cp2(
            **{**SMALL, 'projector': {**HEAD, 'in_channels': 12}}, queue=dict(size=10),
            decode_head=dict(type='FCNHead', in_channels=8, in_index=-1, channels=12, num_convs=1,
                             concat_input=False, norm_cfg=dict(type='BN'))), views_of(
            torch.arange(4))
    elif name == 'LocationContrast':
        method, views = build_location(**SMALL, num_cells=9), region_views(4, side=32)
        views.regions = None
    elif name in ('PLMoCo', 'PixPro'):
        head = dict(projector=HEAD, context=dict(type='mmdense.PixelPropagation', num_layers=2,
                                                 norm_cfg=dict(type='BN'))) \
            if name == 'PixPro' else dict(cell_projector=HEAD, context=dict(
                type='mmdense.CooccurrenceContext', num_words=4))
        method = build_pixel('PixPro', backbone=SMALL['backbone'], **head) if name == 'PixPro' \
            else build_plmoco(backbone=SMALL['backbone'], num_cells=9, **head)
        views = region_views(4, side=32)
        views.regions = None
    elif name in TAUGHT:
        method = (build_paka if name == 'PaKA' else build_distill)(backbone=SMALL['backbone'])
        views = region_views(4, side=32)
        views.regions = None
    elif name in PRETEXTS:
        method = build_rotation(backbone=SMALL['backbone'], decode_head=None) \
            if name == 'PatchRotation' else build_pretext(name, backbone=SMALL['backbone'])
        views = views_of(torch.arange(4)).take(range(method.num_views))
        images = [torch.zeros(4, 3, 32, 32) for _ in range(method.num_views)]
        views = method.random_targets(images, views)
    else:
        twin = dict(predictor={**HEAD, 'in_channels': 8}) if name == 'DetConB' else {}
        method, views = build_detcon(name[-1], **SMALL, **twin), region_views(4, side=32)
        views.num_regions = 7
    with torch.no_grad():
        for parameter in method.backbone.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return method, views


def train(method, step, steps: int = 2) -> list[dict[str, float]]:
    """Return the losses of some steps on images of their own; the method is changed."""
    optim = OptimWrapper(torch.optim.SGD(method.parameters(), lr=0.05))
    torch.manual_seed(3)
    found = []
    for _ in range(steps):
        losses = step([torch.randn(4, 3, 32, 32) for _ in range(method.num_views)], optim)
        found.append({name: loss.item() for name, loss in losses.items()})
    return found


def assert_same(method, other, losses, other_losses):
    assert losses[0].keys() == other_losses[0].keys()
    for one, two in zip(losses, other_losses, strict=True):
        assert one == pytest.approx(two, rel=1e-5)
    for (name, value), theirs in zip(method.state_dict().items(), other.state_dict().values(),
                                     strict=True):
        torch.testing.assert_close(value, theirs, msg=lambda text, name=name: f'{name}: {text}')


@pytest.mark.parametrize('name', [
    pytest.param('DenseCL', id='DenseCL', marks=pytest.mark.situation(
        'processes', 'compile=True with DenseCL', 'works', 'one graph, the same losses and '
        'weights')),
    pytest.param('DetConS', id='DetConS', marks=pytest.mark.situation(
        'processes', 'compile=True with DetCon_S', 'works', 'one graph, the same losses and '
        'weights')),
    pytest.param('DetConB', id='DetConB', marks=pytest.mark.situation(
        'processes', 'compile=True with DetCon_B', 'works', 'one graph, the same losses and '
        'weights')),
    'LocationContrast', 'CP2', 'penalty', 'PLMoCo',
    *(pytest.param(name, marks=pytest.mark.full) for name in ('PixPro', *TAUGHT, *PRETEXTS))])
def test_the_losses_are_one_graph(name):
    """From the first step on, in which the twin takes the weights over; queue and twin too.

    The twin follows before the graph, where Python can look at the weights.
    """
    method, views = method_and_views(name)
    other = copy.deepcopy(method)
    other.forward = torch.compile(other.forward, backend='aot_eager', fullgraph=True)

    def losses_of(forward):
        def step(images, optim):
            losses = forward(images, views, mode='loss')
            optim.update_params(method.parse_losses(losses)[0])
            return losses
        return step

    assert_same(method, other, train(method, losses_of(method)), train(other, losses_of(other)))
    if getattr(other, 'twin', None) is not None:
        assert other.twin.steps == 2


def test_the_step_as_mmengine_compiles_it():
    """``Runner`` compiles ``train_step``, with the backward and the optimiser's step inside."""
    method, views = method_and_views('DenseCL')
    other = copy.deepcopy(method)

    def step_of(train_step):
        return lambda images, optim: train_step(dict(inputs=images, data_samples=views), optim)

    compiled = torch.compile(other.train_step, backend='aot_eager')
    assert_same(method, other, train(method, step_of(method.train_step)),
                train(other, step_of(compiled)))
    assert other.twin.steps == 2 and (other.contrast.queue.index >= 0).sum() == 8


@pytest.mark.parametrize('name', ['DenseCL', 'DetConS', 'DetConB', 'LocationContrast', 'CP2',
                                  'penalty', 'PLMoCo', 'PixPro', *TAUGHT, *PRETEXTS])
@pytest.mark.situation('processes', 'a step that would wait for the GPU', 'works',
                       'nothing in a loss asks for a value')
def test_losses_never_ask_for_a_value(name):
    """On a GPU that is none: no item(), no unique(), no index by a mask, nothing on the CPU."""
    method, views = method_and_views(name)
    if getattr(method, 'twin', None) is not None:
        method.twin.follow()            # its first step looks whether it has started,
        increment_version(next(method.backbone.parameters()))
        method.twin.follow()            # its second whether the optimiser's steps are counted
    with FakeTensorMode() as mode:
        def on_gpu(tensor):
            return mode.from_tensor(tensor).to('cuda:0')

        method._apply(on_gpu)
        views = views._each(lambda part: None if part is None else on_gpu(part))
        images = [torch.randn(4, 3, 32, 32, device='cuda:0') for _ in range(method.num_views)]
        losses = method(images, views, mode='loss')
        assert all(loss.device.type == 'cuda' for loss in losses.values())
        with pytest.raises(DataDependentOutputException):
            losses.popitem()[1].item()
