"""Names: ours with the scope, stock ones without, and the nearest ones when a name is unknown."""
from __future__ import annotations

import mmengine.registry
import pytest

from mmdense import registry
from mmdense.registry import UnknownComponent

OURS = {name: value for name, value in vars(registry).items()
        if isinstance(value, registry.MMDenseRegistry)}


@pytest.mark.parametrize('kind, wrong, nearest', [
    ('MODELS', 'DensCL', 'mmdense.DenseCL'),
    ('HOOKS', 'CheckpointHok', 'mmdense.CheckpointHook'),
    ('DATASETS', 'UnlabeledDataset', 'mmdense.UnlabelledDataset'),
    ('TRANSFORMS', 'RandomResizeCrop', 'mmdense.RandomResizedCrop'),
    ('DATA_SAMPLERS', 'ResumeableSampler', 'mmdense.ResumableSampler')])
def test_an_unknown_name_is_answered_with_the_nearest(kind, wrong, nearest):
    stock = getattr(mmengine.registry, kind)
    with pytest.raises(UnknownComponent) as error:
        stock.build(dict(type=f'mmdense.{wrong}'))
    message = str(error.value)
    assert message.startswith(f"'mmdense.{wrong}' is not a registered ")
    assert message.partition('nearest: ')[2].split(', ')[0] == nearest


def test_a_name_like_no_other_lists_what_there_is():
    with pytest.raises(UnknownComponent, match=r'mmdense\.CPUDistributedDataParallel'):
        registry.MODEL_WRAPPERS.get('mmdense.Qqq')


@pytest.mark.parametrize('kind', OURS)
def test_each_registry_is_a_child_of_mmengines_and_imports_its_modules(kind):
    child = OURS[kind]
    assert child.scope == 'mmdense' and child.parent is getattr(mmengine.registry, kind)
    assert child._locations and all(name.startswith('mmdense.') for name in child._locations)


@pytest.mark.parametrize('kind', OURS)
def test_what_a_registry_imports_at_the_first_look_up_has_all_of_its_components(kind):
    child = OURS[kind]
    child.import_from_location()
    ours = [cls.__module__ for cls in child.module_dict.values()
            if cls.__module__.startswith('mmdense.')]
    assert ours and all(module.startswith(tuple(child._locations)) for module in ours)
