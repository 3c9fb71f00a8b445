"""Expected time until the basis is back in a band around its reference level."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.passage import check_band
from basismodels.estimands.state import State, state_of
from basismodels.likelihood import assemble
from basismodels.likelihood.transition import stationary_law
from basismodels.results import Fit

Array = NDArray[np.float64]
_POINTS = 1200
_NODES = 21
_LEVELS = 7


def expected_return_time(fit: Fit, band: float = 10.0, target: float = 0.0) -> pd.DataFrame:
    """Expected hours until the basis is within `band` bps of `target`, by time, from the filtered state.

    Column hours: zero inside the band, infinite where a regime that is never left does not revert. The basis
    is monitored continuously, without its noise; regimes change on the way. The expectation solves the backward
    equation L T + Q T = -1 outside the band, T = 0 at its edge (Karlin & Taylor 1981), on a grid. A slow level is held
    where it stands, its volatility added to the basis's own. Covariates stay at their medians, and
    payments make no jump. Errors: ModelError.
    """
    check_band(1.0, band)
    layout, rows = fit.problem.layout, fit.problem.layout.row
    nat = assemble.natural(layout, fit.x)
    kappa, drift, variance = (np.median(part[rows], axis=0) for part in (nat.kappa, nat.drift, nat.variance))
    variance = variance + float(np.median(nat.slow_variance[rows]))
    rates = np.median(nat.rates[rows], axis=0)
    state = state_of(fit.problem, fit.filtered)
    hours = np.zeros(len(state.weights))
    for sign in (1.0, -1.0):
        hours += _one_side(state, kappa, sign * (drift - kappa * target), variance, rates, sign, target, band)
    return pd.DataFrame({"hours": hours}, index=fit.problem.time)


def _one_side(
    state: State, kappa: Array, drift: Array, variance: Array, rates: Array, sign: float, target: float, band: float
) -> Array:
    """Expected hours from above (sign 1) or below the band, (n,), weighted by the chance of being there."""
    mean, slow = sign * (state.mean - target), sign * state.level
    reach = float(np.max(np.where(state.weights > 1e-9, mean + 5.0 * state.sd, -np.inf)))
    if reach <= band:
        return np.zeros(len(mean))
    levels = np.linspace(slow.min(), slow.max(), _LEVELS) if np.ptp(slow) > 1e-9 else np.array([float(slow.mean())])
    solved = [return_times(kappa, drift + kappa * l, variance, rates, band, reach) for l in levels]
    grid = solved[0][0]
    tables = np.array([[np.interp(grid, x, part) for part in table.T] for x, table in solved]).transpose(0, 2, 1)
    below = np.clip(np.searchsorted(levels, slow) - 1, 0, max(len(levels) - 2, 0))
    width = levels[1] - levels[0] if len(levels) > 1 else 1.0
    share = np.clip((slow - levels[below]) / width, 0.0, 1.0) if len(levels) > 1 else np.zeros_like(slow)
    z, w = np.polynomial.hermite_e.hermegauss(_NODES)
    w = w / w.sum()
    out = np.zeros(len(mean))
    for k in range(mean.shape[1]):
        at = np.clip(mean[:, k, None] + state.sd[:, k, None] * z, band, grid[-1])
        near = _read(grid, tables[:, :, k], below[:, k], at)
        if len(levels) > 1:
            far = _read(grid, tables[:, :, k], below[:, k] + 1, at)
            near = (1.0 - share[:, k, None]) * near + share[:, k, None] * far
        held = state.weights[:, k] > 0.0
        out[held] += (state.weights[:, k, None] * w * near).sum(axis=1)[held]
    return out


def _read(grid: Array, tables: Array, which: NDArray[np.int64], at: Array) -> Array:
    """Tables (levels, points) at points (n, nodes), row i from table `which[i]`."""
    out = np.empty_like(at)
    for level in np.unique(which):
        rows = which == level
        out[rows] = np.interp(at[rows], grid, tables[level])
    return out


def return_times(
    kappa: Array, drift: Array, variance: Array, rates: Array, band: float, reach: float, points: int = _POINTS
) -> tuple[Array, Array]:
    """Grid (p,) from the band outwards, bps, and expected hours to its edge by regime, (p, K).

    dx = (drift - kappa x) dt + sqrt(variance) dW in each regime (K,), rates (K, K) 1/h. The far edge is pushed out to
    where every reverting regime seldom goes, and reflects there; infinite where the edge is not sure to be reached.
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import spsolve

    k = len(kappa)
    if not _sure(kappa, rates):
        return np.linspace(band, reach, points), np.full((points, k), math.inf)
    x = _grid(kappa, drift, variance, rates, band, reach, points)
    rows, columns, values = _system(x, kappa, drift, variance, rates)
    size = (points - 1) * k
    solved = spsolve(csc_matrix((values, (rows, columns)), shape=(size, size)), -np.ones(size))
    if not np.all(np.isfinite(solved)) or np.any(solved < -1e-6):
        raise ModelError("the expected return time has no finite solution at this estimate")
    return x, np.vstack([np.zeros(k), solved.reshape(points - 1, k)])


