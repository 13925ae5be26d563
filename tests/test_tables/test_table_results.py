"""Records, and the page that is made of them."""
from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from references.tables import write_table

from tables.definition import read_table
from tables.markdown import page
from tables.pictures import draw_table_predictions
from tables.plots import draw
from tables.results import BEST, BEST_LAYER, Metric, values, write_csv, write_json


def one(row: str, seed: int, **metrics) -> dict:
    return dict(row=row, seed=seed, config='c.py', options={}, budget=0.5, processes=2,
                amp=False, steps=40, images=320, forwards=640, seconds=60. + 60 * seed,
                versions=dict(mmdense='1', commit=None), commit=None, metrics=metrics, not_run=[])


@pytest.fixture
def table(tmp_path, repo):
    return read_table(write_table(tmp_path, repo))


@pytest.fixture
def records() -> list[dict]:
    found = []
    for seed in range(6):
        for row, value in (('random', 10.), ('DenseCL, a', 12.)):
            knn = dict(mIoU=value + seed + (0.1 * seed if row == 'random' else 0),
                       position_prior_mIoU=5.5, ceiling_mIoU=75.25)
            found.append(one(row, seed, knn=dict(C4=knn, C5={**knn, 'mIoU': value})))
    for seed in range(2):
        rates = {'lr=0.001': dict(mIoU=30. + seed), 'lr=0.003': dict(mIoU=29. + 4 * seed)}
        found.append(one('wider', seed, finetune=rates))
    return found


def test_the_best_learning_rate_has_the_highest_mean(records):
    found = values(records, 'wider')
    assert found[Metric('finetune', BEST, 'mIoU')] == {0: 29., 1: 33.}
    # a seed without all rates does not choose
    records.append(one('wider', 2, finetune={'lr=0.001': dict(mIoU=99.)}))
    assert values(records, 'wider')[Metric('finetune', BEST, 'mIoU')] == {0: 29., 1: 33.}


def test_the_page(table, records):
    lines = page(records, table, range(6)).splitlines()
    assert '| row | seeds | C4 | C5 |' in lines
    assert '| DenseCL, a | 6 | 14.50 ± 0.76 | 12.00 ± 0.00 |' in lines
    assert '| *position prior* |  | 5.50 | 5.50 |' in lines
    assert '| *ceiling* |  | 75.25 | 75.25 |' in lines
    assert '| DenseCL, a | knn C4 mIoU | 1.75 ± 0.08 | 6 | higher |' in lines
    assert '| wider | 2 | 30.50 ± 0.50 | 31.00 ± 2.00 | 31.00 ± 2.00 |' in lines
    assert '| random | 40 | 320 | 640 | 3.50 ± 0.76 | c.py |' in lines
    assert 'Budget: 0.5 of the schedules in the configs.' in lines
    assert '- wider, seed 2: all' in lines and not any('- random, seed' in line for line in lines)
    published = lines.index('## Published')
    assert '| theirs | mIoU | 64.5 | a paper |' in lines[published:]
    assert not any('theirs' in line or '64.5' in line for line in lines[:published])


def test_the_best_layer_is_each_rows_and_seeds_own(table, records):
    for found in records:
        if found['row'] == 'wider':
            continue
        knn = found['metrics']['knn']
        better = 'C4' if found['row'] == 'random' or found['seed'] % 2 else 'C5'
        for layer in knn:
            knn[layer] = {**knn[layer], 'memory_mIoU': 9. if layer == better else 8.}
        found['metrics']['correspondence'] = dict(C4=dict(within_1=1.), C5=dict(within_1=3.))
    found = values(records, 'DenseCL, a')
    assert found[Metric('knn', BEST_LAYER, 'mIoU')] == {0: 12., 1: 13., 2: 12., 3: 15., 4: 12.,
                                                         5: 17.}
    assert set(found[Metric('correspondence', BEST_LAYER, 'within_1')].values()) == {1., 3.}
    assert not any(metric.layer == BEST_LAYER and 'memory' in metric.name for metric in found)
    lines = page(records, table, range(6)).splitlines()
    assert '| DenseCL, a | 6 | 14.50 ± 0.76 | 12.00 ± 0.00 | 13.50 ± 0.85 |' in lines
    assert '| DenseCL, a | correspondence best layer within_1 | 1.00 ± 0.45 | 6 | higher |' in lines
    assert sum('memory_mIoU' in line and line.startswith('| ') for line in lines) == 0
    assert lines[lines.index('## knn, memory_mIoU') + 6] == '', 'no baselines of the queries'
    assert any(line.startswith('*best layer*: the one with the highest') for line in lines)


