"""How a fine-tuning run behaves: the common runtime, and proof that pretrained weights arrived."""
_base_ = './default_runtime.py'

custom_hooks = [dict(type='mmdense.LoadReportHook')]
