"""What MMDense changes in other packages, and how it says what it needs."""
from __future__ import annotations

import importlib
import inspect
import resource
import subprocess
import sys
import tempfile
import warnings
from importlib import metadata
from multiprocessing.queues import Queue
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config, utils

from mmdense import compat
from mmdense.files import LOCK, locked

BLOCKER = '''
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + '.') for b in {blocked!r}):
            raise ModuleNotFoundError('No module named %r' % name, name=name)

sys.meta_path.insert(0, Blocker())
'''

IMPORT_ALL = '''
import importlib, pkgutil, sys, mmdense
early = {'mmpretrain', 'mmseg.datasets', 'mmseg.models', 'timm', 'torchvision', 'matplotlib',
         'numba', 'scipy', 'skimage', 'sklearn'} & set(sys.modules)
assert not early, early
assert mmdense.models.ViewsPreprocessor and mmdense.datasets.UnlabelledDataset
names = [m.name for m in pkgutil.walk_packages(mmdense.__path__, 'mmdense.')]
for name in names:
    importlib.import_module(name)
assert not any(n.startswith('mmcv.ops') for n in sys.modules)
print(len(names))
'''


def python(code: str, *blocked: str, cwd) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', BLOCKER.format(blocked=blocked) + code], cwd=cwd,
                          capture_output=True, text=True, timeout=300)


@pytest.mark.situation('processes', '`import mmdense` in any process', 'works', 'models and '
                       'datasets of mmseg and mmpretrain come with a config that names one')
def test_every_module_imports_without_compiled_mmcv(repo):
    done = python(IMPORT_ALL, 'mmcv.ops', 'mmcv._ext', cwd=repo)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 10


@pytest.mark.parametrize('missing', [['mmengine'], ['mmpretrain'],
                                     ['mmengine', 'mmcv', 'mmseg', 'mmpretrain']])
def test_without_the_openmmlab_packages_one_line_says_what_to_install(repo, missing):
    done = python('import mmdense', *missing, cwd=repo)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: MMDense needs the OpenMMLab packages')
    assert 'pip install "mmdense[onedl]"' in last
    assert 'During handling' not in done.stderr


def found(monkeypatch, **versions: str) -> list[str]:
    """Return the warnings where some packages have these versions."""
    names = {compat.installed_distribution(module): v for module, v in versions.items()}
    real = metadata.version
    monkeypatch.setattr(compat.metadata, 'version', lambda n: names.get(n) or real(n))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        compat.check_versions()
    return [str(w.message) for w in caught]


def test_what_is_installed_is_supported(monkeypatch):
    assert found(monkeypatch) == []


def test_an_old_version_warns_and_names_the_fix(monkeypatch):
    name = compat.installed_distribution('mmseg')
    oldest = compat.DISTRIBUTIONS['mmseg'][name]
    assert found(monkeypatch, mmseg='1.1.9', torch='2.6.0+cpu') == [
        f'{name} 1.1.9 is older than MMDense supports (>= {oldest}, tested with '
        f"onedl-mmsegmentation 1.4.2): pip install -U '{name}>={oldest}'"]


@pytest.mark.parametrize('module', list(compat.DISTRIBUTIONS))
def test_each_package_is_checked(monkeypatch, module):
    oldest = compat.DISTRIBUTIONS[module][compat.installed_distribution(module)]
    tested = compat.TESTED[module]
    assert found(monkeypatch, **{module: oldest}) == []
    monkeypatch.undo()
    assert found(monkeypatch, **{module: tested}) == []
    monkeypatch.undo()
    assert len(found(monkeypatch, **{module: '0.0.1'})) == 1


def test_a_package_without_a_record_is_not_compared(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)
    monkeypatch.setattr(compat.metadata, 'version', missing)
    compat.check_versions()
    assert compat.installed_distribution('mmseg') is None


def test_config_packages_are_the_installed_distributions():
    for module in ('mmseg', 'mmpretrain'):
        assert metadata.version(utils.MODULE2PACKAGE[module])
    assert utils.MODULE2PACKAGE['mmdense'] == 'mmdense'


def changed_places() -> dict:
    """What :func:`compat.setup` changes, by where it stands."""
    import mmcv.transforms
    import mmpretrain.registry
    import mmseg.datasets
    import mmseg.registry
    from mmengine import registry, runner
    from mmengine.infer import BaseInferencer
    from mmengine.runner import checkpoint
    owners = {
        Config: ('_get_cfg_path', 'pretty_text'), BaseInferencer: ('_init_model',),
        Queue: ('_on_queue_feeder_error',), checkpoint: ('load_url', '_safe_torch_load'),
        runner.Runner: ('train', 'val', 'test'), runner.FlexibleRunner: ('train', 'val', 'test'),
        mmseg.datasets.BaseSegDataset: ('get_data_info',),
        mmseg.datasets.BaseCDDataset: ('get_data_info',),
        mmseg.datasets.transforms.LoadAnnotations: ('_load_seg_map',),
        mmcv.transforms.LoadAnnotations: ('_load_seg_map',),
        **dict.fromkeys((registry.MODELS, mmseg.registry.MODELS, mmpretrain.registry.MODELS),
                        ('build_func',))}
    places = {(owner, name): inspect.getattr_static(owner, name)
              for owner, names in owners.items() for name in names}
    return {**places, 'schemes': dict(checkpoint.CheckpointLoader._schemes),
            'packages': dict(utils.MODULE2PACKAGE), 'finders': list(sys.meta_path),
            'files': resource.getrlimit(resource.RLIMIT_NOFILE)}


