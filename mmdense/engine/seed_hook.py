"""Random states that follow from the iteration, so that a resumed run draws the same numbers."""
from __future__ import annotations

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdense.datasets.samplers import ResumableSampler
from mmdense.mistakes import WrongValue
from mmdense.random_states import seed_everything
from mmdense.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Makes the model's randomness f(seed, iteration, rank) in every training iteration.

    Dropout, shuffled batches and the like are then the same in a resumed run, and do not depend
    on data loader workers or on an evaluation in between. The randomness of samples is
    :class:`mmdense.SeedSample`'s.

    Raises:
        ValueError: before training, if a :class:`ResumableSampler`, whose stream has no end, meets
            an epoch-based loop, which would wait for one.
    """
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        sampler = runner.train_dataloader.sampler
        if isinstance(sampler, ResumableSampler) \
                and isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise WrongValue(
                'mmdense.ResumableSampler never ends an epoch: use it with '
                "train_cfg=dict(type='IterBasedTrainLoop', max_iters=…), or use "
                "sampler=dict(type='DefaultSampler', shuffle=True) with an epoch-based loop")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        seed_everything(runner.seed, runner.iter, get_rank())
