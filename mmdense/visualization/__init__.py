"""Pictures of features and predictions."""
from .figures import draw_predictions
from .image_files import ImageFiles
from .report import draw_report, draw_segmentations
