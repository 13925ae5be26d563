"""PLEDMoCo: PLMoCo whose cells are those of a decoder's map."""
_base_ = ['./plmoco.py', './mocofcn_decoder.py']

model = dict(
    _base_.mocofcn,
    projector=dict(hidden_channels=256),
    cell_projector=dict(hidden_channels=256))