def test_set_up_twice_changes_nothing():
    before = changed_places()
    assert before[Config, 'pretty_text'].fget.of_mmdense
    compat.setup()
    assert changed_places() == before


def own(owner: type, name: str):
    """Return the function that stood there before us."""
    found = inspect.getattr_static(owner, name)
    return (getattr(found, 'fget', None) or getattr(found, '__func__', found)).__wrapped__


def test_configs_that_do_not_name_us_are_found_and_written_as_before(tmp_path):
    path = tmp_path / 'c.py'
    path.write_text("a = dict(b=[1, 'x'], c=None)")
    for base in ('./c.py', 'mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py'):
        found = Config._get_cfg_path(base, str(path))
        assert found == own(Config, '_get_cfg_path')(base, str(path))
    cfg = Config.fromfile(path)
    assert cfg.pretty_text == own(Config, 'pretty_text')(cfg)


def test_an_inferencer_with_a_config_builds_as_before():
    from mmengine.infer import BaseInferencer
    from mmengine.registry import DefaultScope
    cfg = Config(dict(model=dict(type='ResNet', depth=18, base_channels=8)))
    with DefaultScope.overwrite_default_scope('mmseg'):
        for make in (BaseInferencer._init_model, own(BaseInferencer, '_init_model')):
            stand = SimpleNamespace(_load_weights_to_model=lambda *_: None)
            model = make(stand, cfg, None, 'cpu')
            assert type(model).__name__ == 'ResNet' and not model.training


def test_a_queue_outside_of_a_worker_tells_its_error_as_before(capsys):
    said = []
    for tell in (Queue._on_queue_feeder_error, own(Queue, '_on_queue_feeder_error')):
        try:
            raise OSError('no descriptors')
        except OSError as error:
            tell(error, None)
        said.append(capsys.readouterr().err.splitlines()[-1])
    assert said == ['OSError: no descriptors'] * 2


def test_labels_that_are_not_of_mmsegs_datasets_are_read_as_before(tmp_path):
    from mmcv.transforms import LoadAnnotations
    label = np.array([[0, 255, 3], [7, 1, 200]], np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), label)
    transform = LoadAnnotations(with_bbox=False, with_label=False, with_seg=True)
    for load in (type(transform)._load_seg_map, own(LoadAnnotations, '_load_seg_map')):
        results = dict(seg_map_path=str(tmp_path / 'a.png'))
        load(transform, results)
        assert (results['gt_seg_map'] == label).all()


def test_a_sample_of_mmsegs_datasets_is_the_same_beside_what_its_labels_may_be(tmp_path):
    from mmseg.datasets import BaseSegDataset
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4), np.uint8))
    dataset = BaseSegDataset(data_root=str(tmp_path), img_suffix='.png',
                             metainfo=dict(classes=('x', 'y')), data_prefix=dict(img_path=''))
    sample = dataset.get_data_info(0)
    assert {name: sample.pop(name) for name in ('num_classes', 'ignore_index')} == dict(
        num_classes=2, ignore_index=255)
    assert sample == own(BaseSegDataset, 'get_data_info')(dataset, 0)


def test_a_runner_gets_one_hook_and_returns_what_it_did():
    class Stand:
        _hooks = []

        def register_hook(self, hook):
            self._hooks.append(hook)

        def train(self):
            return 'trained'
    compat._wrap(Stand, 'train', compat._with_label_counts)
    compat._wrap(Stand, 'train', compat._with_label_counts)
    stand = Stand()
    assert stand.train() == stand.train() == 'trained'
    assert [type(hook).__name__ for hook in stand._hooks] == ['LabelCountsHook']


def test_mmengines_builder_stays_its_own():
    """As mmengine's own tests of its registry ask for, of registries made before and after."""
    from mmengine import registry
    assert registry.Registry('cat').build_func is registry.build_from_cfg
    assert registry.TRANSFORMS.build_func is registry.build_from_cfg
    parent = registry.Registry('dog', scope='dog')
    child = registry.Registry('hound', parent=parent, scope='hound')
    assert child.build_func is registry.build_from_cfg
    assert registry.Registry('pet', registry.build_model_from_cfg).build_func is (
        registry.build_model_from_cfg)


def test_a_change_waits_for_the_import_of_what_it_changes(tmp_path, monkeypatch):
    (tmp_path / 'slow_package').mkdir()
    (tmp_path / 'slow_package/__init__.py').write_text('value = 1')
    monkeypatch.syspath_prepend(tmp_path)
    done = []
    finders = list(sys.meta_path)
    compat.when_imported('slow_package', lambda: done.append(sys.modules['slow_package'].value))
    assert not done
    import slow_package  # noqa: F401
    assert done == [1] and sys.meta_path == finders
    compat.when_imported('slow_package', lambda: done.append(2))
    assert done == [1, 2]
    monkeypatch.delitem(sys.modules, 'slow_package')


@pytest.mark.situation('processes', 'several processes of a fresh installation, which all format '
                       'their config first', 'works', 'one at a time lets yapf write its grammar')
def test_one_process_at_a_time_imports_what_formats_configs(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    monkeypatch.delitem(sys.modules, 'yapf', raising=False)
    seen, really = [], importlib.import_module

    def import_module(name, *arguments):
        if name != 'yapf':
            return really(name, *arguments)
        lock = next(tmp_path.glob(f'mmdense-*/{LOCK}'))
        with pytest.raises(ValueError, match='in use'), locked(lock):
            pass
        seen.append(name)
        return really(name)
    monkeypatch.setattr(importlib, 'import_module', import_module)
    assert 'model' in Config(dict(model=dict(type='ResNet'))).pretty_text
    assert seen == ['yapf']
