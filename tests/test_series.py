"""BasisSeries: the same data whatever holds them, and funding never from the future."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basismodels.errors import DataError
from basismodels.series import BasisSeries, Finding

COVARIATES = ["volume_spot", "volume_perp"]


def prices(frame: pd.DataFrame) -> BasisSeries:
    return BasisSeries.from_prices(frame["spot"], frame["perp"], frame["funding_rate"], frame[COVARIATES])


def same(one: BasisSeries, other: BasisSeries) -> None:
    assert one.fingerprint == other.fingerprint
    pd.testing.assert_frame_equal(one.frame(), other.frame(), check_freq=False)
    assert one.settlements is not None
    assert other.settlements is not None
    pd.testing.assert_frame_equal(one.settlements, other.settlements, check_freq=False)


def test_basis_is_the_log_ratio_in_bps(market: pd.DataFrame) -> None:
    data = prices(market)
    assert data.basis[7] == pytest.approx(1e4 * math.log(market["perp"].iloc[7] / market["spot"].iloc[7]))
    assert data.n == len(market)
    assert data.hours[:3].tolist() == [0.0, 1.0, 2.0]
    assert data.observed.all()
    assert data.provenance["start"] == "2024-01-01T00:00:00Z"
    assert data.provenance["simulated"] is False


def test_a_series_prints_as_one_line(market: pd.DataFrame) -> None:
    said = repr(prices(market))
    assert said.startswith("<BasisSeries: 600 rows, 2024-01-01 00:00 to 2024-01-25 23:00 UTC, basis -")
    assert said.endswith("bps, 0 rows masked, 75 settlements>")
    assert "no funding" in repr(BasisSeries.from_prices(market["spot"], market["perp"]))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_hours_do_not_depend_on_the_resolution_of_stamps(market: pd.DataFrame, unit: str) -> None:
    other = market.set_axis(market.index.as_unit(unit))
    data = prices(other)
    assert np.array_equal(data.hours, np.arange(len(market)))
    same(data, prices(market))


def test_hours_of_an_irregular_grid() -> None:
    time = pd.to_datetime(
        ["2024-01-01 00:00:00Z", "2024-01-01 00:00:00.250Z", "2024-01-03 01:30Z"], format="ISO8601"
    )
    data = BasisSeries.from_basis(time, [1.0, 2.0, 3.0])
    assert data.hours == pytest.approx([0.0, 0.25 / 3600, 49.5], abs=1e-12)


def test_zone_of_the_stamps_changes_nothing(market: pd.DataFrame) -> None:
    same(prices(market), prices(market.tz_convert("Asia/Tokyo")))
    same(prices(market), prices(market.tz_convert("America/New_York")))


def test_polars_pyarrow_and_numpy_give_the_same_series(market: pd.DataFrame) -> None:
    flat = market.reset_index()
    for table in (pl.from_pandas(flat), pa.Table.from_pandas(flat)):
        columns = table.select(COVARIATES)
        data = BasisSeries.from_prices(
            table["spot"], table["perp"], table["funding_rate"], columns, time=table["time"]
        )
        same(prices(market), data)
    arrays = {name: market[name].to_numpy() for name in COVARIATES}
    data = BasisSeries.from_prices(
        market["spot"].to_numpy(),
        market["perp"].to_numpy(),
        market["funding_rate"].to_numpy(),
        arrays,
        time=market.index,
    )
    same(prices(market), data)


def test_frames_carrying_their_own_time_are_columns_too(market: pd.DataFrame) -> None:
    flat = pl.from_pandas(market.reset_index())
    data = BasisSeries.from_prices(flat.select("time", "spot"), flat.select("time", "perp"))
    assert data.fingerprint == BasisSeries.from_prices(market["spot"], market["perp"]).fingerprint


def test_a_given_basis_is_kept(market: pd.DataFrame) -> None:
    data = prices(market)
    again = BasisSeries.from_basis(data.time, data.basis, market["funding_rate"])
    assert again.fingerprint == data.fingerprint
    assert list(again.frame().columns) == ["funding_last", "funding", "hours_since_settlement"]


def test_missing_legs_are_missing_rows_not_errors(market: pd.DataFrame) -> None:
    spot = market["spot"].drop(market.index[10:13])
    data = BasisSeries.from_prices(spot, market["perp"])
    assert data.n == len(market)
    assert np.flatnonzero(np.isnan(data.basis)).tolist() == [10, 11, 12]
    assert np.flatnonzero(~data.observed).tolist() == [10, 11, 12]


def test_fingerprint_sees_every_part(market: pd.DataFrame) -> None:
    prints = {prices(market).fingerprint}
    for column in ("spot", "perp", "funding_rate"):
        other = market.copy()
        other.iloc[8, other.columns.get_loc(column)] *= 1.0001
        prints.add(prices(other).fingerprint)
    prints.add(prices(market.shift(freq="1s")).fingerprint)
    assert len(prints) == 5


def test_record_is_frozen(market: pd.DataFrame) -> None:
    data = prices(market)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.basis = data.basis  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        data.basis[0] = 0.0
    with pytest.raises(DataError, match="mask has shape"):
        data.with_mask([True])


def test_masked_rows_are_not_observed(market: pd.DataFrame) -> None:
    data = prices(market).with_mask(np.arange(len(market)) < 5)
    assert data.observed.sum() == len(market) - 5
    assert data.fingerprint == prices(market).fingerprint


# funding


def test_a_settlement_counts_from_the_first_close_at_or_after_it() -> None:
    time = pd.date_range("2024-01-01 00:30", periods=6, freq="1h", tz="UTC")
    funding = pd.Series([0.001, 0.002], index=pd.to_datetime(["2024-01-01 02:00Z", "2024-01-01 04:30Z"]))
    frame = BasisSeries.from_basis(time, np.arange(6.0), _with_interval(funding, 8)).frame()
    assert frame["funding_last"].tolist() == pytest.approx([math.nan, math.nan, 10, 10, 20, 20], nan_ok=True)
    assert frame["hours_since_settlement"].tolist() == pytest.approx(
        [math.nan, math.nan, 0.5, 1.5, 0.0, 1.0], nan_ok=True
    )


def _with_interval(rates: pd.Series, hours: float) -> pd.DataFrame:
    return pd.DataFrame({"rate": rates, "interval_hours": hours})


@settings(max_examples=60, deadline=None)
@given(
    closes=st.lists(st.integers(0, 20_000), min_size=3, max_size=30, unique=True),
    stamps=st.lists(st.integers(0, 20_000), min_size=1, max_size=20, unique=True),
)
def test_funding_is_never_from_the_future(closes: list[int], stamps: list[int]) -> None:
    base = pd.Timestamp("2024-01-01", tz="UTC")
    time = base + pd.to_timedelta(sorted(closes), unit="min")
    index = base + pd.to_timedelta(sorted(stamps), unit="min")
    rates = pd.Series(
        np.arange(1, len(index) + 1) * 1e-5, index=index
    )  # the rate says which settlement it is
    if index[0] > time[-1]:
        with pytest.raises(DataError, match="after the last close"):
            BasisSeries.from_basis(time, np.arange(len(time)), _with_interval(rates, 8))
        return
    last = BasisSeries.from_basis(time, np.arange(len(time)), _with_interval(rates, 8)).frame()[
        "funding_last"
    ]
    for close, value in last.items():
        known = rates[index <= close]
        expected = 1e4 * known.iloc[-1] if len(known) else math.nan
        assert value == pytest.approx(expected, nan_ok=True)


def test_funding_after_the_last_close_is_left_out_and_said_so(market: pd.DataFrame) -> None:
    funding = market["funding_rate"].dropna()
    funding.loc[market.index[-1] + pd.Timedelta(hours=1)] = 0.01
    data = BasisSeries.from_prices(market["spot"], market["perp"], funding)
    assert data.settlements is not None
    assert data.settlements["rate"].max() < 0.01
    assert "after the last close" in data.warnings[0]


def test_intervals_follow_a_change_of_rule_and_bridge_a_missed_settlement() -> None:
    every8 = pd.date_range("2024-01-01", "2024-01-10", freq="8h", tz="UTC")
    every4 = pd.date_range("2024-01-10 04:00", "2024-01-15", freq="4h", tz="UTC")
    stamps = every8.drop(every8[5]).append(every4.drop(every4[7]))
    stamps = stamps + pd.to_timedelta(np.arange(len(stamps)) % 7, unit="ms")  # as exchanges stamp them
    rates = pd.Series(1e-4, index=stamps)
    time = pd.date_range("2024-01-01", "2024-01-15", freq="1h", tz="UTC")
    settled = BasisSeries.from_basis(time, np.arange(len(time)), rates).settlements
    assert settled is not None
    assert (settled["interval_hours"][:"2024-01-10 00:00"] == 8).all()
    assert (settled["interval_hours"]["2024-01-10 00:01":] == 4).all()
    assert settled["bps_8h"].iloc[[0, -1]].tolist() == pytest.approx([1.0, 2.0])
    assert (settled.index.microsecond == 0).all()


def test_intervals_as_given_win_over_the_spacing() -> None:
    time = pd.date_range("2024-01-01", periods=48, freq="1h", tz="UTC")
    rates = pd.Series(8e-5, index=time[::4])
    settled = BasisSeries.from_basis(time, np.arange(48), _with_interval(rates, 1)).settlements
    assert settled is not None
    assert settled["bps_8h"].iloc[0] == pytest.approx(6.4)


# cuts


def test_a_date_only_end_includes_its_day(market: pd.DataFrame) -> None:
    data = prices(market).cut("2024-01-03", "2024-01-04")
    assert data.n == 48
    assert (data.provenance["start"], data.provenance["end"]) == (
        "2024-01-03T00:00:00Z",
        "2024-01-04T23:00:00Z",
    )
    assert prices(market).cut(end="2024-01-04T05:00").n == 3 * 24 + 6
    assert prices(market).cut(end=pd.Timestamp("2024-01-04 05:00", tz="Etc/GMT-1")).n == 3 * 24 + 5


def test_a_cut_keeps_the_funding_in_force_and_its_interval(market: pd.DataFrame) -> None:
    whole = prices(market)
    data = whole.cut("2024-01-03 03:00", "2024-01-05")
    pd.testing.assert_frame_equal(data.frame(), whole.frame().loc[data.time], check_freq=False)


def test_a_cut_clips_findings(market: pd.DataFrame) -> None:
    finding = Finding("missing", market.index[0], market.index[9], 10, True)
    data = dataclasses.replace(prices(market), findings=(finding,))
    kept = data.cut(start=market.index[6]).findings
    assert [(f.start, f.rows) for f in kept] == [(market.index[6], 4)]
    assert data.cut(start=market.index[10]).findings == ()


def test_asking_for_more_than_the_span_is_said(market: pd.DataFrame) -> None:
    data = prices(market).cut("2023-01-01", "2026-01-01")
    assert data.n == len(market)
    assert "the data begin at 2024-01-01T00:00:00Z" in data.warnings[0]
    assert "the data end at" in data.warnings[1]


def test_a_span_outside_the_data_is_refused_naming_theirs(market: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"the data span 2024-01-01T00:00:00Z to 2024-01-25T23:00:00Z"):
        prices(market).cut("2025-01-01", "2025-02-01")
    with pytest.raises(DataError, match="end is no date: 'soon'"):
        prices(market).cut(end="soon")
