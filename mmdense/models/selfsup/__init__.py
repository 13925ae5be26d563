from .base import DenseSSL
from .contrast import QueueContrast
from .densecl import DenseCL
from .moco import MoCoV2
