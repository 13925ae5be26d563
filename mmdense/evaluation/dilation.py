"""Maps at another stride: a ResNet's finer ones by dilation, any network's coarser by averaging."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue


def find_stages(backbone: nn.Module) -> list[nn.Module]:
    """Return the stages ``layer1`` to ``layer4`` (or ``layer3``) of a ResNet, [] of others.

    Those of the network itself (timm's are wrapped), not of a ResNet that is a branch of another
    network. MobileNets, whose layers go on to ``layer7``, are no ResNets.
    """
    module, stages = getattr(backbone, 'timm_model', backbone), []
    while isinstance(getattr(module, f'layer{len(stages) + 1}', None), nn.Module):
        stages.append(getattr(module, f'layer{len(stages) + 1}'))
    return stages if len(stages) in (3, 4) else []


@torch.no_grad()
def stage_strides(backbone: nn.Module, stages: list[nn.Module], size: int = 64) -> list[int]:
    """Return each stage's stride in input pixels, seen by passing one empty image."""
    conv = next(m for m in backbone.modules() if isinstance(m, nn.Conv2d))
    sizes: list[int] = []
    handles = [stage.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
               for stage in stages]
    try:
        backbone(conv.weight.new_zeros(1, conv.in_channels, size, size))
    finally:
        for handle in handles:
            handle.remove()
    return [size // out for out in sizes]


def _dilate_block(block: nn.Module, dilation: int) -> int:
    """Remove the stride of one residual block, return the dilation of what comes after it."""
    after = dilation
    for name, module in block.named_modules():
        shortcut = 'downsample' in name
        if isinstance(module, nn.AvgPool2d) and shortcut:
            module.kernel_size = module.stride = 1      # as mmseg builds a ResNetV1d of stride 8
        if not isinstance(module, nn.Conv2d):
            continue
        stride = module.stride[0]
        if module.kernel_size[0] > 1:
            module.dilation = tuple(d * after for d in module.dilation)
            module.padding = tuple(p * after for p in module.padding)
            # what a convolution with another padding_mode than zeros pads by; set when it is built
            module._reversed_padding_repeated_twice = [p for p in reversed(module.padding)
                                                       for _ in range(2)]
        module.stride = (1, 1)
        if stride > 1 and not shortcut:
            if after > dilation:
                raise WrongValue('a block with more than one stride')
            after *= stride
    return after


def dilate(backbone: nn.Module, stride: int) -> None:
    """Change a ResNet in place so that no stage has a stride above ``stride`` input pixels.

    A convolution behind a removed stride n is dilated by n, so that every n-th cell of the finer
    map is a cell of the old one, exactly. For the basic and bottleneck blocks of mmseg,
    mmpretrain, torchvision and timm; weights are untouched.

    Raises:
        ValueError: the stem alone has a larger stride, or the blocks are of another make
            (Res2Net, ResNeSt); the backbone is then half changed.
    """
    stages = find_stages(backbone)
    strides = stage_strides(backbone, stages)
    dilation, problem = 1, None
    try:
        for stage, own in zip(stages, strides, strict=True):
            for block in stage.children() if own > stride else ():
                dilation = _dilate_block(block, dilation)
    except ValueError as error:
        problem = str(error)
    if problem or max(stage_strides(backbone, stages)) > stride:
        raise WrongValue(f'stride={stride} cannot be reached by dilating this '
                         f'{type(backbone).__name__} (its stages have strides {strides})')


def coarsen(features: Tensor, image: torch.Size, stride: int) -> Tensor:
    """Return a map (B, C, h, w) of images (H, W) averaged to one cell per ``stride`` pixels.

    The cells (ceil(H / stride), ceil(W / stride)) divide the image evenly. A map that has fewer
    than about two cells for each of these stays as it is.
    """
    sides = [-(-side // stride) for side in image]
    if any(round(own / wanted) < 2 for own, wanted in zip(features.shape[2:], sides,
                                                          strict=True)):
        return features
    return F.adaptive_avg_pool2d(features, sides)
