"""Settled funding: stamps, rates and the interval each rate is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from basismodels._coerce import as_column, as_frame, numbers
from basismodels._rules import check_rates, check_time
from basismodels.errors import DataError

INTERVALS = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0])  # hours; what divides a day
DEFAULT_INTERVAL = 8.0
_NEIGHBOURS = 4
_RATE_NAMES = ("rate", "funding_rate")
_EMPTY = "drop funding=, or pass the settled rates at their stamps"


def settlements(funding: Any, time: Any = None) -> pd.DataFrame:
    """Settlements from settled rates at their stamps; empty rows between them are skipped.

    `funding` is a column of decimal rates per interval, or a frame with
    `rate` and, if known, `interval_hours`. Returns a frame by stamp (UTC, to
    the minute) with rate, interval_hours and bps_8h = 1e4 * rate * 8 / interval_hours.
    Intervals that are not given follow from the spacing of the stamps.
    """
    rates, given = _columns(funding, time)
    rates = rates.set_axis(check_time(rates.index, "funding time"), axis=0)
    settled = rates.dropna()
    if settled.empty:
        raise DataError("funding is missing throughout", rows=list(rates.index[:3]), remedy=_EMPTY)
    check_rates(settled)
    stamps = check_time(pd.DatetimeIndex(settled.index).floor("min"), "funding time to the minute")
    hours = intervals(stamps) if given is None else _given(given, rates, stamps)
    return pd.DataFrame(
        {"rate": settled.to_numpy(), "interval_hours": hours, "bps_8h": 8e4 * settled.to_numpy() / hours},
        index=stamps,
    )


def any_rate(funding: Any) -> bool:
    """Whether a rate is known at all."""
    return bool(_columns(funding, None)[0].notna().any())


def without_intervals(funding: Any) -> bool:
    """Whether no interval comes with the rates, so that all of them are inferred."""
    given = _columns(funding, None)[1]
    return given is None or not given.notna().any()


def _columns(funding: Any, time: Any) -> tuple[pd.Series[float], pd.Series[float] | None]:
    if not hasattr(funding, "columns"):
        return as_column(funding, time, "funding"), None
    frame = as_frame(funding, time)
    name = next((n for n in _RATE_NAMES if n in frame.columns), None)
    if name is None:
        return as_column(frame, None, "funding"), None
    given = numbers(frame["interval_hours"], "interval_hours") if "interval_hours" in frame.columns else None
    return numbers(frame[name], "funding"), given


def _given(given: pd.Series[float], rates: pd.Series[float], stamps: pd.DatetimeIndex) -> np.ndarray:
    """Intervals as given, the holes among them from the spacing."""
    hours = given.to_numpy()[rates.notna().to_numpy()]
    bad = ~np.isnan(hours) & ~((hours > 0) & np.isfinite(hours))
    if bad.any():
        raise DataError(
            "interval_hours is not positive and finite",
            rows=list(stamps[bad][:3]),
            remedy='funding.drop(columns="interval_hours"), to have it inferred',
        )
    return np.where(np.isnan(hours), intervals(stamps), hours)


def intervals(stamps: pd.DatetimeIndex) -> np.ndarray:
    """Hours each settlement is for, (m,), from the spacing before it.

    A spacing that no neighbour shares, or that divides no day, is a missed
    settlement and takes the commonest spacing around it, so that a change of
    rule (8 h to 4 h) is followed and a hole is not taken for one.
    """
    if len(stamps) < 2:
        return np.full(len(stamps), DEFAULT_INTERVAL)
    spacing = _snap(np.asarray((stamps[1:] - stamps[:-1]) / np.timedelta64(1, "h"), dtype=np.float64))
    spacing = np.r_[spacing[:1], spacing]
    return np.array([_interval(spacing, i) for i in range(len(spacing))])


def _snap(hours: np.ndarray) -> np.ndarray:
    """Each spacing as the interval within a tenth of it, NaN where there is none."""
    nearest = INTERVALS[np.abs(np.log(hours[:, None] / INTERVALS)).argmin(axis=1)]
    return np.where(np.abs(hours / nearest - 1) < 0.1, nearest, np.nan)


def _interval(spacing: np.ndarray, i: int) -> float:
    here = spacing[i]
    beside = np.r_[spacing[max(i - 1, 0) : i], spacing[i + 1 : i + 2]]
    if here in beside:
        return float(here)
    around = spacing[max(i - _NEIGHBOURS, 0) : i + _NEIGHBOURS + 1]
    known, counts = np.unique(around[~np.isnan(around)], return_counts=True)
    usual = float(known[counts.argmax()]) if len(known) else DEFAULT_INTERVAL
    newest = i == len(spacing) - 1
    return float(here) if newest and here < usual else usual


def in_force(settled: pd.DataFrame, time: pd.DatetimeIndex) -> np.ndarray:
    """Position of the settlement in force at each close, (n,), -1 before the first.

    A settlement counts from the first close at or after its stamp, never before.
    """
    return np.asarray(settled.index.searchsorted(time, side="right")) - 1


def funding_columns(settled: pd.DataFrame, time: pd.DatetimeIndex) -> pd.DataFrame:
    """funding_last and funding (bps per 8 h) and hours_since_settlement, by close; NaN before the first."""
    at = in_force(settled, time)
    before = at < 0
    last = np.where(before, np.nan, settled["bps_8h"].to_numpy()[at])
    since = np.asarray((time - settled.index[at]) / np.timedelta64(1, "h"), dtype=np.float64)
    return pd.DataFrame(
        {"funding_last": last, "funding": last, "hours_since_settlement": np.where(before, np.nan, since)},
        index=time,
    )
