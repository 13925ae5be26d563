"""EDMoCo: MoCo v2 whose encoder is an encoder-decoder; the decoder's feature is pooled."""
_base_ = ['./moco.py', './mocofcn_decoder.py']

model = dict(_base_.mocofcn, projector=dict(hidden_channels=256))
