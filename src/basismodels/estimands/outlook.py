"""What the chain of regimes says of failures to come: when, how long, how often."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError
from basismodels.estimands.ahead import natural_ahead
from basismodels.estimands.event import HORIZON, THRESHOLD
from basismodels.estimands.failure import Failing, asked, centre_of, doubt, over_draws
from basismodels.inference.chain import transition_matrix
from basismodels.inference.intervals import checked_level
from basismodels.likelihood.transition import generator, stationary_law
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]


def failure_outlook(
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
    """Failure after the last row: one row a quantity, with columns value, lower, upper, unit.

    now: filtered probability that a failure regime holds; next settlement: the same at the next funding stamp,
    where the data have settlements; ahead: the same `horizon` hours on; any: a failure regime holds at some moment
    within `horizon`; stationary: share of time in the long run; duration: expected hours of a failure from its
    beginning; residual: expected hours left, given that one holds now. `horizon`, `band`, `target`, `threshold` as
    in `failure_probability`. Rates that follow covariates stay as at the last row. The chain is in continuous
    time, durations are phase-type (Neuts 1981). Limits are quantiles over draws, in each of which the failure
    regimes are decided anew; without draws they are NaN and attrs["note"] says why. Where no regime fails the
    probabilities are zero and the durations NaN. attrs hold what was used and what was found, as those of
    `failure_regimes`; operational: whether the last row is masked or missing. Errors: ModelError.
    """
    event = asked(fit, horizon, band, target, threshold, draws, rng)
    checked_level(level)
    wait = _to_settlement(fit)
    centre = centre_of(fit, event)
    made = _one(fit.problem, centre, horizon, wait)
    note: str = ""
    parts: list[Failing] = []
    try:
        parts = over_draws(fit, event, draws, rng)
    except ModelError as error:
        note = str(error)
    found = [_one(fit.problem, part, horizon, wait) for part in parts]
    frame = pd.DataFrame({"value": made})
    drawn = np.reshape([[part[name] for name in made] for part in found], (-1, len(made)))
    frame["lower"], frame["upper"] = draw_limits(drawn, level)
    frame["unit"] = ["h" if name in ("duration", "residual") else "probability" for name in made]
    frame.index.name = "quantity"
    frame.attrs |= event.facts() | doubt(centre, parts)
    frame.attrs |= {"note": note, "hours_to_settlement": wait, "operational": not fit.problem.seen[-1]}
    return frame


def _to_settlement(fit: Fit) -> float:
    """Hours from the last row to the next funding stamp, NaN where the data have none."""
    settlements, last = fit.data.settlements, fit.data.time[-1]
    if settlements is None or not len(settlements):
        return math.nan
    known = settlements[settlements.index <= last]
    if not len(known):
        return math.nan
    every = float(known["interval_hours"].iloc[-1])
    since = (last - known.index[-1]) / np.timedelta64(1, "h")
    return float(every - since % every)


def _one(problem: Problem, found: Failing, horizon: float, wait: float) -> dict[str, float]:
    """Every quantity under one free vector."""
    rates = natural_ahead(problem, found.x).rates[0]
    now = problem.engine.filter(problem.layout, found.x).p[-1]
    return chain_outlook(rates, now, found.failing, horizon, wait)


def chain_outlook(
    rates: Array, now: Array, failing: NDArray[np.bool_], horizon: float, wait: float = math.nan
) -> dict[str, float]:
    """The quantities of `failure_outlook` for a chain: rates (K, K) 1/h, law now (K,), failing (K,), hours."""
    from scipy.linalg import expm

    moves = generator(rates[None])[0]
    long_run = stationary_law(rates)
    calm = ~failing
    stay = expm(moves[np.ix_(calm, calm)] * horizon).sum(axis=1) if calm.any() else np.zeros(0)
    entries = (long_run[calm] @ moves[np.ix_(calm, failing)]) if calm.any() else long_run[failing]
    out = {"now": float(now[failing].sum())}
    if not math.isnan(wait):
        out["next settlement"] = float((now @ transition_matrix(rates, wait))[failing].sum())
    return out | {
        "ahead": float((now @ transition_matrix(rates, horizon))[failing].sum()),
        "any": float(1.0 - now[calm] @ stay) if failing.any() else 0.0,
        "stationary": float(long_run[failing].sum()),
        "duration": _duration(moves, failing, entries),
        "residual": _duration(moves, failing, now[failing]),
    }


def _duration(moves: Array, failing: NDArray[np.bool_], begin: Array) -> float:
    """Expected hours in the failing regimes from a law over them; infinite where they are never left."""
    total = float(begin.sum())
    if not failing.any() or total <= 0.0:
        return math.nan
    block = moves[np.ix_(failing, failing)]
    if np.linalg.cond(block) > 1e14:
        return math.inf
    return float(begin @ np.linalg.solve(-block, np.ones(len(block)))) / total
