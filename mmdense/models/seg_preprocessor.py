"""mmseg's data preprocessor for images of any number of bands."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import SegDataPreProcessor

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS


@MODELS.register_module()
class MultibandSegDataPreProcessor(SegDataPreProcessor):
    """Pads and normalises as mmseg's, whose mean and std have one or three numbers, does for RGB.

    Args:
        mean, std: one number per band, on the images' scale.
        **kwargs: see mmseg's ``SegDataPreProcessor``; ``bgr_to_rgb`` acts on three bands only.

    Raises:
        ValueError: ``mean`` and ``std`` differ in length, or ``std`` is not above 0; from a call:
            the images have another number of bands.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(mean) != len(std) or not mean or min(std) <= 0:
            raise WrongValue(f'MultibandSegDataPreProcessor: mean={list(mean)} and std={list(std)} '
                             'must have one number per band, std above 0')
        self._enable_normalize = True
        self.register_buffer('mean', torch.tensor(mean).float().view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).float().view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Return ``inputs`` (B, C, H, W) float32 and ``data_samples``, on the device."""
        bands = data['inputs'][0].shape[0]
        if bands != self.mean.numel():
            raise WrongValue(f'images have {bands} bands, but mean and std have '
                             f'{self.mean.numel()} numbers: give the data_preprocessor one of each '
                             'per band (tools/check.py measures them)')
        return super().forward(data, training)
