"""Transforms: loading, views and their geometry, photometric changes, packing, seeds."""
from .formatting import PackViews
from .geometric import RandomFlip, RandomResizedCrop
from .loading import LoadImage
from .multiview import MultiView
from .patches import PatchRotate
from .photometric import ColorJitter, GaussianBlur, RandomGrayscale, Solarize
from .regions import LoadRegions, MakeRegions, RegionsFromAnnotations
from .seeding import SeedSample
