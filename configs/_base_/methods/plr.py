"""Patch-level rotation with MoCoFCN's decoder; with ``r50_s16.py``, ``pipeline_plr``.

No paper describes it; what the founding notes leave open is ours: 4 x 4 patches, four angles, one
label per pixel.
"""
_base_ = './mocofcn_decoder.py'

model = dict(_base_.mocofcn, type='mmdense.PatchRotation', level='pixel')
