"""Sums behind the test of a constant Gaussian AR(1) against one whose parameters follow a Markov chain.

y_i = c + phi u_i + sqrt(v) z_i, u the value before less the mean. With g_i the score of (c, phi, log sd) in units of
their standard errors and H_i the second derivatives, the statistic of Carrasco, Hu & Ploberger (2014) is made of

    A_i = (H_i + g_i g_i' + g_i r_i' + r_i g_i') / 2,   r_i = rho (r_{i-1} + g_{i-1}),

rho the correlation of the chain from one row to the next, freed of its regression on g.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_ROOT2 = math.sqrt(2.0)


@njit(cache=True, error_model="numpy", nogil=True)
def fitted(y, z, w):  # type: ignore[no-untyped-def]
    """Least squares: fills standardised residuals z and regressors w (n - 1,); returns c, phi, v and the mean of u."""
    n = y.shape[0] - 1
    before, after = 0.0, 0.0
    for i in range(n):
        before += y[i] / n
        after += y[i + 1] / n
    across, square = 0.0, 0.0
    for i in range(n):
        across += (y[i] - before) * (y[i + 1] - after)
        square += (y[i] - before) ** 2
    phi = across / square
    v = 0.0
    for i in range(n):
        w[i] = y[i] - before
        z[i] = y[i + 1] - after - phi * w[i]
        v += z[i] ** 2 / n
    scale = math.sqrt(square / n)
    for i in range(n):
        w[i] /= scale
        z[i] /= math.sqrt(v)
    return after, phi, v, before


@njit(cache=True, error_model="numpy", nogil=True)
def sums(z, w, rho, total, cross, square, own):  # type: ignore[no-untyped-def]
    """For one rho: total (6,) = sum A, cross (3, 6) = sum g A, square (6, 6) = sum A A', own (3, 3) = sum g g'."""
    total[:] = 0.0
    cross[:] = 0.0
    square[:] = 0.0
    own[:] = 0.0
    g, r, h, a = np.zeros(3), np.zeros(3), np.empty(6), np.empty(6)
    for i in range(z.shape[0]):
        for k in range(3):
            r[k] = rho * (r[k] + g[k])
        e, u = z[i], w[i]
        g[0], g[1], g[2] = e, e * u, (e * e - 1.0) / _ROOT2
        h[0], h[1], h[2], h[3], h[4], h[5] = -1.0, -u * u, -e * e, -u, -_ROOT2 * e, -_ROOT2 * e * u
        for p in range(6):
            j, k = PAIRS[p]
            a[p] = 0.5 * (h[p] + g[j] * g[k] + g[j] * r[k] + r[j] * g[k])
            total[p] += a[p]
        for p in range(6):
            for q in range(p + 1):
                square[p, q] += a[p] * a[q]
            for k in range(3):
                cross[k, p] += g[k] * a[p]
        for j in range(3):
            for k in range(3):
                own[j, k] += g[j] * g[k]
    for p in range(6):
        for q in range(p):
            square[q, p] = square[p, q]


def weights(directions: Array) -> Array:
    """Weights (d, 6) of the entries of A in h'A h for directions h (d, 3)."""
    return np.stack([directions[:, j] * directions[:, k] * (1.0 if j == k else 2.0) for j, k in PAIRS], axis=1)


@njit(cache=True, error_model="numpy", nogil=True)
def _every(z, w, correlations, total, cross, square, own):  # type: ignore[no-untyped-def]
    """`sums` for each of several rho, (r, ...)."""
    for i in range(correlations.shape[0]):
        sums(z, w, correlations[i], total[i], cross[i], square[i], own)


def greatest(y: Array, correlations: Array, weight: Array) -> tuple[float, float]:
    """Supremum over correlations (r,) and directions (weights (d, 6)) of the statistic, and the correlation there."""
    z, w, r = np.empty(len(y) - 1), np.empty(len(y) - 1), len(correlations)
    fitted(y, z, w)
    total, cross, square, own = np.empty((r, 6)), np.empty((r, 3, 6)), np.empty((r, 6, 6)), np.empty((3, 3))
    _every(z, w, correlations, total, cross, square, own)
    rest = square - cross.transpose(0, 2, 1) @ np.linalg.solve(own, cross)
    spread, whole = (((weight @ part) * weight).sum(axis=2) for part in (rest, square))
    # along some directions A is a score, which says nothing of switching
    told = spread > 1e-6 * whole
    root = np.where(told, total @ weight.T / np.sqrt(np.where(told, spread, 1.0)), 0.0)
    best = int(root.max(axis=1).argmax())
    return 0.5 * max(float(root[best].max()), 0.0) ** 2, float(correlations[best])
