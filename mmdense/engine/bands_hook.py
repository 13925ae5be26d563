"""One clear error, not a stack trace, for images with other bands than the network's."""
from __future__ import annotations

from functools import partial

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import HOOKS


def first_convolution(backbone: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Return name and module of a backbone's first convolution, or None."""
    convolutions = ((name, module) for name, module in backbone.named_modules()
                    if isinstance(module, nn.Conv2d))
    return next(convolutions, None)


def refuse_other_bands(convolution: nn.Conv2d, inputs: tuple[Tensor, ...], name: str) -> None:
    """Raise if the images have other bands than the convolution takes.

    Raises:
        ValueError: with both numbers and the setting.
    """
    bands = inputs[0].shape[-3]
    if bands != convolution.in_channels:
        raise WrongValue(
            f"images have {bands} channels, but the backbone's first convolution ({name}) takes "
            f'{convolution.in_channels}: set model.backbone.in_channels={bands}, or load '
            f'{convolution.in_channels} channels (LoadImage channels={convolution.in_channels})')


def refuse_other_mean(preprocessor: nn.Module, inputs: tuple) -> None:
    """Raise unless a data preprocessor's mean has one number, or one per band.

    Raises:
        ValueError: with both numbers and the setting.
    """
    images = inputs[0].get('inputs') if inputs and isinstance(inputs[0], dict) else None
    while isinstance(images, (list, tuple)) and images:
        images = images[0]
    mean = getattr(preprocessor, 'mean', None)
    if not (isinstance(images, Tensor) and isinstance(mean, Tensor)) or images.ndim < 3:
        return
    bands = images.shape[-3]
    if mean.numel() not in (1, bands):
        raise WrongValue(
            f'images have {bands} channels, but mean of the data_preprocessor '
            f'({type(preprocessor).__name__}) has {mean.numel()} numbers: give it one mean and std '
            'per channel (tools/check.py measures them; for a segmentor of more than three '
            "bands take type='mmdense.MultibandSegDataPreProcessor')")


def watch_bands(model: nn.Module) -> None:
    """Let a model refuse images of other bands, with the setting to change; costs nothing."""
    model = model.module if is_model_wrapper(model) else model
    preprocessor = getattr(model, 'data_preprocessor', None)
    backbone = getattr(model, 'backbone', None)
    found = first_convolution(backbone) if isinstance(backbone, nn.Module) else None
    if isinstance(preprocessor, nn.Module):
        preprocessor.register_forward_pre_hook(refuse_other_mean)
    if found is not None:
        found[1].register_forward_pre_hook(partial(refuse_other_bands, name=found[0]))


@HOOKS.register_module()
class BandsHook(Hook):
    """Refuses images whose bands are not those of the data preprocessor and the backbone."""

    def before_run(self, runner: Runner) -> None:
        watch_bands(runner.model)
