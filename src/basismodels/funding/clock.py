"""The clock of settlements, read off at the closes of a series."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.funding.mechanism import Rule

Array = NDArray[np.float64]


def clock(time: pd.DatetimeIndex, stamp: pd.DatetimeIndex, hours: Array) -> dict[str, Array]:
    """Hours to the next of settlements (m,) `hours` (m,) apart, and whether one lies within the bar, each (n,)."""
    last = np.asarray(stamp.searchsorted(time, side="right")) - 1
    at = np.maximum(last, 0)
    hour = np.timedelta64(1, "h")
    since = np.asarray((time - stamp[at]) / hour, dtype=float)
    period = hours[at]
    bar = np.diff(np.asarray((time - time[0]) / hour, dtype=float), prepend=np.nan)
    bar[0] = np.nanmedian(bar) if len(bar) > 1 else period[0]
    before = last < 0
    ahead = np.where(before, -since % period, period - since % period)
    return {
        "hours_to_settlement": np.where(before & (ahead == 0), period, ahead),
        "settled_just_now": np.where(before, 0.0, (since < bar).astype(float)),
    }


def clock_of(
    rule: Rule, time: pd.DatetimeIndex, stamp: pd.DatetimeIndex, hours: Array
) -> tuple[pd.DatetimeIndex, Array]:
    """Stamps and hours between them: the rule's own where it names a period of settlement, else those given."""
    if rule.settled_hours is None:
        return stamp, hours
    own = rule.settlements(time[0] - pd.Timedelta(hours=rule.settled_hours), time[-1])
    return own, np.full(len(own), rule.settled_hours)
