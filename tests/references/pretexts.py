"""Predictive pretexts as slow float64 loops, from their definitions."""
from __future__ import annotations

import math

from references.densecl import unit
from references.patch_rotation import resized


def hinges(anchors, positives, others, own, negatives, margin):
    """Return [i] the hinge of each anchor; others (K, D), own [i] the place of its positive."""
    def distance(a, b):
        return 1 - float(unit(a.double()) @ unit(b.double()))
    found = []
    for anchor, positive, mine in zip(anchors, positives, own, strict=True):
        near = distance(anchor, positive)
        places = [place for place in range(len(others)) if place != mine]
        if not places:
            found.append(0.0)
            continue
        far = [distance(anchor, others[place]) for place in places]
        if negatives == 'one':
            far = [distance(anchor, others[(mine + 1) % len(others)])]
        elif negatives == 'hardest':
            far = [min(far)]
        found.append(sum(max(near - one + margin, 0) for one in far) / len(far))
    return found


def soft_target(a, b, bins, neighbours, sigma):
    """Return {bin: share} of one colour, and its nearest bin."""
    squares = {number: (a - x) ** 2 + (b - y) ** 2 for number, (x, y) in enumerate(bins)}
    nearest = sorted(squares, key=squares.get)[:neighbours]
    least = squares[nearest[0]]
    powers = {number: math.exp((least - squares[number]) / (2 * sigma ** 2)) for number in nearest}
    return {number: power / sum(powers.values()) for number, power in powers.items()}, nearest[0]


def bin_weights(counts, bins, share, sigma=5.0):
    """Return the weight of each bin, by how often bins occur."""
    def near(one, other):
        return math.exp(-((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) / (2 * sigma ** 2))
    totals = [sum(near(one, other) for one in bins) for other in bins]
    smooth = [sum(near(one, other) / totals[j] * counts[j] for j, other in enumerate(bins))
              for one in bins]
    prior = [value / sum(smooth) for value in smooth]
    weights = [1 / ((1 - share) * p + share / len(bins)) for p in prior]
    mean = sum(p * w for p, w in zip(prior, weights, strict=True))
    return [weight / mean for weight in weights]


def colour_loss(logits, chroma, coloured, bins, rebalance, neighbours=5, sigma=5.0, before=None):
    """Return the loss of coloured images, and the counts of bins; chroma (B, 2, H, W) is a, b."""
    counts = [0] * len(bins) if before is None else list(before)
    cells = []
    for b, known in enumerate(coloured):
        if not known:
            continue
        large = resized(logits[b], *chroma.shape[2:])
        for row in range(chroma.shape[2]):
            for column in range(chroma.shape[3]):
                target, nearest = soft_target(*chroma[b, :, row, column].tolist(), bins,
                                              neighbours, sigma)
                counts[nearest] += 1
                values = large[:, row, column].tolist()
                top = max(values)
                total = top + math.log(sum(math.exp(value - top) for value in values))
                cells.append((nearest, -sum(part * (values[number] - total)
                                            for number, part in target.items())))
    if not cells:
        return 0.0, counts
    weights = bin_weights(counts, bins, rebalance)
    return sum(weights[nearest] * entropy for nearest, entropy in cells) / len(cells), counts


def motion_loss(logits, mask):
    """Return the mean loss of known pixels, the IoU of moving ones, and their share."""
    losses, both, either, moving = [], 0, 0, 0
    for b in range(len(logits)):
        large = resized(logits[b], *mask.shape[1:])[0]
        for row, ids in enumerate(mask[b].tolist()):
            for column, number in enumerate(ids):
                if not number:
                    continue
                value, moves = float(large[row, column]), number == 2
                chance = 1 / (1 + math.exp(-value))
                losses.append(-math.log(chance if moves else 1 - chance))
                both += moves and value > 0
                either += moves or value > 0
                moving += moves
    count = max(len(losses), 1)
    return sum(losses) / count, both / max(either, 1), moving / count
