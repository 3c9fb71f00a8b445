"""Expected time until the basis is back in a band around its reference level."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._typical import typical
from basismodels.errors import whole
from basismodels.estimands.event import Event, event_of, reported
from basismodels.estimands.row_limits import Seed, with_limits
from basismodels.estimands.state import state_of
from basismodels.likelihood.passage_mean import State
from basismodels.likelihood.transition import stationary_law
from basismodels.likelihood.wander import differences
from basismodels.problem import Problem
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
Places = NDArray[np.int64]
_POINTS = 1200
_NODES = 21
_LEVEL_NODES = 5
_LEVELS = 45
_BESIDE_LEVELS = 400


class Slow(NamedTuple):
    """A slow level as a chain (Kushner & Dupuis 2001): values (M,) in bps, rates (M, M) in 1/h between neighbours."""

    levels: Array
    rates: Array


def expected_return_time(
    fit: Fit,
    band: float | None = None,
    target: float | None = None,
    *,
    draws: int = 0,
    level: float = 0.95,
    rng: Seed = None,
) -> pd.DataFrame:
    """Expected hours until the basis is within `band` bps of `target`, by time, from the filtered state.

    Column hours: zero inside the band, infinite where a regime that is never left does not revert, or where the time
    is beyond the reach of double precision; NaN at rows masked or missing. Band, target and attrs as in
    `convergence_probability`. The basis is monitored continuously, without its noise; regimes change and a slow level
    moves on the way. The expectation solves the backward equation L T + Q T = -1 outside the band, T = 0 at its edge
    (Karlin & Taylor 1981), on a grid. Covariates stay at their medians, and payments make no jump.
    With `draws`, such as 100, columns hours_lower and hours_upper too: limits at `level` over draws of the parameters;
    where a fit has none they are NaN and attrs["note"] says why. Errors: ModelError.
    """
    event = event_of(checked_fit(fit).data, band=band, target=target)
    hours = _hours(fit.problem, fit.x, state_of(fit.problem, fit.filtered), event)
    frame = reported(pd.DataFrame({"hours": hours}, index=fit.problem.time), fit.problem, event, flagged=False)
    del frame.attrs["horizon"]  # there is none
    if not whole(draws, "draws", least=0, remedy="draws=100"):
        return frame
    return with_limits(frame, "hours", fit, lambda x, state: _hours(fit.problem, x, state, event), level, draws, rng)


def _hours(problem: Problem, x: Array, state: State, event: Event) -> Array:
    """Expected hours by row, (n,), under a free vector."""
    nat = typical(problem, x)
    kappa, drift, variance, rates = nat.kappa[0], nat.drift[0], nat.variance[0], nat.rates[0]
    slow = None
    if "slow.kappa" in problem.layout.places:
        slow = float(nat.slow_kappa[0]), float(nat.slow_variance[0])
    hours, push = np.zeros(len(state.weights)), drift - kappa * event.target
    for sign in (1.0, -1.0):
        hours += _one_side(state, kappa, sign * push, variance, rates, slow, sign, event.target, event.band)
    return hours


def _one_side(
    state: State, kappa: Array, drift: Array, variance: Array, rates: Array, slow: tuple[float, float] | None,
    sign: float, target: float, band: float,
) -> Array:  # fmt: skip
    """Expected hours from above (sign 1) or below the band, (n,), weighted by the chance of being there."""
    mean, level = sign * (state.mean - target), sign * state.level
    reach = float(np.max(np.where(state.weights > 1e-9, mean + 5.0 * state.sd, -np.inf)))
    if reach <= band:
        return np.zeros(len(mean))
    z, w = np.polynomial.hermite_e.hermegauss(_NODES)
    v, u = np.polynomial.hermite_e.hermegauss(_LEVEL_NODES if slow is not None else 1)
    shares = np.outer(w / w.sum(), u / u.sum()).ravel()
    chain = None
    if slow is not None:
        quick = int(np.argmax(kappa))
        rest = band - (float(drift[quick] / kappa[quick]) if kappa[quick] > 0.0 else 0.0)
        fast = float(np.sqrt(np.min(variance / np.maximum(2.0 * kappa, 1e-3))))
        chain = slow_chain(*slow, float(level.min()), float(level.max()), rest, fast)
    grid, tables = return_times(kappa, drift, variance, rates, band, reach, slow=chain)
    out = np.zeros(len(mean))
    for k in range(mean.shape[1]):
        off = np.repeat(state.sd[:, k, None] * z, len(v), axis=1)
        at = mean[:, k, None] + off
        beside = level[:, k, None] + state.tilt[:, k, None] * off + state.level_sd[:, k, None] * np.tile(v, len(z))
        held = state.weights[:, k] > 0.0
        if np.isfinite(tables[:, k]).all():
            near = _read(grid, tables[:, k], chain, beside, np.clip(at, band, grid[-1]))
        else:
            near = np.where(at > band, math.inf, 0.0)
        out[held] += (state.weights[:, k, None] * shares * near).sum(axis=1)[held]
    return out


def _read(grid: Array, table: Array, chain: Slow | None, level: Array, at: Array) -> Array:
    """A table (p, M) at points and slow levels, both (n, nodes), between the two values of the level next to each."""
    if chain is None:
        return np.interp(at, grid, table[:, 0])
    levels = chain.levels
    below = np.clip(np.searchsorted(levels, level) - 1, 0, len(levels) - 2)
    share = np.clip((level - levels[below]) / (levels[below + 1] - levels[below]), 0.0, 1.0)
    out = np.empty_like(at)
    for m in np.unique(below):
        rows = below == m
        near, far = (np.interp(at[rows], grid, table[:, i]) for i in (m, m + 1))
        out[rows] = (1.0 - share[rows]) * near + share[rows] * far
    return out


def slow_chain(kappa: float, variance: float, low: float, high: float, rest: float, fast: float) -> Slow:
    """A slow level, dl = -kappa l dt + sqrt(variance) dB, as a chain whose values crowd about `rest`, `fast` apart.

    They span `low` to `high` and where the level seldom goes beyond them; the chain turns back at its ends.
    """
    sd = math.sqrt(variance / (2.0 * max(kappa, 1e-9)))
    first, last = min(low, rest, -4.0 * sd) - fast, max(high, rest, 4.0 * sd) + fast
    ends = np.arcsinh((np.array([first, last]) - rest) / fast)
    x = rest + fast * np.sinh(np.linspace(ends[0], ends[1], _LEVELS))
    gap = np.diff(x)
    down, up = differences(-kappa * x, variance, np.append(gap[0], gap), np.append(gap, gap[-1]))
    return Slow(x, np.diag(up[:-1], 1) + np.diag(down[1:], -1))


def return_times(
    kappa: Array, drift: Array, variance: Array, rates: Array, band: float, reach: float, points: int = 0,
    slow: Slow | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Grid (p,) of gaps from the band outwards, bps, and expected hours to its edge by regime and level, (p, K, M).

    The gap is x + l with dx = (drift - kappa x) dt + sqrt(variance) dW in each regime (K,), rates (K, K) 1/h, and l
    the chain `slow`, nil without one. The far edge is pushed out to where every reverting regime seldom goes, and
    reflects there; infinite where the edge is not sure to be reached.
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import spsolve

    points = points or (_POINTS if slow is None else _BESIDE_LEVELS)
    chain = slow or Slow(np.zeros(1), np.zeros((1, 1)))
    k, m = len(kappa), len(chain.levels)
    if not _sure(kappa, rates):
        return np.linspace(band, reach, points), np.full((points, k, m), math.inf)
    x = _grid(kappa, drift + kappa * max(chain.levels.max(), 0.0), variance, rates, band, reach, points)
    size = (points - 1) * k * m
    rows, columns, values = _system(x, kappa, drift, variance, rates, chain)
    solved = spsolve(csc_matrix((values, (rows, columns)), shape=(size, size)), -np.ones(size))
    if not np.all(np.isfinite(solved)) or np.any(solved < -1e-6):
        return x, np.full((points, k, m), math.inf)
    return x, np.concatenate([np.zeros((1, k, m)), solved.reshape(points - 1, k, m)])


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
    x: Array, kappa: Array, drift: Array, variance: Array, rates: Array, slow: Slow
) -> tuple[Places, Places, Array]:
    """Entries of the discretised operator on the points after the first; then regimes, and slow levels innermost."""
    n, k, m = len(x) - 1, len(kappa), len(slow.levels)
    left = np.diff(x)[:, None]
    right = np.append(left[1:], left[-1:], axis=0)
    move = ((drift - kappa * x[1:, None])[:, :, None] + kappa[:, None] * slow.levels).reshape(n, k * m)
    down, up = differences(move, np.repeat(variance, m), left, right)
    middle = -(down + up)
    up[-1] = 0.0
    middle[-1] = -down[-1]
    at = np.arange(n * k * m).reshape(n, k, m)
    flat = at.reshape(n, k * m)
    rows = [flat.ravel(), flat[1:].ravel(), flat[:-1].ravel()]
    columns = [flat.ravel(), flat[:-1].ravel(), flat[1:].ravel()]
    values = [middle.ravel(), down[1:].ravel(), up[:-1].ravel()]

    def jump(here: Places, there: Places, rate: float, by: float) -> None:
        """From here to there (n, any), the gap moving along by so much: shared between the two points next to it."""
        place = np.clip(x[1:] + by, x[0], x[-1])
        j = np.clip(np.searchsorted(x, place) - 1, 0, n - 1)
        share = (place - x[j]) / (x[j + 1] - x[j])
        for point, part in ((j, 1.0 - share), (j + 1, share)):
            inside = (point > 0) & (part > 0.0)  # the first point is the edge, where nothing is left to wait
            rows.append(here[inside].ravel())
            columns.append(there[point[inside] - 1].ravel())
            values.append(np.broadcast_to(rate * part[inside, None], here[inside].shape).ravel())
        rows.append(here.ravel())
        columns.append(here.ravel())
        values.append(np.full(here.size, -rate))

    for i, j in zip(*np.nonzero(rates - np.diag(np.diag(rates))), strict=True):
        jump(at[:, i], at[:, j], rates[i, j], 0.0)
    for i, j in zip(*np.nonzero(slow.rates), strict=True):
        jump(at[:, :, i], at[:, :, j], slow.rates[i, j], slow.levels[j] - slow.levels[i])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
