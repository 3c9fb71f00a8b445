"""Each bad input gets an error of the package's own, with the first rows and the call that mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from basismodels.errors import BasismodelsError, DataError
from basismodels.series import BasisSeries
from basismodels.sources.files import from_frame

Market = pd.DataFrame


def prices(frame: Market) -> BasisSeries:
    return BasisSeries.from_prices(frame["spot"], frame["perp"], frame["funding_rate"])


def set_rows(column: str, rows: Any, value: float) -> Callable[[Market], Market]:
    def change(frame: Market) -> Market:
        frame = frame.copy()
        frame.iloc[rows, frame.columns.get_loc(column)] = value
        return frame

    return change


def scale_rows(column: str, rows: slice, factor: float) -> Callable[[Market], Market]:
    def change(frame: Market) -> Market:
        frame = frame.copy()
        frame.iloc[rows, frame.columns.get_loc(column)] *= factor
        return frame

    return change


def swapped(frame: Market) -> Market:
    return frame.iloc[[0, 2, 1, *range(3, len(frame))]]


def twice(frame: Market) -> Market:
    return pd.concat([frame.iloc[:6], frame.iloc[5:]])


def assigned(**columns: Any) -> Callable[[Market], Market]:
    return lambda frame: frame.assign(**columns)


CASES: dict[str, tuple[Callable[[Market], Market], str, int | None, str]] = {
    # name: (what is done to a clean market, in the message, first row named, in the remedy)
    "no zone": (lambda f: f.tz_localize(None), "no zone", 0, 'df.tz_localize("UTC")'),
    "no stamps": (lambda f: f.set_axis(range(len(f))), "not stamps", None, "pd.to_datetime"),
    "unsorted": (swapped, "not sorted", 1, "df.sort_index()"),
    "duplicated": (twice, "1 duplicates", 5, "index.duplicated"),
    "zero price": (set_rows("spot", 7, 0.0), "not positive and finite in 1 rows", 7, "spot.where"),
    "negative price": (set_rows("perp", [3, 9], -1.0), "in 2 rows", 3, "perp.where"),
    "infinite price": (set_rows("perp", 4, np.inf), "not positive and finite", 4, "np.isfinite(perp)"),
    "constant": (lambda f: f.assign(perp=f["spot"]), "the basis is constant at 0 bps", 0, "perp="),
    "no basis": (lambda f: f.assign(perp=np.nan), "known in 0 of 600 rows", 0, "reindex"),
    "funding all missing": (assigned(funding_rate=np.nan), "funding is missing throughout", 0, "funding="),
    "infinite funding": (set_rows("funding_rate", 8, np.inf), "funding is infinite in 1 rows", 8, "replace"),
    "other units": (
        scale_rows("perp", slice(None), 1000),
        "1000 times the reference throughout",
        0,
        "perp /= 1000",
    ),
    "other units for a while": (scale_rows("perp", slice(20, 30), 0.01), "in 10 rows, from", 20, "/= 0.01"),
    "funding in bps": (
        scale_rows("funding_rate", slice(None), 1e4),
        "no decimal per interval",
        0,
        "funding / 1e4",
    ),
    "funding in percent": (scale_rows("funding_rate", slice(None), 1e3), "no decimal", 0, "funding / 100"),
    "one rate in bps": (
        scale_rows("funding_rate", slice(16, 17), 1e4),
        "1 funding rates above 0.2",
        16,
        "percent",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_rows_and_remedy(market: Market, name: str) -> None:
    change, message, row, remedy = CASES[name]
    frame = change(market)
    with pytest.raises(DataError) as caught:
        prices(frame)
    error = caught.value
    assert isinstance(error, BasismodelsError)
    assert isinstance(error, ValueError)
    assert message in error.what
    assert remedy in error.remedy
    assert "\n" not in str(error)
    if row is None:
        assert error.rows == (0, 1, 2)
    else:
        stamp = frame.index[row if name != "unsorted" else 2]
        assert error.rows[0] == stamp
        assert str(stamp) in str(error)


REMEDIES: dict[str, Callable[[Market], Market]] = {
    "no zone": lambda f: f.tz_localize("UTC"),
    "unsorted": lambda f: f.sort_index(),
    "duplicated": lambda f: f[~f.index.duplicated(keep="last")],
    "zero price": lambda f: f.assign(spot=f["spot"].where((f["spot"] > 0) & np.isfinite(f["spot"]))),
    "infinite price": lambda f: f.assign(perp=f["perp"].where((f["perp"] > 0) & np.isfinite(f["perp"]))),
    "infinite funding": lambda f: f.assign(funding_rate=f["funding_rate"].replace([np.inf, -np.inf], np.nan)),
    "other units": lambda f: f.assign(perp=f["perp"] / 1000),
    "funding in bps": lambda f: f.assign(funding_rate=f["funding_rate"] / 1e4),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_the_remedy_mends_it(market: Market, name: str) -> None:
    mended = REMEDIES[name](CASES[name][0](market))
    assert prices(mended).n == len(market)


def test_stamps_that_are_empty_are_named_by_row(market: Market) -> None:
    index = market.index.to_series().mask(np.arange(len(market)) == 4)
    with pytest.raises(DataError, match=r"time of spot is empty in 1 rows \(first at row 4\)"):
        BasisSeries.from_prices(market["spot"].set_axis(pd.DatetimeIndex(index)), market["perp"])


def test_funding_from_after_the_data_cannot_be_used(market: Market) -> None:
    late = market["funding_rate"].dropna().shift(freq="60D")
    with pytest.raises(DataError, match="every funding stamp is after the last close") as caught:
        BasisSeries.from_prices(market["spot"], market["perp"], late)
    assert caught.value.rows[0] == late.index[0]
    assert "funding.loc[:" in caught.value.remedy


def test_funding_without_zone_is_refused_by_its_name(market: Market) -> None:
    with pytest.raises(DataError, match="funding time has no zone"):
        BasisSeries.from_prices(market["spot"], market["perp"], market["funding_rate"].tz_localize(None))


def test_two_settlements_in_one_minute_are_refused(market: Market) -> None:
    stamps = pd.to_datetime(["2024-01-01 08:00:00Z", "2024-01-01 08:00:30Z"])
    with pytest.raises(DataError, match="funding time to the minute holds 1 duplicates"):
        BasisSeries.from_prices(market["spot"], market["perp"], pd.Series([1e-4, 2e-4], index=stamps))


def test_intervals_must_be_positive(market: Market) -> None:
    funding = pd.DataFrame({"rate": market["funding_rate"], "interval_hours": 0.0})
    with pytest.raises(DataError, match="interval_hours is not positive"):
        BasisSeries.from_prices(market["spot"], market["perp"], funding)


def test_an_infinite_covariate_is_named(market: Market) -> None:
    extra = pd.DataFrame({"depth": 1.0}, index=market.index)
    extra.iloc[11, 0] = -np.inf
    with pytest.raises(DataError, match="depth is infinite in 1 rows") as caught:
        BasisSeries.from_prices(market["spot"], market["perp"], covariates=extra)
    assert caught.value.rows == (market.index[11],)


def test_covariates_of_another_time_are_refused(market: Market) -> None:
    extra = market[["volume_spot"]].shift(freq="30min")
    with pytest.raises(DataError, match="share no stamp") as caught:
        BasisSeries.from_prices(market["spot"], market["perp"], covariates=extra)
    assert "reindex" in caught.value.remedy


def test_words_for_prices_are_named(market: Market) -> None:
    words = market["perp"].astype(object)
    words.iloc[2] = "n/a"
    with pytest.raises(DataError, match="perp is not numeric") as caught:
        BasisSeries.from_prices(market["spot"], words)
    assert caught.value.rows == (market.index[2],)


def test_bare_arrays_need_a_time(market: Market) -> None:
    with pytest.raises(DataError, match="perp has no time") as caught:
        BasisSeries.from_prices(market["spot"], market["perp"].to_numpy())
    assert "pd.Series(perp, index=time)" in caught.value.remedy
    with pytest.raises(DataError, match="599 values but 600 stamps"):
        BasisSeries.from_basis(market.index, np.arange(599))


def test_epochs_of_mixed_units_are_refused() -> None:
    with pytest.raises(DataError, match="in one unit throughout"):
        BasisSeries.from_basis([1_704_067_200, 1_704_070_800_000, 1_704_074_400], [1.0, 2.0, 3.0])


def test_a_basis_that_looks_like_a_fraction_is_warned_about(market: Market) -> None:
    data = prices(market)
    small = BasisSeries.from_basis(data.time, data.basis / 1e4)
    assert small.warnings[0].startswith("units: the largest basis is")
    assert data.warnings == ()


def test_a_row_without_a_stamp_keeps_its_number_where_another_row_stands_twice() -> None:
    time = pd.to_datetime(["2024-01-01 00:00", "2024-01-01 00:00", "2024-01-01 01:00", None, None], utc=True)
    frame = pd.DataFrame({"perp": [1.0, 1.0, 2.0, 3.0, 3.0], "index": [1.0, 1.0, 2.0, 3.0, 3.0]}, index=time)
    with pytest.raises(DataError, match=r"time is empty in 2 rows \(first at row 3, row 4\)"):
        from_frame(frame)
