from .context import CooccurrenceContext, NeighbourContext, PixelPropagation, add_context
from .projector import Projector
