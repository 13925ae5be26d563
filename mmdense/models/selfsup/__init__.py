from .base import DenseSSL
from .densecl import DenseCL
from .detcon import DetConB, DetConS
