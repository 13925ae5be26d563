"""Pictures of features and predictions."""
from .combination_figure import draw_combinations
from .feature_report import draw_report, draw_segmentations
from .figures import draw_predictions
from .image_files import ImageFiles
