"""What a table may say, and what it is told where it says something else."""
from __future__ import annotations

import pytest
from mmengine.config import Config, DictAction
from references.tables import write_table

from steps.options import budget_options, format_options, read_with
from tables.definition import read_table


@pytest.fixture
def table(tmp_path, repo):
    return write_table(tmp_path, repo)


def test_a_table_is_read_with_paths_relative_to_it(table, monkeypatch, tmp_path):
    monkeypatch.chdir('/')
    found = read_table(table)
    assert [row.name for row in found.rows] == ['random', 'DenseCL, a', 'wider']
    assert [row.folder for row in found.rows] == ['random', 'densecl-a', 'wider']
    assert found.rows[1].pretrain == found.rows[0].evaluate == (tmp_path / 'pretrain.py').resolve()
    assert found.seeds == (0, 1) and found.finetune.learning_rates == (1e-3, 3e-3)
    assert found.rows[2].options == {'model.queue.size': 8}
    assert found.published[0]['value'] == 64.5
    assert [row.name for row in found.chosen(['wider'])] == ['wider']


def test_without_a_config_of_its_own_a_row_is_measured_with_its_options(table):
    text = table.read_text().replace("config='pretrain.py', protocols", 'protocols')
    table.write_text(text.replace("pretrain=None", "pretrain=None, evaluate='pretrain.py'")
                     + "_mine = 3\n")
    wider = read_table(table).rows[2]
    assert wider.evaluate == wider.pretrain
    assert wider.evaluate_options == {'model.queue.size': 8}


@pytest.mark.parametrize('old, new, message', [
    ('seeds =', 'sedes =', "unknown key 'sedes'; expected rows, evaluate"),
    ("name='wider'", "label='wider'", r"rows\[2\]: unknown key 'label'"),
    ("name='wider'", "name='random'", "two rows have the name 'random'"),
    ("name='wider'", "name='Random!'", "'random' and 'Random!' would share the folder random"),
    ("name='wider'", "name='a|b'", r"name='a\|b'; expected words"),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain='no.py'", "row 'wider', pretrain: no "
     "config 'no.py', looked for .*no.py"),
    ("'model.queue.size': 8", "'randomness.seed': 8", "'randomness.seed' is set by the table"),
    ("'model.queue.size': 8", "'model.queue': {'size': 8}", 'cannot be given on a command line'),
    ("'random', pretrain=None", "'random', pretrain=None, options={'a': 1}", 'pretrain is None'),
    ("config='pretrain.py', protocols", 'protocols', 'random weights of which network'),
    ("'correspondence'", "'speed'", "protocols has 'speed'; expected some of"),
    ("['C4', 'C5']", '[]', r'layers=\[\]; expected a list'),
    ("['C4', 'C5']", "['C4', 'C4']", "layers has 'C4' twice"),
    ("rows=['wider']", "rows=['widr']", "finetune.rows has 'widr'; expected some of"),
    ('[1e-3, 3e-3]', '[1e-3, 0]', 'different numbers above 0'),
    ('seeds = [0, 1]', 'seeds = [0, 0]', r'seeds=\[0, 0\]; expected different integers'),
    ('value=64.5', "value='64.5'", r"published\[0\]: value='64.5'; expected a number"),
    (", source='a paper'", '', r"published\[0\] has no 'source'"),
    ('seeds = [0, 1]', 'seeds = [0, 1', 'could not be read: SyntaxError'),
])
def test_a_bad_table_is_one_clear_error(table, old, new, message):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        read_table(table)
    assert str(table) in str(error.value)


def test_other_mistakes(table):
    with pytest.raises(FileNotFoundError, match='table no.py: no such file'):
        read_table('no.py')
    with pytest.raises(ValueError, match="no row 'x'; expected some of"):
        read_table(table).chosen(['x'])


def test_options_come_back_from_the_command_line():
    options = {'a': 1, 'b': 1e-05, 'c': 'auto', 'd': None, 'e': [1, 2.5, (3, True)], 'f': False}
    for word in format_options(options, 'here'):
        key, _, value = word.partition('=')
        assert DictAction._parse_iterable(value) == options[key] and ' ' not in word
    assert format_options({'a.data_root': 'a, b'}, 'here') == ['a.data_root=a, b']
    for value in ({}, '1', 'a,b', 'None', 'a[,', float('nan')):
        with pytest.raises(ValueError, match='here: key='):
            format_options(dict(key=value), 'here')


def test_a_budget_scales_every_schedule(table):
    path = table.parent / 'pretrain.py'
    cfg = read_with(path, {'model.dense_warmup': 200})
    assert budget_options(cfg, 1, path) == {}
    assert budget_options(cfg, 0.1, path) == {
        'train_cfg.max_iters': 40, 'train_cfg.val_interval': 20,
        'param_scheduler.0.begin': 0, 'param_scheduler.0.end': 2,
        'param_scheduler.1.begin': 2, 'param_scheduler.1.end': 40, 'param_scheduler.1.T_max': 38,
        'param_scheduler.2.milestones': [30, 35],
        # 5 is no multiple of two accumulated iterations
        'default_hooks.checkpoint.interval': 6, 'model.dense_warmup': 20}
    cfg.merge_from_dict(budget_options(cfg, 0.001, path))
    assert cfg.train_cfg.max_iters == 1
    assert all(part.get('begin', 0) < part.get('end', 10) for part in cfg.param_scheduler)


def test_a_budget_needs_iterations():
    cfg = Config(dict(train_cfg=dict(max_epochs=3), model={}))
    with pytest.raises(ValueError, match='c.py: train_cfg.max_iters=None; .* counts iterations'):
        budget_options(cfg, 1, 'c.py')
    cfg.train_cfg.max_iters = 5
    cfg.param_scheduler = [dict(type='LinearLR', begin=0, end=2)]
    with pytest.raises(ValueError, match=r'param_scheduler\[0\] counts epochs'):
        budget_options(cfg, 0.5, 'c.py')
    for budget in (0, -1, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='expected a number above 0'):
            budget_options(cfg, budget, 'c.py')
    with pytest.raises(ValueError, match='config no.py with options .* could not be read'):
        read_with('no.py', {})
