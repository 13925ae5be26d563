from .detcon import DetConLoss, detcon_nce
from .gather import gather_with_gradient
from .logsumexp import masked_logsumexp
from .nce import InfoNCE, info_nce, masked_nce
