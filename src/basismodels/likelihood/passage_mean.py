"""Means of first-passage tables over the law of the basis and of its level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Law(NamedTuple):
    """Gaussian law of the basis g and of the level l by time and regime, bps, every array (n, K).

    weights (those without are skipped); mean and sd of g; mean of l, by how much it moves with g, its sd given g.
    """

    weights: Array
    mean: Array
    sd: Array
    level: Array
    tilt: Array
    level_sd: Array


@njit(cache=True, error_model="numpy", nogil=True)
def _read(grid, row, d):  # type: ignore[no-untyped-def]
    """A table's row at distance d, linear between points."""
    hi = grid.shape[0] - 1
    if d >= grid[hi]:
        return row[hi]
    lo = 0
    while hi - lo > 1:
        mid = (lo + hi) // 2
        if grid[mid] <= d:
            lo = mid
        else:
            hi = mid
    f = (d - grid[lo]) / (grid[hi] - grid[lo])
    return row[lo] * (1.0 - f) + row[hi] * f


@njit(cache=True, error_model="numpy", nogil=True)
def _beyond(grid, values, table, level, spread, d, nodes, node_weights):  # type: ignore[no-untyped-def]
    """Mean over the level, normal about `level`, of a table (M, n) at distance d: linear between levels and points."""
    M = values.shape[0]
    if M == 1:
        return _read(grid, table[0], d)
    count = nodes.shape[0] if spread > 0.0 else 1
    acc = 0.0
    for q in range(count):
        at = level + spread * nodes[q] if count > 1 else level
        m = min(max(np.searchsorted(values, at) - 1, 0), M - 2)
        share = min(max((at - values[m]) / (values[m + 1] - values[m]), 0.0), 1.0)
        value = (1.0 - share) * _read(grid, table[m], d) + share * _read(grid, table[m + 1], d)
        acc += value * (node_weights[q] if count > 1 else 1.0)
    return acc


@njit(cache=True, error_model="numpy", nogil=True)
def _expected_outside(law, edge, grid, values, table, nodes, node_weights, fewer, fewer_weights, out):  # type: ignore[no-untyped-def]
    """Adds, for each time and regime, the mean of 1 - table(level, g - edge) over g > edge."""
    weights, mean, sd, level, tilt, level_sd = law
    n, K = mean.shape
    for i in range(n):
        for k in range(K):
            if weights[i, k] < 1e-12:
                continue
            acc = 0.0
            for q in range(nodes.shape[0]):
                off = sd[i, k] * nodes[q]
                d = mean[i, k] + off - edge
                if d > 0.0:
                    at = level[i, k] + tilt[i, k] * off
                    hit = _beyond(grid, values, table[k], at, level_sd[i, k], d, fewer, fewer_weights)
                    acc += node_weights[q] * (1.0 - hit)
            out[i, k] += acc


def no_return(law: Law, edge: float, grid: Array, values: Array, table: Array, out: Array, order: int = 9) -> None:
    """Adds P(g above `edge` and not back within the horizon) by time and regime to `out` (n, K).

    `values`, `table`: levels, and P(reached) from `hit_probability`.
    """
    parts = [np.polynomial.hermite_e.hermegauss(count) for count in (order, 5)]
    (nodes, shares), (fewer, fewer_shares) = ((z, w / w.sum()) for z, w in parts)
    whole = tuple(np.ascontiguousarray(part, dtype=float) for part in law)
    _expected_outside(whole, edge, grid, values, table, nodes, shares, fewer, fewer_shares, out)
