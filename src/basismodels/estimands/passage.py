"""Return of the basis to a band around a reference level within a horizon.

First passage is monitored continuously. Regimes change and a slow level moves on the way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from basismodels._typical import typical
from basismodels.errors import ModelError, real, whole
from basismodels.estimands.event import Event, check_event, event_of, reported
from basismodels.estimands.row_limits import Seed, with_limits
from basismodels.estimands.state import state_of
from basismodels.likelihood import passage, passage_mean, wander
from basismodels.likelihood.passage_mean import State
from basismodels.likelihood.predictors import Natural
from basismodels.likelihood.transition import chain_step
from basismodels.problem import Problem
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
COARSE = {"points": 81, "steps": 32}


def outside(
    problem: Problem,
    x: Array,
    state: State,
    *,
    horizon: float,
    band: float,
    target: float = 0.0,
    hold: bool = False,
    points: int | None = None,
    steps: int = passage.STEPS,
) -> Array:
    """P(outside the band now and not back within `horizon`) by time and regime, (n, K).

    `band` half-width and `target` in bps, `horizon` in hours; `hold` freezes the regime, never the slow level.
    Coefficients that follow covariates are read at their medians; payments within the horizon make no jump.
    `points` of the grid: by default four times as many where no slow level multiplies their cost. No grid is used at an
    edge of the band that is the level itself of a model of one regime: there `never_reached` is exact.
    """
    nat = typical(problem, x)
    out = np.zeros_like(state.weights)
    sides = [s for s in (1.0, -1.0) if not _at_rest(state, nat, s, target, band, horizon, out)]
    points = points or passage.POINTS * (1 if nat.slow_variance[0] > 0.0 else 4)
    mixes = _mixes(nat.rates[0], horizon / steps, hold or problem.layout.regimes == 1)
    for sign in sides:
        _one_side(state, nat, mixes, sign, target, band, horizon, points, steps, out)
    return out


def never_reached(mean: ArrayLike, sd: ArrayLike, kappa: float, variance: float, horizon: float) -> Array:
    """P(an OU process is above its level now and does not reach it within `horizon` hours), in closed form.

    `mean`, `sd`: law of its distance from the level now, bps, sd 0 where it is known; kappa 1/h of any sign; variance
    bps^2/h. From a known distance d the level is reached with probability erfc(|d| / (s sqrt 2)), s^2 =
    variance (exp(2 kappa horizon) - 1) / (2 kappa): reflection on the clock that makes the process Brownian
    (Doob 1942). Over a normal law that is an orthant, by Owen's (1956) T.
    """
    from scipy.special import ndtr, owens_t

    spread = np.asarray(sd, dtype=float)
    with np.errstate(divide="ignore", over="ignore"):
        scale = variance * (np.expm1(2.0 * kappa * horizon) / (2.0 * kappa) if kappa != 0.0 else horizon)
        slope = np.sqrt(scale) / spread
    height = np.asarray(mean, dtype=float) / np.sqrt(scale + spread**2)
    return np.asarray(np.clip(ndtr(height) - 2.0 * owens_t(height, slope), 0.0, 1.0))


def level_passage(fit: Fit, horizon: float = 8.0) -> pd.DataFrame:
    """P(the basis reaches its own level theta at some moment within `horizon` hours), by time, in closed form.

    Columns probability and operational (rows masked or missing, at which it is NaN), given data to the row. The limit
    of `convergence_probability` as the band about the level narrows. Errors: ModelError for a fit with regimes
    or a slow level, or one that does not revert.
    """
    real(horizon, "horizon", above=0.0, remedy="horizon=8, in hours")
    problem = checked_fit(fit).problem
    nat, state = typical(problem, fit.x), state_of(problem, fit.filtered)
    kappa, variance = float(nat.kappa[0, 0]), float(nat.variance[0, 0])
    if problem.layout.regimes > 1 or nat.slow_variance[0] > 0.0 or kappa <= 0.0:
        raise ModelError(
            "passage to the level has a closed form for one reverting regime without a slow level only",
            remedy="bm.convergence_probability(fit, band=1)",
        )
    gap = state.mean[:, 0] - float(nat.drift[0, 0]) / kappa
    left = sum(never_reached(s * gap, state.sd[:, 0], kappa, variance, horizon) for s in (1.0, -1.0))
    frame = pd.DataFrame({"probability": 1.0 - left}, index=problem.time)
    return reported(frame, problem, Event(horizon, 0.0, float(nat.drift[0, 0]) / kappa))


def _at_rest(
    state: State, nat: Natural, sign: float, target: float, band: float, horizon: float, out: Array
) -> bool:  # fmt: skip
    """Whether one regime rests at an edge of the band (`sign`: 1 the upper); if so its part of `outside` is added."""
    edge = target + sign * band
    kappa, drift, variance = float(nat.kappa[0, 0]), float(nat.drift[0, 0]), float(nat.variance[0, 0])
    if len(nat.kappa[0]) > 1 or nat.slow_variance[0] > 0.0 or abs(drift - kappa * edge) > 1e-9 * abs(kappa * edge):
        return False
    out += never_reached(sign * (state.mean - edge), state.sd, kappa, variance, horizon)
    return True


def _mixes(rates: Array, step: float, hold: bool) -> tuple[Array, Array]:
    if hold:
        return np.eye(len(rates)), np.eye(len(rates))
    both = chain_step(np.stack([rates, rates]), np.array([step / 4.0, step / 2.0]))
    return np.ascontiguousarray(both[0]), np.ascontiguousarray(both[1])


def _one_side(
    state: State, nat: Natural, mixes: tuple[Array, Array],
    sign: float, target: float, band: float, horizon: float, points: int, steps: int, out: Array,
) -> None:  # fmt: skip
    """Adds the part of `outside` above (sign 1) or below (sign -1) the band."""
    kappa, variance, slow_variance = nat.kappa[0], nat.variance[0], float(nat.slow_variance[0])
    drift = sign * (nat.drift[0] - kappa * target)
    mean, level = sign * (state.mean - target), sign * state.level
    top = np.where(state.weights > 1e-9, mean + 4.0 * state.sd, -np.inf)
    reach = float(np.max(top)) - band
    if reach <= 0.0:
        return
    levels = wander.STILL
    if slow_variance > 0.0:
        there, off = level[top > band], 3.0 * float(state.level_sd[top > band].max())
        low, high = float(there.min()) - off, float(there.max()) + off
        fast = math.sqrt(float(np.min(variance / np.maximum(2.0 * kappa, 1.0 / horizon))))
        rest = _rest(kappa, drift, band, low, high)
        levels = wander.levels_of(float(nat.slow_kappa[0]), slow_variance, low, high, rest, fast, horizon)
        reach += 4.0 * math.sqrt(slow_variance * horizon)
    grid, table = passage.hit_probability(kappa, drift, variance, mixes, band, horizon, reach, points, steps, levels)
    passage_mean.no_return(state._replace(mean=mean, level=level), band, grid, levels.values, table, out)


def _rest(kappa: Array, drift: Array, band: float, low: float, high: float) -> float:
    """The level at which the quickest regime rests at the band's edge; one within reach goes before others."""
    rests = band - np.divide(drift, kappa, out=np.zeros_like(drift), where=kappa > 0)
    within = (rests >= low) & (rests <= high)
    return float(rests[np.argmax(np.where(within, kappa + np.max(np.abs(kappa)), kappa))])


