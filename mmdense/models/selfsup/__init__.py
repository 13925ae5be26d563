from .base import DenseSSL
from .cp2 import CP2
from .densecl import DenseCL
from .detcon import DetConB, DetConS
from .location import LocationContrast
from .moco import MoCo
from .multi_task import MultiTask
from .patch_rotation import PatchRotation
from .pixpro import PixContrast, PixPro
from .plmoco import PLMoCo
from .two_branch import TwoBranchSSL
from .vader import VADeR
