"""Quality: outages are found without being told, real gaps are left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from basismodels.quality import KINDS, Finding, check
from basismodels.series import BasisSeries
from basismodels.sources.files import from_frame, read

Maker = Callable[..., pd.DataFrame]
HOURLY = ["binance_btcusdt_1h", "binance_ethusdt_1h", "binance_xrpusdt_1h"]
OUTAGES = [
    ("2020-02-19 12:00", "2020-02-19 17:00"),
    ("2021-02-11 03:00", "2021-02-11 05:00"),
    ("2021-04-25 05:00", "2021-04-25 08:00"),
    ("2021-08-13 02:00", "2021-08-13 06:00"),
    ("2023-03-24 12:00", "2023-03-24 14:00"),
]
REAL_GAPS = [
    ("2020-03-12", "2020-03-14"),
    ("2020-12-11", "2020-12-13"),
    ("2021-05-19", "2021-05-20"),
    ("2022-09-14", "2022-09-17"),
]


def stamp(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def kinds(data: BasisSeries) -> list[str]:
    return [finding.kind for finding in check(data).findings]


def put(frame: pd.DataFrame, rows: slice | list[int], **columns: float) -> pd.DataFrame:
    frame = frame.copy()
    for name, value in columns.items():
        frame.iloc[rows, frame.columns.get_loc(name)] = value
    return frame


# real data


@pytest.mark.real
@pytest.mark.parametrize("name", HOURLY)
def test_known_outages_are_found_to_the_hour(real: Callable[[str], Path], name: str) -> None:
    quality = check(read(real(name)))
    found = {(f.start, f.end) for f in quality.findings if f.kind == "outage" and f.masked}
    assert {(stamp(a), stamp(b)) for a, b in OUTAGES} <= found
    for first, last in OUTAGES:
        inside = (quality.time >= stamp(first)) & (quality.time <= stamp(last))
        assert quality.mask[inside].all()


@pytest.mark.real
@pytest.mark.parametrize("name", HOURLY)
def test_real_gaps_are_neither_masked_nor_reported(real: Callable[[str], Path], name: str) -> None:
    quality = check(read(real(name)))
    for first, last in REAL_GAPS:
        inside = (quality.time >= stamp(first)) & (quality.time <= stamp(last))
        assert inside.any()
        assert not quality.mask[inside].any()
        assert not [f for f in quality.findings if f.start <= stamp(last) and f.end >= stamp(first)]


@pytest.mark.real
@pytest.mark.parametrize("name", HOURLY)
def test_little_is_masked_and_the_listing_is(real: Callable[[str], Path], name: str) -> None:
    data = read(real(name))
    assert 0 < data.mask.mean() < 0.01
    listing = [f for f in data.findings if f.kind == "listing"]
    assert [(f.start, f.rows, f.masked) for f in listing] == [(data.time[0], 72, True)]
    assert data.mask[:72].all()


@pytest.mark.real
@pytest.mark.parametrize("name", HOURLY)
def test_a_cut_is_not_a_listing(real: Callable[[str], Path], name: str) -> None:
    frame = pd.read_parquet(real(name))
    whole = from_frame(frame).mask
    for first in range(500, len(frame) - 2500, 4100):
        part = from_frame(frame.iloc[first : first + 2000])
        assert "listing" not in {f.kind for f in part.findings}
        assert np.array_equal(part.mask, whole[first : first + 2000])


@pytest.mark.real
@pytest.mark.parametrize("name", HOURLY)
def test_without_volumes_less_is_claimed_and_nothing_wrong(real: Callable[[str], Path], name: str) -> None:
    frame = pd.read_parquet(real(name))
    with_volume = from_frame(frame)
    data = from_frame(frame.drop(columns=["volume_spot", "volume_perp"]))
    assert not (data.mask & ~with_volume.mask).any()
    outages = [f for f in data.findings if f.kind == "outage"]
    for first, last in OUTAGES:
        assert [f for f in outages if stamp(first) <= f.start and f.end == stamp(last)]
    for first, last in REAL_GAPS:
        assert not [f for f in data.findings if f.start <= stamp(last) and f.end >= stamp(first)]


@pytest.mark.real
def test_halts_of_the_perp_are_found_too(real: Callable[[str], Path]) -> None:
    for name, hour in [("btc", "2019-09-24 20:00"), ("eth", "2019-12-11 17:00"), ("xrp", "2021-03-02 02:00")]:
        findings = check(read(real(f"binance_{name}usdt_1h"))).findings
        assert ("outage", stamp(hour)) in {(f.kind, f.start) for f in findings}


@pytest.mark.real
def test_weekends_and_holidays_are_no_gaps(real: Callable[[str], Path]) -> None:
    assert check(read(real("gbtc_nav_daily"))).findings == ()


@pytest.mark.real
def test_a_numeraire_is_not_stale_and_absent_months_are_a_gap(real: Callable[[str], Path]) -> None:
    data = read(real("usdcusdt_1h"), perp="spot")
    gaps = [f for f in data.findings if f.kind == "gap"]
    longest = max(gaps, key=lambda f: f.rows)
    assert (longest.start, longest.end, longest.rows) == (
        stamp("2022-09-26 04:00"),
        stamp("2023-03-11 14:00"),
        3995,
    )
    assert data.mask.sum() == 3  # the outages of 2021-04-25 and 2023-03-24


@pytest.mark.real
def test_a_leg_that_begins_later_is_missing_then_new(real: Callable[[str], Path]) -> None:
    found = [(f.kind, f.rows) for f in check(read(real("hyperliquid_btc_1h"))).findings if f.masked]
    assert found == [("missing", 3916), ("listing", 72)]
    found = [(f.kind, f.rows) for f in check(read(real("bitmex_xbtusd_8h"))).findings]
    assert found == [("missing", 991)]


# made data


def test_a_clean_market_has_no_findings(market: pd.DataFrame) -> None:
    quality = check(from_frame(market))
    assert quality.findings == ()
    assert not quality.mask.any()


def test_from_prices_masks_nothing_until_checked(market: pd.DataFrame) -> None:
    frame = put(market, slice(50, 54), spot=np.nan)
    data = BasisSeries.from_prices(
        frame["spot"], frame["perp"], covariates=frame[["volume_spot", "volume_perp"]]
    )
    assert not data.mask.any()
    assert data.findings == ()
    checked = data.with_quality(check(data))
    assert checked.mask.sum() == 5
    assert not checked.observed[checked.mask].any()


def test_the_row_before_silence_is_stale(market: pd.DataFrame) -> None:
    quality = check(from_frame(put(market, slice(50, 54), spot=np.nan, volume_spot=np.nan)))
    found = [(f.kind, f.start, f.end, f.rows) for f in quality.findings]
    t = market.index
    assert found == [
        ("stale", t[49], t[49], 1),
        ("outage", t[49], t[53], 5),
        ("missing", t[50], t[53], 4),
    ]


def test_a_row_with_the_last_trades_is_itself_the_stale_one(market: pd.DataFrame) -> None:
    quality = check(from_frame(put(market, [50], volume_perp=1.0)))
    assert np.flatnonzero(quality.mask).tolist() == [50]


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(60, 500),
    rows=st.integers(3, 60),
    volumes=st.booleans(),
    leg=st.sampled_from(["spot", "perp"]),
)
def test_a_price_frozen_while_the_other_moves_is_masked(
    new_market: Maker, first: int, rows: int, volumes: bool, leg: str
) -> None:
    frame = new_market()
    if not volumes:
        frame = frame.drop(columns=["volume_spot", "volume_perp"])
    other = np.log(frame["perp" if leg == "spot" else "spot"].iloc[first - 1 : first + rows])
    assume(np.ptp(other) > 0.01)  # where the other stands nearly still as well, nothing tells a freeze
    frozen = put(frame, slice(first, first + rows), **{leg: frame[leg].iloc[first - 1]})
    quality = check(from_frame(frozen))
    assert quality.mask[first : first + rows].all()
    assert not quality.mask[: first - 1].any()
    assert not quality.mask[first + rows :].any()


def test_a_freeze_that_lasts_to_the_end_is_masked(market: pd.DataFrame) -> None:
    frozen = put(market, slice(-10, None), spot=market["spot"].iloc[-11])
    assert np.flatnonzero(check(from_frame(frozen)).mask).tolist() == list(range(590, 600))


def test_an_unchanged_price_in_a_thin_hour_with_trades_is_no_outage(market: pd.DataFrame) -> None:
    thin = put(market, [80], spot=market["spot"].iloc[79], volume_spot=60.0)
    thin = put(thin, [80], perp=market["perp"].iloc[79] * 1.0001)
    assert kinds(from_frame(thin)) == []


def test_a_market_often_without_trades_has_no_outages(market: pd.DataFrame) -> None:
    idle = list(range(20, 600, 12))
    assert "outage" not in kinds(from_frame(put(market, idle, volume_spot=0.0)))
    lost = from_frame(put(market, idle, spot=np.nan))
    assert set(kinds(lost)) == {"missing"}
    assert lost.mask.sum() == len(idle)


def test_both_legs_silent_is_no_outage_of_one(market: pd.DataFrame) -> None:
    quiet = put(market, slice(90, 96), volume_spot=1.0, volume_perp=5.0)
    assert "outage" not in kinds(from_frame(quiet))


def test_a_price_that_stands_still_for_one_row_and_then_follows_is_stale(market: pd.DataFrame) -> None:
    moved = market.copy()
    moved.iloc[200:, :2] *= 1.02  # both legs move by 2% at row 200
    late = put(moved, [200], perp=moved["perp"].iloc[199], volume_perp=0.4 * market["volume_perp"].iloc[200])
    assert [(f.kind, f.start, f.masked) for f in check(from_frame(late)).findings] == [
        ("stale", market.index[200], True)
    ]


def test_a_gap_both_legs_take_part_in_is_left_alone(market: pd.DataFrame) -> None:
    crash = market.copy()
    crash.iloc[300, :2] *= [0.9, 0.87]
    crash.iloc[300, 3:] *= 5
    assert kinds(from_frame(crash)) == []


def test_a_lone_print_is_reported_and_masked_only_with_ordinary_volume(market: pd.DataFrame) -> None:
    calm = market.copy()
    calm.iloc[298:303, 0] = calm["spot"].iloc[297] * np.array([1.0001, 0.9999, 1.0002, 1.0001, 0.9998])
    calm.iloc[298:303, 1] = calm.iloc[298:303, 0] * 1.0001
    bad = put(calm, [300], perp=calm["perp"].iloc[300] * 1.04)
    at = market.index[300]
    assert [(f.kind, f.start, f.masked) for f in check(from_frame(bad)).findings] == [("jump", at, True)]
    busy = put(bad, [300], volume_perp=1e5)
    assert [(f.kind, f.masked) for f in check(from_frame(busy)).findings] == [("jump", False)]
    blind = bad.drop(columns=["volume_spot", "volume_perp"])
    assert [(f.kind, f.masked) for f in check(from_frame(blind)).findings] == [("jump", False)]


def test_a_bare_basis_is_checked_as_far_as_it_goes(market: pd.DataFrame) -> None:
    basis = from_frame(market).basis.copy()
    basis[[100, 200, 201]] = 2000.0, np.nan, np.nan
    quality = check(BasisSeries.from_basis(market.index, basis))
    assert [(f.kind, f.rows, f.masked) for f in quality.findings] == [
        ("jump", 1, False),
        ("missing", 2, True),
    ]
    assert np.flatnonzero(quality.mask).tolist() == [200, 201]


def test_absent_rows_are_a_gap_with_inclusive_ends(market: pd.DataFrame) -> None:
    quality = check(from_frame(market.drop(market.index[30:34])))
    (gap,) = (f for f in quality.findings if f.kind == "gap")
    assert (gap.start, gap.end, gap.rows, gap.masked) == (market.index[30], market.index[33], 4, True)
    assert len(quality.mask) == 596


def test_a_rhythm_with_weekends_has_gaps_only_beyond_it(new_market: Maker) -> None:
    days = new_market(700, step="24h")
    weekdays = days[days.index.dayofweek < 5]
    assert kinds(from_frame(weekdays.drop(columns="funding_rate"))) == []
    hole = weekdays.drop(weekdays.index[100:112]).drop(columns="funding_rate")
    assert kinds(from_frame(hole)) == ["gap"]


def test_a_new_market_is_told_from_a_cut(market: pd.DataFrame) -> None:
    new = put(market, [0], volume_perp=0.01)
    quality = check(from_frame(new))
    assert [(f.kind, f.rows, f.masked) for f in quality.findings] == [("listing", 72, True)]
    assert kinds(from_frame(new.iloc[1:])) == []
    silent = put(market, [0], volume_perp=0.0)  # a market opens with a trade; this file was cut in an outage
    assert "listing" not in kinds(from_frame(silent))


def test_a_change_of_the_funding_interval_is_dated(market: pd.DataFrame) -> None:
    rates = pd.Series(1e-4, index=market.index[:296:8].append(market.index[296::4]))
    data = BasisSeries.from_prices(market["spot"], market["perp"], rates)
    (change,) = check(data).findings
    assert (change.kind, change.start, change.masked) == ("funding_interval_change", market.index[300], False)
    assert change.note == "8 h before, 4 h from here"


def test_doubtful_units_are_a_finding(market: pd.DataFrame) -> None:
    percent = market.assign(funding_rate=market["funding_rate"] * 100)
    (finding,) = check(from_frame(percent)).findings
    assert (finding.kind, finding.masked) == ("units", False)
    assert "percent" in finding.note


def test_a_check_does_not_depend_on_the_mask_it_finds(market: pd.DataFrame) -> None:
    data = from_frame(put(market, slice(50, 54), spot=np.nan).tz_convert("Asia/Tokyo"))
    again = check(data)
    assert again.findings == data.findings
    assert np.array_equal(again.mask, data.mask)


def test_json_and_table_say_the_same(market: pd.DataFrame) -> None:
    quality = check(from_frame(put(market, slice(50, 54), spot=np.nan, volume_spot=np.nan)))
    record = json.loads(json.dumps(quality.to_json_dict()))
    assert record["rows"] == 600
    assert record["span"] == ["2024-01-01T00:00:00Z", "2024-01-25T23:00:00Z"]
    assert record["findings"][1] == {
        "kind": "outage",
        "start": "2024-01-03T01:00:00Z",
        "end": "2024-01-03T05:00:00Z",
        "rows": 5,
        "masked": True,
    }
    assert quality.table()["kind"].tolist() == [f["kind"] for f in record["findings"]]
    assert str(quality).startswith("5 of 600 rows left out (0.83%)")
    assert {f.kind for f in quality.findings} <= set(KINDS)


def test_mask_is_the_union_of_the_masked_findings(market: pd.DataFrame) -> None:
    frame = put(put(market, slice(50, 54), spot=np.nan), [0], volume_perp=0.01)
    quality = check(from_frame(frame))
    union = np.zeros(len(frame), dtype=bool)
    for f in quality.findings:
        if f.masked:
            union |= np.asarray((quality.time >= f.start) & (quality.time <= f.end))
    assert np.array_equal(union, quality.mask)
    assert all(isinstance(f, Finding) and f.start <= f.end for f in quality.findings)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(2, 12))
def test_short_series_are_checked_without_complaint(new_market: Maker, rows: int) -> None:
    frame = new_market(rows)
    assert check(from_frame(frame)).findings == ()


def premium_and_rate(rows: int = 1600, sign: float = 1.0) -> pd.DataFrame:
    """A slow basis, settled every eight hours at its sign times the mean before."""
    rng, time = np.random.default_rng(3), pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")
    basis = np.cumsum(rng.normal(0, 1, rows)) * 0.3
    rate = pd.Series(sign * basis / 1e4, time).rolling(8).mean()
    return pd.DataFrame({"basis": basis, "funding_rate": rate.where(time.hour % 8 == 0)}, index=time)


@pytest.mark.parametrize(("sign", "said"), [(1.0, []), (-1.0, ["are perp and reference swapped?"])])
def test_funding_against_the_basis_is_a_finding(sign: float, said: list[str]) -> None:
    notes = [f.note for f in from_frame(premium_and_rate(sign=sign)).findings if f.kind == "funding"]
    assert [note.split(": ")[1] for note in notes] == said


def test_rates_filled_forward_are_a_finding() -> None:
    frame = premium_and_rate()
    found = from_frame(frame.assign(funding_rate=frame["funding_rate"].ffill())).findings
    assert [(f.kind, f.rows, f.masked) for f in found] == [("funding", len(frame), False)]
    assert found[0].note.startswith("a rate every 1 h, but it changes every 8 h only")
    hourly = frame["basis"].rolling(8).mean() / 1e4
    assert not from_frame(frame.assign(funding_rate=hourly)).findings


@pytest.mark.parametrize("name", [*HOURLY, "hyperliquid_btc_1h", "bitmex_xbtusd_8h"])
def test_funding_of_real_markets_is_no_finding(name: str, real: Callable[[str], Path]) -> None:
    assert not [f for f in read(real(name)).findings if f.kind == "funding"]


def test_clean_data_say_so_without_a_table(market: pd.DataFrame) -> None:
    quality = check(from_frame(market))
    assert str(quality) == "nothing found; 0 of 600 rows left out (0.00%)"
    assert quality._repr_html_() == f"<p>{quality}</p>"
