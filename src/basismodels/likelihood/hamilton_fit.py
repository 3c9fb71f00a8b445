"""Maximum likelihood of a switching autoregression on a regular grid, compiled as a whole.

    y_t = c_k + phi_k y_{t-1} + Normal(0, v_k),   P(s_t = k | s_{t-1} = j) = P_jk,

all free, conditional on y_0, the chain stationary: the discrete form of a switching
Ornstein-Uhlenbeck process, for studies and bootstraps where thousands of fits are made.
Starts are cut from the data; a few EM steps choose among them; the best go on by BFGS
from the information the complete data would hold (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.bundles import pieces_for, square_of
from basismodels.likelihood.hamilton_head import room
from basismodels.likelihood.hamilton_lanes import places, run
from basismodels.likelihood.hamilton_search import ascend, em_step, natural_of, sizes, stationary_law
from basismodels.likelihood.hamilton_starts import cut_start

Array = NDArray[np.float64]

_RACE = 5
_SHARE = 5
_LEAST = 40


class Estimate(NamedTuple):
    """Coefficients by regime in order of v: phi, c, v (K,), p (K, K), and log likelihood; calls of the kernel."""

    phi: Array
    c: Array
    v: Array
    p: Array
    value: float
    calls: int


@njit(error_model="numpy")
def _moments(y):  # type: ignore[no-untyped-def]
    """Mean and standard deviation, in four running sums."""
    n = y.shape[0]
    a = np.zeros(4)
    for i in range(n):
        a[i & 3] += y[i]
    centre = a.sum() / n
    a[:] = 0.0
    for i in range(n):
        a[i & 3] += (y[i] - centre) ** 2
    return centre, math.sqrt(a.sum() / n)


@njit(cache=True, error_model="numpy", nogil=True)
def _fit(kk, y, draws, best):  # type: ignore[no-untyped-def]
    """Best of the starts that `draws` (starts, 4) describe; fills the free vector `best`; returns value and calls."""
    square, ww = square_of(kk), pieces_for(kk)
    n, starts = y.shape[0], draws.shape[0]
    size, sums = sizes(kk)
    centre, spread = _moments(y)
    z = (y - centre) / spread
    b = room(places(kk, ww, n, True).size)
    xs, values = np.empty((starts, size)), np.empty(starts)
    out, local = np.empty(sums), np.empty(n)
    calls = 0
    for s in range(starts):
        cut_start(kk, z, draws[s], local, xs[s])
        for _ in range(_RACE if starts > 1 else 3):
            values[s] = em_step(kk, square, ww, z, xs[s], b, out)
            calls += 1
    top = -math.inf
    for _ in range(max(1, (starts + _SHARE - 1) // _SHARE)):
        leader = 0
        for s in range(starts):
            leader = s if values[s] > values[leader] else leader
        values[leader] = -math.inf
        value, made = ascend(kk, square, ww, z, xs[leader], b, out)
        calls += made
        if value > top:
            top = value
            best[:] = xs[leader]
    _unscale(kk, best, centre, spread)
    return top - (n - 1) * math.log(spread), calls


@njit(error_model="numpy")
def _unscale(kk, x, centre, spread):  # type: ignore[no-untyped-def]
    """From coefficients of the standardised series to those of the series."""
    K = len(kk)
    for k in range(K):
        x[K + k] = spread * x[K + k] + centre * (1.0 - x[k])
        x[2 * K + k] += 2.0 * math.log(spread)


def fit(y: Array, regimes: int = 2, starts: int = 20, rng: np.random.Generator | int | None = None) -> Estimate:
    """Fit the switching autoregression to y (n,), one observation a step, none missing, n >= 40.

    `starts`: one is cut from local volatility; more vary what they are cut from, by `rng`
    (a fixed seed by default). Errors: ValueError for too short a series, and where regimes are so
    far apart that densities overflow (`discrete_search` serves there).
    """
    series = np.ascontiguousarray(y, dtype=np.float64)
    if len(series) < _LEAST:
        raise ValueError(f"{len(series)} observations; this fit needs at least {_LEAST}")
    draws = np.random.default_rng(0 if rng is None else rng).random((starts, 4))
    draws[0] = 0.0
    kk = (0,) * regimes
    x = np.empty(regimes * (regimes + 2))
    value, calls = _fit(kk, series, draws, x)
    if not np.isfinite(value):
        raise ValueError("every start ended where regimes are too far apart for the compiled kernel")
    return _estimate(kk, x, float(value), int(calls))


def _estimate(kk: tuple[int, ...], x: Array, value: float, calls: int) -> Estimate:
    phi, c, v, p = natural_of(kk, x)
    order = np.argsort(v)
    return Estimate(phi[order], c[order], v[order], p[np.ix_(order, order)], value, calls)


def loglik(y: Array, estimate: Estimate) -> float:
    """Log likelihood of y (n,) at given coefficients."""
    k = len(estimate.v)
    kk = (0,) * k
    own = (np.array(part) for part in estimate[:4])
    return float(_loglik(kk, np.ascontiguousarray(y, dtype=np.float64), *own))


@njit(cache=True, error_model="numpy", nogil=True)
def _loglik(kk, y, phi, c, v, p):  # type: ignore[no-untyped-def]
    square, ww = square_of(kk), pieces_for(kk)
    b = room(places(kk, ww, y.shape[0], False).size)
    law = stationary_law(kk, p)
    return run(kk, square, ww, (), y, phi, c, v, p, law, np.zeros(len(kk)), False, b, np.empty(0))
