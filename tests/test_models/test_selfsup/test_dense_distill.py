"""Distillation of dense features: loops, processes, the frozen teacher, maps from files."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.distill import (
    BACKBONE,
    LOSSES,
    TEACHER,
    build_distill,
    distill_job,
    maps,
    teacher,
    weights,
)
from jobs.processes import run_processes
from mmengine.registry import MODELS, DefaultScope
from references import alignment as loops
from references import distill as slow
from references.tiny import moco_config, views_of

from mmdense.engine.check import held_megabytes
from mmdense.engine.teacher_note_hook import notes_of
from mmdense.models.random_batch import random_batch_for
from mmdense.models.teacher import Teacher
from mmdense.teacher_maps import TeacherMaps

SLOW = dict(zip(LOSSES, (loops.standardised_cosine, loops.cell_cosine, loops.kernel_alignment,
                         loops.gram), strict=True))


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('loss', LOSSES)
def test_equals_the_slow_loop(loss, batch):
    """Mirrored views, cells that the teacher does not show, and an image of which none."""
    student, taught, boxes, flips = maps(batch, 5 if 'Cosine' in loss else 7)
    found = build_distill(loss).objective([student], [taught], boxes, flips)
    expected = slow.distilled(SLOW[loss], student, taught, boxes[0].tolist(), flips[0].tolist(),
                              boxes[1].tolist(), flips[1].tolist())
    assert found['loss_distill'].item() == pytest.approx(expected, rel=1e-4)
    assert 0 < found['outside'] < 1
    with torch.autocast('cpu', torch.bfloat16):
        mixed = build_distill(loss).objective([student.bfloat16()], [taught], boxes, flips)
    assert mixed['loss_distill'].dtype == torch.float32
    assert mixed['loss_distill'].item() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.situation('numbers', "a student's view that its teacher's does not overlap", 'works',
                       'its loss is 0; `outside` in the log counts its cells')
def test_views_without_overlap_lose_nothing(loss):
    student, taught, boxes, flips = maps(2)
    student.requires_grad_()
    away = boxes[0], torch.tensor([[90., 90, 99, 99]] * 2)
    found = build_distill(loss).objective([student], [taught], away, flips)
    found['loss_distill'].backward()
    assert found['loss_distill'] == 0 and found['outside'] == 1
    assert student.grad.abs().max() == 0


def test_two_processes_are_one():
    """Losses and gradients; all of the student is trained."""
    (one, missing), two = distill_job(0, 1), run_processes(distill_job)
    for number, (loss, outside, grad) in enumerate(one):
        parts = [part[0][number] for part in two]
        assert sum(part[0] for part in parts) / 2 == pytest.approx(loss, rel=1e-5)
        assert sum(part[1] for part in parts) / 2 == pytest.approx(outside)
        torch.testing.assert_close(grad, torch.cat([part[2] for part in parts]))
    assert [part[1] for part in two] + [missing] == [([], [])] * 3


def step(method, optimizer, seed):
    torch.manual_seed(seed)
    images, views = random_batch_for(method, 2, 64)
    loss = method(images, views, mode='loss')['loss_distill']
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_a_resumed_student_gives_the_same_losses_and_its_teacher_is_in_no_checkpoint():
    method = build_distill()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    before = copy.deepcopy(method.teacher.state_dict())
    step(method, optimizer, 0)
    state = copy.deepcopy(method.state_dict())
    assert not [name for name in state if 'teacher' in name]
    resumed = build_distill()
    resumed.load_state_dict(state)
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in (1, 2)] \
        == [step(resumed, other, seed) for seed in (1, 2)]
    assert not method.train().teacher.training and not method.teacher.backbone.training
    for name, tensor in method.teacher.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(p.grad is None for p in method.teacher.parameters())
    moved = method.double()
    assert moved.teacher.backbone.conv1.weight.dtype == torch.double


def test_a_teacher_sees_its_own_normalisation_bands_and_size():
    """What reaches its backbone is the image as its own preprocessor would have made it."""
    own = Teacher(**teacher(mean=[10., 20, 30], std=[2., 4, 5], bands=[3, 0, 2], size=(32, 48)))
    seen = []
    own.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    raw = torch.rand(2, 4, 32, 48) * 255
    mean, std = torch.rand(1, 4, 1, 1) * 99, torch.rand(1, 4, 1, 1) + 3
    given = own((raw - mean) / std, mean, std)
    expected = (raw[:, [3, 0, 2]] - torch.tensor([10., 20, 30]).view(3, 1, 1)) \
        / torch.tensor([2., 4, 5]).view(3, 1, 1)
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=1e-5)
    assert [tuple(one.shape[1:]) for one in given] == own.shapes(7, 7) == [(64, 2, 3)]
    own((raw[..., :20, :20] - mean) / std, mean, std)
    assert seen[-1].shape == (2, 3, 32, 48)


def test_several_levels_learn_from_several():
    both = {**BACKBONE, 'out_indices': (2, 3)}
    method = build_distill(backbone=both, levels=(0, 1), teacher=teacher(levels=(0, 1)))
    images, views = random_batch_for(method, 2, 64)
    losses = method(images, views, mode='loss')
    assert {'loss_distill0', 'loss_distill1', 'outside'} == losses.keys()
    assert [head.out_channels for head in method.projectors] == [32, 64]
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad is not None for p in method.parameters())
    assert method.loss_map(images[0]).shape[2:] == (2, 2)


def test_beside_another_task_on_one_backbone():
    """Its teacher moves along, is in no state, and the hook finds it."""
    tasks = dict(image=moco_config(), taught=dict(
        type='mmdense.DenseDistill', teacher=teacher(), weight=2.0,
        loss=dict(type='mmdense.KernelAlignmentLoss')))
    del tasks['image']['backbone'], tasks['image']['data_preprocessor']
    with DefaultScope.overwrite_default_scope('mmseg'):
        method = MODELS.build(dict(type='mmdense.MultiTask', backbone=BACKBONE, tasks=tasks))
    images, views = [torch.randn(2, 3, 64, 64) for _ in range(2)], views_of(torch.arange(2))
    losses = method({name: images for name in tasks}, {name: views for name in tasks}, mode='loss')
    alone = method.tasks['taught'].loss(images, views)['loss_distill']
    assert losses['taught.loss_distill'].item() == pytest.approx(2 * alone.item(), rel=1e-5)
    assert not [name for name in method.state_dict() if 'teacher' in name]
    assert method.double().tasks['taught'].teacher.mean.dtype == torch.double
    assert notes_of(method) == {'tasks.taught': dict(
        name='small', licence='Apache-2.0', checkpoint=weights())}


def test_the_memory_of_a_run_counts_the_teacher(files, tmp_path):
    """Unless its maps come from files, which a step shows."""
    cache(tmp_path / 'maps', files, teacher())
    live, cached = build_distill(), build_distill(cache=str(tmp_path / 'maps'))
    taught = sum(t.numel() * t.element_size() for t in live.teacher.state_dict().values())
    alone = sum(t.numel() * t.element_size() for t in live.state_dict().values())
    assert held_megabytes(live) * 2 ** 20 == alone + taught > 1.1 * alone
    images, views = random_batch_for(cached, 2, 64)
    cached(images, views, mode='loss')
    assert held_megabytes(cached) * 2 ** 20 < 1.01 * alone


def cache(folder, paths, teaching, **changes):
    """Write random maps of some files for a teacher; return them."""
    own = Teacher(**teaching)
    shapes = own.shapes(64, 64)
    note = {**dict(own.note(), key=own.key(bgr_to_rgb=True), size=[64, 64], shapes=shapes),
            **changes}
    found = TeacherMaps.begin(folder, note, paths)
    rows = torch.randn(len(paths), 64 * 16).half()
    found.write(torch.arange(len(paths)).numpy(), rows.numpy())
    return rows.view(len(paths), *shapes[0])


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f'{name}.jpg' for name in 'abc']
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def test_maps_from_files_are_those_of_the_running_teacher(files, tmp_path):
    """With the cache the step gives the loss that the teacher's own maps give, without it."""
    rows = cache(tmp_path / 'maps', files, teacher())
    method = build_distill(cache=str(tmp_path / 'maps'))
    assert method.num_views == 1 and len(random_batch_for(method, 2, 64)[0]) == 1
    views = views_of(torch.arange(3)).take((0,))
    views.sizes = torch.tensor([[50, 70], [64, 64], [80, 60]])
    views.targets = [rows.flatten(1)]
    images = [torch.randn(3, 3, 64, 64)]
    found = method(images, views, mode='loss')
    whole = torch.tensor([[0., 0, 70, 50], [0, 0, 64, 64], [0, 0, 60, 80]])
    expected = method.objective(method.project(images[0]), [rows.float()],
                                (views.boxes[0], whole), (views.flips[0], torch.zeros(3).bool()))
    assert found['loss_distill'].item() == pytest.approx(expected['loss_distill'].item(), rel=1e-5)
    assert method.teacher.backbone is None
    found['loss_distill'].backward()
    assert all(p.grad is not None for p in method.parameters())


