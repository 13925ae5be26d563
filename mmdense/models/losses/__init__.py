from .detcon import DetConLoss, detcon_nce
from .logsumexp import masked_logsumexp
from .nce import InfoNCE, info_nce, masked_nce
from .pixel import pixel_consistency
