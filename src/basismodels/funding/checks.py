"""What a series and a rule must be before columns of funding are made of them."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from basismodels.errors import DataError, ModelError
from basismodels.funding.mechanism import Rule

if TYPE_CHECKING:
    from basismodels.series import BasisSeries

_OLD = 10.0


def checked_data(data: object) -> None:
    """ModelError unless it is a basis series."""
    if not (hasattr(data, "basis") and hasattr(data, "settlements") and hasattr(data, "with_provenance")):
        raise ModelError(
            f"data must be a BasisSeries, got {type(data).__name__}",
            remedy="bm.read(path), bm.from_frame(frame) or bm.BasisSeries.from_prices(spot, perp, funding=rates)",
        )


def checked_rule(value: object, name: str = "rule") -> Rule:
    """The rule itself; ModelError for anything else."""
    if isinstance(value, Rule):
        return value
    remedy = 'bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")'
    raise ModelError(f"{name} must be a funding rule, got {value!r:.60}", remedy=remedy)


def checked_band(band: Any) -> float:
    """A half-width in bps; ModelError where it is no number, negative or not finite."""
    truth = isinstance(band, bool)
    if isinstance(band, numbers.Real) and not truth and 0.0 <= float(band) < math.inf:
        return float(band)
    raise ModelError(f"band must be a finite number not below zero, got {band!r}", remedy="band=10, in bps")


def stale(data: BasisSeries) -> tuple[str, ...]:
    """In words, at how many closes the last settlement is older than ten of its intervals.

    Its rate stays in force there. Errors: DataError where every close is such a one, so that no rate is of these data.
    """
    settled = data.settlements
    if settled is None or not len(settled):
        return ()
    last = np.asarray(settled.index.searchsorted(data.time, side="right")) - 1
    at = np.maximum(last, 0)
    age = np.asarray((data.time - pd.DatetimeIndex(settled.index)[at]) / np.timedelta64(1, "h"), dtype=float)
    old = (last >= 0) & (age > _OLD * settled["interval_hours"].to_numpy()[at])
    if not old.any():
        return ()
    begun = data.time[int(np.argmax(old))]
    if old.all():
        raise DataError(
            f"the settlements end on {settled.index[-1]:%Y-%m-%d}, more than ten intervals before the prices begin",
            rows=[begun], remedy="pass funding= that covers the prices, or none",
        )  # fmt: skip
    return (
        f"at {int(old.sum()):,} closes, the first of them {begun:%Y-%m-%d %H:%M}, the last settlement is older than "
        "ten of its intervals: its rate is carried on, so cut the data or complete funding=",
    )
