"""Projector: the same weights give the same on a vector and on a cell; norm where asked."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from mmdense.models.necks import Projector


def test_a_map_is_projected_cell_by_cell():
    vector, dense = Projector(6, 8, 4), Projector(6, 8, 4, dense=True)
    with torch.no_grad():
        for a, b in zip(dense.parameters(), vector.parameters(), strict=True):
            a.copy_(b.view_as(a))
    x = torch.randn(2, 6, 3, 5)
    cells = torch.stack([vector(x[:, :, i, j]) for i in range(3) for j in range(5)], -1)
    torch.testing.assert_close(dense(x).flatten(2), cells)


def test_layers_and_norm():
    plain = Projector(6, 8, 4, num_layers=3)
    assert [type(m) for m in plain.layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    for dense, norm in ((False, nn.BatchNorm1d), (True, nn.BatchNorm2d)):
        normed = Projector(6, 8, 4, dense=dense, norm_cfg=dict(type='BN'))
        assert isinstance(normed.layers[1], norm)
        assert normed.layers[0].bias is None and normed.layers[-1].bias is not None


@pytest.mark.parametrize('dense', [False, True])
@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN')])
def test_the_last_layer_has_a_bias_unless_told_otherwise(dense, norm_cfg):
    """And the hidden layers have theirs where no norm follows, whatever the last has."""
    for last_bias in (True, False):
        layers = Projector(6, 8, 4, num_layers=3, dense=dense, norm_cfg=norm_cfg,
                           last_bias=last_bias).layers
        *hidden, last = (m for m in layers if isinstance(m, nn.Linear | nn.Conv2d))
        assert (last.bias is not None) == last_bias
        assert [m.bias is not None for m in hidden] == [norm_cfg is None] * 2
    assert Projector(6, 8, 4).layers[-1].bias is not None
    assert Projector(6, 8, 4, num_layers=1, last_bias=False).layers[-1].bias is None
