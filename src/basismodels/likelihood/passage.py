"""First passage of a switching Ornstein-Uhlenbeck process to a level, by its backward equation.

u_k(x, h) = P(the level is reached within h | x, regime k) solves

    du_k/dh = (a_k - kappa_k x) u_k' + (1/2) variance_k u_k'' + sum_j q_kj u_j,   u_k(level) = 1,

with u_k(x, 0) = 0 beyond the level. Crank-Nicolson after four damped half steps
(Rannacher 1984), the chain split off symmetrically (Strang 1968). Monitoring is continuous.
A level that wanders is a chain too (Kushner & Dupuis 2001), whose jumps take the basis along.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]

POINTS = 161
STEPS = 60
_APART = 0.08
_REACH = 4.5


class Levels(NamedTuple):
    """A wandering level as a chain: values (M,) in bps, and rates (M,) in 1/h to the value below and above."""

    values: Array
    down: Array
    up: Array


STILL = Levels(np.zeros(1), np.zeros(1), np.zeros(1))


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
def _shifted(grid, values, place, share):  # type: ignore[no-untyped-def]
    """Where each point stands once the level has gone from value m to the next below (0) or above (1): the point
    below, and the share of the one above. A point inside the edge stands at its mirror image, its place -1 - place."""
    M, n = values.shape[0], grid.shape[0]
    for m in range(M):
        for side in range(2):
            to = m + 2 * side - 1
            if to < 0 or to >= M:
                continue
            by = values[to] - values[m]
            for i in range(n):
                at = abs(grid[i] + by)
                j = min(max(np.searchsorted(grid, at) - 1, 0), n - 2)
                share[m, side, i] = min((at - grid[j]) / (grid[j + 1] - grid[j]), 1.0)
                place[m, side, i] = j if grid[i] + by >= 0.0 else -1 - j


@njit(cache=True, error_model="numpy", nogil=True)
def _wander(u, down, up, hours, place, share, work):  # type: ignore[no-untyped-def]
    """u <- its mean over where the level goes within `hours`, the basis with it, in jumps that are no surer than 0.8.

    1 - u goes on beyond the edge as an odd function, by which a jump is absorbed as a continuous path would be.
    """
    K, M, n = u.shape
    times = max(int(np.ceil((down + up).max() * hours / 0.8)), 1)
    for k in range(K):
        for _ in range(times):
            for m in range(M):
                stay = 1.0 - (down[m] + up[m]) * hours / times
                for i in range(1, n):
                    work[m, i] = stay * u[k, m, i]
                for side in range(2):
                    to = m + 2 * side - 1
                    p = (up[m] if side else down[m]) * hours / times
                    if p == 0.0:
                        continue
                    for i in range(1, n):
                        j = place[m, side, i]
                        beyond = j >= 0
                        if not beyond:
                            j = -1 - j
                        value = u[k, to, j] + share[m, side, i] * (u[k, to, j + 1] - u[k, to, j])
                        work[m, i] += p * (value if beyond else 2.0 - value)
            for m in range(M):
                for i in range(1, n):
                    u[k, m, i] = min(work[m, i], 1.0)


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
        _shifted(grid, values, place, share)
    rhs = np.empty(n)
    column = np.empty(K)
    for step in range(steps + 2):
        damped = step < 4
        between = mixes[0] if damped else mixes[1]
        if M > 1:
            quarters = 1 if step == 0 else 2 if damped else 3 if step == 4 else 4
            _wander(out, down, up, 0.25 * quarters * h, place, share, work)
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
        _wander(out, down, up, 0.5 * h, place, share, work)


def grid_beyond(reach: float, scale: float, points: int = POINTS) -> Array:
    """Distances beyond the level, 0 to `reach`, dense near the level on the length `scale`."""
    width = math.asinh(max(reach / scale, 1e-6))
    out = scale * np.sinh(np.linspace(0.0, width, points))
    out[0] = 0.0
    return np.asarray(out)


def levels_of(
    kappa: float, variance: float, low: float, high: float, rest: float, fast: float, horizon: float,
    apart: float = _APART,
) -> Levels:  # fmt: skip
    """A level dl = -kappa l dt + sqrt(variance) dB, now between `low` and `high`, over `horizon` hours.

    Its values lie closest about `rest`, bps, where a level decides whether the basis comes back: there a sixth as
    far apart as it goes over the horizon, or as the sd `fast` of what reverts about it where that is more.
    """
    wander = math.sqrt(variance * horizon)
    scale = max(2.0 * max(fast, wander), 1e-6 * (high - low))
    first, last = low - _REACH * wander - apart * scale, high + _REACH * wander + apart * scale
    rest = min(max(rest, first), last)
    ends = np.arcsinh((np.array([first, last]) - rest) / scale)
    x = rest + scale * np.sinh(np.linspace(ends[0], ends[1], max(math.ceil((ends[1] - ends[0]) / apart), 4) + 1))
    left, right = np.append(x[1] - x[0], np.diff(x)), np.append(np.diff(x), x[-1] - x[-2])
    both, move = left + right, -kappa * x
    central = np.abs(move) * np.maximum(left, right) < variance
    down = np.where(central, (variance - move * right) / both, variance / both + np.maximum(-move, 0.0)) / left
    up = np.where(central, (variance + move * left) / both, variance / both + np.maximum(move, 0.0)) / right
    down[0], up[-1] = 0.0, 0.0
    return Levels(x, down, up)


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
