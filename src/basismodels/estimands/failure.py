"""The probability that convergence is failing.

A regime fails when, at a typical moment of it, the basis is out of the band and not
coming back in time:

    phi_s = sum_t w_ts E[ 1{outside} P(no return within H | state, s held) ] / sum_t w_ts,

w the smoothed weights; regimes with phi_s >= p* are the failure set, decided draw by draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels._typical import typical
from basismodels.errors import ModelError, whole
from basismodels.estimands.event import HORIZON, THRESHOLD, Event, event_of, reported
from basismodels.estimands.passage import COARSE, outside
from basismodels.estimands.state import state_of
from basismodels.inference.draws import draws_of
from basismodels.inference.intervals import checked_level
from basismodels.inference.labels import matched
from basismodels.inference.tasks import generator_of
from basismodels.problem import Problem
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
FEW = 10.0
MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class Failing:
    """Failure under one free vector x (p,), regimes matched to the fit's.

    phi (K,), NaN where not judged; failing (K,); filtered and smoothed (n,).
    """

    x: Array
    phi: Array
    failing: NDArray[np.bool_]
    filtered: Array
    smoothed: Array


def failing(problem: Problem, x: Array, event: Event, *, coarse: bool = False, like: Array | None = None) -> Failing:
    """phi, failure set and probabilities by time under one free vector.

    `like`: smoothed weights (n, K) whose labels the regimes are matched to.
    """
    if like is not None:
        x = matched(problem, x, like)
    filtered = problem.engine.filter(problem.layout, x)
    smoothed = problem.engine.smooth(problem.layout, x)
    state = state_of(problem, smoothed)
    lost = outside(
        problem, x, state, horizon=event.horizon, band=event.band, target=event.target, hold=True,
        **(COARSE if coarse else {}),
    )  # fmt: skip
    seen = np.isfinite(problem.layout.y[problem.place])
    weight = state.weights[seen].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = (state.weights[seen] * lost[seen]).sum(axis=0) / weight
    if not np.all(np.isfinite(phi[weight >= FEW])):
        raise np.linalg.LinAlgError("the smoothed state is not finite")
    phi = np.where(weight >= FEW, phi, np.nan)
    chosen = np.asarray(np.nan_to_num(phi, nan=0.0) >= event.threshold)
    now = filtered.p[problem.place]
    return Failing(x, phi, chosen, now[:, chosen].sum(axis=1), state.weights[:, chosen].sum(axis=1))


def failure_probability(
    fit: Fit,
    horizon: float = HORIZON,
    band: float | None = None,
    level: float = 0.95,
    *,
    target: float | None = None,
    threshold: float = THRESHOLD,
    draws: int = 200,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """Probability by time that a failure regime holds: filtered and smoothed, each with limits.

    `horizon` hours, `threshold` p*. `target`, bps: default the interest of the funding rule attached to the data, 0
    without one; `band`, its half-width: default 10 bps and the rule's damper; attrs hold what was used: horizon,
    band, target, rule. Columns filtered, filtered_lower, filtered_upper, smoothed, smoothed_lower, smoothed_upper,
    operational: true at rows masked (outage, stale price) or missing, where the probabilities are NaN, since an
    outage is neither convergence nor its failure. The limits carry parameter uncertainty, including which regimes
    fail; where a fit has no draws they are NaN and attrs["note"] says why. attrs["regimes"] is the table of
    `failure_regimes`, whose attrs are here too. Errors: ModelError.
    """
    event = asked(fit, horizon, band, target, threshold, draws, rng)
    checked_level(level)
    centre = centre_of(fit, event)
    frame = pd.DataFrame({"filtered": centre.filtered, "smoothed": centre.smoothed}, index=fit.problem.time)
    try:
        found = over_draws(fit, event, draws, rng)
    except ModelError as error:
        frame.attrs["note"] = str(error)
        found = []
    frame.attrs |= doubt(centre, found)
    frame.attrs["regimes"] = _table(fit, event, centre, found)
    for kind in ("filtered", "smoothed"):
        paths = np.reshape([getattr(one, kind) for one in found], (-1, len(frame)))
        frame[f"{kind}_lower"], frame[f"{kind}_upper"] = draw_limits(paths, level)
    order = [f"{kind}{end}" for kind in ("filtered", "smoothed") for end in ("", "_lower", "_upper")]
    return reported(frame[order], fit.problem, event)


def failure_regimes(
    fit: Fit,
    horizon: float = HORIZON,
    band: float | None = None,
    *,
    target: float | None = None,
    threshold: float = THRESHOLD,
    draws: int = 200,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """One row a regime: phi, Pr(phi >= p*) over draws, share of time, and flags; arguments of `failure_probability`.

    Flags: slow (half-life beyond the horizon), displaced (level outside the band), explosive (kappa <= 0),
    saturated (fails, and funding is at its cap for most of its weight), operational (most of its weight lies at rows
    masked or missing), few (under 10 observations: not judged). attrs: what counts as failure (horizon, band, target,
    rule); found, whether a regime fails at the estimate; share_of_draws in which one does, of `draws`; upper_bound,
    the 95% one on the probability that one does, of the doubt about the parameters (Clopper & Pearson 1934). NaN
    without draws. Errors: ModelError.
    """
    event = asked(fit, horizon, band, target, threshold, draws, rng)
    centre = centre_of(fit, event)
    try:
        found = over_draws(fit, event, draws, rng)
    except ModelError:
        found = []
    table = _table(fit, event, centre, found)
    table.attrs |= event.facts() | doubt(centre, found)
    return table


def asked(
    fit: Fit, horizon: float, band: float | None, target: float | None, threshold: float, draws: int,
    rng: np.random.Generator | int | None,
) -> Event:  # fmt: skip
    """The event asked for; ModelError where an argument makes no sense."""
    event = event_of(checked_fit(fit).data, horizon, band, target, threshold)
    whole(draws, "draws", least=2, remedy="draws=200")
    generator_of(rng)
    return event


def doubt(centre: Failing, found: list[Failing]) -> dict[str, Any]:
    """Whether a regime fails, in which share of the draws one does, and what that share bounds."""
    count = sum(bool(one.failing.any()) for one in found)
    return {
        "found": bool(centre.failing.any()),
        "draws": len(found),
        "share_of_draws": count / len(found) if found else math.nan,
        "upper_bound": upper_bound(count, len(found)),
    }


def upper_bound(count: int, draws: int) -> float:
    """One-sided 95% bound on the share of a law of which `count` of `draws` draws fell in a set; NaN without draws."""
    from scipy.stats import beta

    if draws == 0:
        return math.nan
    return 1.0 if count == draws else float(beta.ppf(0.95, count + 1, draws - count))


def centre_of(fit: Fit, event: Event) -> Failing:
    """Failure at the estimate."""
    try:
        return failing(fit.problem, fit.x, event)
    except np.linalg.LinAlgError as error:
        raise ModelError(f"no failure probability at this estimate: {error}", remedy="a smaller model") from error


def _table(fit: Fit, event: Event, centre: Failing, found: list[Failing]) -> pd.DataFrame:
    doubt = np.mean([one.failing for one in found], axis=0) if found else np.full(len(centre.phi), np.nan)
    weights = fit.smoothed.p[fit.problem.place]
    return pd.DataFrame(
        {
            "phi": centre.phi,
            "fails": centre.failing,
            "probability_fails": doubt,
            "share_of_time": weights.mean(axis=0),
            "flags": [_flags(fit, k, event, centre) for k in range(len(centre.phi))],
        },
        index=pd.RangeIndex(len(centre.phi), name="regime"),
    )


def _flags(fit: Fit, k: int, event: Event, centre: Failing) -> str:
    nat = typical(fit.problem, fit.x)
    kappa, drift = float(nat.kappa[0, k]), float(nat.drift[0, k])
    flags = []
    if kappa <= 0:
        flags.append("explosive")
    elif np.log(2.0) / kappa > event.horizon:
        flags.append("slow")
    if kappa > 0 and abs(drift / kappa - event.target) > event.band:
        flags.append("displaced")
    weight, seen = fit.smoothed.p[fit.problem.place][:, k], fit.problem.seen[fit.problem.first :]
    if centre.failing[k] and _at_cap(fit, np.where(seen, weight, 0.0)) > MOSTLY:
        flags.append("saturated")
    if weight[~seen].sum() > MOSTLY * weight.sum():
        flags.append("operational")
    if weight[seen].sum() < FEW:
        flags.append("few")
    return ", ".join(flags)


def _at_cap(fit: Fit, weight: Array) -> float:
    """Weighted share of the rows (n,) at which funding is at its cap; NaN where that is not known."""
    if "funding_saturated" not in fit.data.covariates:
        return math.nan
    capped = fit.data.covariates["funding_saturated"].to_numpy(dtype=float)[fit.problem.first :]
    known = np.where(np.isfinite(capped), weight, 0.0)
    return float(known @ np.nan_to_num(capped) / known.sum()) if known.sum() > 0.0 else math.nan


def over_draws(fit: Fit, event: Event, draws: int, rng: np.random.Generator | int | None) -> list[Failing]:
    """Failure under each of `draws` draws of the parameters; ModelError where the fit has none."""
    from concurrent.futures import ThreadPoolExecutor

    like = fit.smoothed.p
    points = draws_of(fit, draws, rng)

    def one(x: Array) -> Failing | None:
        try:
            found = failing(fit.problem, x, event, coarse=True, like=like)
        except np.linalg.LinAlgError:
            return None
        return found if np.all(np.isfinite(found.smoothed)) else None

    with ThreadPoolExecutor(max_workers=2) as pool:
        return [found for found in pool.map(one, points) if found is not None]

