"""What to change in a config if a checkpoint does not fit the backbone's architecture."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

#: ResNet depth by blocks of each stage and whether a block is a bottleneck
DEPTHS = {((2, 2, 2, 2), False): 18, ((3, 4, 6, 3), False): 34, ((3, 4, 6, 3), True): 50,
          ((3, 4, 23, 3), True): 101, ((3, 8, 36, 3), True): 152}


def hints(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> list[str]:
    """Return one sentence for each recognised difference of a file and a backbone.

    Args:
        source: the file's tensors, by the backbone's names.
        target: the backbone's tensors.
    """
    return [hint for hint in (stem_hint(source, target), depth_hint(source, target),
                              channel_hint(source, target), position_hint(source, target))
            if hint]


def resnet_type(names: Iterable[str]) -> str | None:
    """Return the class that tensors of a ResNet belong to, None for anything else."""
    names = {name.removeprefix('timm_model.') for name in names}
    if not any(name.startswith('layer1.0.') for name in names):
        return None
    if 'stem.0.weight' not in names:
        return 'ResNet' if 'conv1.weight' in names else None
    # V1d averages before the shortcut's convolution, which moves it to place 1
    return 'ResNetV1d' if 'layer2.0.downsample.2.weight' in names else 'ResNetV1c'


def stem_hint(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> str | None:
    """Name the file's ``backbone.type`` if its stem differs from the model's."""
    file, model = resnet_type(source), resnet_type(target)
    if file is None or model is None or file == model:
        return None
    stems = {'ResNet': "one 7x7 convolution, 'conv1'", 'ResNetV1c': "three 3x3 ones, 'stem.0'",
             'ResNetV1d': "three 3x3 ones, 'stem.0', and averaged shortcuts"}
    return (f"the file is of {file} (stem: {stems[file]}), the model of {model} (stem: "
            f"{stems[model]}): set backbone.type='{file}'")


def resnet_stages(names: Iterable[str]) -> tuple[tuple[int, ...], bool] | None:
    """Return the blocks per stage and whether they are bottlenecks; None if it is no ResNet."""
    found = [m for m in (re.search(r'(?:^|\.)layer(\d)\.(\d+)\.(conv\d)\.', n) for n in names) if m]
    if not found:
        return None
    blocks: dict[int, int] = {}
    for match in found:
        stage, block = int(match[1]), int(match[2])
        blocks[stage] = max(blocks.get(stage, 0), block + 1)
    return tuple(blocks[s] for s in sorted(blocks)), any(m[3] == 'conv3' for m in found)


def depth_hint(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> str | None:
    """Name the depth that the file seems to have, if it differs from the model's."""
    file, model = resnet_stages(source), resnet_stages(target)
    if file is not None and model is not None:
        shared = min(len(file[0]), len(model[0]))  # a model may have fewer stages
        if file[1] == model[1] and file[0][:shared] == model[0][:shared]:
            return None
        depth = DEPTHS.get(file)
        kind = 'bottleneck' if file[1] else 'basic'
        seems = f'depth {depth}' if depth else f'{"-".join(map(str, file[0]))} {kind} blocks'
        own = DEPTHS.get(model)
        return (f'the file seems to be of {seems}, the model is of '
                f'{f"depth {own}" if own else "another depth"}'
                + (f': set backbone.depth={depth}' if depth else ''))
    file, model = layers(source), layers(target)
    if 0 < file < model:  # fewer in the model is how timm cuts off what is not looked at
        return f'the file has {file} transformer layers, the model {model}'
    return None


def layers(names: Iterable[str]) -> int:
    """Return the number of layers of a plain transformer, 0 for anything else."""
    found = [re.match(r'(?:timm_model\.)?(?:layers|blocks)\.(\d+)\.', name) for name in names]
    return max((int(match[1]) + 1 for match in found if match), default=0)


def channel_hint(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> str | None:
    """Say that the first convolution takes another number of image channels."""
    first = next((n for n, t in target.items() if t.ndim == 4 and n.endswith('weight')), None)
    if first is None or first not in source or source[first].ndim != 4:
        return None
    file, model = source[first].shape[1], target[first].shape[1]
    if file == model:
        return None
    return (f"the first convolution ('{first}') takes {file} image channels in the file and "
            f'{model} in the model: set backbone.in_channels={file}')


def position_hint(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> str | None:
    """Say that the position embedding is for another image size."""
    for name, own in target.items():
        table = source.get(name)
        if name.endswith('pos_embed') and table is not None and table.ndim == own.ndim == 3 \
                and table.shape[1] != own.shape[1] and table.shape[2] == own.shape[2]:
            return (f"'{name}' has {table.shape[1]} positions in the file and {own.shape[1]} in "
                    'the model: set backbone.img_size as in the pretraining (the backbone '
                    'resizes its positions for each image)')
    return None
