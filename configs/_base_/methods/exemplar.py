"""Exemplar as a triplet hinge (1708.07860, sec. 3.3); with ``pipeline_exemplar``.

Vectors of 1,024 numbers and a margin of 0.5 on the cosine distance are from memory, *not verified*;
which negatives are taken is ours.
"""
model = dict(
    type='mmdense.Exemplar',
    projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=1024,
                   norm_cfg=dict(type='BN')),
    negatives='one',
    margin=0.5)
