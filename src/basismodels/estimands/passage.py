"""Return of the basis to a band around a reference level within a horizon.

First passage is monitored continuously. With a slow level, the level is held at its
present value over the horizon while its volatility is added to the basis's own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError, real
from basismodels.estimands.state import State, state_of
from basismodels.likelihood import assemble, passage
from basismodels.likelihood.transition import chain_step
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]
_LEVELS = 9


def outside(
    problem: Problem,
    x: Array,
    state: State,
    *,
    horizon: float,
    band: float,
    target: float = 0.0,
    hold: bool = False,
    points: int = passage.POINTS,
    steps: int = passage.STEPS,
) -> Array:
    """P(outside the band now and not back within `horizon`) by time and regime, (n, K).

    `band` half-width and `target` in bps, `horizon` in hours; `hold` freezes the regime.
    Coefficients that follow covariates are read at their medians; payments within the horizon make no jump.
    """
    nat = assemble.natural(problem.layout, x)
    rows = problem.layout.row
    kappa, drift, variance = (np.median(part[rows], axis=0) for part in (nat.kappa, nat.drift, nat.variance))
    variance = variance + float(np.median(nat.slow_variance[rows]))
    rates = np.median(nat.rates[rows], axis=0)
    mixes = _mixes(rates, horizon / steps, hold or len(kappa) == 1)
    out = np.zeros_like(state.weights)
    for sign in (1.0, -1.0):
        _one_side(state, kappa, drift, variance, mixes, sign, target, band, horizon, points, steps, out)
    return out


def _mixes(rates: Array, step: float, hold: bool) -> tuple[Array, Array]:
    if hold:
        return np.eye(len(rates)), np.eye(len(rates))
    both = chain_step(np.stack([rates, rates]), np.array([step / 4.0, step / 2.0]))
    return np.ascontiguousarray(both[0]), np.ascontiguousarray(both[1])


def _one_side(
    state: State, kappa: Array, drift: Array, variance: Array, mixes: tuple[Array, Array],
    sign: float, target: float, band: float, horizon: float, points: int, steps: int, out: Array,
) -> None:  # fmt: skip
    """Adds the part of `outside` above (sign 1) or below (sign -1) the band."""
    mean = sign * (state.mean - target)
    reach = float(np.max(np.where(state.weights > 1e-9, mean + 4.0 * state.sd, -np.inf))) - band
    if reach <= 0.0:
        return
    slow = sign * state.level
    levels = _level_grid(slow)
    tables = [
        passage.hit_probability(
            kappa, sign * (drift - kappa * target) + kappa * level, variance, mixes, band, horizon, reach, points, steps
        )
        for level in levels
    ]
    if len(levels) == 1:
        passage.no_return(state.weights, mean, state.sd, band, *tables[0], out)
        return
    below = np.clip(np.searchsorted(levels, slow) - 1, 0, len(levels) - 2)
    share = np.clip((slow - levels[below]) / (levels[1] - levels[0]), 0.0, 1.0)
    for i, table in enumerate(tables):
        near = np.where(below == i, 1.0 - share, np.where(below == i - 1, share, 0.0))
        part = np.zeros_like(out)
        passage.no_return(np.where(near > 0, state.weights, 0.0), mean, state.sd, band, *table, part)
        out += near * part


def _level_grid(slow: Array) -> Array:
    low, high = float(slow.min()), float(slow.max())
    if high - low < 1e-9:
        return np.array([0.5 * (low + high)])
    return np.linspace(low, high, _LEVELS)


def check_band(horizon: float, band: float) -> None:
    """ModelError unless both are positive numbers: hours, and a half-width in bps."""
    real(horizon, "horizon", above=0.0, remedy="horizon=24, in hours")
    real(band, "band", above=0.0, remedy="band=10, the half-width in bps")


def convergence_probability(fit: Fit, horizon: float = 8.0, band: float = 10.0, target: float = 0.0) -> pd.DataFrame:
    """P(the basis is within `band` bps of `target` now or at some moment within `horizon` hours), by time.

    Columns: probability (given data to the row), and probability_no_return, its complement.
    First passage is monitored continuously; the regime may change on the way. The jumps of `Settlement` at
    payments within the horizon are left out.
    """
    check_band(horizon, band)
    state = state_of(fit.problem, fit.filtered)
    lost = outside(fit.problem, fit.x, state, horizon=horizon, band=band, target=target)
    no_return = np.clip((state.weights * lost).sum(axis=1), 0.0, 1.0)
    return pd.DataFrame({"probability": 1.0 - no_return, "probability_no_return": no_return}, index=fit.problem.time)


def inside_probability(fit: Fit, horizon: float = 8.0, band: float = 10.0, target: float = 0.0) -> pd.DataFrame:
    """P(the basis is inside the band exactly `horizon` hours ahead), by time, from the filtered state.

    The jumps of `Settlement` at payments within the horizon are left out.
    """
    from scipy.stats import norm

    check_band(horizon, band)
    nat = assemble.natural(fit.problem.layout, fit.x)
    if fit.problem.layout.regimes > 1:
        raise ModelError("inside_probability serves one regime", remedy="bm.convergence_probability(fit)")
    kappa, drift, variance = (float(np.median(p)) for p in (nat.kappa, nat.drift, nat.variance))
    ks, ws = float(np.median(nat.slow_kappa)), float(np.median(nat.slow_variance))
    place = fit.problem.place
    m, v = fit.filtered.mean[place, 0], fit.filtered.var[place, 0]
    phi, rho = np.exp(-kappa * horizon), np.exp(-ks * horizon)
    pushed = drift * (-np.expm1(-kappa * horizon) / kappa if kappa != 0 else horizon)
    mean = phi * m[:, 0] + pushed + rho * m[:, 1]
    grown = variance * -np.expm1(-2 * kappa * horizon) / (2 * kappa) if kappa != 0 else variance * horizon
    grown += ws * -np.expm1(-2 * ks * horizon) / (2 * ks) if ks > 0 else 0.0
    sd = np.sqrt(phi**2 * v[:, 0] + 2 * phi * rho * v[:, 1] + rho**2 * v[:, 2] + grown)
    inside = norm.cdf((target + band - mean) / sd) - norm.cdf((target - band - mean) / sd)
    return pd.DataFrame({"probability": inside}, index=fit.problem.time)
