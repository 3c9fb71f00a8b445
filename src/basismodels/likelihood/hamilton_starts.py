"""Starting points of `hamilton_fit`, cut from the data."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LEAST_V, MOST_LOGIT = 1e-6, 14.0


@njit(error_model="numpy")
def _line(z):  # type: ignore[no-untyped-def]
    """Slope and intercept of z on its lag."""
    n = z.shape[0] - 1
    a = np.zeros((2, 5))
    for i in range(n):
        own = a[i & 1]
        own[0] += z[i]
        own[1] += z[i + 1]
        own[2] += z[i] * z[i]
        own[3] += z[i] * z[i + 1]
    sx, sy, sxx, sxy = (a[0] + a[1])[:4]
    slope = (sxy - sx * sy / n) / max(sxx - sx * sx / n, 1e-300)
    return slope, (sy - slope * sx) / n


@njit(error_model="numpy")
def _score(z, draw, local):  # type: ignore[no-untyped-def]
    """What the regimes are cut by: running mean of |residual|, mixed with that of the level or of the residual.

    The four draws set the weight and kind of the mixture, the running mean's length and, elsewhere, the cuts.
    """
    slope, level = _line(z)
    decay = 0.92 if draw[1] == 0.0 else 0.5 + 0.49 * draw[1]
    weight = 2.0 * (draw[0] - 0.5) if draw[0] > 0.5 else 0.0
    first, mixed, size = 0.0, 0.0, 0.0
    for i in range(1, z.shape[0]):
        e = z[i] - level - slope * z[i - 1]
        size += abs(e)
    size /= z.shape[0] - 1
    first = size
    for i in range(1, z.shape[0]):
        e = z[i] - level - slope * z[i - 1]
        first = decay * first + (1.0 - decay) * abs(e)
        other = e / size if draw[0] > 0.75 else z[i]
        mixed = decay * mixed + (1.0 - decay) * other
        local[i] = (1.0 - weight) * (first / size - 1.0) + weight * mixed


@njit(error_model="numpy")
def cut_start(kk, z, draw, local, x):  # type: ignore[no-untyped-def]
    """Fills the free vector from regimes cut at levels of the running score of standardised z (n,)."""
    K, n = len(kk), z.shape[0]
    _score(z, draw, local)
    mean, square = 0.0, 0.0
    for i in range(1, n):
        mean += local[i]
        square += local[i] * local[i]
    mean /= n - 1
    spread = math.sqrt(max(square / (n - 1) - mean * mean, 1e-12))
    shift = 0.4 if draw[2] == 0.0 else 2.0 * draw[2] - 0.6
    width = 1.0 if draw[3] == 0.0 else 0.5 + 1.5 * draw[3]
    sums, moves = np.zeros((K, 6)), np.full((K, K), 0.5)
    last = 0
    for i in range(1, n):
        # cuts `width` apart around `shift`, in standard deviations of the score
        cut = (local[i] - mean) / spread - shift
        now = 0
        for k in range(K - 1):
            now += cut > width * (k - 0.5 * (K - 2))
        own = sums[now]
        own[0] += 1.0
        own[1] += z[i - 1]
        own[2] += z[i]
        own[3] += z[i - 1] * z[i - 1]
        own[4] += z[i - 1] * z[i]
        own[5] += z[i] * z[i]
        moves[last, now] += 1.0
        last = now
    _regressions(kk, sums, x)
    for j in range(K):
        for k in range(K):
            if k != j:
                x[3 * K + j * (K - 1) + k - (k > j)] = math.log(moves[j, k] / moves[j, j])


@njit(error_model="numpy")
def _regressions(kk, sums, x):  # type: ignore[no-untyped-def]
    """Slope, intercept and log variance of each regime, drawn towards those of the whole series."""
    K = len(kk)
    whole = np.zeros(6)
    for k in range(K):
        whole += sums[k]
    for k in range(K):
        count, sx, sy, sxx, sxy, syy = sums[k] + whole * (10.0 / whole[0])
        sxx -= sx * sx / count
        sxy -= sx * sy / count
        syy -= sy * sy / count
        slope = sxy / max(sxx, 1e-300)
        x[k] = slope
        x[K + k] = (sy - slope * sx) / count
        x[2 * K + k] = math.log(max((syy - slope * sxy) / count, LEAST_V))
