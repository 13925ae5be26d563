from .base import DenseSSL
from .colorization import Colorization
from .cp2 import CP2
from .dense_distill import DenseDistill
from .densecl import DenseCL
from .detcon import DetConB, DetConS
from .exemplar import Exemplar
from .location import LocationContrast
from .moco import MoCo
from .motion_segmentation import MotionSegmentation
from .multi_task import MultiTask
from .paka import PaKA
from .patch_rotation import PatchRotation
from .pixpro import PixContrast, PixPro
from .plmoco import PLMoCo
from .relative_position import RelativePosition
from .two_branch import TwoBranchSSL
from .vader import VADeR
