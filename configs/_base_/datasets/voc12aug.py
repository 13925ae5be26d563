"""mmseg's own VOC 2012 aug with exact resume; 16 per step on 4 processes."""
_base_ = 'mmseg::_base_/datasets/pascal_voc12_aug.py'

num_classes = 21
train_pipeline = [dict(type='mmdense.SeedSample'), *_base_.train_pipeline]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(datasets=[dict(_base_.dataset_train, pipeline=train_pipeline),
                           dict(_base_.dataset_aug, pipeline=train_pipeline)]))