def check_band(horizon: float, band: float) -> None:
    """ModelError unless both are positive numbers: hours, and a half-width in bps."""
    check_event(horizon, band)


def no_return(problem: Problem, x: Array, state: State, event: Event, **grid: Any) -> Array:
    """P(outside the band and not back within the horizon) by row, (n,), the regimes weighted and free to change."""
    lost = outside(problem, x, state, horizon=event.horizon, band=event.band, target=event.target, **grid)
    return np.asarray(np.clip((state.weights * lost).sum(axis=1), 0.0, 1.0))


def convergence_probability(
    fit: Fit,
    horizon: float = 8.0,
    band: float | None = None,
    target: float | None = None,
    *,
    draws: int = 0,
    level: float = 0.95,
    rng: Seed = None,
) -> pd.DataFrame:
    """P(the basis is within `band` bps of `target` now or at some moment within `horizon` hours), by time.

    `target`: default the interest of the funding rule attached to the data, 0 without one; `band`: default 10 bps and
    the rule's damper; attrs hold what was used: horizon, band, target, rule. Columns: probability (given data to the
    row), probability_no_return, its complement, and operational: true at rows masked or missing, where both are NaN.
    With `draws`, such as 200, the complement's limits at `level` over draws of the parameters as well, from a coarser
    grid less its error at the estimate: probability_no_return_lower and _upper; where a fit has no draws they are NaN
    and attrs["note"] says why.
    First passage is monitored continuously; on the way the regime may change and a slow level moves. Covariates stay
    at their medians over the rows, whatever they are at the row, and the jumps of `Settlement` within the
    horizon are left out. Errors: ModelError.
    """
    event = event_of(checked_fit(fit).data, horizon, band, target)
    lost = no_return(fit.problem, fit.x, state_of(fit.problem, fit.filtered), event)
    frame = pd.DataFrame({"probability": 1.0 - lost, "probability_no_return": lost}, index=fit.problem.time)
    made = reported(frame, fit.problem, event)
    if not whole(draws, "draws", least=0, remedy="draws=200"):
        return made

    error = no_return(fit.problem, fit.x, state_of(fit.problem, fit.filtered), event, **COARSE) - lost

    def path(x: Array, state: State) -> Array:
        return np.clip(no_return(fit.problem, x, state, event, **COARSE) - error, 0.0, 1.0)

    return with_limits(made, "probability_no_return", fit, path, level, draws, rng)


