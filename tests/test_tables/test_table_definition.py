"""What a table may say, and what it is told where it says something else."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config, DictAction
from references.tables import write_table

from steps.options import budget_options, format_options, read_with
from steps.step import Settings
from tables.chains import chain
from tables.definition import read_table
from tables.row_config import config_file


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


def test_a_row_can_be_weights_that_are_there(table, tmp_path, monkeypatch):
    """Its file is evaluated and fine-tuned as a row's own checkpoint is, with a config of its own.

    It is no row of random weights: those are then measured beside each.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'other.py').write_text((tmp_path / 'pretrain.py').read_text())
    table.write_text(table.read_text().replace(
        "'random', pretrain=None", "'random', pretrain=None, checkpoint='w.pth', "
        "finetune='other.py', evaluate='pretrain.py'").replace("rows=['wider']", "rows=['random']"))
    found, settings = read_table(table), Settings(tmp_path / 'work', tmp_path)
    row = found.rows[0]
    assert not row.random and row.checkpoint == 'w.pth'
    steps = chain(found, row, 0, settings)
    assert steps[0].name == 'given' and 'w.pth' in steps[1].command()
    assert '--no-random' not in steps[1].command()
    with pytest.raises(FileNotFoundError, match='checkpoint w.pth: no such file'):
        steps[0].make()
    (tmp_path / 'w.pth').write_bytes(b'weights')
    again = chain(found, row, 0, settings)
    assert again[0].fingerprint != steps[0].fingerprint
    again[0].make()
    assert again[0].read()['checkpoint'] == 'w.pth'
    assert 'other.py' in ' '.join(again[2].command())


@pytest.mark.parametrize('old, new, message', [
    ('seeds =', 'sedes =', "unknown key 'sedes'; expected rows, evaluate"),
    ("name='wider'", "label='wider'", r"rows\[2\]: unknown key 'label'"),
    ("name='wider'", "name='random'", "two rows have the name 'random'"),
    ("name='wider'", "name='Random!'", "'random' and 'Random!' would share the folder random"),
    ("name='wider'", "name='a|b'", r"name='a\|b'; expected words"),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain='no.py'", "row 'wider', pretrain: no "
     "config 'no.py', looked for .*no.py"),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain=['pretrain.py', 'no.py']",
     "row 'wider', pretrain: no config 'no.py', looked for .*no.py"),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain=[{'model.depth': 3}]",
     'expected the path of a config, or a list of bases'),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain=['pretrain.py', {'modle.a': 3}]",
     "pretrain: 'modle.a' changes nothing, for nothing reads 'modle'"),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain=['pretrain.py', {'model.0.a': 3}]",
     "'model.0.a' is no dotted name"),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain=['pretrain.py', {'work_dir': 'a'}]",
     "'work_dir' is set by the table runner"),
    ("'model.queue.size': 8", "'randomness.seed': 8", "'randomness.seed' is set by the table"),
    ("'model.queue.size': 8", "'model.queue': {'size': 8}", 'cannot be given on a command line'),
    ("'random', pretrain=None", "'random', pretrain=None, options={'a': 1}", 'pretrain is None'),
    ("'wider', pretrain='pretrain.py'", "'wider', pretrain='pretrain.py', checkpoint='a.pth'",
     "checkpoint='a.pth'; expected the path of a file, and pretrain=None"),
    ("config='pretrain.py', protocols", 'protocols', 'weights of which network'),
    ("'correspondence'", "'speed'", "protocols has 'speed'; expected some of"),
    ("['C4', 'C5']", '[]', r'layers=\[\]; expected a list'),
    ("['C4', 'C5']", "['C4', 'C4']", "layers has 'C4' twice"),
    ("name='wider'", "name='wider', hand_on='head'", "hand_on='head'; expected one of"),
    ("name='DenseCL, a'", "name='DenseCL, a', hand_on='segmentor'",
     "row 'DenseCL, a': hand_on='segmentor' is for fine-tuning"),
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
            Settings(Path('work'), Path('tools'), budget=budget)
    with pytest.raises(ValueError, match='config no.py with options .* could not be read'):
        read_with('no.py', {})


def test_a_row_of_bases_and_settings_is_a_config_of_its_own(table):
    """Its file has what a config with these bases would say, and is written once."""
    folder = table.parent
    (folder / 'more.py').write_text(
        "part = dict(size=4, of=dict(x=1, y=2))\nextra = dict(a=1, b=2)\n")
    table.write_text(table.read_text().replace("'wider', pretrain='pretrain.py'", """
        'wider', pretrain=['pretrain.py', 'more.py', {
            'model.queue': '_base_.part', 'model.queue.shape': (8, [9, '_base_.extra.a']),
            'model.queue.of.y': 3, 'model.queue.new.z': 4,
            'optim_wrapper.optimizer': dict(_delete_=True, a='_base_.extra'),
            'load_from': "it's"}]"""))
    row = read_table(table).rows[2]
    path = config_file(row.pretrain, folder / 'written', 'pretrain')
    assert path == config_file(row.pretrain, folder / 'written', 'pretrain')
    assert [path] == list((folder / 'written').iterdir())
    found, plain = Config.fromfile(path), Config.fromfile(folder / 'pretrain.py')
    assert found.model.queue == {
        **plain.model.queue, 'size': 4, 'shape': (8, [9, 1]), 'of': dict(x=1, y=3),
        'new': dict(z=4)}
    assert found.optim_wrapper.optimizer == dict(a=dict(a=1, b=2))
    assert found.load_from == "it's"
    assert found.train_dataloader == plain.train_dataloader
    steps = chain(read_table(table), row, 0, Settings(folder / 'work', folder))
    assert steps[0].facts['config'].startswith('pretrain + more + model.queue=_base_.part')
    words = steps[0].command()
    assert read_with(words[1], {}).model.queue.size == 4
    assert Path(words[1]).resolve().parent == (folder / 'work/wider').resolve()


@pytest.mark.parametrize('base, said', [
    ("'mmpretrain::no/such.py'", 'config mmpretrain::no/such.py'),
    ("['pretrain.py', 'pretrain.py']", 'Duplicate key is not allowed among bases'),
    ("['pretrain.py', {'model.queue': '_base_.nothing'}]", 'could not be read')])
def test_a_row_whose_bases_do_not_fit_is_one_clear_error(table, base, said):
    table.write_text(table.read_text().replace("'wider', pretrain='pretrain.py'",
                                               f"'wider', pretrain={base}"))
    found = read_table(table)
    with pytest.raises(ValueError, match=said) as error:
        chain(found, found.rows[2], 0, Settings(table.parent / 'work', table.parent))
    assert 'work/wider/pretrain_' in str(error.value)
