# How a run behaves, whatever it trains: seeds, checkpoints, logs. Iterations, not epochs.
default_scope = 'mmseg'
randomness = dict(seed=0)
launcher = 'none'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    finite_loss=dict(type='mmdense.FiniteLossHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmdense.CheckpointHook', by_epoch=False, interval=1000,
                    max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    iteration_seed=dict(type='mmdense.IterationSeedHook'),
    batch_of_one=dict(type='mmdense.BatchOfOneHook'),
    descriptors=dict(type='mmdense.DescriptorsHook'),
    bands=dict(type='mmdense.BandsHook'))

# without a GPU, tools/train.py takes gloo instead of nccl
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