def inside_probability(
    fit: Fit, horizon: float = 8.0, band: float | None = None, target: float | None = None
) -> pd.DataFrame:
    """P(the basis is inside the band exactly `horizon` hours ahead), by time, from the filtered state.

    Band, target and attrs as in `convergence_probability`; NaN at rows masked or missing.
    Covariates stay at their medians over the rows, and the jumps of `Settlement` within the horizon are left out.
    """
    from scipy.stats import norm

    event = event_of(checked_fit(fit).data, horizon, band, target)
    low, high = event.target - event.band, event.target + event.band
    if fit.problem.layout.regimes > 1:
        raise ModelError("inside_probability serves one regime", remedy="bm.convergence_probability(fit)")
    nat = typical(fit.problem, fit.x)
    kappa, drift, variance = (float(part[0, 0]) for part in (nat.kappa, nat.drift, nat.variance))
    ks, ws = float(nat.slow_kappa[0]), float(nat.slow_variance[0])
    place = fit.problem.place
    m, v = fit.filtered.mean[place, 0], fit.filtered.var[place, 0]
    phi, rho = np.exp(-kappa * horizon), np.exp(-ks * horizon)
    pushed = drift * (-np.expm1(-kappa * horizon) / kappa if kappa != 0 else horizon)
    mean = phi * m[:, 0] + pushed + rho * m[:, 1]
    grown = variance * -np.expm1(-2 * kappa * horizon) / (2 * kappa) if kappa != 0 else variance * horizon
    grown += ws * -np.expm1(-2 * ks * horizon) / (2 * ks) if ks > 0 else 0.0
    sd = np.sqrt(phi**2 * v[:, 0] + 2 * phi * rho * v[:, 1] + rho**2 * v[:, 2] + grown)
    inside = norm.cdf((high - mean) / sd) - norm.cdf((low - mean) / sd)
    return reported(pd.DataFrame({"probability": inside}, index=fit.problem.time), fit.problem, event, flagged=False)
