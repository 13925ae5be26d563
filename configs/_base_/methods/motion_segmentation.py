"""Motion segmentation (1612.06370; a linear layer on a fine map as in 1708.07860); ``r50_s16.py``.

From memory, *not verified*; the papers' masks are of another program.
"""
model = dict(type='mmdense.MotionSegmentation')
