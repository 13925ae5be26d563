"""Methods small enough to train in a test, and views for them."""
from __future__ import annotations

import torch
from mmengine.registry import MODELS, DefaultScope

import mmdense  # noqa: F401
from mmdense.structures import Views

BACKBONE = dict(type='ResNet', depth=18, num_stages=4, out_indices=(3,), base_channels=8,
                norm_cfg=dict(type='BN'), zero_init_residual=False)


def config(**changes) -> dict:
    head = dict(type='mmdense.Projector', in_channels=64, hidden_channels=32, out_channels=16)
    return {**dict(
        type='mmdense.DenseCL', backbone=BACKBONE, projector=head, dense_projector=head,
        queue=dict(size=24), twin=dict(momentum=0.9, bn='plain'), dense_warmup=0,
        loss=dict(type='mmdense.InfoNCE', temperature=0.2),
        matcher=dict(type='mmdense.SimilarityMatcher'),
        data_preprocessor=dict(type='BaseDataPreprocessor')), **changes}


def moco_config(**changes) -> dict:
    """MoCo as far as it is :func:`config`'s DenseCL."""
    whole = config(type='mmdense.MoCo')
    names = ('type', 'backbone', 'projector', 'queue', 'twin', 'loss', 'data_preprocessor')
    return {**{name: whole[name] for name in names}, **changes}


def build_moco(**changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(moco_config(**changes))


def build(**changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(config(**changes))


def build_cp2(**changes):
    """CP2 on a small decoder of two dilations, without norm in its head."""
    cfg = moco_config(
        type='mmdense.CP2', backbone={**BACKBONE, 'strides': (1, 2, 2, 1)},
        projector=dict(type='mmdense.Projector', hidden_channels=32, out_channels=16),
        decode_head=dict(type='ASPPHead', in_channels=64, in_index=-1, channels=12,
                         dilations=(1, 2), num_classes=3, norm_cfg=dict(type='BN')))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**cfg, **changes})


def build_location(**changes):
    """Location contrast, without norm in its head, so that processes add up."""
    head = dict(type='mmdense.Projector', in_channels=64, hidden_channels=32, out_channels=16)
    cfg = dict(type='mmdense.LocationContrast', backbone=BACKBONE, projector=head, num_cells=64,
               loss=dict(type='mmdense.InfoNCE', temperature=0.2),
               data_preprocessor=dict(type='BaseDataPreprocessor'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**cfg, **changes})


def multi_task_config(**changes) -> dict:
    """MoCo (``image``) and DenseCL (``cells``, weight 0.5) on one backbone."""
    tasks = dict(image=moco_config(), cells=config(weight=0.5))
    for task in tasks.values():
        del task['backbone'], task['data_preprocessor']
    return {**dict(type='mmdense.MultiTask', backbone=BACKBONE, tasks=tasks), **changes}


def plmoco_config(**changes) -> dict:
    """PLMoCo as far as it is :func:`config`'s DenseCL; no norm in the heads."""
    names = ('backbone', 'twin', 'loss', 'data_preprocessor')
    whole = config()
    return {**dict(type='mmdense.PLMoCo', queue=dict(size=64), num_cells=8,
                   cell_projector=whole['dense_projector']),
            **{name: whole[name] for name in names}, **changes}


