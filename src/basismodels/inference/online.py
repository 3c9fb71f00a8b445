"""The filter continued over new rows, without fitting again and without the old ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError, ModelError
from basismodels.inference.funding_onward import joined, named, recent, resettled, with_funding
from basismodels.likelihood import assemble, kim, predictors
from basismodels.likelihood.kim import Filtered, Start
from basismodels.likelihood.predictors import Layout
from basismodels.model import Design, design_again
from basismodels.problem import continued
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
_CARRIED = ("funding_last", "funding")


@dataclass(frozen=True, eq=False)
class Online:
    """The filter after the newest row, and what it said of the rows just added.

    time (m,) of the new rows; filtered: their probabilities (m, K), moments and one-step log
    densities; last: covariates known at the newest row; stamp: its time; recent: the newest rows, which set the
    funding of those to come.
    """

    fit: Fit
    time: pd.DatetimeIndex
    filtered: Filtered
    last: pd.DataFrame
    state: Start
    recent: BasisSeries

    @property
    def stamp(self) -> pd.Timestamp:
        """Time of the newest row."""
        stamp: pd.Timestamp = self.last.index[-1]
        return stamp

    @property
    def regimes(self) -> pd.DataFrame:
        """Filtered probability of each regime at the new rows."""
        return pd.DataFrame(self.filtered.p, index=self.time)

    @property
    def log_density(self) -> pd.Series[float]:
        """One-step-ahead log density of the new rows in nats, NaN where missing."""
        return pd.Series(self.filtered.log_density, index=self.time, name="log_density")


def update(before: Fit | Online, new_data: BasisSeries) -> Online:
    """Continue the filter of a fit over rows that follow its last one.

    Parameters stay as fitted; the result equals filtering everything again, and costs
    O(K^2) an observation. Hand the result back to go on. Funding intervals that are not given follow
    from the settlements known so far and the new ones. Errors: DataError where the new
    rows do not follow the last one or lack a covariate.
    """
    now = before if isinstance(before, Online) else at_end(before)
    if "nu" in now.fit.problem.layout.places:
        raise ModelError("Student's t shocks are not filtered on", remedy="bm.refilter(fit, all_data)")
    if new_data.time[0] <= now.stamp:
        raise DataError(
            f"new rows must follow {now.stamp}", rows=[str(t) for t in new_data.time[:3]],
            remedy="new_data.cut(start=...)",
        )  # fmt: skip
    added = extend(now, new_data)
    layout, place = added.layout, added.place
    steps = assemble.steps_of(layout, predictors.natural(layout, now.fit.x))
    found, state = kim.continued(layout.y, layout.row, steps, now.state, layout.depth)
    rows = Filtered(*(part[place] for part in found))
    return Online(now.fit, new_data.time, rows, added.frame.iloc[[-1]], state, added.recent)


@dataclass(frozen=True, eq=False)
class Extension:
    """New rows bound as the old ones were: layout, internal row of each; formulas and columns over last and new; the
    newest rows."""

    layout: Layout
    place: NDArray[np.int64]
    designs: dict[str, Design]
    frame: pd.DataFrame
    recent: BasisSeries


def extend(now: Online, new_data: BasisSeries) -> Extension:
    """The new rows under the formulas of the fit; DataError where a covariate is missing.

    Columns of funding that they lack are made under the rule of the fit.
    """
    new_data = resettled(now.recent, new_data)
    frame = _carried(now.last, with_funding(now.fit, now.recent, new_data).frame())
    problem = now.fit.problem
    designs = {name: _again(made, frame) for name, made in problem.designs.items()}
    layout, place = continued(problem, designs, now.stamp, new_data)
    _known(designs, frame)
    kept = recent(joined(now.recent, new_data)) if named(problem.model) else now.recent
    return Extension(layout, place, designs, frame, kept)


def at_end(fit: Fit) -> Online:
    """The filter at the last row of a fit, nothing added yet."""
    found, layout = fit.filtered, fit.problem.layout
    if layout.depth == 1:
        state = Start(found.p[-1], found.mean[-1], found.var[-1], np.zeros(layout.regimes), 0.0)
    else:
        steps, start = assemble.coefficients(layout, fit.x)
        state = kim.continued(layout.y, layout.row, steps, start, layout.depth)[1]
    none = Filtered(*(part[:0] for part in found))
    return Online(fit, fit.data.time[:0], none, fit.data.frame().iloc[[-1]], state, recent(fit.data))


def _carried(last: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """The last row and the new ones; funding in force is carried over until the next settlement."""
    frame = pd.concat([last.reindex(columns=new.columns.union(last.columns)), new])
    for column in _CARRIED:
        if column in frame:
            frame[column] = frame[column].ffill()
    return frame


def _again(made: Design, frame: pd.DataFrame) -> Design:
    return replace(made, values=design_again(made, frame))


def _known(designs: dict[str, Design], frame: pd.DataFrame) -> None:
    for made in designs.values():
        holes = np.flatnonzero(~np.isfinite(made.values[:-1]).all(axis=1))
        if len(holes):
            raise DataError(
                f"a covariate among {', '.join(made.columns)} is missing in the new rows",
                rows=[str(t) for t in frame.index[:-1][holes]],
                remedy="pass the same covariates= as to the fit",
            )
