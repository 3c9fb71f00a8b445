"""Funding that does not fit the prices beside it: carried forward, or of the other sign."""

from __future__ import annotations

import numpy as np
import pandas as pd

from basismodels._finding import Finding
from basismodels.series import BasisSeries

_CHANGES = 20
_PERIODS = (8, 4)
_STAMPS = 50
_AGAINST = -0.4


def funding(data: BasisSeries) -> list[Finding]:
    """What is odd about the settlements over the whole span, said and not masked."""
    if data.settlements is None:
        return []
    notes = [note for note in (_carried(data.settlements), _turned(data)) if note]
    return [Finding("funding", data.time[0], data.time[-1], data.n, False, note) for note in notes]


def _carried(settlements: pd.DataFrame) -> str:
    """Rates in every row that change every eight hours only: settlements, filled forward over the rows between."""
    rate = settlements["rate"].to_numpy()
    stamps = pd.DatetimeIndex(settlements.index)[1:][np.diff(rate) != 0.0]
    every = float(settlements["interval_hours"].median())
    if len(stamps) < _CHANGES:
        return ""
    hours = np.asarray((stamps - pd.Timestamp(0, tz="UTC")) / np.timedelta64(1, "h"))
    for period in _PERIODS:
        if 2 * every <= period and np.ptp(hours % period) == 0.0:
            return (
                f"a rate every {every:g} h, but it changes every {period} h only: filled forward? "
                "leave all rows but those of the settlements empty"
            )
    return ""


def _turned(data: BasisSeries) -> str:
    """Funding that falls where the basis before it was high, by rank correlation over the settlements."""
    assert data.settlements is not None
    stamps = pd.DatetimeIndex(data.settlements.index)
    owner = np.searchsorted(stamps, data.time, side="left")
    mean = pd.Series(data.basis).groupby(owner).mean().reindex(range(len(stamps)))
    both = pd.DataFrame({"mean": mean.to_numpy(), "rate": data.settlements["rate"].to_numpy()}).dropna().rank()
    if len(both) < _STAMPS or both.nunique().min() < 2:
        return ""
    together = float(np.corrcoef(both["mean"], both["rate"])[0, 1])
    if together > _AGAINST:
        return ""
    return f"funding falls where the basis rises (rank correlation {together:.2f}): are perp and reference swapped?"
