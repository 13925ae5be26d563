from .projector import Projector
