"""From collated uint8 images to normalised float batches on the device."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views, ViewSample, stack_images


@MODELS.register_module()
class ViewsPreprocessor(BaseDataPreprocessor):
    """Move views to the device, swap channels and normalise in float32.

    Args:
        mean, std: one number a channel, on the images' scale (0-255), in the order after the swap
            (RGB); ImageNet's by default.
        bgr_to_rgb: reverse the channels of three-channel images; others keep their order.
        channels_last: return batches in the channels-last memory format.
        non_blocking: copy to the device without waiting for it.

    Raises:
        ValueError: ``mean`` and ``std`` differ in length, or ``std`` is not above 0.
    """

    def __init__(self, mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375), bgr_to_rgb: bool = True,
                 channels_last: bool = False, non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        if len(mean) != len(std) or not mean or min(std) <= 0:
            raise WrongValue(f'ViewsPreprocessor: mean={list(mean)} and std={list(std)} must have '
                             'one number a channel each, std above 0')
        self.register_buffer('mean', torch.tensor(mean).float().view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).float().view(1, -1, 1, 1), persistent=False)
        self.bgr_to_rgb = bgr_to_rgb
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def normalise(self, images: Tensor) -> Tensor:
        """Return (images - mean) / std, (B, C, H, W) float32, of uint8 or float images, BGR.

        Raises:
            ValueError: the images have another number of channels than ``mean`` and ``std``.
        """
        channels = images.shape[1]
        if channels != self.mean.numel():
            raise WrongValue(
                f'images have {channels} channels, but mean has {self.mean.numel()} numbers '
                f'{self.mean.flatten().tolist()} and std {self.std.numel()} '
                f'{self.std.flatten().tolist()}: give the data_preprocessor one of each a channel')
        if self.bgr_to_rgb and channels == 3:
            images = images.flip(1)
        images = images.to(torch.float32, memory_format=self.format)
        return images.sub(self.mean).div_(self.std)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return normalised ``inputs`` and their ``data_samples``, on the device.

        Args:
            data: ``inputs`` is a list of V tensors (B, C, h, w) and ``data_samples`` their `Views`,
                as :func:`mmdense.datasets.collate.collate_views` makes them; or ``inputs`` is a
                list of B images (C, H, W) or a batch (B, C, H, W), whose ``data_samples`` pass
                through.
            training: no matter.

        Returns:
            ``inputs``: V tensors (B, C, h, w) float32 and ``data_samples``: `Views`; or one tensor
            (B, C, H, W).

        Raises:
            ValueError: views that were not stacked where they were made.
        """
        samples = data.get('data_samples')
        if isinstance(samples, list) and samples and isinstance(samples[0], ViewSample):
            raise WrongValue('ViewsPreprocessor: the views of a batch come image by image, a file '
                             "descriptor for each of their tensors: set collate_fn=dict("
                             "type='mmdense.collate_views') in the data loader")
        inputs = self.cast_data(data['inputs'])
        if isinstance(samples, Views):
            return dict(inputs=[self.normalise(view) for view in inputs],
                        data_samples=samples.to(self.device, self._non_blocking))
        images = inputs if isinstance(inputs, Tensor) else stack_images(inputs)
        return dict(inputs=self.normalise(images), data_samples=self.cast_data(samples))