def test_what_could_not_be_measured_is_no_value(records):
    records[0]['metrics']['knn']['C5']['mIoU'] = None
    assert sorted(values(records, 'random')[Metric('knn', 'C5', 'mIoU')]) == [1, 2, 3, 4, 5]


def test_statistics_are_no_per_cent(table, records):
    for found in records:
        if found['row'] != 'wider':
            found['metrics']['statistics'] = dict(C5=dict(feature_std=0.1234 * (found['seed'] + 1)))
    lines = page(records, table, range(6)).splitlines()
    start = lines.index('## statistics, feature_std (no per cent)')
    assert '| random | 6 | 0.432 ± 0.094 |' in lines[start:]
    assert '| DenseCL, a | statistics C5 feature_std | 0.000 ± 0.000 | 6 | no difference seen |' \
        in lines


def test_signals_stand_on_the_page_once_there_are_enough(table, records):
    assert '## Signals' not in page(records, table, range(6))
    for found in records[:12]:
        knn = found['metrics']['knn']
        found['metrics']['linear'] = dict(C4=dict(mIoU=100. - knn['C4']['mIoU']))
    lines = page(records, table, range(6)).splitlines()
    assert '| knn C4 mIoU | -1.00 | 12 |' in lines[lines.index('## Signals'):]


def test_few_pairs_are_no_difference(table, records):
    text = page([found for found in records if found['seed'] < 5], table, range(6))
    assert text.count('| 5 | no difference seen |') == 2 and '| higher |' not in text


def test_baselines_that_differ_are_a_range(table, records):
    records[0]['metrics']['knn']['C4']['position_prior_mIoU'] = 4.
    assert '| *position prior* |  | 4.00 to 5.50 | 5.50 |' in page(records, table, range(6))


def test_a_table_without_results_says_so(table):
    text = page([], table, [0])
    assert '- random, seed 0: all' in text and '## Published' in text


def test_files_and_plots(table, records, tmp_path):
    write_json(records, table, tmp_path / 'results.json')
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['measured'] == records and content['published'][0]['name'] == 'theirs'
    write_csv(records, tmp_path / 'results.csv')
    with (tmp_path / 'results.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 * 6 + 4
    assert rows[0] | dict(row='random', seed='0', protocol='knn', layer='C4', metric='mIoU',
                          value='10.0') == rows[0]
    drawn = draw(records, table, tmp_path / 'plots')
    assert [path.name for path in drawn] == ['knn_rows.png', 'knn_time.png', 'finetune_rows.png',
                                             'finetune_time.png']
    assert all(Path(path).stat().st_size > 1000 for path in drawn)
    assert draw([], table, tmp_path / 'none') == []


def test_predictions_of_rows_stand_beside_image_and_label(tmp_path):
    def solid(path: Path, colour: tuple[int, int, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (60, 40), colour).save(path)

    folders = {'one': tmp_path / 'one', 'two': tmp_path / 'two', 'none': tmp_path / 'none'}
    for number, folder in enumerate(list(folders.values())[:2]):
        for name in ('a.png', 'b.png')[number:]:
            solid(folder / 'images' / name, (200, 200, 200))
            solid(folder / 'labels' / name, (0, 0, 255))
            solid(folder / 'predictions' / name, ((255, 0, 0), (0, 255, 0))[number])
    path = draw_table_predictions(folders, tmp_path / 'predictions.png')
    page = np.array(Image.open(path).convert('RGB')).astype(int)
    red, green, blue = ((page == colour).all(2) for colour in ((255, 0, 0), (0, 255, 0),
                                                               (0, 0, 255)))
    # two labels and two predictions of one row; the other row has one image of them
    assert red.sum() == pytest.approx(blue.sum(), rel=0.05)
    assert green.sum() == pytest.approx(red.sum() / 2, rel=0.05)
    left = [np.nonzero(colour)[1].mean() for colour in (blue, red, green)]
    assert left == sorted(left)
    assert np.nonzero(green)[0].min() > page.shape[0] / 2
    assert draw_table_predictions({'none': tmp_path / 'none'}, tmp_path / 'no.png') is None
    assert not (tmp_path / 'no.png').exists()
