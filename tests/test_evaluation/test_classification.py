"""Whole images by a frozen network: what is separable is separated, and mistakes are told."""
from __future__ import annotations

import json
import pickle

import cv2
import mmpretrain.datasets
import numpy as np
import pytest
import torch
from mmengine.config import Config
from references import tiny
from references.commands import call_tool

from mmdense.evaluation.classification import (
    CIFAR,
    ClassifiedImages,
    accuracy,
    classify,
    pooled,
    read_classified,
)
from mmdense.evaluation.features import FrozenEncoder

COLOURS = dict(blue=(250, 20, 20), green=(20, 250, 20), red=(20, 20, 250))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Noise around a colour for each class, 6 images to learn from and 3 to classify."""
    root, generator = tmp_path_factory.mktemp('classes'), np.random.default_rng(0)
    for part, count in (('train', 6), ('val', 3)):
        for name, colour in COLOURS.items():
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                noise = generator.normal(0, 40, (30, 40, 3))
                image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / part / name / f'{number}.png'), image)
    return root


def test_separable_classes_are_separated_and_shuffled_labels_are_not(folder):
    train, queries = read_classified(str(folder))
    assert train.classes == ('blue', 'green', 'red') and len(train) == 18 and len(queries) == 9
    encoder = FrozenEncoder(tiny.build())
    found = classify(encoder, train, queries, ('C4', 'last'), size=64, batch_size=4)
    for numbers in found.values():
        assert numbers == dict(accuracy=100.0, train_accuracy=100.0, majority=33.33)
    queries.labels = queries.labels.roll(3)
    wrong = classify(encoder, train, queries, ('last',), size=64)['last']
    assert wrong['accuracy'] == 0 and wrong['train_accuracy'] == 100


def test_rows_are_means_of_maps_in_any_batches(folder):
    _, queries = read_classified(str(folder))
    encoder, counts = FrozenEncoder(tiny.build()), []
    rows = pooled(encoder, queries, ('last',), 64, 4, counts.append)['last']
    assert counts == [4, 4, 1]
    for number in range(len(queries)):
        expected = encoder(queries.batch([number], 64)).mean((2, 3))[0]
        torch.testing.assert_close(rows[number], expected, rtol=1e-4, atol=1e-5)
    assert accuracy(torch.tensor([[1., 0], [1, 0], [0, 1]]), torch.tensor([0, 1, 1])) == 66.67


def test_arrays_are_resized_as_files_are(folder):
    _, files = read_classified(str(folder))
    arrays = ClassifiedImages(np.stack([cv2.imread(path) for path in files.images]), files.labels,
                              files.classes)
    assert torch.equal(arrays.batch(range(9), 48), files.batch(range(9), 48))


def test_the_tool_says_the_random_network_beside(folder, tmp_path, capsys):
    Config(dict(custom_imports=dict(imports=['mmdense']), default_scope='mmseg',
                model=tiny.config())).dump(tmp_path / 'config.py')
    torch.save(dict(state_dict=tiny.build().state_dict()), tmp_path / 'net.pth')
    call_tool('classify', 'config.py', 'net.pth', folder, '--size', 64, '--json', 'found.json',
              cwd=tmp_path)
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found == json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found['train_images'] == 18 and found['images'] == 9
    assert [numbers['last']['accuracy'] for numbers in found['results'].values()] == [100, 100]
    assert [*found['results']] == ['checkpoint', 'random']


def test_cifars_own_files_are_read(tmp_path, monkeypatch):
    """Their rows are planes of red, green and blue."""
    cifar = mmpretrain.datasets.CIFAR10
    monkeypatch.setattr(cifar, '_check_integrity', lambda self: True)
    monkeypatch.setattr(cifar, 'train_list', [['data_batch_1', '']])
    rows = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    for name, labels in (('data_batch_1', [3, 1]), ('test_batch', [0, 9])):
        (folder / name).write_bytes(pickle.dumps(dict(data=rows, labels=labels)))
    train, queries = read_classified(str(tmp_path))
    assert train.labels.tolist() == [3, 1] and queries.labels.tolist() == [0, 9]
    assert len(train.classes) == 10 and train.classes[3] == 'cat'
    expected = rows[1].reshape(3, 32, 32)[::-1].astype(np.float32)
    np.testing.assert_allclose(train.batch([1], 32)[0].numpy(), expected)


@pytest.mark.situation('images', 'images to classify without folders of classes, or files of CIFAR '
                       'that are not the published ones', 'error', 'names the folder')
def test_what_is_no_set_is_told(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='expected folders train and val'):
        read_classified(str(tmp_path))
    (tmp_path / 'one/train').mkdir(parents=True)
    (tmp_path / 'one/test').mkdir()
    with pytest.raises(FileNotFoundError, match='train has no folders; expected one for each'):
        read_classified(str(tmp_path / 'one'))
    for part in ('train', 'test'):
        (tmp_path / 'one' / part / part).mkdir()
        (tmp_path / 'one' / part / part / 'a.png').write_bytes(b'')
    with pytest.raises(ValueError, match='train has the classes train, and test test'):
        read_classified(str(tmp_path / 'one'))
    name = next(iter(CIFAR))
    (tmp_path / name).mkdir()
    (tmp_path / name / 'data_batch_1').write_bytes(pickle.dumps(dict(data=[], labels=[])))
    with pytest.raises(ValueError, match='the files of CIFAR10 are not the published ones'):
        read_classified(str(tmp_path))
