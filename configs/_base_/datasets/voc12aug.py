"""mmseg's own VOC 2012 aug with exact resume and checked annotations; 16 a step on 4 processes."""
_base_ = 'mmseg::_base_/datasets/pascal_voc12_aug.py'

num_classes = 21
check = dict(type='mmdense.CheckAnnotations', num_classes=num_classes)
# stock: load image and labels, then the rest; in the test, load, resize, load labels, pack
train_pipeline = [
    dict(type='mmdense.SeedSample'),
    *_base_.train_pipeline[:2],
    check,
    *_base_.train_pipeline[2:],
]
test_pipeline = [*_base_.test_pipeline[:3], check, *_base_.test_pipeline[3:]]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(datasets=[dict(_base_.dataset_train, pipeline=train_pipeline),
                           dict(_base_.dataset_aug, pipeline=train_pipeline)]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
