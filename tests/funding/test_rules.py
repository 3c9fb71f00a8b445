"""Every worked example and era boundary of the venues' rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.funding.mechanism import Rule

rule = bm.funding.rule


def flat(premium: float, n: int = 480) -> np.ndarray:
    return np.full(n, premium)


class TestBinance:
    btc = rule("binance", "BTCUSDT", at="2024-01-01")

    def test_the_deadband_runs_from_minus_4_to_plus_6_basis_points(self) -> None:
        assert self.btc.deadband == pytest.approx((-0.0004, 0.0006))
        for premium in (-0.0004, 0.0, 0.0006):
            assert self.btc.rate(flat(premium)) == pytest.approx(0.0001)
        assert self.btc.rate(flat(0.0007)) == pytest.approx(0.0002)
        assert self.btc.rate(flat(-0.0005)) == pytest.approx(0.0)

    def test_the_cap_is_30_basis_points_and_binds_from_a_premium_of_35(self) -> None:
        assert self.btc.premium_at_cap == pytest.approx(0.0035)
        assert self.btc.rate(flat(0.0034)) == pytest.approx(0.0029)
        assert self.btc.rate(flat(0.02)) == pytest.approx(0.003)
        assert self.btc.rate(flat(-0.02)) == pytest.approx(-0.003)

    @pytest.mark.parametrize(
        ("symbol", "cap"), [("XRPUSDT", 0.00375), ("SOLUSDT", 0.00375), ("DOGEUSDT", 0.004875), ("LPTUSDT", 0.02)]
    )
    def test_caps_of_other_symbols(self, symbol: str, cap: float) -> None:
        assert rule("binance", symbol, at="2024-06-01").cap == cap

    @pytest.mark.parametrize(
        ("hours", "at", "premium"),
        [(8, "2024-01-01", 0.0205), (4, "2024-01-01", 0.0205), (4, "2025-12-01", 0.0405), (1, "2025-12-01", 0.1605)],
    )
    def test_premium_at_the_generic_cap(self, hours: float, at: str, premium: float) -> None:
        assert rule("binance", "LPTUSDT", at=at, interval_hours=hours).premium_at_cap == pytest.approx(premium)

    def test_the_rate_is_divided_by_eight_over_the_interval_from_the_minute_of_the_change(self) -> None:
        before = rule("binance", "LPTUSDT", at="2025-09-18 08:00:59", interval_hours=4)
        after = rule("binance", "LPTUSDT", at="2025-09-18 08:01", interval_hours=4)
        assert (24 * before.gain, 24 * after.gain) == pytest.approx((6, 3))
        assert before.rate(flat(0.0105)) == pytest.approx(0.01)
        assert after.rate(flat(0.0105)) == pytest.approx(0.005)
        assert before.rate(flat(0.0)) == after.rate(flat(0.0)) == pytest.approx(0.00005)

    def test_eight_hour_symbols_do_not_change_on_that_day(self) -> None:
        one, two = (rule("binance", "BTCUSDT", at=f"2025-09-18 08:0{minute}") for minute in (0, 1))
        path = np.linspace(-0.01, 0.02, 480)
        assert one.rate(path) == two.rate(path)

    def test_a_settlement_at_the_cap_makes_the_next_interval_an_hour_from_may_2025(self) -> None:
        before, after = (rule("binance", "ALPACAUSDT", at=f"2025-05-02 {hour}") for hour in ("07:59", "08:00"))
        assert before.interval_after([0.02]) == 8
        assert after.interval_after([0.02]) == 1
        assert after.interval_after([0.019]) == 8

    @pytest.mark.parametrize(
        ("at", "rate", "cycles"), [("2026-01-02 11:59", 2e-5, 36), ("2026-01-02 12:00", 2.5e-4, 16)]
    )
    def test_the_way_back_to_four_hours(self, at: str, rate: float, cycles: int) -> None:
        hourly = rule("binance", "ALPACAUSDT", at=at, interval_hours=1)
        assert hourly.interval_after([rate] * cycles) == 4
        assert hourly.interval_after([rate] * (cycles - 1)) == 1
        assert hourly.interval_after([1.01 * rate] * cycles) == 1

    def test_the_newest_rule_is_the_default_and_dated_caps_hold_in_their_years(self) -> None:
        caps = [rule("binance", "ETHUSDT", at=at).cap for at in ("2022-09-15", "2024-01-01", None)]
        assert caps == [0.00375, 0.003, 0.003]
        assert rule("binance", "XRPUSDT").start == "2026-01-02T12:00:00Z"
        assert [era.cap for era in bm.funding.eras("binance", "XRPUSDT")[:3]] == [0.005025, 0.004875, 0.00375]

    def test_sol_settled_at_two_percent_and_that_its_cap_is_not_dated_is_said(self) -> None:
        old, new = (rule("binance", "SOLUSDT", at=at) for at in ("2022-11-10", "2024-06-01"))
        assert (old.cap, new.cap) == (0.02, 0.00375)
        assert old.rate(flat(-0.05)) == -0.02
        assert (old.confidence, new.confidence) == ("unsure", "secondary")
        assert all(any("exactly -2%" in text for text in found.unsure) for found in (old, new))

    @pytest.mark.parametrize("symbol", ["BTC", "BTCUSDC", "NOTACOIN"])
    def test_that_a_cap_is_not_tabled_is_said(self, symbol: str) -> None:
        found = rule("binance", symbol, at="2024-06-01")
        assert sum("not tabled" in text for text in found.unsure) == 1
        assert found.confidence == "secondary"
        data = bm.BasisSeries.from_basis(pd.date_range("2024-06-01", periods=48, freq="h", tz="UTC"), np.arange(48.0))
        assert sum("not tabled" in text for text in bm.funding.attach(data, found).warnings) == 1

    @pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "DOGEUSDT"])
    def test_tabled_symbols_hear_nothing_of_it(self, symbol: str) -> None:
        assert not any("not tabled" in text for era in bm.funding.eras("binance", symbol) for text in era.unsure)

    @pytest.mark.parametrize(
        ("symbol", "at", "confidence"),
        [("BTCUSDT", "2024-01-01", "primary"), ("BTCUSDT", "2022-01-01", "secondary"),
         ("XRPUSDT", "2022-01-01", "unsure"), ("AAVEUSDT", "2022-01-01", "unsure"), ("BNBUSDT", None, "unsure")],
    )  # fmt: skip
    def test_what_is_inferred_is_not_primary(self, symbol: str, at: str | None, confidence: str) -> None:
        assert rule("binance", symbol, at=at).confidence == confidence

    def test_weights_rise_to_the_end(self) -> None:
        path = np.array([0.001, 0.002, 0.006])
        assert self.btc.premium_mean(path) == pytest.approx((1 * 0.001 + 2 * 0.002 + 3 * 0.006) / 6)

    def test_a_missing_sample_carries_no_weight(self) -> None:
        assert self.btc.premium_mean([0.001, np.nan, 0.006]) == pytest.approx((1 * 0.001 + 3 * 0.006) / 4)
        assert np.isnan(self.btc.rate([np.nan, np.nan]))

    def test_interest_of_bnb_was_zero_and_that_is_marked_unsure(self) -> None:
        found = rule("binance", "BNBUSDT", at="2022-01-01")
        assert found.rate(flat(0.0)) == 0.0
        assert any("interest" in text for text in found.unsure)

    def test_settlements_fall_on_0_8_and_16(self) -> None:
        stamps = self.btc.settlements(pd.Timestamp("2024-01-01 01:00", tz="UTC"), pd.Timestamp("2024-01-02", tz="UTC"))
        assert [t.hour for t in stamps] == [8, 16, 0]


class TestOthers:
    @pytest.mark.parametrize(("venue", "premium"), [("bitmex", 0.00425), ("kraken", 0.04), ("hyperliquid", 0.3205)])
    def test_premium_at_the_cap(self, venue: str, premium: float) -> None:
        assert rule(venue, "BTC").premium_at_cap == pytest.approx(premium)

    @pytest.mark.parametrize(
        ("venue", "per_day"),
        [("bitmex", 3), ("deribit", 3), ("dydx", 3), ("hyperliquid", 3), ("kraken", 3), ("ftx", 1)],
    )
    def test_premium_paid_a_day(self, venue: str, per_day: float) -> None:
        at = "2022-01-01" if venue == "ftx" else "2024-01-01"
        assert 24 * rule(venue, "BTC", at=at).gain == pytest.approx(per_day)

    def test_bitmex_settles_at_4_12_and_20_and_fixes_the_rate_eight_hours_before(self) -> None:
        found = rule("bitmex", "XBTUSD")
        stamps = found.settlements(pd.Timestamp("2020-03-13", tz="UTC"), pd.Timestamp("2020-03-13 23:00", tz="UTC"))
        assert [t.hour for t in stamps] == [4, 12, 20]
        assert found.known_hours_ahead == 8
        assert 3 * found.cap == pytest.approx(0.01125)
        assert found.rate(flat(-0.1)) == pytest.approx(-0.00375)

    def test_deribit_pays_what_the_premium_exceeds_two_and_a_half_basis_points(self) -> None:
        found = rule("deribit", "BTC-PERPETUAL", cap=0.005)
        for premium in (-0.002, -0.0001, 0.0, 0.00025, 0.001):
            soft = max(0.00025, premium) + min(-0.00025, premium)
            assert found.rate(flat(premium)) == pytest.approx(soft)
        assert found.timing == "continuous"

    def test_deribit_settles_once_a_day_at_eight_a_rate_for_eight_hours(self) -> None:
        found = rule("deribit", "BTC-PERPETUAL")
        stamps = found.settlements("2024-01-01", "2024-01-03 23:00")
        assert [str(t)[:16] for t in stamps] == [f"2024-01-0{day} 08:00" for day in (1, 2, 3)]
        assert (found.interval_hours, found.settled_every, found.scale) == (8, 24, 1)
        assert [t.hour for t in found.interval_ends("2024-01-01 01:00", "2024-01-02")] == [8, 16, 0]
        assert "settled every 24 h" in str(found)

    def test_hyperliquid_pays_an_eighth_of_the_eight_hour_rate_each_hour(self) -> None:
        found = rule("hyperliquid", "BTC")
        assert found.rate(flat(0.0)) == pytest.approx(0.0001 / 8)
        assert found.rate(flat(0.0045)) == pytest.approx(0.004 / 8)
        assert found.rate(flat(0.5)) == pytest.approx(0.04)

    def test_dydx_has_no_damper(self) -> None:
        assert rule("dydx", "BTC-USD").rate(flat(0.0008)) == pytest.approx(0.0001)

    def test_kraken_divides_by_its_coefficient_and_pays_an_hour_later(self) -> None:
        found = rule("kraken", "PF_XBTUSD")
        assert found.rate(flat(0.0008)) == pytest.approx(0.0001)
        assert found.known_hours_ahead == 1
        assert rule("kraken", "PF_XBTUSD", premium_hours=24).rate(flat(0.0024)) == pytest.approx(0.0001)

    def test_ftx_divides_by_24_and_ends_in_november_2022(self) -> None:
        assert rule("ftx", "BTC-PERP", at="2022-06-01").rate(flat(0.0024)) == pytest.approx(0.0001)
        with pytest.raises(bm.ModelError, match="no funding rule of ftx"):
            rule("ftx", "BTC-PERP", at="2022-12-01")

    def test_okx_had_no_damper_before_april_2025_and_the_two_weeks_between_are_unsure(self) -> None:
        old, between, new = (rule("okx", "BTC-USDT-SWAP", at=f"2025-04-{day}") for day in (9, 15, 25))
        assert old.rate(flat(0.0003)) == between.rate(flat(0.0003)) == pytest.approx(0.0003)
        assert new.rate(flat(0.0003)) == pytest.approx(0.0001)
        assert (old.timing, new.timing) == ("next", "current")
        assert between.confidence == "unsure"
        assert rule("okx", "BTC-USDT-SWAP", at="2025-04-24 00:01").deadband == new.deadband
        assert rule("okx", "USDC-USDT-SWAP", at="2025-05-01").interest_8h == 0.0

    @pytest.mark.parametrize(
        ("before", "after", "timing"),
        [
            ("2019-07-17 23:59", "2019-07-18 00:00", ("current", "next")),
            ("2024-03-05 07:59", "2024-03-05 08:00", ("next", "next")),
            ("2025-04-10 00:00", "2025-04-10 00:01", ("next", "next")),
            ("2025-04-17 00:00", "2025-04-17 00:01", ("next", "next")),
            ("2025-04-24 00:00", "2025-04-24 00:01", ("next", "current")),
        ],
    )
    def test_eras_of_okx_at_the_minute(self, before: str, after: str, timing: tuple[str, str]) -> None:
        one, two = (rule("okx", "BTC-USDT-SWAP", at=at) for at in (before, after))
        assert pd.Timestamp(one.end) == pd.Timestamp(two.start) == pd.Timestamp(after, tz="UTC")
        assert (one.timing, two.timing) == timing
        assert one.unsure != two.unsure

    def test_doubts_of_okx_rise_with_the_batches_and_fall_with_the_last(self) -> None:
        days = ("2025-04-10 00:00", "2025-04-10 00:01", "2025-04-17 00:01", "2025-04-24 00:01")
        assert [rule("okx", "X", at=day).confidence for day in days] == ["secondary", "unsure", "unsure", "secondary"]

    def test_eras_of_bybit_at_the_minute(self) -> None:
        old, new = (rule("bybit", "PEPEUSDT", at=at) for at in ("2022-12-31 23:59", "2023-01-01 00:00"))
        assert (old.confidence, new.confidence) == ("unsure", "primary")
        assert any("before 2023" in text for text in old.unsure)
        still, moving = (rule("bybit", "PEPEUSDT", at=f"2025-10-30 {at}", cap=0.01) for at in ("07:59", "08:00"))
        assert (still.interval_after([0.01]), moving.interval_after([0.01])) == (8, 1)

    def test_dydx_has_no_rule_before_its_chain_and_says_whence_the_day(self) -> None:
        with pytest.raises(bm.ModelError, match="no funding rule of dydx at 2019-01-01"):
            rule("dydx", "BTC-USD", at="2019-01-01")
        assert any("26 October 2023" in text for text in rule("dydx", "BTC-USD").unsure)
        assert [found.start for found in bm.funding.eras("dydx")] == ["2023-10-26T00:00:00Z"]

    def test_the_cap_of_ftx_is_not_known(self) -> None:
        found = rule("ftx", "BTC-PERP", at="2022-06-01")
        assert math.isnan(found.cap)
        assert any("cap" in text for text in found.unsure)

    def test_bybit_leaves_the_large_contracts_out_of_its_dynamic_interval(self) -> None:
        assert rule("bybit", "BTCUSDT", at="2025-11-01").dynamic is None
        other = rule("bybit", "PEPEUSDT", at="2025-11-01", cap=0.01)
        assert other.interval_after([0.01]) == 1
        assert rule("bybit", "PEPEUSDT", at="2025-10-30 07:59", cap=0.01).interval_after([0.01]) == 8

    def test_an_unknown_cap_is_unknown_and_never_binds(self) -> None:
        found = rule("bybit", "BTCUSDT", at="2024-01-01")
        assert math.isnan(found.cap)
        assert math.isnan(found.premium_at_cap)
        assert found.rate(flat(1.0)) == pytest.approx(0.9995)
        assert "unknown" in str(found)

    @pytest.mark.parametrize("venue", bm.funding.venues())
    def test_what_is_unsure_is_said(self, venue: str) -> None:
        for found in bm.funding.eras(venue):
            assert all(text in str(found) for text in found.unsure)
            assert found.source
            assert found.confidence in ("primary", "secondary", "unsure")

    def test_eras_follow_on_one_another(self) -> None:
        for venue in bm.funding.venues():
            found = bm.funding.eras(venue)
            assert [a.end for a in found[:-1]] == [b.start for b in found[1:]]
        assert len(bm.funding.eras("binance")) >= 3


class TestRule:
    def test_gain_is_nought_in_the_deadband_and_at_the_cap(self) -> None:
        found = rule("binance", "BTCUSDT", at="2024-01-01")
        assert list(found.slope([0.0, 0.001, 0.01])) == [0.0, 1.0, 0.0]

    def test_the_slope_is_the_derivative_of_the_rate(self) -> None:
        for venue, hours in (("binance", 4.0), ("hyperliquid", 1.0), ("deribit", 8.0)):
            found = rule(venue, "BTC", interval_hours=hours)
            at = np.linspace(-0.01, 0.01, 41) + 3.3e-5
            central = (found.rate_of_mean(at + 1e-8) - found.rate_of_mean(at - 1e-8)) / 2e-8
            assert np.asarray(found.slope(at)) == pytest.approx(central, abs=1e-6)

    @pytest.mark.parametrize(
        ("half_life", "variance", "correlation"),
        [(0.5, 0.21, 0.36), (1.68, 0.50, 0.61), (2.34, 0.59, 0.68), (8, 0.84, 0.88), (24, 0.94, 0.96)],
    )
    def test_the_linear_mean_of_an_ou_premium_has_its_closed_form_variance(
        self, half_life: float, variance: float, correlation: float
    ) -> None:
        """w'Cw over eight hours by the minute, and the correlation with the last premium."""
        found = rule("binance", "BTCUSDT", at="2024-01-01")
        weight = np.array([found.premium_mean(row) for row in np.eye(480)])
        hours = np.arange(480) / 60.0
        cov = np.exp(-math.log(2) / half_life * np.abs(hours[:, None] - hours))
        spread = weight @ cov @ weight
        assert spread == pytest.approx(variance, abs=0.006)
        assert weight @ cov[:, -1] / math.sqrt(spread) == pytest.approx(correlation, abs=0.006)

    def test_json_and_back(self) -> None:
        for found in (rule("binance", "PEPEUSDT", at="2025-06-01"), bm.funding.custom("X", cap=0.01)):
            assert Rule.from_json(found.to_json()) == found

    def test_a_rule_of_ones_own(self) -> None:
        found = rule("custom", "MINE", interval_hours=2, damper=0.0, interest_8h=0.0, cap=0.001)
        assert found == bm.funding.custom("MINE", interval_hours=2, damper=0.0, interest_8h=0.0, cap=0.001)
        assert found.rate(flat(0.0005)) == pytest.approx(0.0005)
        assert found.rate(flat(-0.5)) == pytest.approx(-0.001)

    @pytest.mark.parametrize("terms", [{"interval_hours": 0}, {"damper": -1e-4}, {"cap": 0.0}, {"weights": "square"}])
    def test_terms_that_make_no_sense_are_refused(self, terms: dict[str, object]) -> None:
        with pytest.raises(bm.ModelError, match=next(iter(terms))):
            bm.funding.custom(**terms)

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            (lambda: rule("binance", "BTCUSDT", at="never"), "at='never' is not a time"),
            (lambda: rule("binance", "BTCUSDT", at=12.5), "at=12.5 is not a time"),
            (lambda: rule("binance", "BTCUSDT", at=2024), "at=2024 is not a time"),
            (lambda: rule(None), "venue must be text"),
            (lambda: rule("binance", None), "symbol must be text"),
            (lambda: rule("binance", "BTCUSDT", cap="0.01"), "cap='0.01'"),
            (lambda: rule("binance", "BTCUSDT", interval_hours=math.inf), "interval_hours=inf"),
            (lambda: rule("binance", "BTCUSDT", interest_8h=math.nan), "interest_8h=nan"),
            (lambda: bm.funding.eras("custom"), "has no eras"),
            (lambda: bm.funding.eras(None), "venue must be text"),
            (lambda: rule("binance").settlements("never", "2024-01-02"), "start='never' is not a time"),
            (lambda: rule("binance").settlements("2024-01-01", 5), "end=5 is not a time"),
        ],
    )
    def test_arguments_that_make_no_sense_are_named(self, call: Callable[[], object], said: str) -> None:
        with pytest.raises(bm.ModelError, match=re.escape(said)):
            call()

    def test_words_in_a_path_are_refused(self) -> None:
        with pytest.raises(bm.DataError, match="must be numbers"):
            rule("binance").rate(["a"])
        with pytest.raises(bm.DataError, match="must be numbers"):
            rule("binance").rate_of_mean("much")

    def test_times_without_a_zone_are_read_in_utc(self) -> None:
        found = rule("binance", "BTCUSDT")
        zoned = found.settlements(pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-02", tz="UTC"))
        assert found.settlements("2024-01-01", "2024-01-02").equals(zoned)

    def test_an_unknown_venue_or_term_is_refused_with_what_there_is(self) -> None:
        with pytest.raises(bm.ModelError, match="binance, bybit, okx"):
            rule("nowhere")
        with pytest.raises(bm.ModelError, match="interval_hours"):
            rule("binance", "BTCUSDT", caps=0.1)

    def test_symbols_and_venues_may_be_written_as_exchanges_write_them(self) -> None:
        assert rule("Binance-USDM", "BTC/USDT").cap == 0.003
        assert rule("okex", "BTC-USDT-SWAP").venue == "okx"


@pytest.mark.real
def test_bitmex_hit_its_cap_on_2020_03_13(real) -> None:  # type: ignore[no-untyped-def]
    frame = pd.read_parquet(real("bitmex_xbtusd_8h"))
    rates = frame["funding_rate"].dropna().loc["2020-03-13"]
    found = rule("bitmex", "XBTUSD", at="2020-03-13")
    assert rates.min() == pytest.approx(-found.cap)
    assert found.at_cap(rates).any()


def test_rules_are_equal_term_by_term_even_where_the_cap_is_not_known() -> None:
    bybit = rule("bybit", "BTCUSDT")
    assert bybit == type(bybit).from_json(bybit.to_json())
    assert hash(bybit) == hash(type(bybit).from_json(bybit.to_json()))
    assert bybit != rule("bybit", "BTCUSDT", interval_hours=4)
    assert bybit != "bybit"


def test_an_hourly_interval_of_binance_weighs_its_samples_equally() -> None:
    path = np.r_[np.zeros(360), np.full(360, 0.01)]
    hourly = rule("binance", "LPTUSDT", at="2025-12-01", interval_hours=1)
    assert hourly.rate(path) == pytest.approx((0.005 - 0.0005) / 8.0)
    eight = rule("binance", "LPTUSDT", at="2025-12-01")
    weights = np.arange(1.0, 721.0)
    assert eight.premium_mean(path) == pytest.approx(weights @ path / weights.sum())
    assert eight.with_interval(1).rate(path) == pytest.approx(float(hourly.rate(path)))
