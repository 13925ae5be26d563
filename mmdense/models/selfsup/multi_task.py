"""Several objectives on one backbone (Doersch & Zisserman, ICCV 2017, arXiv 1708.07860)."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from mmengine.model import BaseDataPreprocessor, ModuleDict
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmdense.mistakes import WrongType, WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..balance import GradientBalance, kept_statistics
from ..combination import CombinedBackbone
from .base import DenseSSL, begin_penalties, build
from .two_branch import TwoBranchSSL, follow_step

#: how tasks are weighed against each other, see :class:`MultiTask`
BALANCES = ('fixed', 'uncertainty', 'gradient')


def build_task(name: str, cfg: dict, backbone: nn.Module, preprocessor: nn.Module) -> DenseSSL:
    """Build a method that runs on ``backbone``, which is not registered in it.

    Args:
        cfg: a method's config without backbone; its preprocessor is ``preprocessor`` where it
            names none.

    Raises:
        ValueError: it has a backbone of its own, or its name cannot be one.
        TypeError: it is no method.
    """
    if not name.isidentifier() or 'loss' in name or hasattr(ModuleDict, name):
        raise WrongValue(f'tasks.{name}: expected a Python name without "loss" in it (the runner '
                         f'adds up what is called so) that {ModuleDict.__name__} does not use')
    if 'backbone' in cfg:
        raise WrongValue(f'tasks.{name}.backbone: a task has no backbone of its own; expected '
                         'model.backbone alone, which all tasks share')
    kind = cfg.get('type')
    if isinstance(kind, str):
        current = DefaultScope.get_current_instance()
        with MODELS.switch_scope_and_registry(current and current.scope_name) as registry:
            kind = registry.get(kind)
    if not (isinstance(kind, type) and issubclass(kind, DenseSSL)):
        raise WrongType(f'tasks.{name}.type={cfg.get("type")!r} is no method of MMDense; expected '
                        'one on DenseSSL, such as mmdense.MoCo')
    task = build({'data_preprocessor': preprocessor, **cfg, 'backbone': backbone})
    del task.backbone                       # its tensors are the parent's: saved and trained once
    task.__dict__['backbone'] = backbone
    return task


def refuse_other_tasks(given: Mapping, tasks: Mapping) -> None:
    """Raise ValueError unless there is a batch for each task, and none for another."""
    absent = [name for name in tasks if name not in given]
    unknown = [name for name in given if name not in tasks]
    if absent or unknown:
        raise WrongValue(
            f'tasks without data: {absent or "none"}, data without a task: {unknown or "none"}; '
            'expected the same names in model.tasks and train_dataloader.dataset.datasets')


def follow_steps(model: MultiTask, args: tuple, kwargs: dict) -> None:
    """Before a training forward: :func:`follow_step` of each task with a twin, and penalties."""
    for task in model.tasks.values():
        begin_penalties(task, args, kwargs)
        if isinstance(task, TwoBranchSSL):
            follow_step(task, args, kwargs)


class TasksPreprocessor(BaseDataPreprocessor):
    """Give each task's batch to the task's preprocessor, and plain images to ``images``.

    Args:
        images: preprocessor of batches that belong to no task (frozen evaluation).
        tasks: that of each task, by name; they belong to the tasks.
    """

    def __init__(self, images: nn.Module, tasks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.images, self.tasks = images, tasks

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return ``inputs`` and ``data_samples``, on the device.

        Args:
            data: a batch by task, as :func:`mmdense.datasets.multi_task.collate_tasks` makes it,
                whose ``inputs`` and ``data_samples`` then are by task as well; or one batch.

        Raises:
            ValueError: a task has no batch, or a batch no task.
        """
        if 'inputs' in data:
            return self.images(data, training)
        refuse_other_tasks(data, self.tasks)
        made = {name: own(data[name], training) for name, own in self.tasks.items()}
        return {key: {name: batch[key] for name, batch in made.items()}
                for key in ('inputs', 'data_samples')}


