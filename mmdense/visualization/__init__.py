"""Pictures of features and predictions."""
from .figures import draw_predictions
from .image_files import ImageFiles, find_pipeline
from .report import draw_report, draw_segmentations
