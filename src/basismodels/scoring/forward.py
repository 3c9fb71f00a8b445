"""Predictive laws of the rows of a fit, and of rows after it with the parameters frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.estimands.mixture import Law, Mixture, branches, merged, observed, rows_of
from basismodels.inference.online import Online, at_end, extend, update
from basismodels.likelihood import assemble, predictors
from basismodels.likelihood.kim import Filtered, Steps
from basismodels.likelihood.predictors import Layout
from basismodels.problem import spacing_of
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ahead:
    """What was said of new rows before each was seen.

    law: one row ahead (n rows); filtered: the filter after each row; designs: each formula at each row,
    (n, q); online: the filter after the last.
    """

    law: Mixture
    filtered: Filtered
    designs: dict[str, Array]
    online: Online


def one_step(fit: Fit) -> Mixture:
    """Predictive law of each row of a fit but the first, given the rows before it."""
    layout, place = fit.problem.layout, fit.problem.place
    at = Law(*(part[place[:-1]] for part in fit.filtered[:3]))
    made = _through(_steps(layout, fit.x), layout.row, at, place[:-1], place[1:])
    nu = predictors.freedom(layout, fit.x)
    return made if nu is None else replace(made, nu=np.tile(nu, layout.regimes))


def continue_over(before: Fit | Online, data: BasisSeries) -> Ahead:
    """Predictive law of each new row, one row ahead, with the parameters as fitted.

    Errors: DataError as `bm.update`.
    """
    start = before if isinstance(before, Online) else at_end(before)
    now, added = update(start, data), extend(start, data)
    last = start.filtered if len(start.filtered.p) else start.fit.filtered
    law = Law(*(np.concatenate([a[-1:], b[:-1]]) for a, b in zip(last[:3], now.filtered[:3], strict=True)))
    first = np.concatenate([[-1], added.place[:-1]])
    made = _through(_steps(added.layout, now.fit.x), added.layout.row, law, first, added.place)
    return Ahead(made, now.filtered, {name: one.values[1:] for name, one in added.designs.items()}, now)


def several_steps(fit: Fit, ahead: Ahead, count: int) -> Mixture:
    """Law of the basis `count` rows after each new row, at the hours that pass until then; covariates stay as known.

    Where the new rows end sooner, `count` steps of the median spacing. Of the jumps of `Settlement` only the one at
    the row itself is known.
    """
    layout, n = fit.problem.layout, len(ahead.filtered.p)
    spacing = spacing_of(fit.problem)
    elapsed = _elapsed(ahead.online.time, count, spacing)
    pieces = _pieces(fit, elapsed, count, spacing)
    rows = {name: ahead.designs.get(name, np.ones((n, 1))) for name in layout.places}
    same = all(np.ptp(value, axis=0).max(initial=0.0) == 0.0 for value in (elapsed, *rows.values()))
    distinct = 1 if same else n
    made = layout._replace(
        dt=(elapsed / pieces)[:distinct], row=np.zeros(n, dtype=np.int64) if same else np.arange(n),
        design={name: np.ascontiguousarray(value[:distinct]) for name, value in rows.items()},
    )  # fmt: skip
    step, later = (_steps(one, fit.x) for one in (made, assemble.without_jump(made)))
    law = Law(*(part.copy() for part in ahead.filtered[:3]))
    for k in range(1, int(pieces.max())):
        on = np.flatnonzero(k < pieces)
        moved = merged(branches(Law(*(part[on] for part in law)), rows_of(step, made.row[on])))
        for part, new in zip(law, moved, strict=True):
            part[on] = new
        step = later
    last = rows_of(step, made.row)
    return observed(branches(law, last), last)


def _elapsed(time: pd.DatetimeIndex, count: int, spacing: float) -> Array:
    """Hours from each row to the one `count` rows later, (n,)."""
    out = np.full(len(time), count * spacing)
    out[:-count] = (time[count:] - time[:-count]) / np.timedelta64(1, "h")
    return out


def _pieces(fit: Fit, elapsed: Array, count: int, spacing: float) -> Index:
    """Into how many steps the hours are cut, (n,): no regime is held for longer than in the fit."""
    model = fit.problem.model
    limit = np.inf if model.regimes == 1 else model.max_step or spacing
    return np.maximum(count, np.ceil(elapsed / limit - 1e-9)).astype(np.int64)


def _steps(layout: Layout, x: Array) -> Steps:
    return assemble.steps_of(layout, predictors.natural(layout, x))


def _through(steps: Steps, row: Index, law: Law, before: Index, place: Index) -> Mixture:
    """Law of the observation at internal rows `place`, from the state at the rows `before`."""
    reached = before + 1
    while len(late := np.flatnonzero(reached < place)):
        on = merged(branches(Law(*(part[late] for part in law)), rows_of(steps, row[reached[late]])))
        for part, new in zip(law, on, strict=True):
            part[late] = new
        reached[late] += 1
    step = rows_of(steps, row[place])
    return observed(branches(law, step), step)


def seen_values(data: BasisSeries) -> Array:
    """The basis as a fit sees it, (n,): NaN where missing or masked."""
    return np.asarray(np.where(data.observed, data.basis, np.nan), dtype=np.float64)


def values_of(data: BasisSeries) -> pd.Series[float]:
    """The same by time."""
    return pd.Series(seen_values(data), index=data.time, name="basis")
