"""Necks of context as slow float64 loops over cells, from their definitions."""
from __future__ import annotations

import math

import torch

from references.densecl import unit


def neighbours(h, w, radius):
    """[i] the numbers of the other cells of a map within ``radius`` rows and columns of cell i."""
    return [[r * w + c for r in range(h) for c in range(w)
             if 0 < max(abs(r - row), abs(c - column)) <= radius]
            for row in range(h) for column in range(w)]


def neighbour_means(x, radius):
    """Return the mean (B, C, N) of each cell's neighbours in maps (B, C, h, w); 0 without any."""
    near = neighbours(*x.shape[2:], radius)
    flat = x.double().flatten(2)
    return torch.stack([
        sum((flat[:, :, j] for j in others), torch.zeros_like(flat[:, :, 0])) / max(len(others), 1)
        for others in near], 2)


def shares(x, codewords, temperature):
    """Return [b][i][k], the share of codeword k in cell i; x (B, C, h, w), codewords (K, C)."""
    flat = x.double().flatten(2)
    out = []
    for b in range(len(flat)):
        rows = []
        for i in range(flat.shape[2]):
            powers = [math.exp(float(unit(flat[b, :, i]) @ unit(word.double())) / temperature)
                      for word in codewords]
            rows.append([power / sum(powers) for power in powers])
        out.append(rows)
    return out


def counts(parts, h, w, radius):
    """Return [k][l], how often codewords k and l are neighbours, as shares of all pairs."""
    words = range(len(parts[0][0]))
    near = neighbours(h, w, radius)
    table = [[sum(rows[i][k] * rows[j][m] for rows in parts for i in range(len(rows))
                  for j in near[i]) for m in words] for k in words]
    total = sum(map(sum, table))
    return [[value / total for value in row] for row in table]


def expected_words(parts, table, codewords):
    """Return (B, C, N), the codeword that is to be expected around each cell."""
    words = range(len(table))
    around = [sum(table[k][m] / sum(table[k]) * codewords[m].double() for m in words)
              for k in words]
    return torch.stack([torch.stack([sum(row[k] * around[k] for k in words) for row in rows], 1)
                        for rows in parts])
