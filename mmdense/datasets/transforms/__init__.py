"""Transforms: loading, views and their geometry, photometric changes, pretexts, packing, seeds."""
from .colour import ColourTarget, DropChannels, ToLightness
from .formatting import PackViews
from .geometric import RandomFlip, RandomResizedCrop
from .loading import LoadImage
from .multiview import MultiView
from .patches import PatchRotate
from .photometric import ColorJitter, GaussianBlur, RandomGrayscale, Solarize
from .regions import LoadRegions, MakeRegions, RegionsFromAnnotations
from .relative import RelativePatches
from .seeding import SeedSample
from .teacher import LoadTeacherMaps
