from .base import DenseSSL
from .densecl import DenseCL
