"""Walking configs of datasets inside datasets."""
from __future__ import annotations

from mmdense.datasets.dataset_configs import changed, find_pipeline, inside, walk

BUILT = object()
NESTED = dict(type='A', pipeline=['a'], dataset=dict(type='B', datasets=[
    dict(type='C', pipeline=['c']), dict(type='D'), BUILT]))


def test_each_config_before_what_it_wraps():
    assert [cfg['type'] for cfg in walk(NESTED)] == ['A', 'B', 'C', 'D']
    assert inside(NESTED['dataset'])[-1] is BUILT
    assert inside(dict(type='E', dataset=None, datasets=[])) == [] and list(walk(BUILT)) == []


def test_a_changed_copy_leaves_the_config_as_it_is():
    found = changed(NESTED, lambda cfg: {**cfg, 'type': cfg['type'].lower()})
    assert [cfg['type'] for cfg in walk(found)] == ['a', 'b', 'c', 'd']
    assert found['dataset']['datasets'][-1] is BUILT
    assert [cfg['type'] for cfg in walk(NESTED)] == ['A', 'B', 'C', 'D']
    taken_off = changed(NESTED, lambda cfg: cfg.get('dataset') or cfg)
    assert taken_off['type'] == 'B'


def test_the_first_pipeline_from_outside():
    assert find_pipeline(NESTED) == ['a']
    assert find_pipeline(NESTED['dataset']) == ['c']
    assert find_pipeline(dict(type='D', dataset=dict(type='E'))) is None
