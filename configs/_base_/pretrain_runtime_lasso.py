"""The runtime of a pretraining whose tasks read sparse combinations of blocks (``combine``)."""
_base_ = './pretrain_runtime.py'

custom_hooks = [*_base_.custom_hooks, dict(type='mmdense.LassoHook', weight=0.1)]
