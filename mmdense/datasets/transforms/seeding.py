"""A sample's randomness as a function of its place in the sampler's order."""
from __future__ import annotations

import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmdense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SeedSample(BaseTransform):
    """Seed numpy, random and torch from the sampler's seed and the sample's position; stands first.

    Then a sample does not depend on which worker makes it, nor on what was made before, and a
    resumed run sees the same views. An index without seed and position (evaluation, other samplers)
    leaves the generators as they are.
    """

    def transform(self, results: dict) -> dict:
        """Seed from ``results['sample_idx']``, an int with ``.seed`` and ``.position``."""
        index = results.get('sample_idx')
        if not hasattr(index, 'position'):
            return results
        state = np.random.SeedSequence([index.seed, index.position]).generate_state(6)
        np.random.seed(state[:4])
        random.seed(int(state[4]))
        # not torch.manual_seed: without workers it would reset the GPU's generators as well
        torch.default_generator.manual_seed(int(state[5]))
        return results
