"""Expected log score of the future by importance sampling over the draws of a fit, refitted where that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError, ModelError
from basismodels.inference.draws import draws_of
from basismodels.inference.mle import fit_problem
from basismodels.problem import Problem, bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Refit = Callable[[BasisSeries], Fit]
_MOST_REFITS = 50
_HUGE = 1e8


@dataclass(frozen=True, eq=False)
class LeaveFutureOut:
    """Log scores of rows given the rows before them, parameters integrated out.

    pointwise by time: elpd (nats), khat (shape of the importance weights' tail, Pareto), refitted;
    elpd: their sum, se: its standard error; draws behind it.
    """

    pointwise: pd.DataFrame
    elpd: float
    se: float
    refits: int
    draws: int
    kind: str

    def __str__(self) -> str:
        return (
            f"leave-future-out {self.elpd:.1f} (se {self.se:.1f}) over {len(self.pointwise):,} rows, "
            f"{self.refits} refits, {self.draws} {self.kind} draws"
        )


def leave_future_out(
    fit: Fit,
    start: str | pd.Timestamp | float = 0.5,
    *,
    refit: Refit | None = None,
    draws: int = 200,
    k: float = 0.7,
    rng: np.random.Generator | int | None = None,
) -> LeaveFutureOut:
    """One-step-ahead leave-future-out by Pareto smoothed importance sampling (Buerkner, Gabry & Vehtari 2020).

    The model is fitted to the rows before `start` (a stamp, or a share of the rows), its draws are weighted by
    the rows since, and it is fitted again where the weights' Pareto k exceeds `k`. `refit`: from a series to a
    fit with draws; by default maximum likelihood with normal draws, or, for a fit that carries posterior
    draws, `bm.sample` again. Errors: ModelError, DataError.
    """
    time = fit.problem.time
    at = int(start * len(time)) if isinstance(start, float) else int(time.searchsorted(_utc(start)))
    if not 20 <= at < len(time) - 1:
        raise DataError(f"start={start!r} leaves {at} rows before it and {len(time) - at} after; both are needed")
    again = refit or _default(fit)
    rows: list[tuple[float, float, bool]] = []
    refits = 0
    while at < len(time):
        if refits > _MOST_REFITS:
            raise ModelError(f"more than {_MOST_REFITS} refits", remedy="more draws=, or a later start=")
        part, kind = _stretch(fit.problem, again(fit.data.cut(None, time[at - 1])), at, draws, k, rng)
        rows += part
        at, refits = at + len(part), refits + 1
    table = pd.DataFrame(rows, columns=["elpd", "khat", "refitted"], index=time[len(time) - len(rows) :])
    seen = table["elpd"].dropna()
    se = float(np.sqrt(len(seen)) * seen.std())
    return LeaveFutureOut(table, float(seen.sum()), se, refits, draws, kind)


def _utc(stamp: str | pd.Timestamp) -> pd.Timestamp:
    made = pd.Timestamp(stamp)
    return made.tz_localize("UTC") if made.tzinfo is None else made.tz_convert("UTC")


def _default(fit: Fit) -> Refit:
    if fit.draws_kind == "posterior":
        return _sampled(fit)

    old = fit.problem

    def again(data: BasisSeries) -> Fit:
        bound = bind(
            fit.model, data, initial=old.initial, mask=old.mask, kappa_link=old.link, depth=old.layout.depth
        )
        return fit_problem(bound, starts=4)

    return again


def _sampled(fit: Fit) -> Refit:
    """The same posterior again, of fewer rows; priors of one's own are not in the record, and are asked for."""
    if fit.facts.get("own_priors"):
        raise ModelError(
            "the posterior has priors of its own", remedy="refit=lambda data: bm.sample(model, data, priors=...)"
        )
    chains, size = int(fit.facts.get("chains", 4)), 0 if fit.draws is None else len(fit.draws)

    def again(data: BasisSeries) -> Fit:
        from basismodels.inference.posterior import sample

        return sample(
            fit.model, data, rng=fit.facts.get("seed", 0), draws=max(size // chains, 1), chains=chains,
            tune=int(fit.facts.get("tune", 1000)), sampler=str(fit.facts.get("sampler", "nutpie")),
            initial=fit.problem.initial, mask=fit.problem.mask, depth=fit.problem.layout.depth,
        )  # fmt: skip

    return again


def _stretch(
    whole: Problem, fitted: Fit, at: int, draws: int, k: float, rng: np.random.Generator | int | None
) -> tuple[list[tuple[float, float, bool]], str]:
    """Scores from row `at` until the weights fail, at least one; and the kind of draws."""
    points = draws_of(fitted, draws, rng)
    bound = _bound_like(fitted.problem, whole.data)
    density = np.array([_density(bound, x) for x in points])[:, at:]
    missing = np.isnan(bound.layout.y[bound.place])[at:]
    density = np.where(missing, 0.0, np.clip(np.nan_to_num(density, nan=-_HUGE), -_HUGE, _HUGE))
    rows = []
    total = np.zeros(len(points))
    for i, row in enumerate(density.T):
        weights, khat = _smoothed(total)
        if i and khat > k:
            break
        rows.append((np.nan if missing[i] else _logsumexp(weights + row), khat, i == 0))
        total = total + row
    return rows, fitted.draws_kind or "normal"


def _bound_like(old: Problem, data: BasisSeries) -> Problem:
    """All rows under the formulas as the fit to some of them took them: their means and scales hold."""
    return bind(
        old.model, data, initial=old.initial, mask=old.mask, kappa_link=old.link, depth=old.layout.depth, like=old
    )


def _density(problem: Problem, x: Array) -> Array:
    """One-step-ahead log densities of the data rows under one free vector."""
    return problem.engine.filter(problem.layout, x).log_density[problem.place]


def _smoothed(log_ratio: Array) -> tuple[Array, float]:
    """Normalised log weights with a smoothed tail, and the tail's Pareto k (Vehtari et al. 2024)."""
    from arviz_stats import base

    if np.ptp(log_ratio) < 1e-9:
        return np.full(len(log_ratio), -np.log(len(log_ratio))), 0.0
    stats: Any = base
    log_weights, khat = stats.array_stats.psislw(-log_ratio)
    log_weights = np.asarray(log_weights, dtype=float)
    return log_weights - _logsumexp(log_weights), float(khat)


def _logsumexp(values: Array) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))
