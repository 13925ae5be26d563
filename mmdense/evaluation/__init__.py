"""Frozen evaluation: dense k-NN segmentation as loops, statistics of features as a hook."""
from .loops import DenseKNNTestLoop, DenseKNNValLoop
from .monitor_hook import FeatureMonitorHook
