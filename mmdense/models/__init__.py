from . import cell_regions, combination, losses, matching, necks, penalties, selfsup
from .data_preprocessor import ViewsPreprocessor
from .seg_preprocessor import MultibandSegDataPreProcessor
