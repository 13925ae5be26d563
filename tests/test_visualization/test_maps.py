from __future__ import annotations

import torch
import torch.nn.functional as F

from mmdense.visualization.maps import mutual_matches, principal_colours, similarity_to_cell


def test_mutual_matches_equal_a_loop():
    first, second = torch.randn(8, 3, 4), torch.randn(8, 2, 5)
    a, b = (F.normalize(maps.flatten(1), dim=0) for maps in (first, second))
    expected = set()
    for i in range(12):
        scores = [float(a[:, i] @ b[:, j]) for j in range(10)]
        j = scores.index(max(scores))
        back = [float(a[:, k] @ b[:, j]) for k in range(12)]
        if back.index(max(back)) == i:
            expected.add((i, j))
    pairs, cosine = mutual_matches(first, second)
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    torch.testing.assert_close(cosine, (a[:, pairs[:, 0]] * b[:, pairs[:, 1]]).sum(0))
    assert (cosine[:-1] >= cosine[1:]).all()


def test_a_map_matches_itself():
    maps = torch.randn(16, 4, 5)
    pairs, _ = mutual_matches(maps, maps)
    assert sorted(pairs.tolist()) == [[i, i] for i in range(20)]


def test_colours_tell_clusters_apart_alike_in_all_images():
    centres = torch.randn(4, 16) * 3
    numbers = [torch.randint(0, 4, (5, 6)), torch.randint(0, 4, (7, 3))]
    maps = [(centres[n] + 0.01 * torch.randn(*n.shape, 16)).permute(2, 0, 1) for n in numbers]
    colours = principal_colours(maps)
    assert [c.shape for c in colours] == [(5, 6, 3), (7, 3, 3)]
    assert all(((c >= 0) & (c <= 1)).all() for c in colours)
    of_class = [torch.cat([c[n == k] for c, n in zip(colours, numbers, strict=True)])
                for k in range(4)]
    spread = max(float(c.std(0).max()) for c in of_class)
    means = torch.stack([c.mean(0) for c in of_class])
    assert spread < 0.03 and torch.pdist(means).min() > 0.3


def test_two_channels_are_enough():
    colours = principal_colours([torch.randn(2, 4, 4)])[0]
    assert colours.shape == (4, 4, 3) and colours.isfinite().all()


def test_a_cell_is_like_itself():
    maps = torch.randn(8, 3, 4)
    similarity = similarity_to_cell(maps, 1, 2)
    torch.testing.assert_close(similarity[1, 2], torch.tensor(1.))
    expected = F.cosine_similarity(maps[:, 0, 3], maps[:, 1, 2], dim=0)
    torch.testing.assert_close(similarity[0, 3], expected)
