from .bands_hook import BandsHook
from .batch_hook import BatchOfOneHook
from .checkpoint_hook import CheckpointHook
from .confusion_hook import ConfusionHook
from .descriptors_hook import DescriptorsHook
from .finite_loss_hook import FiniteLossHook
from .forward_count_hook import ForwardCountHook
from .label_counts_hook import LabelCountsHook
from .lars import LARS
from .lasso_hook import LassoHook
from .seed_hook import IterationSeedHook
from .skipped_images_hook import SkippedImagesHook
from .stop_below_start_hook import StopBelowStartHook
from .teacher_note_hook import TeacherNoteHook
from .unused_parameters import UnusedParametersHook
from .wrappers import (
    BFloat16OptimWrapper,
    CPUDistributedDataParallel,
    DistributedDataParallel,
)
