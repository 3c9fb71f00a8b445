"""Columns of funding at rows that follow a fit, from the rows just before them and the rule of the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from basismodels._settlements import intervals
from basismodels.funding.covariates import COVARIATES, attach, rule_of
from basismodels.model import Model
from basismodels.results import Fit
from basismodels.series import INFERRED, BasisSeries

_INTERVALS = 4
_ROWS = 8
_SETTLED = 6


def named(model: Model) -> set[str]:
    """Columns of funding that the formulas of a model name."""
    return model.words() & COVARIATES.keys()


def recent(data: BasisSeries) -> BasisSeries:
    """The last rows of a series, as many as set the funding of those to come: some intervals of its rule."""
    own = rule_of(data)
    hours = 0.0 if own is None else own.interval_hours
    settled = data.settlements
    if settled is not None and len(settled):
        hours = max(hours, float(settled["interval_hours"].iloc[-1]))
    begin = min(data.time[-1] - pd.Timedelta(hours=_INTERVALS * hours), data.time[-min(_ROWS, data.n)])
    at = int(data.time.searchsorted(begin))
    kept = 0 if settled is None else max(min(int(settled.index.searchsorted(begin)) - 1, len(settled) - _SETTLED), 0)
    return replace(
        data, time=data.time[at:], basis=data.basis[at:], covariates=data.covariates.iloc[at:], mask=data.mask[at:],
        settlements=None if settled is None else settled.iloc[kept:],
        findings=(),
    )  # fmt: skip


def resettled(before: BasisSeries, new: BasisSeries) -> BasisSeries:
    """The new rows, the intervals of their settlements inferred from the stamps before and among them.

    They stay as they are where they were given, or inferred from a longer series of which these rows are a part.
    """
    known, added, since = before.settlements, new.settlements, new.provenance.get(INFERRED)
    if known is None or added is None or since is None or pd.Timestamp(str(since)) <= known.index[0]:
        return new
    stamps = pd.DatetimeIndex(known.index.union(added.index))
    hours = pd.Series(intervals(stamps), index=stamps)
    hours[known.index] = known["interval_hours"]
    hours = hours[added.index]
    made = added.assign(interval_hours=hours, bps_8h=8e4 * added["rate"] / hours)
    return replace(new, settlements=made)


def joined(before: BasisSeries, new: BasisSeries) -> BasisSeries:
    """Rows and settlements of one series after those of another; of the covariates none."""
    parts = [part for part in (before.settlements, new.settlements) if part is not None]
    settled = pd.concat(parts).sort_index() if parts else None
    time = pd.DatetimeIndex(before.time.append(new.time))
    return replace(
        before, time=time, basis=np.concatenate([before.basis, new.basis]), covariates=pd.DataFrame(index=time),
        mask=np.concatenate([before.mask, new.mask]),
        settlements=None if settled is None else settled[~settled.index.duplicated()],
    )  # fmt: skip


def with_funding(fit: Fit, before: BasisSeries, new: BasisSeries) -> BasisSeries:
    """The new rows with the columns of funding that the fit names and they lack; as they are without a rule."""
    own, wanted = rule_of(fit.data), named(fit.model)
    if own is None or not wanted - set(new.frame().columns):
        return new
    made = attach(joined(before, new), own).covariates.iloc[before.n :]
    kept = new.covariates.drop(columns=[c for c in made.columns if c in new.covariates])
    return replace(new, covariates=kept.join(made), provenance={**new.provenance, "funding_rule": own.to_json()})
