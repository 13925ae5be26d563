from .logsumexp import masked_logsumexp
from .nce import InfoNCE, info_nce, masked_nce
