"""Distillation of the cells of a frozen DINOv2 ViT-B/14; with ``r50.py``, ``pipeline_distill``.

No paper describes this setting; loss, projector and input are ours. ``model.teacher.checkpoint``
is a file of yours: dinov2_vitb14_pretrain.pth of github.com/facebookresearch/dinov2, Apache-2.0.
"""
model = dict(
    type='mmdense.DenseDistill',
    teacher=dict(
        backbone=dict(type='mmseg.TIMMBackbone', model_name='vit_base_patch14_dinov2',
                      features_only=True, pretrained=False, dynamic_img_size=True),
        checkpoint=None,
        levels=(-1,),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        size=(224, 224),
        name='DINOv2 ViT-B/14',
        licence='Apache-2.0'),
    loss=dict(type='mmdense.StandardisedCosineLoss'),
    projector=dict(type='mmdense.Projector', num_layers=1),
    levels=(-1,),
    # a folder of tools/cache_teacher.py; the view's pipeline then is pipeline_taught
    cache=None)
