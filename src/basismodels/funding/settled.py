"""Settlements and what set them: rates at their stamps, the mean premium of each, and the rule in force at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError
from basismodels.funding.mechanism import Rule
from basismodels.funding.registry import over

if TYPE_CHECKING:
    from basismodels.series import BasisSeries

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Settled:
    """Settlements as arrays (m,): stamp, decimal rate, interval in hours, mean premium in bps; and their rules."""

    stamp: pd.DatetimeIndex
    rate: Array
    hours: Array
    premium: Array
    rules: tuple[Rule, ...]
    era: NDArray[np.int64]

    def each(self, value: Callable[[Rule], Any]) -> Array:
        """What the rule of each settlement says, (m,)."""
        return _each(self.rules, self.era, value)


def premium_of(data: BasisSeries) -> Array:
    """Premium in bps of the reference, (n,), NaN where the basis is missing or masked."""
    return np.where(data.observed, 1e4 * np.expm1(data.basis / 1e4), np.nan)


def settled_of(data: BasisSeries, rule: Rule) -> Settled:
    """Settlements of the data, else those the rule makes of the basis, with the mean premium that set each."""
    premium = premium_of(data)
    if data.settlements is not None:
        stamp = pd.DatetimeIndex(data.settlements.index)
        hours = data.settlements["interval_hours"].to_numpy(dtype=float)
        rate = data.settlements["rate"].to_numpy(dtype=float)
        rules, era = over(rule, stamp)
        return Settled(stamp, rate, hours, _means(data, rules, era, premium, stamp, hours), rules, era)
    ahead = pd.Timedelta(hours=rule.known_hours_ahead)  # what is fixed in advance is known before it is paid
    stamp = rule.interval_ends(data.time[0], data.time[-1] + ahead)
    hours = np.full(len(stamp), rule.interval_hours)
    rules, era = over(rule, stamp)
    mean = _means(data, rules, era, premium, stamp, hours)
    rate = _each(rules, era, lambda r: r.rate_of_mean(mean / 1e4))
    known = np.isfinite(rate)
    if not known.any():
        raise DataError(
            "no interval of the rule holds an observation", remedy="use a longer series or a shorter interval"
        )
    first = int(np.argmax(known))
    rate = filled(rate[first:])
    return Settled(stamp[first:], rate, hours[first:], mean[first:], rules, era[first:])


def _each(rules: tuple[Rule, ...], era: NDArray[np.int64], value: Callable[[Rule], Any]) -> Array:
    """What each rule says, (m,), at the places where it is in force."""
    out = np.empty(len(era))
    for i, rule in enumerate(rules):
        own = era == i
        out[own] = np.broadcast_to(np.asarray(value(rule), dtype=float), len(era))[own]
    return out


def _means(
    data: BasisSeries,
    rules: tuple[Rule, ...],
    era: NDArray[np.int64],
    premium: Array,
    stamp: pd.DatetimeIndex,
    hours: Array,
) -> Array:
    """Weighted mean premium in bps over the interval that set each settlement, (m,)."""
    lag = hours * _each(rules, era, lambda r: r.timing == "next")
    end = stamp - pd.to_timedelta(lag, unit="h")
    start = end - pd.to_timedelta(hours, unit="h")
    first = data.time.searchsorted(start, side="right")
    last = data.time.searchsorted(end, side="right")
    out = np.full(len(stamp), np.nan)
    by_hours = [{h: rule.with_interval(h) for h in np.unique(hours)} for rule in rules]
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        if b > a:
            out[i] = float(by_hours[era[i]][hours[i]].premium_mean(premium[a:b]))
    return out


def filled(values: Array) -> Array:
    """Holes take the value before them; what comes before the first stays missing."""
    return np.asarray(pd.Series(values).ffill(), dtype=float)
