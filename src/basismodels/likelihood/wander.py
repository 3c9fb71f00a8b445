"""A level that wanders, as a chain on a grid (Kushner & Dupuis 2001) whose jumps take the basis along."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

_APART = 0.08
_REACH = 4.5


class Levels(NamedTuple):
    """A wandering level as a chain: values (M,) in bps, and rates (M,) in 1/h to the value below and above."""

    values: Array
    down: Array
    up: Array


STILL = Levels(np.zeros(1), np.zeros(1), np.zeros(1))


def levels_of(
    kappa: float, variance: float, low: float, high: float, rest: float, fast: float, horizon: float,
    apart: float = _APART,
) -> Levels:  # fmt: skip
    """A level dl = -kappa l dt + sqrt(variance) dB, now between `low` and `high`, over `horizon` hours.

    Its values lie closest about `rest`, bps, where a level decides whether the basis comes back: there a sixth as
    far apart as it goes over the horizon, or as the sd `fast` of what reverts about it where that is more.
    """
    far = math.sqrt(variance * horizon)
    scale = max(2.0 * max(fast, far), 1e-6 * (high - low))
    first, last = low - _REACH * far - apart * scale, high + _REACH * far + apart * scale
    rest = min(max(rest, first), last)
    ends = np.arcsinh((np.array([first, last]) - rest) / scale)
    x = rest + scale * np.sinh(np.linspace(ends[0], ends[1], max(math.ceil((ends[1] - ends[0]) / apart), 4) + 1))
    left, right = np.append(x[1] - x[0], np.diff(x)), np.append(np.diff(x), x[-1] - x[-2])
    down, up = differences(-kappa * x, variance, left, right)
    down[0], up[-1] = 0.0, 0.0
    return Levels(x, down, up)


@njit(cache=True, error_model="numpy", nogil=True)
def shifted(grid, values, place, share):  # type: ignore[no-untyped-def]
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
def wander(u, down, up, hours, place, share, work):  # type: ignore[no-untyped-def]
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


def differences(move: Array, spread: Array | float, left: Array, right: Array) -> tuple[Array, Array]:
    """Rates to the points below and above, `left` and `right` away: central where both stay positive, else upwind."""
    both, central = left + right, np.abs(move) * np.maximum(left, right) < spread
    falls, rises = np.maximum(-move, 0.0), np.maximum(move, 0.0)
    down = np.where(central, (spread - move * right) / both, spread / both + falls) / left
    return down, np.where(central, (spread + move * left) / both, spread / both + rises) / right
