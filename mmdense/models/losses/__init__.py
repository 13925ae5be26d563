from .alignment import (
    cell_cosine_loss,
    gram_loss,
    kernel_alignment_loss,
    linear_cka,
    standardised_cosine_loss,
)
from .detcon import DetConLoss, detcon_nce
from .foreground import foreground_nce
from .logsumexp import masked_logsumexp
from .nce import InfoNCE, info_nce, masked_nce
from .pixel import consistency_of_pairs, pixel_consistency, pixel_contrast
from .place import place_share
