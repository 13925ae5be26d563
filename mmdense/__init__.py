"""MMDense: pretraining for dense prediction inside the OpenMMLab world."""
from .version import __version__

try:
    import mmcv  # noqa: F401
    import mmengine  # noqa: F401
    import mmpretrain  # noqa: F401
    import mmseg  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'MMDense needs the OpenMMLab packages and found no usable {error.name or "one"} '
        f'({error}): pip install "mmdense[onedl]"') from None

from . import compat
from .installed_configs import BASE

compat.setup()

from . import checkpoints, datasets, engine, evaluation, models  # noqa: E402

__all__ = ['BASE', '__version__', 'checkpoints', 'compat', 'datasets', 'engine', 'evaluation',
           'models']
