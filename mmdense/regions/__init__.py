"""Regions of an image: ids (H, W), 0 = no region; made, read from files, or from labels."""
from .felzenszwalb import felzenszwalb
from .files import RegionFileError, read_regions, region_file, write_regions
from .folder import make_folder
from .grid import grid_regions
from .ground_truth import instance_regions, semantic_regions
from .methods import METHODS, make_regions, resolve_options
from .region_checks import compact_regions
from .skimage_segmenters import skimage_regions

__all__ = ['METHODS', 'RegionFileError', 'compact_regions', 'felzenszwalb', 'grid_regions',
           'instance_regions', 'make_folder', 'make_regions', 'read_regions', 'region_file',
           'resolve_options', 'semantic_regions', 'skimage_regions', 'write_regions']
