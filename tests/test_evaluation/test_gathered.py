"""Several GPUs: what goes from process to process as an object lies on the CPU."""
from __future__ import annotations

import pytest
import torch
from mmengine.evaluator import metric
from references.labelled import blocks, runner, write
from torch import Tensor
from torch.utils._pytree import tree_leaves

from mmdense import gathering
from mmdense.evaluation import baselines, knn_loops
from mmdense.evaluation.baselines import MeanIoU
from mmdense.evaluation.features import FrozenEncoder


class OnGPU(Tensor):
    """Stands in for a tensor on a GPU: whatever is computed with it is one, until ``cpu()``."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        return result.as_subclass(Tensor) if func is Tensor.cpu else result


@pytest.fixture
def gathered(monkeypatch) -> list:
    """All parts of what is gathered as an object, in this process alone."""
    seen = []

    def watch(owner, name: str) -> None:
        gather = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda data, *args, **kwargs: (
            seen.extend(tree_leaves(data)), gather(data, *args, **kwargs))[1])
    for owner in (baselines, gathering):
        watch(owner, 'all_gather_object')
    watch(metric, 'collect_results')
    return seen


def test_mean_iou_gathers_from_the_cpu(gathered):
    iou = MeanIoU(3)
    labels = torch.tensor([[0, 1], [2, 255]])
    iou.add(labels.clamp(max=2).as_subclass(OnGPU), labels.as_subclass(OnGPU))
    assert type(iou.areas[0]) is OnGPU      # so the stand-in is seen
    assert iou.compute(1) == 100
    assert [type(x) for x in gathered] == [Tensor]


@pytest.mark.situation('processes', 'frozen evaluation on several GPUs', 'works', 'what is '
                       'gathered as an object lies on the CPU (a stand-in for a GPU shows it)')
def test_a_whole_evaluation_gathers_from_the_cpu(tmp_path, gathered, monkeypatch):
    """Dense k-NN with what needs no labels: areas, the memory's shapes, the metric's results."""
    label_map, encode, maps = knn_loops.label_map, FrozenEncoder.__call__, []

    def on_gpu(*args):
        maps.append(encode(*args).as_subclass(OnGPU))
        return maps[-1]
    monkeypatch.setattr(FrozenEncoder, '__call__', on_gpu)
    monkeypatch.setattr(knn_loops, 'label_map', lambda *args: label_map(*args).as_subclass(OnGPU))
    parts = (write(tmp_path, name, [blocks(seed) for seed in range(3)])
             for name in ('memory', 'query'))
    metrics = runner(tmp_path, *parts, k=3, label_free=True).val()
    assert metrics['mIoU'] > 90 and 'correspondence_accuracy' in metrics and maps
    found = [x for x in gathered if isinstance(x, Tensor)]
    assert len(found) == 2 + 3 * 4      # what stands beside; four areas of each image
    assert {type(x) for x in found} == {Tensor}
