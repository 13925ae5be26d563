"""8 of the 60 labelled generated scenes to train on, always the same ones, 150 to score."""
_base_ = './shapes.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmdense.LabelFraction',
        dataset=_base_.train_dataloader.dataset,
        fraction='1/8',
        seed=0))
