"""Combined blocks: against a slow loop, made sparse, shared by tasks, in a stock segmentor."""
from __future__ import annotations

import copy
from types import SimpleNamespace

import cv2
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from references.tiny import BACKBONE, build_multi_task, build_pretext, moco_config, views_of

from mmdense.engine import LassoHook
from mmdense.models.combination import CombinedBackbone
from mmdense.visualization import draw_combinations

BLOCKS = ('layer3.0', 'layer3.1')
HEAD = dict(type='mmdense.Projector', hidden_channels=32)
TASKS = dict(position=dict(type='mmdense.RelativePosition', head=HEAD),
             copies=dict(type='mmdense.Exemplar', weight=0.5,
                         projector=dict(HEAD, out_channels=16)))


def combined(blocks=BLOCKS, **changes):
    return CombinedBackbone(BACKBONE, blocks, **changes)


@pytest.mark.parametrize(('blocks', 'channels'), [
    (BLOCKS, None), (('layer4.1',), None), (('layer1.1', 'layer3.1', 'layer2.0'), 6)])
def test_the_map_is_the_sum_of_normalised_blocks(blocks, channels):
    net, images = combined(blocks, channels=channels).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        net.alpha.copy_(torch.linspace(-1, 2, len(blocks)))
    seen = {}
    for name, module in net.backbone.named_modules():
        module.register_forward_hook(lambda _, args, out, name=name: seen.update({name: out}))
    found, = net(images)
    size = seen[blocks[-1]].shape[2:]
    for b in range(2):
        total = 0
        for number, name in enumerate(blocks):
            one = net.bring[number](seen[name][b:b + 1])
            one = one / (one.double().square().sum() / one.numel()).sqrt()
            one = torch.nn.functional.interpolate(one, size, mode='bilinear', align_corners=False)
            total = total + float(net.alpha[number]) * one
        torch.testing.assert_close(found[b:b + 1].double(), total.double(), rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert net.alpha.grad.abs().min() > 0
    assert not list(net.backbone.layer3[0]._forward_hooks)[1:], 'its own hooks are gone'


def test_an_alpha_that_reaches_0_stays_there():
    net = combined()
    with torch.no_grad():
        net.alpha.copy_(torch.tensor([0.05, -0.5]))
    net.shrink(0.1)
    assert net.alpha[0] == 0 and net.alpha[1].item() == pytest.approx(-0.4)


def views(name: str):
    task = build_pretext(name)
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    return images, task.random_targets(images, views_of(torch.arange(2)))


def batch():
    made = dict(position=views('RelativePosition'), copies=views('Exemplar'))
    return ({name: part[0] for name, part in made.items()},
            {name: part[1] for name, part in made.items()})


def test_tasks_read_their_own_combinations_of_one_backbone():
    """Saved once, all of it trained, and a resumed model loses the same."""
    model = build_multi_task(tasks=TASKS, combine=dict(blocks=BLOCKS))
    keys = set(model.state_dict())
    assert {'combinations.position.alpha', 'combinations.copies.alpha'} <= keys
    assert not any(key.startswith('combinations.') and 'backbone' in key for key in keys)
    assert model.tasks['copies'].projector.in_channels == 32
    given = batch()
    model.parse_losses(model(*given, mode='loss'))[0].backward()
    behind = ('backbone.layer4',)                   # behind the last block: read by nobody
    assert [name for name, p in model.named_parameters()
            if p.grad is None and not name.startswith(behind)] == []
    other = build_multi_task(tasks=TASKS, combine=dict(blocks=BLOCKS))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    losses, again = (net.eval()(*given, mode='loss') for net in (model, other))
    assert all(torch.equal(losses[name], again[name]) for name in losses)
    assert model.tasks['copies'].backbone.backbone is model.backbone


def test_the_hook_makes_them_sparse_and_says_what_is_left(tmp_path):
    torch.manual_seed(0)
    model, said = build_multi_task(tasks=TASKS, combine=dict(blocks=BLOCKS)), []
    alphas = [one.alpha for one in model.combinations.values()]
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    runner = SimpleNamespace(model=model, optim_wrapper=optim, iter=0, max_iters=3,
                             logger=SimpleNamespace(info=said.append))
    hook = LassoHook(weight=3.0, interval=2)
    hook.before_train(runner)
    for runner.iter in range(3):
        optim.update_params(model.parse_losses(model(*batch(), mode='loss'))[0])
        hook.after_train_iter(runner, runner.iter)
    assert all(value.item() == 0 for alpha in alphas for value in alpha)
    assert len(said) == 2 and 'combinations.position: layer3.0 0.000, layer3.1 0.000' in said[1]
    with torch.no_grad():
        alphas[0].copy_(torch.tensor([0.3, 0.0]))
    path, = draw_combinations(model, tmp_path / 'combination.png')
    assert cv2.imread(str(path)) is not None
    assert draw_combinations(build_pretext('Exemplar'), tmp_path / 'none.png') == []


def test_a_stock_segmentor_learns_its_own(tmp_path):
    torch.save(dict(state_dict=build_pretext('Exemplar').state_dict()), tmp_path / 'a.pth')
    with DefaultScope.overwrite_default_scope('mmseg'):
        segmentor = MODELS.build(dict(
            type='EncoderDecoder', backbone=dict(
                type='mmdense.CombinedBackbone', blocks=BLOCKS, backbone=dict(
                    BACKBONE, init_cfg=dict(type='mmdense.PretrainedBackbone',
                                            checkpoint=str(tmp_path / 'a.pth')))),
            decode_head=dict(type='FCNHead', in_channels=32, channels=8, num_classes=3,
                             in_index=0)))
        segmentor.init_weights()
    saved = torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict']
    assert torch.equal(segmentor.backbone.backbone.conv1.weight, saved['backbone.conv1.weight'])
    segmentor(torch.randn(1, 3, 64, 64), mode='tensor').sum().backward()
    assert segmentor.backbone.alpha.grad is not None


def frozen():
    model = build_multi_task(tasks=TASKS, combine=dict(blocks=BLOCKS))
    optim = OptimWrapper(torch.optim.SGD(model.backbone.parameters(), lr=0.1))
    LassoHook(weight=1.0).before_train(SimpleNamespace(model=model, optim_wrapper=optim))


def twin():
    cfg = moco_config()
    del cfg['backbone'], cfg['data_preprocessor']
    build_multi_task(tasks=dict(image=cfg), combine=dict(blocks=('layer4.0', 'layer4.1')))


@pytest.mark.situation('settings', 'combined blocks that a backbone does not have, of different '
                       'channels, or of a task with a twin', 'error',
                       'names the block or the task, and what is expected')
@pytest.mark.parametrize(('make', 'told'), [
    (lambda: combined(('layer9',)), "of ResNet, such as layer3.0; it has no 'layer9'"),
    (lambda: combined(()), 'expected different names'),
    (lambda: combined(('layer3.0', 'layer3.0')), 'expected different names'),
    (lambda: combined(('layer1.0', 'layer3.0')), r'have \[8, 32\] channels; expected blocks'),
    (twin, 'tasks.image: MoCo has a twin'), (frozen, 'alpha is not in the optimiser'),
    (lambda: LassoHook(weight=0), r'LassoHook\(weight=0, interval=500\)'),
    (lambda: LassoHook(weight=1).before_train(SimpleNamespace(model=build_pretext('Exemplar'))),
     'the model has no combined blocks')])
def test_what_does_not_fit_is_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()