def _sure(kappa: Array, rates: Array) -> bool:
    """Whether the mean time is finite: distances shrink on average over the chain's stationary law."""
    if len(kappa) == 1:
        return bool(kappa[0] > 0.0)
    leave = rates.sum(axis=1) - np.diag(rates)
    held = (kappa <= 0.0) & (leave <= 0.0)
    return not held.any() and float(stationary_law(rates) @ kappa) > 0.0


def _grid(kappa: Array, drift: Array, variance: Array, rates: Array, band: float, reach: float, points: int) -> Array:
    """Points from the band to beyond `reach`, closer together near the band."""
    leave = rates.sum(axis=1) - np.diag(rates)
    slowest = np.maximum(kappa, 1e-12)
    held = np.minimum(1.0 / np.maximum(leave, 1e-12), 0.5 / slowest)
    sd = float(np.sqrt(np.max(variance * held)))
    away = float(np.max(np.where(kappa > 0.0, drift / slowest, np.abs(drift) * held)))
    grown = float(np.exp(min(np.max(np.maximum(-kappa, 0.0) / np.maximum(leave, 1e-12)) * 4.0, 6.0)))
    edge = max(reach + 4.0 * sd, away + 8.0 * sd, band + 1.0) * grown
    return band + (edge - band) * np.linspace(0.0, 1.0, points) ** 2


def _system(
    x: Array, kappa: Array, drift: Array, variance: Array, rates: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Entries of the discretised operator on the points after the first, regimes innermost."""
    n, k = len(x) - 1, len(kappa)
    left = np.diff(x)
    right = np.append(left[1:], left[-1])
    move = drift - kappa * x[1:, None]
    spread = np.broadcast_to(variance, move.shape)
    down = spread / (left * (left + right))[:, None] + np.maximum(-move, 0.0) / left[:, None]
    up = spread / (right * (left + right))[:, None] + np.maximum(move, 0.0) / right[:, None]
    central = 0.5 * np.abs(move) * np.maximum(left, right)[:, None] < 0.5 * spread
    both = (left + right)[:, None]
    down = np.where(central, spread / (left[:, None] * both) - move * right[:, None] / (left[:, None] * both), down)
    up = np.where(central, spread / (right[:, None] * both) + move * left[:, None] / (right[:, None] * both), up)
    middle = -(down + up)
    up[-1] = 0.0
    middle[-1] = -down[-1]
    leave = rates - np.diag(np.diag(rates))
    middle = middle - leave.sum(axis=1)
    at = np.arange(n * k).reshape(n, k)
    rows = [at.ravel(), at[1:].ravel(), at[:-1].ravel()]
    columns = [at.ravel(), at[:-1].ravel(), at[1:].ravel()]
    values = [middle.ravel(), down[1:].ravel(), up[:-1].ravel()]
    for i in range(k):
        for j in range(k):
            if i != j and leave[i, j] > 0.0:
                rows, columns = [*rows, at[:, i]], [*columns, at[:, j]]
                values = [*values, np.full(n, leave[i, j])]
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
