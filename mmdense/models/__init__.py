from . import cell_regions, losses, matching, necks, penalties, selfsup
from .data_preprocessor import ViewsPreprocessor
from .seg_preprocessor import MultibandSegDataPreProcessor
