"""What input must satisfy before anything is computed from it; each breach is a DataError."""

from __future__ import annotations

import numpy as np
import pandas as pd

from basismodels.errors import DataError

_FACTOR = 3.0  # prices of one asset do not differ threefold; units do
_RATE_OF_ANOTHER_UNIT = 0.05  # a typical rate of 5% an interval is a percent or bps figure
_RATE_BEYOND_ANY_CAP = 0.20  # no venue's cap lets one interval cost 20%
_NOT_EMPTY = "df[df.index.notna()]"


def check_time(index: pd.Index, name: str = "time") -> pd.DatetimeIndex:
    """The stamps in UTC, microseconds; raises unless they are zoned, whole, sorted and distinct."""
    stamps = _zoned(index, name)
    check_filled(stamps, name)
    stamps = stamps.tz_convert("UTC").as_unit("us").rename("time")
    _sorted(stamps, name)
    _distinct(stamps, name)
    return stamps


def check_filled(index: pd.Index, name: str = "time") -> None:
    """Raises where a row has no stamp."""
    holes = np.flatnonzero(index.isna())
    if len(holes):
        raise DataError(f"{name} is empty in {len(holes)} rows", rows=_row(holes), remedy=_NOT_EMPTY)


def _zoned(index: pd.Index, name: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(
            f"{name} is {index.dtype}, not stamps",
            rows=list(index[:3]),
            remedy="df.set_index(pd.to_datetime(time, utc=True))",
        )
    if index.tz is None:
        raise DataError(f"{name} has no zone", rows=list(index[:3]), remedy='df.tz_localize("UTC")')
    return index


def _row(positions: np.ndarray) -> list[str]:
    return [f"row {position}" for position in positions[:4]]


def _sorted(stamps: pd.DatetimeIndex, name: str) -> None:
    if not stamps.is_monotonic_increasing:
        back = np.flatnonzero(np.diff(stamps.asi8) < 0) + 1
        raise DataError(f"{name} is not sorted", rows=list(stamps[back[:4]]), remedy="df.sort_index()")


def _distinct(stamps: pd.DatetimeIndex, name: str) -> None:
    if not stamps.is_unique:
        twice = stamps[stamps.duplicated()]
        raise DataError(
            f"{name} holds {len(twice)} duplicates",
            rows=list(twice[:4]),
            remedy='df[~df.index.duplicated(keep="last")]',
        )


def check_price(price: pd.Series[float]) -> None:
    """Raises unless every price is positive and finite, or missing."""
    bad = price[(price <= 0) | np.isinf(price)]
    if len(bad):
        name = price.name
        raise DataError(
            f"{name} is not positive and finite in {len(bad)} rows",
            rows=list(bad.index[:4]),
            remedy=f"{name}.where(({name} > 0) & np.isfinite({name})), which makes them missing",
        )


def check_finite(column: pd.Series[float]) -> None:
    """Raises on an infinite value; missing values may stay."""
    bad = column[np.isinf(column)]
    if len(bad):
        raise DataError(
            f"{column.name} is infinite in {len(bad)} rows",
            rows=list(bad.index[:4]),
            remedy=f"{column.name}.replace([np.inf, -np.inf], np.nan)",
        )


def check_units(perp: pd.Series[float], reference: pd.Series[float]) -> None:
    """Raises where the two legs differ threefold: they are not in one unit there."""
    ratio = perp / reference
    off = ratio[np.abs(np.log(ratio)) > np.log(_FACTOR)]
    if not len(off):
        return
    factor = _round_factor(float(off.median()))
    throughout = len(off) == int(ratio.notna().sum())
    where = "throughout" if throughout else f"in {len(off)} rows, from {off.index[0]} to {off.index[-1]}"
    rows = "perp" if throughout else f'perp.loc["{off.index[0]}":"{off.index[-1]}"]'
    raise DataError(
        f"mixed units: perp is about {factor:g} times the reference {where}",
        rows=list(off.index[:4]),
        remedy=f"{rows} /= {factor:g}, or name another column by reference=",
    )


def _round_factor(ratio: float) -> float:
    """The power of ten nearest to the ratio where it is within a quarter of one, else the ratio."""
    if not 0.0 < ratio < np.inf:
        return ratio
    power = float(10.0 ** round(np.log10(ratio)))
    return power if abs(ratio / power - 1) < 0.25 else float(f"{ratio:.3g}")


def check_basis(basis: pd.Series[float]) -> None:
    """Raises unless at least two values are known and they are not all equal."""
    known = basis.dropna()
    if len(known) < 2:
        raise DataError(
            f"the basis is known in {len(known)} of {len(basis)} rows",
            rows=list(basis.index[:3]),
            remedy='perp.reindex(spot.index, method="ffill", limit=1), if the stamps of the legs differ'
            if len(basis) > 1
            else "part=True, for a row that continues a longer series",
        )
    if bool((known == known.iloc[0]).all()):
        raise DataError(
            f"the basis is constant at {known.iloc[0]:g} bps",
            rows=list(known.index[:3]),
            remedy="name two different price columns by perp= and reference=",
        )


def check_rates(rates: pd.Series[float]) -> None:
    """Raises unless the settled rates are finite decimals per interval."""
    check_finite(rates)
    size = rates.abs()
    if float(size.median()) > _RATE_OF_ANOTHER_UNIT:
        raise DataError(
            f"mixed units: the median funding rate is {size.median():g}, no decimal per interval",
            rows=list(rates.index[:3]),
            remedy=_rate_remedy(float(size.median())),
        )
    high = rates[size > _RATE_BEYOND_ANY_CAP]
    if len(high):
        raise DataError(
            f"mixed units: {len(high)} funding rates above {_RATE_BEYOND_ANY_CAP:g} per interval",
            rows=list(high.index[:4]),
            remedy=f"funding.where(funding.abs() < {_RATE_BEYOND_ANY_CAP:g}, funding / 100), if percent",
        )


def _rate_remedy(median: float) -> str:
    return "funding / 1e4, if it is in bps" if median > 0.5 else "funding / 100, if it is in percent"
