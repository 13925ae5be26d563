"""tools/benchmarks/pretext_step.py measures a step of any config beside its bare networks."""
from __future__ import annotations

import json

import pytest
from references.commands import tool
from references.run_tool import run_tool

SMALL = ('--size', 64, '--batch', 2, '--steps', 1, '--device', 'cpu')
R18 = ('model.backbone.depth=18', 'model.projector.in_channels=512')
DENSECL = (*R18, 'model.dense_projector.in_channels=512', 'model.queue.size=64')


def run(capsys, *words) -> tuple[list[list[str]], dict]:
    """Run the benchmark; return the rows of its table and the JSON of the last line."""
    run_tool('benchmarks/pretext_step', *words)
    *lines, last = capsys.readouterr().out.splitlines()
    table = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines if '|' in line]
    return table[2:], json.loads(last)


@pytest.mark.parametrize('name, options, forwards', [
    ('densecl_r50_voc', DENSECL, 2), ('moco_r50_voc', (*R18, 'model.queue.size=64'), 2),
    ('detcon_s_r50_voc', R18, 2), ('detcon_b_r50_voc', R18, 4), ('location_r50_voc', R18, 2),
    ('detcon_b_r50_voc', (*R18, 'model.regions.type=mmdense.ClusteredRegions'), 5),
    ('detcon_b_r50_voc', (*R18, 'model.regions.type=mmdense.SoftRegions',
                          'model.regions.num_regions=64', 'model.regions.norm_cfg.type=BN'), 4)])
def test_a_step_of_any_config(name, options, forwards, repo, monkeypatch, capsys):
    script, models = tool('benchmarks/pretext_step'), []
    build = script.build_method
    monkeypatch.setattr(script, 'build_method', lambda *args: models.append(build(*args))
                        or models[0])
    (row,), found = run(capsys, '--config', repo / f'configs/{name}.py', *SMALL, '--regions', 4,
                        '--cfg-options', *options)
    assert row[0] == 'mmdense' and 0 < float(row[-1]) < 20 and float(row[-2]) == forwards
    assert found['step_over_encoders']['mmdense'] > 0 and found['forwards']['mmdense'] == forwards
    assert found['extra_memory_mb']['mmdense'] == pytest.approx(
        float(row[6]), abs=0.06) and found['settings']['regions'] == 4
    twin = getattr(models[0], 'twin', None)
    # the first step, that of the memory, and one round
    assert twin is None or twin.state_dict()['steps'].item() == 3


def test_the_peer_has_the_same_weights_and_images(repo, capsys):
    """Both losses are those of random queues that are equal, so they agree."""
    (ours, theirs), found = run(capsys, '--config', repo / 'configs/densecl_r50_voc.py', '--peer',
                                *SMALL, '--cfg-options', *DENSECL,
                                'model.queue.own_image=negative')
    assert [ours[0], theirs[0]] == ['mmdense', 'mmpretrain']
    assert float(ours[-1]) == pytest.approx(float(theirs[-1]), abs=2e-4)
    assert set(found['step_over_encoders']) == {'mmdense', 'mmpretrain'}


def test_several_configs_are_one_table(repo, capsys):
    names = ['detcon_s_r50_voc', 'detcon_b_r50_voc']
    rows, found = run(capsys, '--config', *(repo / f'configs/{name}.py' for name in names), *SMALL,
                      '--cfg-options', *R18)
    assert [row[0] for row in rows] == names == list(found['step_over_encoders'])


@pytest.mark.parametrize('words, message', [
    (('finetune/mocofcn_r18_shapes',), 'EncoderDecoder is no method of mmdense'),
    (('detcon_s_r50_voc', '--peer'), 'mmpretrain has no DetConS to compare with'),
    (('densecl_r50_voc', '--peer', '--batch', 3, '--cfg-options', *DENSECL),
     'model.queue.size=64 is no multiple of --batch 3')])
def test_what_cannot_be_compared_is_said(words, message, repo):
    with pytest.raises(ValueError, match=message):
        run_tool('benchmarks/pretext_step', '--config', repo / f'configs/{words[0]}.py',
                 *words[1:])
