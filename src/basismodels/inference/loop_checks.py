"""What a closed loop can answer: columns its rule gives, parameters that make sense, closes evenly spaced."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._rules import check_time
from basismodels.errors import DataError, ModelError, real
from basismodels.funding.mechanism import Rule
from basismodels.params import Spec
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
_UNEVEN = 1e-6
GRID = 'pd.date_range("2024-01-01", periods=8784, freq="h", tz="UTC")'


def check_columns(columns: Iterable[str], rule: Rule) -> None:
    """ModelError where formulas name columns that the rule cannot give."""
    named = set(columns)
    of_cap = sorted(named & {"funding_utilisation", "funding_saturated"})
    if of_cap and math.isnan(rule.cap):
        raise ModelError(
            f"the cap of {rule.venue} {rule.symbol} is not known, which {' and '.join(of_cap)} need",
            remedy=f"bm.funding.rule({rule.venue!r}, {rule.symbol!r}, cap=0.02), or cap=math.inf for none",
        )
    if "funding_due" in named and rule.timing != "next":
        raise ModelError(
            f"the rule of {rule.venue} {rule.symbol} fixes nothing in advance: it has no funding_due",
            remedy='the column "funding", or a rule with timing="next"',
        )


def free_of(spec: Spec, params: Mapping[str, float] | pd.Series[float]) -> Array:
    """Free vector from values by name; ModelError where names are missing or unknown, or values impossible."""
    if not isinstance(params, Mapping | pd.Series):
        raise ModelError(f"params must be values by name, got {type(params).__name__}", remedy="fit.params")
    values = dict(params)
    wrong = [n for n in spec.names if n not in values] + [str(n) for n in values if n not in spec.names]
    if wrong:
        raise ModelError(f"the model takes {', '.join(spec.names)}", rows=wrong, remedy="pass exactly these names")
    x = spec.to_free(np.array([real(values[name], name) for name in spec.names]))
    for name, value in zip(spec.names, x, strict=True):
        if not math.isfinite(value):
            raise ModelError(f"{name} must be positive, got {values[name]!r}")
    return x


def even_closes(times: Any) -> pd.DatetimeIndex:
    """Evenly spaced closes in UTC; DataError where they are unsorted, doubled, uneven or fewer than three."""
    try:
        index = check_time(times if isinstance(times, pd.DatetimeIndex) else pd.DatetimeIndex(times), "times")
    except (TypeError, AttributeError):
        raise ModelError(f"times must be stamps in UTC or a series, got {times!r:.60}", remedy=GRID) from None
    if len(index) < 3:
        raise DataError("times must be three or more stamps in UTC", rows=[str(t) for t in index[:3]])
    steps = np.diff(index) / np.timedelta64(1, "h")
    odd = np.flatnonzero(np.abs(steps - steps[0]) > _UNEVEN)
    if len(odd):
        raise DataError("times are not evenly spaced", rows=[str(t) for t in index[odd + 1]], remedy=GRID)
    return index


def grid_of(data: BasisSeries) -> pd.DatetimeIndex:
    """Closes from the first of a series to its last, at the median step."""
    if data.n < 3:
        raise DataError("a closed loop needs three closes or more", rows=[str(t) for t in data.time])
    return pd.date_range(data.time[0], data.time[-1], freq=pd.Series(data.time).diff().median())


def said_of(rule: Rule, rate: Array) -> tuple[str, ...]:
    """What a walk whose rates these are leaves out of its rule, in words."""
    if rule.dynamic is None or not rule.at_cap(rate).any():
        return ()
    return (
        f"{rule.venue} {rule.symbol} shortens its interval to {rule.dynamic.at_cap_hours:g} h after a settlement at "
        f"the cap, which happened here; the closed loop kept to {rule.interval_hours:g} h",
    )
