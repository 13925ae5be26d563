"""How a pretraining run behaves: the common runtime, features and unreadable images reported."""
_base_ = './default_runtime.py'

custom_hooks = [
    dict(type='mmdense.FeatureMonitorHook', interval=50),
    dict(type='mmdense.SkippedImagesHook'),
    dict(type='mmdense.ForwardCountHook'),
    dict(type='mmdense.ConfusionHook', interval=500),
    dict(type='mmdense.TeacherNoteHook'),
    dict(type='mmdense.UnusedParametersHook'),
]
