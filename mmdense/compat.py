"""What MMDense knows about the versions of other packages; the only file that does."""
from __future__ import annotations

from importlib import metadata

#: import name -> distributions that provide it, the maintained OneDL one first
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
}


def installed_distribution(module: str) -> str | None:
    """Return the name of the installed distribution that provides ``module``, or None."""
    for name in DISTRIBUTIONS[module]:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    return None


def register_config_packages() -> None:
    """Let ``mmseg::``, ``mmpretrain::`` and ``mmdense::`` in ``_base_`` find installed configs.

    mmengine maps an import name to a distribution name; on OneDL that distribution has another
    name, and ours is not in the map at all.
    """
    from mmengine.config import utils
    for module in ('mmseg', 'mmpretrain'):
        name = installed_distribution(module)
        if name is not None:
            utils.MODULE2PACKAGE[module] = name
    utils.MODULE2PACKAGE['mmdense'] = 'mmdense'


def setup() -> None:
    """Make other packages behave; called once when ``mmdense`` is imported."""
    register_config_packages()
