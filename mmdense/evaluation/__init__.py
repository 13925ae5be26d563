"""Frozen evaluation as loops, with labels (dense k-NN) and without; statistics as a hook."""
from .knn_loops import DenseKNNTestLoop, DenseKNNValLoop
from .label_free_loop import LabelFreeValLoop
from .monitor_hook import FeatureMonitorHook
