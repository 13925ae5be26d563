from .initializer import PretrainedBackbone
from .layouts import find_backbone
from .load_report import LoadReport
from .load_report_hook import LoadReportHook
from .reading import read_checkpoint

__all__ = ['LoadReport', 'LoadReportHook', 'PretrainedBackbone', 'find_backbone',
           'read_checkpoint']
