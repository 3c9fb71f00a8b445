"""First passage of a switching Ornstein-Uhlenbeck process to a level, by its backward equation.

u_k(x, h) = P(the level is reached within h | x, regime k) solves

    du_k/dh = (a_k - kappa_k x) u_k' + (1/2) variance_k u_k'' + sum_j q_kj u_j,   u_k(level) = 1,

with u_k(x, 0) = 0 beyond the level. Crank-Nicolson after four damped half steps
(Rannacher 1984), the chain split off symmetrically (Strang 1968). Monitoring is continuous.
A level that wanders is a chain too, whose jumps take the basis along.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.wander import STILL, Levels, shifted, wander

Array = NDArray[np.float64]

POINTS = 161
STEPS = 60


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
def _factor(size, low, mid, high, upper, pivot):  # type: ignore[no-untyped-def]
    """The tridiagonal matrix 1 - size L, ready to be solved."""
    upper[0] = 0.0
    pivot[0] = 1.0
    for i in range(1, mid.shape[0]):
        pivot[i] = 1.0 / (1.0 - size * mid[i] + size * low[i] * upper[i - 1])
        upper[i] = -size * high[i] * pivot[i]


@njit(cache=True, error_model="numpy", nogil=True)
def _mix(u, p, column):  # type: ignore[no-untyped-def]
    """u <- P u over regimes, at every level and point beyond the edge."""
    K = u.shape[0]
    for m in range(u.shape[1]):
        for i in range(1, u.shape[2]):
            for k in range(K):
                acc = 0.0
                for j in range(K):
                    acc += p[k, j] * u[j, m, i]
                column[k] = acc
            for k in range(K):
                u[k, m, i] = column[k]


@njit(cache=True, error_model="numpy", nogil=True)
def _march(grid, kappa, push, variance, mixes, values, down, up, horizon, steps, out):  # type: ignore[no-untyped-def]
    """Marches u (K, M, n) to `horizon`; push (K, M); `mixes` (2, K, K): the regimes over a quarter and half of a step;
    values, down, up (M,): the levels and their rates."""
    K, M, n = out.shape
    h = horizon / steps
    low = np.empty((K, M, n))
    mid = np.empty((K, M, n))
    high = np.empty((K, M, n))
    upper = np.empty((K, M, n))
    pivot = np.empty((K, M, n))
    for k in range(K):
        for m in range(M):
            _operator(grid, kappa[k], push[k, m], variance[k], low[k, m], mid[k, m], high[k, m])
            _factor(0.5 * h, low[k, m], mid[k, m], high[k, m], upper[k, m], pivot[k, m])
            for i in range(n):
                out[k, m, i] = 1.0 if i == 0 else 0.0
    place = np.zeros((M, 2, n), dtype=np.int64)
    share = np.zeros((M, 2, n))
    work = np.empty((M, n))
    if M > 1:
        shifted(grid, values, place, share)
    rhs = np.empty(n)
    column = np.empty(K)
    for step in range(steps + 2):
        damped = step < 4
        between = mixes[0] if damped else mixes[1]
        if M > 1:
            quarters = 1 if step == 0 else 2 if damped else 3 if step == 4 else 4
            wander(out, down, up, 0.25 * quarters * h, place, share, work)
        if K > 1:
            _mix(out, between, column)
        for k in range(K):
            for m in range(M):
                u, a, b, c = out[k, m], low[k, m], mid[k, m], high[k, m]
                for i in range(1, n):
                    rhs[i] = u[i]
                    if not damped:
                        ahead = u[i + 1] if i < n - 1 else 0.0
                        rhs[i] += 0.5 * h * (a[i] * u[i - 1] + b[i] * u[i] + c[i] * ahead)
                for i in range(1, n):
                    u[i] = (rhs[i] + 0.5 * h * a[i] * u[i - 1]) * pivot[k, m, i]
                for i in range(n - 2, 0, -1):
                    u[i] -= upper[k, m, i] * u[i + 1]
        if K > 1:
            _mix(out, between, column)
    if M > 1:
        wander(out, down, up, 0.5 * h, place, share, work)


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
    edge: float,
    horizon: float,
    reach: float,
    points: int = POINTS,
    steps: int = STEPS,
    levels: Levels = STILL,
) -> tuple[Array, Array]:
    """Distances above `edge` (n,) and P(the edge is reached within `horizon`) from there, (K, M, n).

    kappa 1/h, drift = kappa theta bps/h, variance bps^2/h, all (K,); `mixes`: chain over a quarter and half of a
    step of horizon / steps (identities hold the regime); reach bps: farthest distance needed; `levels`: what the
    basis reverts about besides. From below: pass -drift, -edge and the levels' negatives.
    """
    spread = math.sqrt(float(np.max(variance)) * horizon)
    smallest = math.sqrt(max(float(np.min(variance)), 1e-12 * float(np.max(variance))) * horizon)
    far = 1.3 * reach + 3.0 * spread
    grid = grid_beyond(far, min(smallest, far), points)
    out = np.empty((len(kappa), len(levels.values), points))
    push = (drift - kappa * edge)[:, None] + kappa[:, None] * levels.values
    _march(
        grid, np.ascontiguousarray(kappa, dtype=float), np.ascontiguousarray(push, dtype=float),
        np.ascontiguousarray(variance, dtype=float), np.ascontiguousarray(np.stack(mixes)), *levels,
        float(horizon), steps, out,
    )  # fmt: skip
    return grid, np.clip(out, 0.0, 1.0)
