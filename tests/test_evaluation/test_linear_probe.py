from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmdense.evaluation.linear_probe import fit_linear_probe, predict


def planted(n: int = 600, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, 12) whose first channels tell the class, on a background of noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    noise = torch.randn(n, 12, generator=generator) * 0.1
    noise[:, :classes] += F.one_hot(labels, classes)
    return noise, F.one_hot(labels, classes).float() * 64


@pytest.mark.parametrize('batch_norm', [True, False])
def test_planted_classes_are_found_in_cells_not_seen(batch_norm):
    probe = fit_linear_probe(*planted(), batch_norm, steps=200)
    features, counts = planted(seed=1)
    assert torch.equal(probe(features).argmax(1), counts.argmax(1))
    assert not probe.training and not any(p.requires_grad for p in probe.parameters())


def test_batch_norm_takes_scale_and_offset_away():
    features, counts = planted()
    probe = fit_linear_probe(features, counts, steps=50)
    other = fit_linear_probe(features * 1000 + 5, counts, steps=50)
    torch.testing.assert_close(probe(features), other(features * 1000 + 5), atol=2e-3, rtol=1e-3)
    assert (probe(features) - probe(features).mean(0)).std() > 0.1
    torch.testing.assert_close(probe[0](features).mean(0), torch.zeros(12), atol=1e-5, rtol=0)
    plain = fit_linear_probe(features, counts, False, steps=50)
    small = fit_linear_probe(features * 1e-3, counts, False, steps=50)
    # what tells cells apart is the standard deviation over cells; the bias is in neither
    assert plain(features).std(0).mean() > 10 * small(features * 1e-3).std(0).mean()


def test_soft_labels_are_the_shares_of_all_pixels():
    features = torch.ones(3, 2)                # nothing can be told apart: the bias is all
    counts = torch.tensor([[60., 0, 4], [2., 0, 2], [0., 12, 0]])
    probe = fit_linear_probe(features, counts, batch_norm=False, steps=500)
    expected = counts.sum(0) / counts.sum()
    torch.testing.assert_close(probe(features)[0].softmax(0), expected, atol=5e-3, rtol=0)


def test_cells_without_labels_do_not_count():
    features, counts = planted()
    more = torch.cat([features, torch.full((50, 12), 100.)]), F.pad(counts, (0, 0, 0, 50))
    one, other = fit_linear_probe(features, counts, steps=20), fit_linear_probe(*more, steps=20)
    assert torch.equal(one(features), other(features))


def test_it_repeats_bit_for_bit_and_leaves_the_random_state():
    features, counts = planted(3000)
    state = torch.get_rng_state()
    first = fit_linear_probe(features, counts, steps=30)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(7)
    second = fit_linear_probe(features, counts, steps=30)
    other = fit_linear_probe(features, counts, steps=30, seed=1)
    assert torch.equal(first(features), second(features))
    assert not torch.equal(first(features), other(features))


def test_scores_are_upsampled_to_the_labels():
    probe = fit_linear_probe(torch.eye(2).repeat(8, 1), torch.eye(2).repeat(8, 1), steps=50)
    feature_map = torch.tensor([[[1., 0]], [[0., 1]]])           # (2, 1, 2)
    assert predict(probe, feature_map, (2, 8)).tolist() == [[0] * 4 + [1] * 4] * 2


def test_mistakes_are_said():
    features, counts = planted(10)
    with pytest.raises(ValueError, match=r'features \(10, 12\) and histograms \(9, 4\); expected'):
        fit_linear_probe(features, counts[1:])
    with pytest.raises(ValueError, match='none of 10 cells has a labelled pixel'):
        fit_linear_probe(features, counts * 0)
    with pytest.raises(ValueError, match='nan or inf'):
        fit_linear_probe(features / 0, counts)
