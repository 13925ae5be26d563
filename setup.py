"""Installs MMDense. What is not in the package's folder travels as ``mmdense/.mim``."""
import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

#: what `mmdense::…` in `_base_` and openmim look up inside the installed package
MIM_ENTRIES = ('configs', 'tools', 'model-index.yml')

#: no mm* distribution: either stack (extra `onedl` or `openmmlab`) gives the same modules.
#: scipy, ftfy and regex are imported by mmseg, which not every release of it says.
#: The oldest versions are those of `mmdense/compat.py`; a test compares them
REQUIREMENTS = ['torch>=2.6', 'torchvision>=0.21', 'numpy', 'opencv-python', 'pillow', 'matplotlib',
                'scikit-learn>=1.5', 'scikit-image>=0.24', 'tifffile', 'numba>=0.61', 'rich',
                'scipy', 'ftfy', 'regex']

EXTRAS = {
    'onedl': ['onedl-mmengine>=0.10.12', 'onedl-mmcv>=2.3.6', 'onedl-mmsegmentation>=1.4.2',
              'onedl-mmpretrain>=1.3.6'],
    # mmcv compiles; mmengine 0.10.7 needs pkg_resources, which setuptools 81 dropped
    'openmmlab': ['mmengine>=0.10.7', 'mmcv>=2.1.0', 'mmsegmentation>=1.2.2', 'mmpretrain>=1.2.0',
                  'setuptools<81'],
    'mim': ['openmim'],
    'tests': ['pytest', 'pytest-xdist', 'ruff', 'codespell', 'timm', 'safetensors'],
}


def read_version() -> str:
    """Return the version that the package itself states."""
    text = (ROOT / 'mmdense' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '([^']+)'", text).group(1)


def place_mim_entries(package: Path, link: bool) -> None:
    """Put configs, tools and the model index into ``package/.mim``, as links or as copies."""
    mim = package / '.mim'
    mim.mkdir(parents=True, exist_ok=True)
    for name in MIM_ENTRIES:
        source, target = ROOT / name, mim / name
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)
        if link:
            target.symlink_to(os.path.relpath(source, mim), target_is_directory=source.is_dir())
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy2(source, target)


class BuildWithMim(build_py):
    """Adds ``.mim``: links in the source tree when editable, copies in a wheel."""

    def run(self) -> None:
        super().run()
        package = ROOT / 'mmdense' if self.editable_mode else Path(self.build_lib) / 'mmdense'
        place_mim_entries(package, link=self.editable_mode)


setup(
    name='mmdense',
    version=read_version(),
    description='Self-supervised pretraining for dense prediction, on unlabelled images, '
                'for MMSegmentation',
    license_expression='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['mmdense', 'mmdense.*']),
    python_requires='>=3.11',
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