def build_plmoco(**changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(plmoco_config(**changes))


def pixel_config(kind: str, **changes) -> dict:
    """PixPro or PixContrast; no norm in the heads, so that processes add up."""
    names = ('backbone', 'twin', 'data_preprocessor')
    whole = config()
    own = dict(context=dict(type='mmdense.PixelPropagation', in_channels=16)) \
        if kind == 'PixPro' else {}
    return {**dict(type=f'mmdense.{kind}', projector=whole['projector'], **own),
            **{name: whole[name] for name in names}, **changes}


def build_pixel(kind: str, **changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(pixel_config(kind, **changes))


def build_multi_task(**changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(multi_task_config(**changes))


def views_of(index: torch.Tensor) -> Views:
    batch = len(index)
    return Views(boxes=torch.tensor([0., 0, 64, 64]).expand(2, batch, 4), regions=None,
                 flips=torch.zeros(2, batch, dtype=torch.bool), index=index)


def detcon_config(kind: str, **changes) -> dict:
    """DetCon_S or DetCon_B by its letter; no norm in the heads, so that processes add up."""
    def head(channels):
        return dict(type='mmdense.Projector', in_channels=channels, hidden_channels=32,
                    out_channels=16)
    of_b = dict(predictor=head(16), twin=dict(momentum=0.9, bn='plain')) if kind == 'B' else {}
    return {**dict(
        type=f'mmdense.DetCon{kind}', backbone=BACKBONE, projector=head(64), num_samples=8,
        loss=dict(type='mmdense.DetConLoss', gather_grad=kind == 'S'),
        data_preprocessor=dict(type='BaseDataPreprocessor')), **of_b, **changes}


def build_detcon(kind: str, **changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(detcon_config(kind, **changes))


def region_views(batch: int, side: int = 64, views: int = 2, ids: int = 4) -> Views:
    """Two overlapping views, the second mirrored, then whole images; blocks of random ids."""
    boxes = torch.tensor([[0., 0, 0.75, 0.75], [0.25, 0.25, 1, 1], [0, 0, 1, 1]]) * side
    blocks = [torch.randint(0, ids + 1, (batch, 8, 8)) for _ in range(views)]
    order = [min(view, 2) for view in range(views)]
    return Views(boxes=boxes[order][:, None].expand(-1, batch, -1), index=torch.arange(batch),
                 flips=torch.tensor([view == 1 for view in order])[:, None].expand(-1, batch),
                 regions=[torch.kron(part, torch.ones(side // 8, side // 8, dtype=torch.int64))
                          for part in blocks])


#: a decoder of the last map, without norm that would tell processes apart
DECODER = dict(type='FCNHead', in_channels=64, in_index=-1, channels=12, num_convs=1,
               concat_input=False, norm_cfg=dict(type='BN'))


def build_rotation(**changes):
    """Patch-level rotation on a decoder of the last map at stride 8."""
    cfg = dict(type='mmdense.PatchRotation', decode_head=DECODER,
               backbone={**BACKBONE, 'strides': (1, 2, 1, 1)},
               data_preprocessor=dict(type='BaseDataPreprocessor'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**cfg, **changes})


def turned_views(batch: int, side: int = 64, grid: int = 4, margin: int = 2) -> Views:
    """Geometry of views whose patches were turned, with a margin at their seams."""
    g = torch.Generator().manual_seed(7)
    numbers = torch.arange(1, grid * grid + 1).view(grid, grid)
    mask = numbers.repeat_interleave(side // grid, 0).repeat_interleave(side // grid, 1)
    for seam in range(side // grid, side, side // grid):
        mask[seam - margin:seam + margin] = mask[:, seam - margin:seam + margin] = 0
    views = views_of(torch.arange(batch))
    turns = torch.randint(0, 4, (batch, grid, grid), generator=g)
    one = views.take((0,))
    one.targets, one.masks = [turns], [mask.expand(batch, -1, -1)]
    return one


def build_vader(**changes):
    """VADeR on a decoder of four maps, at stride 4; its head has no norm."""
    channels = [8, 16, 32, 64]
    decoder = dict(type='FPNHead', in_channels=channels, in_index=[0, 1, 2, 3], channels=12,
                   feature_strides=[4, 8, 16, 32], norm_cfg=dict(type='BN'))
    head = dict(type='mmdense.Projector', hidden_channels=32, out_channels=16)
    return build_plmoco(**{**dict(
        type='mmdense.VADeR', backbone={**BACKBONE, 'out_indices': (0, 1, 2, 3)},
        decode_head=decoder, cell_projector=head), **changes})


def build_pretext(kind: str, **changes):
    """A predictive pretext by its name; no norm in the heads."""
    head = dict(type='mmdense.Projector', hidden_channels=32)
    own = dict(Exemplar=dict(projector=dict(head, out_channels=16)),
               MotionSegmentation={}).get(kind, dict(head=head))
    cfg = dict(type=f'mmdense.{kind}', backbone=BACKBONE, **own,
               data_preprocessor=dict(type='BaseDataPreprocessor'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**cfg, **changes})
