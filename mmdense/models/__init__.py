from . import losses, matching, necks, selfsup
from .data_preprocessor import ViewsPreprocessor
