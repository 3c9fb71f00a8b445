"""The pieces of a BasisSeries, each made and checked from what the caller passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from basismodels._coerce import as_column, as_frame, numbers, numeric_columns
from basismodels._rules import check_finite, check_price, check_time, check_units
from basismodels.errors import DataError

Fact = str | int | float | bool | None
LEGS = ("perp", "reference")


def prices_of(legs: Mapping[str, pd.Series[float]]) -> pd.DataFrame:
    """Both legs, checked one by one and against each other, on the union of their stamps."""
    prices = pd.DataFrame({leg: _leg(legs[leg]) for leg in LEGS}, copy=False)
    check_units(prices["perp"], prices["reference"])
    return prices


def _leg(series: pd.Series[float]) -> pd.Series[float]:
    leg = series.set_axis(check_time(series.index, f"time of {series.name}"), axis=0)
    check_price(leg)
    return leg


def basis_of(prices: pd.DataFrame | None, basis: pd.Series[float] | None) -> pd.Series[float]:
    """The basis in bps, from the prices where there are any, else as given."""
    if prices is not None:
        ratio = prices["perp"].to_numpy() / prices["reference"].to_numpy()
        return pd.Series(1e4 * np.log(ratio), index=prices.index, name="basis")
    if basis is None:
        raise DataError("neither prices nor a basis given", remedy="BasisSeries.from_prices(spot, perp)")
    basis = basis.set_axis(check_time(basis.index), axis=0)
    check_finite(basis)
    return basis


def beside(prices: pd.DataFrame | None, covariates: Any, time: Any, index: pd.DatetimeIndex) -> pd.DataFrame:
    """Covariates at the stamps of the basis, with the legs as "perp" and "reference" beside them."""
    given = pd.DataFrame(index=index) if covariates is None else _covariates(covariates, time, index)
    for name in given.columns:
        check_finite(given[name])
    legs = {} if prices is None else {leg: prices[leg] for leg in LEGS}
    columns = {**legs, **{name: given[name] for name in given.columns if name not in legs}}
    return pd.DataFrame(columns, index=index, copy=False)


def _covariates(covariates: Any, time: Any, index: pd.DatetimeIndex) -> pd.DataFrame:
    frame = numeric_columns(_framed(covariates, time))
    frame = frame.set_axis(check_time(frame.index, "time of covariates"), axis=0)
    if frame.index.equals(index):
        return frame
    if not frame.index.isin(index).any():
        raise DataError(
            "covariates share no stamp with the basis",
            rows=list(frame.index[:3]),
            remedy='covariates.reindex(spot.index, method="ffill")',
        )
    return frame.reindex(index)


def _framed(covariates: Any, time: Any) -> pd.DataFrame:
    """Covariates as a frame, by their own time where they have one, else by `time`."""
    if isinstance(covariates, Mapping):
        covariates = pd.DataFrame(dict(covariates))
    if isinstance(covariates, pd.Series):
        covariates = covariates.to_frame()
    if isinstance(covariates, pd.DataFrame) and isinstance(covariates.index, pd.DatetimeIndex):
        return covariates
    named = getattr(covariates, "columns", ())
    return as_frame(covariates, None if time is None or "time" in named else time)


def with_time(funding: Any, time: Any) -> Any:
    """Funding that has no time of its own, by the time of the prices."""
    if funding is None or hasattr(funding, "columns") or isinstance(funding, pd.Series):
        return funding
    return as_column(funding, time, "funding")


def without_index(values: Any) -> Any:
    """The values alone where a pandas column comes beside a time of its own."""
    return numbers(values, "basis").to_numpy() if isinstance(values, pd.Series) else values


def usable(
    settled: pd.DataFrame | None, index: pd.DatetimeIndex
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """The settlements some close can use; those after the last close are left out, and it is said."""
    if settled is None:
        return None, ()
    late = settled.index[settled.index > index[-1]]
    if not len(late):
        return settled, ()
    if len(late) == len(settled):
        raise DataError(
            f"every funding stamp is after the last close, {index[-1]}: no row may use one",
            rows=list(late[:3]),
            remedy=f'funding.loc[:"{index[-1]}"], of the span of the prices',
        )
    note = f"{len(late)} funding stamps after the last close are left out (first at {late[0]})"
    return settled.loc[: index[-1]], (note,)


def span(index: pd.DatetimeIndex) -> dict[str, Fact]:
    """First and last stamp, and the number of rows."""
    return {"start": iso(index[0]), "end": iso(index[-1]), "rows": len(index)}


def iso(stamp: pd.Timestamp) -> str:
    """ISO 8601 with Z, fractions of a second only where there are any."""
    return stamp.tz_convert("UTC").tz_localize(None).isoformat() + "Z"


def odd_units(basis: pd.Series[float], settled: pd.DataFrame | None) -> tuple[str, ...]:
    """Warnings on magnitudes that are possible but are mostly a slip of unit."""
    notes = []
    size = float(basis.abs().max())
    if size < 0.1:
        notes.append(f"units: the largest basis is {size:.3g} bps; is it a fraction?")
    rate = 0.0 if settled is None else float(settled["rate"].abs().median())
    if rate > 0.004:
        notes.append(f"units: the median funding rate is {rate:.3g} per interval; is it in percent?")
    return tuple(notes)
