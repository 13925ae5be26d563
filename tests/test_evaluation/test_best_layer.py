from __future__ import annotations

import torch
import torch.nn.functional as F

from mmdense.evaluation.best_layer import choose_layer, memory_miou
from mmdense.evaluation.feature_cache import LayerMaps
from mmdense.evaluation.protocols import knn


def planted(count: int, noise: float, seed: int = 0) -> LayerMaps:
    """Maps (3, 4, 6) of the classes of blocks of 2x2 pixels, with noise."""
    generator, maps, beside = torch.Generator().manual_seed(seed), [], []
    for _ in range(count):
        labels = torch.randint(3, (4, 6), generator=generator)
        clean = F.one_hot(labels, 3).permute(2, 0, 1).float()
        maps.append(clean + noise * torch.randn(clean.shape, generator=generator))
        beside.append(dict(labels=labels.repeat_interleave(2, 0).repeat_interleave(2, 1).short()))
    return LayerMaps(maps, beside)


def test_it_is_two_searches_of_a_half_in_the_other():
    memory = planted(5, 0.5)
    even, odd = (LayerMaps(memory.maps[i::2], memory.beside[i::2]) for i in (0, 1))
    found = memory_miou(memory, 3, k=4, memory_size=24, seed=2)
    # 24 cells are 8 of each of 3 images and 12 of each of 2
    parts = [knn(odd, even, 3, k=4, per_image=12, seed=2)['mIoU'],
             knn(even, odd, 3, k=4, per_image=8, seed=2)['mIoU']]
    assert min(parts) - 1 < found < max(parts) + 1 and parts[0] != parts[1]
    # halves of the same images: each part alone is the result
    twice = LayerMaps(memory.maps * 2, memory.beside * 2)
    same = knn(memory, memory, 3, k=4, per_image=5)['mIoU']
    order = [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]
    twice = LayerMaps([twice.maps[i] for i in order], [twice.beside[i] for i in order])
    assert memory_miou(twice, 3, k=4, memory_size=25) == same


def test_the_layer_that_knows_the_classes_wins_whatever_the_queries_say():
    results = {layer: dict(knn=dict(mIoU=mean, memory_mIoU=memory_miou(planted(6, noise), 3)))
               for layer, noise, mean in (('C3', 2., 90.), ('C4', 0.2, 10.), ('C5', 1., 95.))}
    assert choose_layer(results) == 'C4'
    tied = {layer: dict(knn=dict(memory_mIoU=5.)) for layer in ('C5', 'C4')}
    assert choose_layer(tied) == 'C5'


def test_no_choice_where_there_is_none():
    assert memory_miou(planted(1, 0.1), 3) is None
    half = planted(4, 0.1)
    for number in (1, 3):
        half.beside[number]['labels'][:] = 255
    assert memory_miou(half, 3) is None
    half.beside[3]['labels'][:] = 1
    assert memory_miou(half, 3) is not None
    assert choose_layer({'C5': dict(knn=dict(memory_mIoU=5.))}) is None
    assert choose_layer({'C5': dict(knn=dict(memory_mIoU=5.)), 'C4': dict(knn={})}) is None
    assert choose_layer({'C5': dict(linear={}), 'C4': dict(linear={})}) is None
