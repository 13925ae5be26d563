from .context import PixelPropagation
from .projector import Projector
