"""Datasets: unlabelled images, CamVid, generated sets; samplers; transforms."""
from . import transforms
from .camvid import CamVidDataset
from .collate import collate_views
from .dataset_paths import check_dataset_paths
from .label_fraction import LabelFraction, label_fraction
from .multi_task import MultiTaskDataset, MultiTaskSampler, collate_tasks
from .samplers import ResumableSampler, SampleIndex
from .shapes import ShapeObjectsDataset, ShapesDataset
from .unlabelled import UnlabelledDataset
