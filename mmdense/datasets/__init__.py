"""Datasets: unlabelled images, CamVid, generated sets; samplers; transforms."""
from . import transforms
from .camvid import CamVidDataset
from .checks import check_dataset_paths
from .collate import collate_views
from .label_fraction import LabelFraction, label_fraction
from .samplers import ResumableSampler, SampleIndex
from .shapes import ShapeObjectsDataset, ShapesDataset
from .unlabelled import UnlabelledDataset