@pytest.mark.situation('settings', 'distillation with the teacher maps of another teacher, or of '
                       'none, or a teacher without weights', 'error', 'names the folder or the key')
def test_what_does_not_fit_is_told(files, tmp_path):
    folder = str(tmp_path / 'maps')
    cache(folder, files, teacher())
    images, views = [torch.randn(2, 3, 64, 64)] * 2, views_of(torch.arange(2))
    other = build_distill(cache=folder, teacher=teacher(mean=[1., 2, 3]))
    turned = build_distill(cache=folder, data_preprocessor=dict(
        type='mmdense.ViewsPreprocessor', bgr_to_rgb=False))
    for wrong in (other, turned):
        with pytest.raises(ValueError, match='maps has the maps of another teacher'):
            wrong(images[:1], views.take((0,)), mode='loss')
    with pytest.raises(ValueError, match=r'the view has none; expected 1024, .*LoadTeacherMaps'):
        build_distill(cache=folder)(images[:1], views.take((0,)), mode='loss')
    with pytest.raises(ValueError, match='random weights: name its file, model.teacher.checkpoint'):
        build_distill(teacher=teacher(checkpoint=None))(images, views, mode='loss')
    with pytest.raises(ValueError, match=r'got 1 view\(s\) of an image; expected 2'):
        build_distill()(images[:1], views.take((0,)), mode='loss')
    with pytest.raises(ValueError, match=r'levels=\[0, 1\]\): the teacher has 1 level'):
        build_distill(levels=(0, 1))
    with pytest.raises(ValueError, match='out_index=-3: ResNet gives 1 map'):
        build_distill(levels=(-3, -2, -1), teacher=teacher(levels=(0, 1, -1)))
    with pytest.raises(ValueError, match='num_views=2, cache=.*: expected 1 or 2, with a cache 1'):
        build_distill(cache=folder, num_views=2)
    with pytest.raises(ValueError, match='map of the teacher has a gradient'):
        student, taught, boxes, flips = maps(2)
        build_distill().objective([student], [taught.requires_grad_()], boxes, flips)
    for wrong in (dict(mean=[1., 2]), dict(std=[0., 1, 1]), dict(bands=[0])):
        with pytest.raises(ValueError, match='expected as many numbers of each, std above 0'):
            Teacher(**teacher(**wrong))
    with pytest.raises(ValueError, match='the teacher sees 4 channels and has 3 numbers'):
        Teacher(**teacher())(torch.zeros(1, 4, 64, 64), torch.zeros(()), torch.ones(()))


