"""First passage of a switching Ornstein-Uhlenbeck process to a level, by its backward equation.

u_k(x, h) = P(the level is reached within h | x, regime k) solves

    du_k/dh = (a_k - kappa_k x) u_k' + (1/2) variance_k u_k'' + sum_j q_kj u_j,   u_k(level) = 1,

with u_k(x, 0) = 0 beyond the level. Crank-Nicolson after four damped half steps
(Rannacher 1984), the chain split off symmetrically (Strang 1968). Monitoring is continuous.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

POINTS = 161
STEPS = 60


@njit(cache=True, error_model="numpy", nogil=True)
def _thomas(lower, diag, upper, rhs, work, out):  # type: ignore[no-untyped-def]
    """Solves a tridiagonal system."""
    n = rhs.shape[0]
    work[0] = upper[0] / diag[0]
    out[0] = rhs[0] / diag[0]
    for i in range(1, n):
        pivot = diag[i] - lower[i] * work[i - 1]
        work[i] = upper[i] / pivot
        out[i] = (rhs[i] - lower[i] * out[i - 1]) / pivot
    for i in range(n - 2, -1, -1):
        out[i] -= work[i] * out[i + 1]


@njit(cache=True, error_model="numpy", nogil=True)
def _operator(grid, kappa, push, variance, low, mid, high):  # type: ignore[no-untyped-def]
    """Generator on a non-uniform grid: central where it stays monotone, upwind elsewhere; flat at the far end."""
    n = grid.shape[0]
    low[0] = 0.0
    mid[0] = 0.0
    high[0] = 0.0
    for i in range(1, n):
        left = grid[i] - grid[i - 1]
        right = grid[i + 1] - grid[i] if i < n - 1 else left
        drift = push - kappa * grid[i]
        a = (variance - drift * right) / (left * (left + right))
        b = (variance + drift * left) / (right * (left + right))
        if a < 0.0 or b < 0.0:
            a = variance / (left * (left + right)) + max(-drift, 0.0) / left
            b = variance / (right * (left + right)) + max(drift, 0.0) / right
        low[i] = a
        high[i] = b if i < n - 1 else 0.0
        mid[i] = -(a + b) if i < n - 1 else -a


@njit(cache=True, error_model="numpy", nogil=True)
def _mix(u, p, column):  # type: ignore[no-untyped-def]
    """u <- P u at every point beyond the level."""
    K = u.shape[0]
    for i in range(1, u.shape[1]):
        for k in range(K):
            acc = 0.0
            for j in range(K):
                acc += p[k, j] * u[j, i]
            column[k] = acc
        for k in range(K):
            u[k, i] = column[k]


@njit(cache=True, error_model="numpy", nogil=True)
def _march(grid, kappa, push, variance, damped_mix, mix, horizon, steps, out):  # type: ignore[no-untyped-def]
    """Marches u (K, n) to `horizon`; `damped_mix` and `mix` are the chain over a quarter and half of a step."""
    K = kappa.shape[0]
    n = grid.shape[0]
    low = np.empty((K, n))
    mid = np.empty((K, n))
    high = np.empty((K, n))
    for k in range(K):
        _operator(grid, kappa[k], push[k], variance[k], low[k], mid[k], high[k])
        for i in range(n):
            out[k, i] = 1.0 if i == 0 else 0.0
    h = horizon / steps
    rhs = np.empty(n)
    la = np.empty(n)
    da = np.empty(n)
    ua = np.empty(n)
    work = np.empty(n)
    column = np.empty(K)
    for step in range(steps + 2):
        damped = step < 4
        size = 0.5 * h if damped else h
        weight = 1.0 if damped else 0.5
        between = damped_mix if damped else mix
        if K > 1:
            _mix(out, between, column)
        for k in range(K):
            for i in range(n):
                la[i] = -weight * size * low[k, i]
                da[i] = 1.0 - weight * size * mid[k, i]
                ua[i] = -weight * size * high[k, i]
                rhs[i] = out[k, i]
                if not damped and i > 0:
                    ahead = out[k, i + 1] if i < n - 1 else 0.0
                    rhs[i] += 0.5 * size * (low[k, i] * out[k, i - 1] + mid[k, i] * out[k, i] + high[k, i] * ahead)
            _thomas(la, da, ua, rhs, work, out[k])
        if K > 1:
            _mix(out, between, column)


def grid_beyond(reach: float, scale: float, points: int = POINTS) -> Array:
    """Distances beyond the level, 0 to `reach`, dense near the level on the length `scale`."""
    width = math.asinh(max(reach / scale, 1e-6))
    out = scale * np.sinh(np.linspace(0.0, width, points))
    out[0] = 0.0
    return np.asarray(out)


def hit_probability(
    kappa: Array,
    drift: Array,
    variance: Array,
    mixes: tuple[Array, Array],
    level: float,
    horizon: float,
    reach: float,
    points: int = POINTS,
    steps: int = STEPS,
) -> tuple[Array, Array]:
    """Distances above `level` (n,) and P(level reached within `horizon`) from there, (K, n).

    kappa 1/h, drift = kappa theta bps/h, variance bps^2/h, all (K,); `mixes`: chain over a quarter and half of a
    step of horizon / steps (identities hold the regime); reach bps: farthest distance needed.
    From below: pass -drift and -level.
    """
    spread = math.sqrt(float(np.max(variance)) * horizon)
    smallest = math.sqrt(max(float(np.min(variance)), 1e-12 * float(np.max(variance))) * horizon)
    far = 1.3 * reach + 3.0 * spread
    grid = grid_beyond(far, min(smallest, far), points)
    out = np.empty((len(kappa), points))
    _march(
        grid, np.ascontiguousarray(kappa, dtype=float), np.asarray(drift - kappa * level, dtype=float),
        np.ascontiguousarray(variance, dtype=float), mixes[0], mixes[1], float(horizon), steps, out,
    )  # fmt: skip
    return grid, np.clip(out, 0.0, 1.0)


@njit(cache=True, error_model="numpy", nogil=True)
def _expected_outside(weights, mean, sd, level, grid, table, nodes, node_weights, out):  # type: ignore[no-untyped-def]
    """Adds, for each time and regime, the mean of table((x - level)) over x > level, x ~ N(mean, sd^2)."""
    n, K = mean.shape
    size = grid.shape[0]
    for i in range(n):
        for k in range(K):
            if weights[i, k] < 1e-12:
                continue
            acc = 0.0
            for q in range(nodes.shape[0]):
                d = mean[i, k] + sd[i, k] * nodes[q] - level
                if d <= 0.0:
                    continue
                lo = 0
                hi = size - 1
                if d >= grid[hi]:
                    value = table[k, hi]
                else:
                    while hi - lo > 1:
                        mid = (lo + hi) // 2
                        if grid[mid] <= d:
                            lo = mid
                        else:
                            hi = mid
                    f = (d - grid[lo]) / (grid[hi] - grid[lo])
                    value = table[k, lo] * (1.0 - f) + table[k, hi] * f
                acc += node_weights[q] * (1.0 - value)
            out[i, k] += acc


def no_return(
    weights: Array,
    mean: Array,
    sd: Array,
    level: float,
    grid: Array,
    table: Array,
    out: Array,
    order: int = 9,
) -> None:
    """Adds P(x above `level` and not back within the horizon) by time and regime to `out` (n, K).

    weights, mean, sd (n, K): law of x by regime (sd bps); a regime without weight is skipped.
    """
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(order)
    node_weights = node_weights / node_weights.sum()
    _expected_outside(weights, mean, sd, level, grid, table, nodes, node_weights, out)
