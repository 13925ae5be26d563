"""Frozen evaluation as loops, with labels (dense k-NN) and without; statistics as a hook."""
from .label_free_loop import LabelFreeValLoop
from .loops import DenseKNNTestLoop, DenseKNNValLoop
from .monitor_hook import FeatureMonitorHook