@pytest.mark.situation('settings', "a teacher's input that its patch does not divide", 'works',
                       'enlarged to the next multiple, and the log says so')
def test_a_transformer_sees_whole_patches(monkeypatch):
    said = []
    monkeypatch.setattr('mmdense.models.teacher.print_log', lambda text, *_: said.append(text))
    vit = dict(type='mmseg.TIMMBackbone', model_name='test_vit', features_only=True,
               pretrained=False, dynamic_img_size=True)
    own = Teacher(vit, size=(40, 48))
    assert own.patch == 16 and own.shapes(9, 9)[0][1:] == (3, 3)
    told, = said
    assert 'patches of 16 pixels, which do not divide an input of (40, 48)' in told
    fixed = Teacher({**vit, 'dynamic_img_size': False}, size=(32, 48))
    with pytest.raises(ValueError, match=r'does not take an input of \(32, 48\)'):
        fixed(torch.zeros(1, 3, 32, 48), torch.zeros(()), torch.ones(()))


def test_one_view_is_seen_by_both():
    method = build_distill(num_views=1)
    images, views = random_batch_for(method, 2, 64)
    found = method(images, views, mode='loss')
    assert found['outside'] == 0 and len(images) == 1
    assert TEACHER['strides'] == (1, 2, 2, 1)          # 4 x 4 cells of it for the student's 2 x 2
