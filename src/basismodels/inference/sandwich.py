"""Standard errors that do not take the model at its word: the sandwich, summed by funding interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.starts import steps
from basismodels.results import Fit

Array = NDArray[np.float64]


def sandwich(fit: Fit, hours: float | None = None) -> Fit:
    """The fit with the sandwich covariance of its estimates in place of the inverse information (White 1982).

    Scores of single observations are summed within intervals of `hours` (default: the data's funding interval,
    else 8), so that shocks which repeat within an interval count once (Liang & Zeger 1986). It serves where the
    model is wrong about the size of shocks; it does not mend a wrong half-life. Errors: ModelError where
    the information gives no standard errors at all.
    """
    known = np.isfinite(np.diag(fit.cov))
    if not known.any():
        raise ModelError("no sandwich: the fit has no standard errors", remedy="bm.bootstrap(fit, draws=200)")
    totals = _summed(scores(fit), interval_of(fit, hours))[:, known]
    bread = fit.cov[np.ix_(known, known)]
    groups = len(totals)
    meat = totals.T @ totals * groups / max(groups - 1, 1)
    cov = np.full_like(fit.cov, np.nan)
    cov[np.ix_(known, known)] = bread @ meat @ bread
    return replace(fit, cov=cov)


def scores(fit: Fit) -> Array:
    """Derivative of each observation's one-step log density in the free vector, (n, p); zero where missing."""
    problem, x = fit.problem, fit.x
    widths = 1e-4 * steps(problem, x)
    out = np.empty((len(problem.time), len(x)))
    for i, h in enumerate(widths):
        ends = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[i] += sign * h
            ends.append(problem.engine.filter(problem.layout, moved).log_density[problem.place])
        out[:, i] = (ends[0] - ends[1]) / (2.0 * h)
    return np.nan_to_num(out, nan=0.0, posinf=0.0, neginf=0.0)


def interval_of(fit: Fit, hours: float | None) -> NDArray[np.int64]:
    """Number of the interval each row lies in, (n,); a row at a stamp closes the interval before it."""
    every = hours
    if every is None:
        settled = fit.data.settlements
        every = float(settled["interval_hours"].median()) if settled is not None and len(settled) else 8.0
    if not every > 0:
        raise ModelError(f"hours must be positive, got {hours!r}")
    since = (fit.problem.time - pd.Timestamp("1970-01-01", tz="UTC")) / np.timedelta64(1, "h")
    return np.asarray(np.ceil(np.asarray(since) / every - 1e-9), dtype=np.int64)


def _summed(values: Array, group: NDArray[np.int64]) -> Array:
    """Sums of the rows of each group."""
    first = np.flatnonzero(np.r_[True, np.diff(group) != 0])
    return np.asarray(np.add.reduceat(values, first, axis=0))
