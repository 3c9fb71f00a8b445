"""Downloads through ccxt's interface: a mocked exchange loses no row, and what it cannot give is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.cli import USAGE, main
from basismodels.sources.exchanges import fetch_exchange

ccxt = pytest.importorskip("ccxt")
SYMBOL = "BTC/USDT:USDT"
START, LAST = pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2024-12-31 23:00", tz="UTC")


class Exchange:
    """What `fetch_exchange` uses of a ccxt exchange, over three years of bars and funding."""

    id = "mocked"

    def __init__(self, funding="8h", limit=1000, newest_first=False, hole=None, listed=START):
        self.markets = {SYMBOL: {}, "BTC/USDT": {}}
        self.has = {"fetchFundingRateHistory": True, "fetchMarkOHLCV": True}
        self.limit, self.newest_first, self.hole, self.listed = limit, newest_first, hole, listed
        self.bars, self.settled = self._stamps("1h"), self._stamps(funding)
        self.last_http_response, self.page_of_html, self.calls = "[]", None, 0

    def _stamps(self, freq):
        time = pd.date_range(START, LAST, freq=freq)
        time = time[time >= self.listed]
        if self.hole:
            time = time[(time < self.hole[0]) | (time > self.hole[1])]
        return np.asarray((time - pd.Timestamp(0, tz="UTC")) / np.timedelta64(1, "ms")).astype(np.int64)

    def _page(self, stamps, since, limit, params):
        self.calls += 1
        self.last_http_response = "[...]"
        if self.page_of_html == self.calls:
            self.last_http_response = "<html>maintenance</html>"
            return []
        inside = stamps[(stamps >= since) & (stamps <= params["until"])]
        count = min(limit, self.limit)
        return inside[-count:] if self.newest_first else inside[:count]

    def fetch_ohlcv(self, symbol, interval, since, limit, params):
        shift = {"mark": 5.0}.get(params.get("price"), 10.0 if ":" in symbol else 0.0)
        return [[int(t), 1, 1, 1, 4e4 + shift + t % 1000, 7.0] for t in self._page(self.bars, since, limit, params)]

    def fetch_funding_rate_history(self, symbol, since, limit, params):
        return [{"timestamp": int(t) + 4, "fundingRate": 1e-4}
                for t in self._page(self.settled, since - 4, limit, params)]  # fmt: skip


@pytest.mark.parametrize(
    ("funding", "limit", "newest_first"),
    [("8h", 1000, False), ("4h", 1000, False), ("1h", 1000, False), ("1h", 100, True), ("4h", 100, False)],
)
def test_three_years_lose_no_row(funding, limit, newest_first):
    link = Exchange(funding, limit, newest_first)
    made = fetch_exchange("mocked", SYMBOL, "2022-01", "2024-12", client=link)
    frame = made.frame
    bars = pd.date_range(START, LAST, freq="h") + pd.Timedelta("1h")
    assert list(frame.index[frame["perp"].notna()]) == list(bars)
    for column in ("perp", "spot", "mark"):
        assert frame[column].notna().sum() == len(bars)
    assert (frame["perp"] - frame["spot"] == 10.0).all()
    # the settlement at the first instant comes before the first bar closes
    settled = pd.date_range(START, LAST, freq=funding)[1:]
    assert frame["funding_rate"].notna().sum() == len(settled)
    assert not len(made.gaps())
    assert link.calls < 2600


def test_a_hole_longer_than_a_page_and_a_late_listing_end_nothing():
    hole = (pd.Timestamp("2022-05-01", tz="UTC"), pd.Timestamp("2022-09-01", tz="UTC"))
    link = Exchange(hole=hole, listed=pd.Timestamp("2022-03-01", tz="UTC"))
    made = fetch_exchange("mocked", SYMBOL, "2022-01", "2022-12", client=link)
    gaps = made.gaps()
    listing, between = 31 + 28, 31 + 30 + 31 + 31
    assert gaps.loc[gaps["column"] == "perp", "rows"].tolist() == [listing * 24, between * 24 + 1]
    # 1 January 00:00 is before the first bar closes
    assert gaps.loc[gaps["column"] == "funding_rate", "rows"].tolist() == [listing * 3 - 1, between * 3 + 1]
    assert made.frame["perp"].last_valid_index() == pd.Timestamp("2023-01-01", tz="UTC")


@pytest.mark.parametrize(("before", "after"), [("8h", "4h"), ("4h", "8h")])
def test_an_interval_that_changes_is_no_gap_and_one_settlement_lost_in_each_era_is_one(before, after):
    link, change = Exchange(), pd.Timestamp("2022-06-01", tz="UTC")
    eras = pd.date_range(START, change, freq=before, inclusive="left").append(
        pd.date_range(change, LAST, freq=after)
    )
    link.settled = np.asarray((eras - pd.Timestamp(0, tz="UTC")) / np.timedelta64(1, "ms")).astype(np.int64)
    assert not len(fetch_exchange("mocked", SYMBOL, "2022-01", "2022-12", client=link).gaps())
    lost = eras.searchsorted([pd.Timestamp("2022-03-05", tz="UTC"), pd.Timestamp("2022-09-05", tz="UTC")])
    link.settled = np.delete(link.settled, lost)
    gaps = fetch_exchange("mocked", SYMBOL, "2022-01", "2022-12", client=link).gaps()
    assert gaps["column"].tolist() == ["funding_rate"] * 2
    assert gaps["rows"].tolist() == [1, 1]
    assert (gaps["start"] + pd.Timedelta(before))[0] == eras[lost[0]]


def test_a_span_that_ends_in_the_future_has_no_gap_after_now():
    now = pd.Timestamp.now(tz="UTC")
    link, day = Exchange(), now.floor("D")
    for name, freq in (("bars", "h"), ("settled", "8h")):
        time = pd.date_range(day - pd.Timedelta("3D"), day + pd.Timedelta("2D"), freq=freq)
        time = time[time <= now + pd.Timedelta("1h")]
        setattr(link, name, np.asarray((time - pd.Timestamp(0, tz="UTC")) / np.timedelta64(1, "ms")).astype(np.int64))
    start, end = (f"{day + pd.Timedelta(days=days):%Y-%m-%d}" for days in (-2, 40))
    made = fetch_exchange("mocked", SYMBOL, start, end, client=link)
    assert not len(made.gaps())
    assert made.last >= now.floor("us")


def test_bars_without_a_close_and_settlements_without_a_rate_are_gaps():
    link = Exchange()
    bars, rates = link.fetch_ohlcv, link.fetch_funding_rate_history
    noon = pd.Timestamp("2022-01-10 12:00", tz="UTC")

    def bars_without(symbol, interval, since, limit, params):
        rows = bars(symbol, interval, since, limit, params)
        close = [None if ":" in symbol and row[0] == noon.timestamp() * 1000 else row[4] for row in rows]
        return [[*row[:4], c, None] for row, c in zip(rows, close, strict=True)]

    def rates_without(*asked):
        return [row | ({"fundingRate": None} if 3e7 < row["timestamp"] - noon.timestamp() * 1000 < 6e7 else {})
                for row in rates(*asked)]  # fmt: skip

    link.fetch_ohlcv, link.fetch_funding_rate_history = bars_without, rates_without
    made = fetch_exchange("mocked", SYMBOL, "2022-01", "2022-01", client=link)
    gaps = made.gaps()
    assert gaps["column"].tolist() == ["perp", "mark", "funding_rate"]
    assert gaps["rows"].tolist() == [1, 1, 1]
    assert gaps["start"][0] == noon + pd.Timedelta("1h")
    assert made.frame["volume_perp"].isna().all()


def test_a_perpetual_whose_bars_hold_no_close_is_refused():
    link = Exchange()
    bars = link.fetch_ohlcv
    link.fetch_ohlcv = lambda *asked: [[*row[:4], None, None] for row in bars(*asked)]
    with pytest.raises(bm.DataError, match="mocked has no bars of BTC/USDT:USDT"):
        fetch_exchange("mocked", SYMBOL, "2022-01", "2022-01", client=link)


def test_a_row_without_a_time_is_refused():
    link = Exchange()
    link.fetch_ohlcv = lambda *_: [[None, 1, 1, 1, 1, 1]]
    with pytest.raises(bm.DataError, match="mocked answers a row without a time"):
        fetch_exchange("mocked", SYMBOL, "2022-01", "2022-01", client=link)


@pytest.mark.parametrize("call", [1, 7])
def test_a_page_of_html_is_not_the_end_of_history(call):
    link = Exchange()
    link.page_of_html = call
    with pytest.raises(bm.DataError, match=r"'<html>maintenance</html>'; that is not the end of history"):
        fetch_exchange("mocked", SYMBOL, "2022-01", "2022-12", client=link)


def test_refusals_of_the_exchange_are_one_line():
    link = Exchange()

    def refuse(*_):
        raise ccxt.DDoSProtection("429 Too Many Requests")

    link.fetch_ohlcv = refuse
    with pytest.raises(bm.DataError, match="mocked refuses: DDoSProtection 429"):
        fetch_exchange("mocked", SYMBOL, "2022-01", "2022-01", client=link)


def test_a_perpetual_without_bars_and_unknown_names_are_refused(capsys):
    with pytest.raises(bm.DataError, match="no bars"):
        fetch_exchange("mocked", SYMBOL, "2021-01", "2021-02", client=Exchange())
    for symbol in ("BTCUSDT", "BTC/USDT:USDT/../x", "ETH/USDT:USDT"):
        with pytest.raises(bm.ModelError):
            fetch_exchange("mocked", symbol, "2022-01", "2022-02", client=Exchange())
    with pytest.raises(bm.ModelError, match="interval"):
        fetch_exchange("mocked", SYMBOL, "2022-01", "2022-02", interval="7h", client=Exchange())
    asked = ["fetch", "ccxt:no_such_exchange", SYMBOL, "--start", "2022-01", "--end", "2022-02", "--out", "x.csv"]
    assert main(asked) == USAGE
    assert "no exchange" in capsys.readouterr().err