@MODELS.register_module()
class MultiTask(DenseSSL):
    """Any methods on one backbone, each with its own data, heads, twin and queue.

    The loss is the sum of the tasks' losses, each times its task's weight:
    ``sum_t weight_t loss_t``. With ``balance='uncertainty'`` each task's share is learned, too
    (Kendall, Gal, Cipolla, 1705.07115): ``sum_t weight_t (exp(-s_t) loss_t + s_t)``, where s_t
    begins at 0 and ends near the logarithm of the loss. With ``balance='gradient'`` shares follow
    from the last steps instead, so that all tasks' gradients are of one length where they enter the
    backbone (:class:`GradientBalance`; what GradNorm, 1711.02257, aims at).

    With ``combine`` every task reads a learned combination of some of the backbone's blocks
    instead of its maps (lasso, 1708.07860, sec. 4.2): see :class:`mmdense.CombinedBackbone`;
    ``mmdense.LassoHook`` makes it sparse.

    Every task runs on its own batch, one after the other in the config's order, so BatchNorm of the
    backbone normalises each task's batch by itself and its running statistics see all of them, or
    those of ``norm_task`` alone.
    State dict: ``backbone.*`` once, ``tasks.NAME.*`` for what is the tasks' own,
    ``combinations.NAME.*`` for their combinations.

    Args:
        backbone: config, shared by all tasks.
        tasks: by name, a method's config without ``backbone``, and ``weight`` (default 1). Zero
            keeps the task's gradients, as zeros, and its cost.
        data_preprocessor: of plain images, and of tasks that name none.
        out_index: the map that frozen evaluation takes; a task has its own.
        balance: ``'fixed'``, ``'uncertainty'`` or ``'gradient'``, as above.
        combine: arguments of :class:`mmdense.CombinedBackbone` but its backbone, or None.
        norm_task: the task whose batches the running statistics of the backbone's BatchNorm
            follow; None = all of them.

    Raises:
        ValueError: no task, a weight below zero, another ``balance`` or ``norm_task``, shares that
            are learned with a task whose loss can be below 0, ``combine`` with a task that has a
            twin, or what :func:`build_task` refuses.
    """

    def __init__(self, backbone: dict, tasks: dict[str, dict],
                 data_preprocessor: dict | None = None, out_index: int = -1,
                 init_cfg: dict | None = None, balance: str = 'fixed',
                 combine: dict | None = None, norm_task: str | None = None) -> None:
        super().__init__(backbone, None, data_preprocessor, out_index, init_cfg)
        if balance not in BALANCES:
            raise WrongValue(f'MultiTask(balance={balance!r}): expected one of {BALANCES}')
        if norm_task is not None and norm_task not in tasks:
            raise WrongValue(f'MultiTask(norm_task={norm_task!r}): expected one of {list(tasks)}')
        self.norm_task = norm_task
        if not tasks:
            raise WrongValue('MultiTask: tasks is empty; expected one method or more by name')
        self.weights = {name: cfg.get('weight', 1.0) for name, cfg in tasks.items()}
        for name, weight in self.weights.items():
            if not 0 <= weight < float('inf'):
                raise WrongValue(f'tasks.{name}.weight={weight}: expected a number >= 0')
        self.combinations = None if combine is None else ModuleDict({
            name: CombinedBackbone(self.backbone, shared=True, **combine) for name in tasks})
        self.tasks = ModuleDict({
            name: build_task(name, {key: value for key, value in cfg.items() if key != 'weight'},
                             self.combinations[name] if combine else self.backbone,
                             self.data_preprocessor)
            for name, cfg in tasks.items()})
        for name, task in self.tasks.items():
            if combine and getattr(task, 'twin', None) is not None:
                raise WrongValue(f'tasks.{name}: {type(task).__name__} has a twin, which would '
                                 'need a combination of its own; expected tasks without one '
                                 'beside combine')
        self.log_scales = None
        if balance == 'uncertainty':
            for name, task in self.tasks.items():
                if task.negative_losses:
                    raise WrongValue(f"tasks.{name}: {type(task).__name__}'s loss can be below 0, "
                                     "and a learned share would grow without end; expected "
                                     "balance='fixed'")
            self.log_scales = nn.ParameterDict({name: nn.Parameter(torch.zeros(()))
                                                for name in self.tasks})
        self.gradients = GradientBalance(len(self.tasks)) if balance == 'gradient' else None
        self.data_preprocessor = TasksPreprocessor(
            self.data_preprocessor,
            {name: task.data_preprocessor for name, task in self.tasks.items()})
        self.register_forward_pre_hook(follow_steps, with_kwargs=True)

    def loss_map(self, images: Tensor) -> Tensor | None:
        """Return, of the tasks' maps (B, C, h, w), the one with the fewest cells, or None."""
        maps = [task.loss_map(images) for task in self.tasks.values()]
        return min((one for one in maps if one is not None), default=None,
                   key=lambda one: one.shape[2:].numel())

    def check_views(self, inputs: dict[str, list[Tensor]]) -> None:
        """Raise ValueError unless each task has a batch, of as many views as its loss takes."""
        refuse_other_tasks(inputs, self.tasks)
        for name, task in self.tasks.items():
            task.check_views(inputs[name])

    def loss(self, inputs: dict[str, list[Tensor]], views: dict[str, Views]) -> dict[str, Tensor]:
        """Return ``NAME.loss_x``, scalars times their task's share, of V views of each task.

        And ``NAME.loss_scale``, s_t, where shares are learned, or ``NAME.share``.

        Args:
            inputs: by task, V tensors (B, 3, H, W); V, B and sizes are the task's own.
            views: by task, their geometry.
        """
        found = {}
        shares = None if self.gradients is None else self.gradients.shares()
        for number, (name, task) in enumerate(self.tasks.items()):
            share, watched = self.weights[name], nullcontext()
            if self.log_scales is not None:
                found[f'{name}.loss_scale'] = share * self.log_scales[name]
                share = share * torch.exp(-self.log_scales[name])
            if shares is not None:
                found[f'{name}.share'] = shares[number]
                share = share * shares[number]
                if self.weights[name] and self.training:
                    read = self.backbone if self.combinations is None else self.combinations[name]
                    watched = read.register_forward_hook(self.gradients.watch(number, share))
            still = nullcontext() if self.norm_task in (None, name) \
                else kept_statistics(self.backbone)
            with watched, still:
                losses = task.losses(inputs[name], views[name])
            for key, value in losses.items():
                found[f'{name}.{key}'] = value * share if 'loss' in key else value
        return found
