"""DetCon_B's schedule with SimCLR's rate and decay, which are ours: nobody published DetCon_S's."""
_base_ = './detcon_b_coco.py'

optim_wrapper = dict(optimizer=dict(lr=0.3 * 1024 / 256, weight_decay=1e-6))
