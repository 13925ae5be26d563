"""What MMDense knows about the versions of other packages; the only file that does."""
from __future__ import annotations

import copy
import functools
import importlib
import inspect
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from multiprocessing.queues import Queue
from pathlib import Path
from types import ModuleType
from typing import Any

from .limits import keep_freed_memory, raise_descriptor_limit
from .mistakes import MissingFile, WrongValue

#: import name -> distributions that provide it, the maintained OneDL one first, and the oldest
#: supported version of each, as in setup.py; torch 2.6 is the first whose ``weights_only`` holds
DISTRIBUTIONS = {
    'mmengine': {'onedl-mmengine': '0.10.12', 'mmengine': '0.10.7'},
    'mmcv': {'onedl-mmcv': '2.3.6', 'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'},
    'mmseg': {'onedl-mmsegmentation': '1.4.2', 'mmsegmentation': '1.2.2'},
    'mmpretrain': {'onedl-mmpretrain': '1.3.6', 'mmpretrain': '1.2.0'},
    'torch': {'torch': '2.6'},
    'torchvision': {'torchvision': '0.21'},
}

#: import name -> version of its first distribution that the tests run with
TESTED = {
    'mmengine': '0.10.12',
    'mmcv': '2.3.6',
    'mmseg': '1.4.2',
    'mmpretrain': '1.3.6',
    'torch': '2.15',
    'torchvision': '0.29',
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


def check_versions() -> None:
    """Warn about each package that is older than MMDense supports, and name the fix."""
    from mmengine.utils import digit_version
    for module, distributions in DISTRIBUTIONS.items():
        name = installed_distribution(module)
        if name is None:  # installed in a way that leaves no record: nothing to compare
            continue
        version, oldest = metadata.version(name), distributions[name]
        if digit_version(version.split('+')[0]) < digit_version(oldest):
            warnings.warn(f'{name} {version} is older than MMDense supports (>= {oldest}, tested '
                          f'with {next(iter(distributions))} {TESTED[module]}): pip install -U '
                          f"'{name}>={oldest}'", stacklevel=2)


def _wrap(owner: type, name: str, wrapper: Callable) -> None:
    """Put ``wrapper(function)`` in the place of a class's method, static method or property, once.

    What stands there carries a mark, so that a second call, or one on a class that inherits it,
    finds nothing to do.
    """
    found = inspect.getattr_static(owner, name)
    function = getattr(found, 'fget', None) or getattr(found, '__func__', found)
    if getattr(function, 'of_mmdense', False):
        return
    wrapped = functools.wraps(function)(wrapper(function))
    wrapped.of_mmdense = True
    kind = type(found) if isinstance(found, (property, staticmethod)) else lambda method: method
    setattr(owner, name, kind(wrapped))


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


def find_bases() -> None:
    """Resolve ``mmdense::NAME`` in ``_base_`` to our config NAME; explain a base that is not found.

    mmengine wants a slash in NAME. It marks what comes from another package with its scope, and
    then looks only there and in mmengine; our configs name our own components with the scope
    already, and their other names are mmseg's, as ``default_scope`` says. Of a name that it does
    not find it says neither the whole nor what was expected.
    """
    from mmengine.config import Config

    from .installed_configs import find_config

    def finder(find: Callable) -> Callable:
        def find_base(cfg_path: str, filename: str) -> tuple[str, str | None]:
            package, colons, name = cfg_path.partition('::')
            if not colons:
                return find(cfg_path, filename)
            if package == 'mmdense':
                return find_config(name), None
            try:
                return find(cfg_path, filename)
            except (AssertionError, ImportError, OSError, ValueError) as error:
                # the other two speak of mmengine's own functions
                reason = f'{error}; ' if isinstance(error, (ImportError, OSError)) else ''
                raise MissingFile(
                    f'config {cfg_path}: {reason}expected PACKAGE::FOLDER/NAME.py of an installed '
                    'OpenMMLab package, such as mmseg::_base_/models/fcn_r50-d8.py') from None
        return find_base
    _wrap(Config, '_get_cfg_path', finder)


def import_in_dumps() -> None:
    """Let the config text that a run writes import MMDense if the config uses it.

    ``mmdense.BASE`` imports when it is read, and the dumped text, which has no bases, would not.
    mmengine's own way, ``custom_imports``, can stand in one base only, and a config that sets it
    for modules of its own takes away what its bases had.
    """
    from mmengine.config import Config

    def importing(format_text: Callable) -> Callable:
        def pretty_text(self: Config) -> str:
            given = self._cfg_dict.get('custom_imports') or {}
            listed = given.get('imports') or []
            listed = [listed] if isinstance(listed, str) else list(listed)
            if 'mmdense' not in listed and 'mmdense' in f'{self.text}{self._cfg_dict}':
                self = copy.copy(self)      # of this one only the text is taken
                self.custom_imports = {**given, 'imports': [*listed, 'mmdense']}
            import_yapf()
            return format_text(self)
        return pretty_text
    _wrap(Config, 'pretty_text', importing)


def import_yapf() -> None:
    """Import yapf, which formats configs, in one process at a time.

    At its first import after an installation it writes its grammar into the user's cache, not
    whole, and another process of the run reads what is there so far.
    """
    if 'yapf' in sys.modules:
        return
    from .files import LOCK, locked
    with locked(Path(tempfile.gettempdir(), f'mmdense-{os.getuid()}', LOCK), wait=True):
        importlib.import_module('yapf')


def install_reader() -> None:
    """Read every checkpoint, whoever loads it, with :mod:`mmdense.checkpoints.reading`.

    OneDL's mmengine falls back to running a pickle that it cannot read safely, and 0.10.7 does
    not read its own files with a new torch. ``load_url`` and ``_safe_torch_load`` are what the
    loaders of ``https://``, ``torchvision://``, ``open-mmlab://``, ``mmcls://``, ``s3://`` and
    ``pavi://`` finally call; torch's ``load_url`` runs what it downloads.
    """
    from mmengine.runner import checkpoint

    from .checkpoints import reading
    checkpoint.CheckpointLoader.register_scheme('', reading.load_from_local, force=True)
    checkpoint.load_url = reading.load_url
    checkpoint._safe_torch_load = reading.load_stream


def keep_texts_unrun() -> None:
    """Let an inferencer without a config ask for one.

    mmengine's would run the text that the checkpoint has for its config as a program, and build
    whatever it names.
    """
    from mmengine.infer import BaseInferencer

    def asking(make: Callable) -> Callable:
        def init_model(self: Any, cfg: Any, weights: str | None, device: str = 'cpu') -> Any:
            if not cfg:
                raise WrongValue(f'{weights}: the config in a checkpoint is not run; give the '
                                 'config as well: model=CONFIG')
            return make(self, cfg, weights, device)
        return init_model
    _wrap(BaseInferencer, '_init_model', asking)


def install_backbone_weights() -> None:
    """Let models be built with ``init_cfg=dict(type='mmdense.PretrainedBackbone', …)``.

    mmengine has no initialiser that comes last but its own ``Pretrained``; many backbones go on
    to initialise parts of themselves after theirs, and some never call it. So the builder of
    models takes this one out of the config, and the built module loads after its own
    ``init_weights``. Only registries of models get it: those that are there, and through mmengine's
    also those that come later, which inherit its builder. ``build_from_cfg``, the builder of all
    others, stays mmengine's own.
    """
    from mmengine.registry import MODELS, build_model_from_cfg

    from .checkpoints.initializer import build_model
    registries = [MODELS]
    for registry in registries:
        if registry.build_func is build_model_from_cfg:
            registry.build_func = functools.partial(build_model, build_model_from_cfg)
        registries += registry.children.values()


def when_imported(name: str, change: Callable[[], None]) -> None:
    """Call ``change`` once a module is imported, however it is; now if it is already.

    What changes a package that takes seconds to import waits for those who need it.
    """
    if name in sys.modules:
        change()
        return
    if any((name, change) == getattr(finder, 'waits_for', None) for finder in sys.meta_path):
        return

    class Finder(MetaPathFinder):
        waits_for = name, change

        def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
            if fullname != name:
                return None
            sys.meta_path.remove(self)
            spec = find_spec(name)
            run = spec.loader.exec_module

            def run_and_change(module: ModuleType) -> None:
                run(module)
                change()
            spec.loader.exec_module = run_and_change
            return spec
    sys.meta_path.insert(0, Finder())


def install_label_checks() -> None:
    """Check label maps as they stand in their files.

    mmseg's ``LoadAnnotations`` makes 8-bit numbers of whatever the decoder gives before anything
    looks at it, and does not know the number of classes; a mask of 0 and 255 is one class to it.
    mmcv's own, on a dataset of mmseg's, applies neither ``reduce_zero_label`` nor ``label_map``.
    So the samples of mmseg's datasets say what their labels may be, and both transforms read them
    with :func:`mmdense.datasets.label_maps.load_label_map`.
    """
    from mmcv.transforms import LoadAnnotations
    from mmseg.datasets import BaseCDDataset, BaseSegDataset, transforms
    for dataset in (BaseSegDataset, BaseCDDataset):
        _wrap(dataset, 'get_data_info', _with_classes)
    _wrap(LoadAnnotations, '_load_seg_map', _checked_where_known)
    _wrap(transforms.LoadAnnotations, '_load_seg_map', _checked)


def install_label_counts() -> None:
    """Count the classes that label maps show: every runner has a ``LabelCountsHook``."""
    from mmengine.runner import FlexibleRunner, Runner
    for kind in (Runner, FlexibleRunner):
        for name in ('train', 'val', 'test'):
            _wrap(kind, name, _with_label_counts)


def _with_classes(get_data_info: Any) -> Any:
    def known(self: Any, idx: int) -> dict:
        classes = self._metainfo.get('classes')
        return {**get_data_info(self, idx), 'num_classes': len(classes) if classes else None,
                'ignore_index': getattr(self, 'ignore_index', 255)}
    return known


def _checked(load: Any) -> Any:
    def checked(self: Any, results: dict) -> None:
        from .datasets.label_maps import load_label_map
        load_label_map(self, results)
    return checked


def _checked_where_known(load: Any) -> Any:
    def checked(self: Any, results: dict) -> None:
        (_checked(load) if 'num_classes' in results else load)(self, results)
    return checked


def _with_label_counts(run: Any) -> Any:
    def counted(self: Any) -> Any:
        from .engine import LabelCountsHook
        if not any(isinstance(hook, LabelCountsHook) for hook in self._hooks):
            self.register_hook(LabelCountsHook())
        return run(self)
    return counted


def end_mute_workers() -> None:
    """Let a data loader's worker end that cannot hand over a batch, and with it the run.

    Python's queues print why (no descriptors, no shared memory left) and go on without it; torch's
    loader waits for that batch for ever.
    """
    def ending(tell: Callable) -> Callable:
        def tell_or_end(error: BaseException, content: Any) -> None:
            from torch.utils.data import get_worker_info
            if get_worker_info() is None:
                tell(error, content)
                return
            print(f'data loader worker (process {os.getpid()}) cannot hand over its batch: '
                  f'{error}', file=sys.stderr, flush=True)
            os._exit(1)
        return tell_or_end
    _wrap(Queue, '_on_queue_feeder_error', ending)


def setup() -> None:
    """Change what other packages and the system do; once, however often it is called."""
    check_versions()
    register_config_packages()
    find_bases()
    import_in_dumps()
    install_reader()
    keep_texts_unrun()
    install_backbone_weights()
    install_label_counts()
    when_imported('mmseg.datasets', install_label_checks)
    raise_descriptor_limit()
    keep_freed_memory()
    end_mute_workers()
