from . import cell_regions, losses, matching, necks, selfsup
from .data_preprocessor import ViewsPreprocessor
