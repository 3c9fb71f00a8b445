"""Means of first-passage tables over the law of the basis and of its level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


class State(NamedTuple):
    """Law of the basis g = x + l and of the slow level l in each regime, both in bps, every array (n, K).

    weights; mean and sd of g; mean of l, by how much it moves with g, and its sd once g is known.
    """

    weights: Array
    mean: Array
    sd: Array
    level: Array
    tilt: Array
    level_sd: Array


@njit(cache=True, error_model="numpy", nogil=True)
def _place(values, at):  # type: ignore[no-untyped-def]
    """The value below, and the share of the one above; the ends beyond them."""
    hi = values.shape[0] - 1
    if at >= values[hi]:
        return hi - 1, 1.0
    if at <= values[0]:
        return 0, 0.0
    lo = 0
    while hi - lo > 1:
        mid = (lo + hi) // 2
        if values[mid] <= at:
            lo = mid
        else:
            hi = mid
    return lo, (at - values[lo]) / (values[lo + 1] - values[lo])


@njit(cache=True, error_model="numpy", nogil=True)
def _beyond(grid, values, table, level, spread, d, nodes, node_weights):  # type: ignore[no-untyped-def]
    """Mean over the level, normal about `level`, of a table (M, n) at distance d: linear between levels and points."""
    i, f = _place(grid, d)
    if values.shape[0] == 1:
        return table[0, i] + f * (table[0, i + 1] - table[0, i])
    count = nodes.shape[0] if spread > 0.0 else 1
    acc = 0.0
    for q in range(count):
        m, g = _place(values, level + spread * nodes[q] if count > 1 else level)
        near = table[m, i] + f * (table[m, i + 1] - table[m, i])
        far = table[m + 1, i] + f * (table[m + 1, i + 1] - table[m + 1, i])
        acc += (near + g * (far - near)) * (node_weights[q] if count > 1 else 1.0)
    return acc


@njit(cache=True, error_model="numpy", nogil=True)
def _expected_outside(law, edge, grid, values, table, nodes, node_weights, fewer, fewer_weights, out):  # type: ignore[no-untyped-def]
    """Adds, for each time and regime, the mean of 1 - table(level, g - edge) over g > edge."""
    weights, mean, sd, level, tilt, level_sd = law
    n, K = mean.shape
    for i in range(n):
        for k in range(K):
            if weights[i, k] < 1e-9:
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


def no_return(state: State, edge: float, grid: Array, values: Array, table: Array, out: Array, order: int = 9) -> None:
    """Adds P(g above `edge` and not back within the horizon) by time and regime to `out` (n, K).

    `values`, `table`: levels, and P(reached) from `hit_probability`.
    """
    parts = [np.polynomial.hermite_e.hermegauss(count) for count in (order, 5)]
    (nodes, shares), (fewer, fewer_shares) = ((z, w / w.sum()) for z, w in parts)
    whole = tuple(np.ascontiguousarray(part, dtype=float) for part in state)
    _expected_outside(whole, edge, grid, values, table, nodes, shares, fewer, fewer_shares, out)
