"""Covariates of funding against figures worked out by hand, and their promise to look back only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.funding.covariates import COVARIATES
from basismodels.series import BasisSeries

BINANCE = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
BITMEX = bm.funding.rule("bitmex", "XBTUSD")


def series(basis: np.ndarray, rates: list[float] | None, start: str = "2024-01-01 01:00") -> BasisSeries:
    """Hours from one o'clock, settlements every eighth."""
    time = pd.date_range(start, periods=len(basis), freq="h", tz="UTC")
    funding = None
    if rates is not None:
        stamps = [t for t in time if t.hour % 8 == 0]
        funding = pd.Series(rates, index=stamps[: len(rates)])
    return BasisSeries.from_basis(time, basis, funding=funding)


@pytest.fixture
def day() -> pd.DataFrame:
    """Three intervals of rates at interest, between and at the cap, with a basis that rises by 1 bp an hour."""
    data = series(np.arange(1.0, 25.0), [1e-4, -5e-4, 3e-3])
    return bm.funding.attach(data, BINANCE).frame()


def at(frame: pd.DataFrame, hour: str, column: str) -> float:
    return float(frame.loc[pd.Timestamp(f"2024-01-01 {hour}", tz="UTC"), column])


def test_rates_count_from_the_close_at_their_stamp(day: pd.DataFrame) -> None:
    assert np.isnan(at(day, "07:00", "funding"))
    assert at(day, "08:00", "funding") == pytest.approx(1.0)
    assert at(day, "15:00", "funding") == pytest.approx(1.0)
    assert at(day, "16:00", "funding_last") == pytest.approx(-5.0)


def test_what_follows_from_the_rate(day: pd.DataFrame) -> None:
    assert at(day, "16:00", "funding_gap") == pytest.approx(-6.0)
    assert at(day, "16:00", "funding_pressure") == pytest.approx(6.0)
    assert at(day, "16:00", "funding_utilisation") == pytest.approx(5 / 30)
    assert [at(day, h, "in_deadband") for h in ("08:00", "16:00")] == [1.0, 0.0]
    assert [at(day, h, "funding_saturated") for h in ("15:00", "16:00")] == [0.0, 0.0]
    assert day["funding_saturated"].iloc[-1] == 1.0


def test_the_premium_mean_is_that_of_the_interval_that_set_the_rate(day: pd.DataFrame) -> None:
    premium = 1e4 * np.expm1(np.arange(1.0, 9.0) / 1e4)
    by_hand = premium @ np.arange(1.0, 9.0) / 36.0
    assert at(day, "08:00", "premium_mean") == pytest.approx(by_hand)
    assert at(day, "13:00", "premium_mean") == pytest.approx(by_hand)
    assert at(day, "08:00", "premium_pressure") == pytest.approx(by_hand - 1.0)


def test_the_clock(day: pd.DataFrame) -> None:
    assert [at(day, h, "hours_to_settlement") for h in ("01:00", "08:00", "09:00", "15:00")] == [7, 8, 7, 1]
    assert [at(day, h, "settled_just_now") for h in ("07:00", "08:00", "09:00", "16:00")] == [0, 1, 0, 1]


def test_what_was_paid_stands_at_the_close_of_its_stamp_alone(day: pd.DataFrame) -> None:
    assert [at(day, h, "funding_paid") for h in ("07:00", "08:00", "09:00", "16:00")] == pytest.approx([0, 1, 0, -5])


def test_outside_the_band_of_ten_points_and_the_damper(day: pd.DataFrame) -> None:
    assert [at(day, h, "outside_band") for h in ("15:00", "16:00", "17:00")] == [0.0, 1.0, 1.0]


def test_every_column_is_declared_and_the_clock_alone_is_not_from_the_path(day: pd.DataFrame) -> None:
    assert set(day.columns) - {"hours_since_settlement"} <= COVARIATES.keys()
    assert {name for name, made in COVARIATES.items() if not made.from_path} == {
        "hours_to_settlement",
        "settled_just_now",
    }


def test_a_rate_fixed_in_advance_is_the_one_in_force() -> None:
    data = series(np.arange(1.0, 33.0), [1e-4, -5e-4, 3e-3, 2e-4])
    frame = bm.funding.attach(data, BITMEX).frame()
    assert at(frame, "08:00", "funding_last") == pytest.approx(1.0)
    assert at(frame, "08:00", "funding_due") == at(frame, "08:00", "funding") == pytest.approx(-5.0)
    premium = 1e4 * np.expm1(np.arange(1.0, 9.0) / 1e4)
    assert at(frame, "08:00", "premium_mean") == pytest.approx(premium.mean())
    assert "funding_due" not in bm.funding.attach(data, BINANCE).frame()


@pytest.mark.parametrize("rule", [BINANCE, BITMEX, bm.funding.rule("deribit"), bm.funding.rule("hyperliquid")])
@pytest.mark.parametrize("settled", [True, False])
def test_no_column_looks_ahead(rule: bm.funding.Rule, settled: bool) -> None:
    """What comes after a row leaves the row as it was, but for a payment the venue has announced."""
    rng = np.random.default_rng(1)
    basis, cut = rng.normal(0, 20, 96), 60
    other = basis.copy()
    other[cut:] += 50.0
    rates = list(rng.normal(0, 1e-3, 12))
    moved = [*rates[:8], *rng.normal(0, 1e-3, 4)] if rule.timing == "next" else [*rates[:7], *rng.normal(0, 1e-3, 5)]
    one = bm.funding.attach(series(basis, rates if settled else None), rule).frame().iloc[:cut]
    two = bm.funding.attach(series(other, moved if settled else None), rule).frame().iloc[:cut]
    pd.testing.assert_frame_equal(one, two)


def test_without_settled_rates_the_rule_makes_them_and_says_so() -> None:
    basis = np.concatenate([np.full(8, 20.0), np.full(16, 0.0)])
    data = bm.funding.attach(series(basis, None), BINANCE)
    premium = 1e4 * np.expm1(20.0 / 1e4)
    assert at(data.frame(), "08:00", "funding") == pytest.approx(premium - 5.0)
    assert at(data.frame(), "16:00", "in_deadband") == 1.0
    assert any("computed from the basis" in text for text in data.warnings)


def test_a_rate_made_by_a_rule_that_fixes_it_ahead_is_paid_one_interval_later() -> None:
    """The premium of the interval to 12:00 is due from 12:00 on and paid at 20:00 (BitMEX pays at 4, 12 and 20 UTC)."""
    basis = np.concatenate([np.zeros(4), np.full(8, 30.0), np.zeros(24)])
    frame = bm.funding.attach(series(basis, None), BITMEX).frame()
    paid = 1e4 * np.expm1(30.0 / 1e4) - 5.0
    assert at(frame, "12:00", "funding_due") == pytest.approx(paid)
    assert at(frame, "19:00", "funding_due") == pytest.approx(paid)
    assert at(frame, "20:00", "funding_last") == at(frame, "20:00", "funding_paid") == pytest.approx(paid)
    assert at(frame, "20:00", "funding_due") == pytest.approx(1.0)


def test_the_cap_is_that_of_an_interval_and_the_interval_that_of_the_settlement() -> None:
    time = pd.date_range("2024-01-01 01:00", periods=12, freq="h", tz="UTC")
    funding = pd.DataFrame({"rate": [5e-5, 2e-2], "interval_hours": [4.0, 4.0]}, index=time[[3, 7]])
    data = BasisSeries.from_basis(time, np.arange(12.0), funding=funding)
    frame = bm.funding.attach(data, bm.funding.rule("binance", "LPTUSDT", at="2024-01-01")).frame()
    assert list(frame["in_deadband"].iloc[[3, 7]]) == [1.0, 0.0]
    assert frame["funding"].iloc[7] == pytest.approx(400.0)
    assert frame["funding_utilisation"].iloc[7] == pytest.approx(1.0)


def test_missing_and_masked_rows_carry_no_weight() -> None:
    basis = np.arange(1.0, 25.0)
    basis[3] = np.nan
    mask = np.zeros(24, dtype=bool)
    mask[7] = True
    data = bm.funding.attach(series(basis, [1e-4, 1e-4, 1e-4]).with_mask(mask), BINANCE)
    left = np.array([1, 2, 3, 5, 6, 7.0])
    assert at(data.frame(), "08:00", "premium_mean") == pytest.approx(1e4 * np.expm1(left / 1e4) @ left / left.sum())


def test_attaching_again_under_another_rule_leaves_nothing_of_the_first() -> None:
    data = series(np.arange(1.0, 25.0), [1e-4, -5e-4, 3e-3])
    twice = bm.funding.attach(bm.funding.attach(data, BITMEX), BINANCE)
    pd.testing.assert_frame_equal(twice.frame(), bm.funding.attach(data, BINANCE).frame())
    assert bm.funding.rule_of(twice) == BINANCE
    assert bm.funding.rule_of(data) is None


class TestInModels:
    rng = np.random.default_rng(3)
    data = series(rng.normal(0, 10, 240), [1e-4 if i % 3 else 1e-3 * z for i, z in enumerate(rng.normal(size=30))])

    def test_every_column_serves_in_every_formula(self) -> None:
        data = bm.funding.attach(self.data, BINANCE)
        from basismodels.problem import bind

        for name in set(data.frame().columns) - {"funding_saturated"}:
            model = bm.OU(kappa=f"1 + {name}", theta=f"1 + {name}", sigma=f"1 + {name}") + bm.Noise(tau=f"1 + {name}")
            problem = bind(bm.Switching(model, regimes=2, transition=f"1 + {name}"), data)
            assert f"q[0->1]:{name}" in problem.spec.names
            assert f"tau[0]:{name}" in problem.spec.names

    def test_a_formula_that_asks_for_a_rule_gets_one_and_is_told_which(self) -> None:
        fit = bm.fit(bm.OU(theta="1 + funding_gap"), self.data)
        said = " ".join(d.text for d in fit.diagnostics)
        assert "binance BTCUSDT" in said
        assert "none was named" in said
        named = bm.fit(
            bm.OU(theta="1 + funding_gap"), bm.funding.attach(self.data, bm.funding.rule("hyperliquid", "X"))
        )
        assert "hyperliquid X" in " ".join(d.text for d in named.diagnostics)

    def test_the_file_name_tells_venue_and_symbol(self) -> None:
        from basismodels.funding.guess import guessed

        found, said = guessed(self.data.with_provenance(source="/data/bitmex_xbtusd_8h.parquet"))
        assert (found.venue, found.symbol) == ("bitmex", "xbtusd")
        assert "guessed from the file name" in said

    def test_a_column_the_rule_cannot_give_is_named(self) -> None:
        with pytest.raises(bm.ModelError, match="funding_due"):
            bm.fit(bm.OU(theta="1 + funding_due"), bm.funding.attach(self.data, BINANCE))

    def test_a_flag_that_never_moves_is_left_out_and_said(self) -> None:
        fit = bm.fit(
            bm.OU(theta="1 + funding_saturated + funding_gap"),
            bm.funding.attach(series(self.data.basis, [1e-4, 5e-4] * 15), BINANCE),
        )
        assert "theta:funding_saturated" not in fit.names
        assert "theta:funding_gap" in fit.names
        assert any("funding_saturated does not move" in d.text for d in fit.diagnostics)

    def test_a_flag_that_rises_once_tells_nothing_of_a_change_of_regime(self) -> None:
        from basismodels.problem import bind

        model = bm.Switching(bm.OU(theta="1 + funding_saturated"), transition="1 + funding_saturated")
        for spells, kept in ((1, False), (3, True)):
            rates = [3e-3 if i in (5, 12, 20)[:spells] else 5e-4 for i in range(30)]
            problem = bind(model, bm.funding.attach(series(self.data.basis, rates), BINANCE))
            assert ("q[0->1]:funding_saturated" in problem.spec.names) is kept
            assert "theta:funding_saturated" in problem.spec.names

    def test_a_fit_under_a_rule_saves_and_loads(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        fit = bm.fit(bm.OU(theta="1 + funding_gap"), self.data)
        again = bm.load(bm.save(fit, tmp_path / "fit.bm"))
        assert bm.funding.rule_of(again.data) == bm.funding.rule_of(fit.data)
        assert again.problem.engine.loglik(again.problem.layout, again.x) == fit.llf


def test_daily_closes_cannot_make_the_columns_of_an_eight_hour_rule() -> None:
    times = pd.date_range("2024-01-01 21:00", periods=60, freq="D", tz="UTC")
    daily = bm.BasisSeries.from_basis(times, np.random.default_rng(1).normal(size=60))
    with pytest.raises(bm.DataError, match="cannot be made of these data: they need closes within each funding"):
        bm.fit(bm.preset("funding"), daily)


def test_a_bar_that_holds_three_payments_counts_all_of_them() -> None:
    time = pd.date_range("2024-01-01 20:00", periods=5, freq="D", tz="UTC")
    stamps = pd.date_range("2024-01-01 16:00", periods=13, freq="8h", tz="UTC")
    stamps = stamps[stamps <= time[-1]]
    rates = pd.Series(np.arange(1.0, len(stamps) + 1.0) * 1e-5, index=stamps)
    daily = BasisSeries.from_basis(time, np.arange(5.0), funding=rates)
    paid = bm.funding.attach(daily, BINANCE).frame()["funding_paid"]
    for i in range(1, 5):
        own = rates[(rates.index > time[i - 1]) & (rates.index <= time[i])]
        assert paid.iloc[i] == pytest.approx(1e4 * own.sum())


def test_each_settlement_is_judged_by_the_rule_of_its_day() -> None:
    """ETHUSDT: a cap of 0.375% until 2023, of 0.3% since; a rate of 0.3% is at the cap in the later era only."""
    time = pd.date_range("2022-12-30 00:00", "2023-01-03 00:00", freq="h", tz="UTC")
    stamps = pd.date_range("2022-12-30 00:00", "2023-01-03 00:00", freq="8h", tz="UTC")
    rates = pd.DataFrame({"rate": 0.003, "interval_hours": 8.0}, index=stamps)
    data = bm.BasisSeries.from_basis(time, np.arange(len(time)) % 7.0, funding=rates)
    late = bm.funding.attach(data, bm.funding.rule("binance", "ETHUSDT", at="2023-06-01"))
    early = bm.funding.attach(data, bm.funding.rule("binance", "ETHUSDT", at="2022-06-01"))
    after = time >= pd.Timestamp("2023-01-01", tz="UTC")
    for made in (late, early):
        frame = made.frame()
        assert frame["funding_utilisation"].to_numpy() == pytest.approx(np.where(after, 1.0, 0.8))
        assert np.array_equal(frame["funding_saturated"], after.astype(float))
        assert any("changed within these data (2023-01-01)" in text for text in made.warnings)
    mine = bm.funding.attach(data, bm.funding.rule("binance", "ETHUSDT", at="2022-06-01", cap=0.006))
    assert mine.frame()["funding_utilisation"].to_numpy() == pytest.approx(0.5), "terms of one's own hold throughout"
    assert any("ends on 2023-01-01" in text for text in mine.warnings)


def test_rates_made_of_the_basis_follow_the_eras_of_the_rule() -> None:
    time = pd.date_range("2022-12-30 00:00", "2023-01-03 00:00", freq="h", tz="UTC")
    data = bm.BasisSeries.from_basis(time, np.full(len(time), 200.0) + np.arange(len(time)) % 2)
    frame = bm.funding.attach(data, bm.funding.rule("binance", "ETHUSDT", at="2023-06-01")).frame()
    last = frame["funding_last"].dropna()
    assert last.iloc[0] == pytest.approx(37.5)
    assert last.iloc[-1] == pytest.approx(30.0)


def test_a_new_formula_changes_the_weights_within_the_data() -> None:
    """OKX: an equal mean paid one interval later until April 2025, a linear one paid at once since."""
    time = pd.date_range("2025-03-20", "2025-05-20", freq="h", tz="UTC")
    basis = 30.0 * np.sin(np.arange(len(time)) / 5.0)
    data = bm.BasisSeries.from_basis(time, basis)
    old, new = (bm.funding.rule("okx", "BTC-USDT-SWAP", at=day) for day in ("2025-03-25", "2025-05-10"))
    frame = bm.funding.attach(data, new).frame()
    premium = pd.Series(1e4 * np.expm1(basis / 1e4), index=time)
    stamp = pd.Timestamp("2025-05-10 08:00", tz="UTC")
    own = premium[(premium.index > stamp - pd.Timedelta(hours=8)) & (premium.index <= stamp)]
    assert frame.loc[stamp, "premium_mean"] == pytest.approx(float(new.premium_mean(own.to_numpy())))
    stamp = pd.Timestamp("2025-03-28 08:00", tz="UTC")
    own = premium[(premium.index > stamp - pd.Timedelta(hours=16)) & (premium.index <= stamp - pd.Timedelta(hours=8))]
    assert frame.loc[stamp, "funding_last"] == pytest.approx(float(old.rate_of_mean(old.premium_mean(own) / 1e4)) * 1e4)


def test_deribit_is_settled_at_eight_in_the_morning_whatever_the_spacing_of_its_rates() -> None:
    rule = bm.funding.rule("deribit", "BTC-PERPETUAL")
    basis = 10.0 + np.arange(72.0)
    none, given = (bm.funding.attach(series(basis, rates), rule).frame() for rates in (None, [1e-4] * 9))
    for frame in (none, given):
        assert [at(frame, h, "hours_to_settlement") for h in ("01:00", "07:00", "08:00", "16:00")] == [7, 1, 24, 16]
        assert list(frame.index[frame["settled_just_now"] == 1.0].hour) == [8, 8, 8]
    soft = 1e4 * np.expm1(basis / 1e4) - 2.5
    assert none["funding"].to_numpy() == pytest.approx(soft), "the rate stays one for eight hours"


@pytest.mark.parametrize("rule", [None, "binance", {"cap": 0.01}])
def test_what_is_no_rule_is_refused(rule: object) -> None:
    with pytest.raises(bm.ModelError, match="rule must be a funding rule"):
        bm.funding.attach(series(np.arange(24.0), None), rule)  # type: ignore[arg-type]


def test_what_is_no_series_is_refused() -> None:
    data = series(np.arange(24.0), None)
    for other in (data.frame(), None, data.basis):
        with pytest.raises(bm.ModelError, match="data must be a BasisSeries"):
            bm.funding.attach(other, BINANCE)  # type: ignore[arg-type]
        with pytest.raises(bm.ModelError, match="data must be a BasisSeries"):
            bm.funding_diagnostic(other)  # type: ignore[arg-type]
    with pytest.raises(bm.ModelError, match="rule must be a funding rule"):
        bm.funding_diagnostic(data, "binance")  # type: ignore[arg-type]


@pytest.mark.parametrize("band", [np.nan, -1.0, np.inf, "10", None])
def test_a_band_that_is_no_width_is_refused(band: object) -> None:
    with pytest.raises(bm.ModelError, match="band must be"):
        bm.funding.attach(series(np.arange(24.0), None), BINANCE, band=band)  # type: ignore[arg-type]


class TestOldRates:
    time = pd.date_range("2024-01-01 01:00", periods=480, freq="h", tz="UTC")
    stamps = time[7::8]

    def made(self, keep: np.ndarray | slice, rows: slice = slice(None)) -> BasisSeries:
        stamps = self.stamps[keep]
        rates = pd.DataFrame({"rate": np.linspace(1e-4, 9e-4, len(stamps)), "interval_hours": 8.0}, index=stamps)
        time = self.time[rows]
        return BasisSeries.from_basis(time, np.arange(len(time)) % 7.0, funding=rates)

    def test_a_lost_settlement_is_no_matter(self) -> None:
        data = self.made(np.delete(np.arange(60), [20, 40, 41, 42]))
        assert not any("older than ten" in text for text in bm.funding.attach(data, BINANCE).warnings)

    def test_rates_carried_over_more_than_ten_intervals_are_said(self) -> None:
        data = self.made(slice(0, 40))
        made = bm.funding.attach(data, BINANCE)
        late = self.time > self.stamps[39] + pd.Timedelta(hours=80)
        said = next(text for text in made.warnings if "older than ten" in text)
        assert f"at {late.sum()} closes, the first of them {self.time[late][0]:%Y-%m-%d %H:%M}" in said
        assert made.frame()["funding"].notna().sum() == 473

    def test_funding_that_ends_before_the_prices_begin_is_refused(self) -> None:
        with pytest.raises(bm.DataError, match="settlements end on 2024-01-04, more than ten intervals before"):
            bm.funding.attach(self.made(slice(0, 10), slice(200, 480)), BINANCE)

    def test_a_formula_that_needs_no_rule_hears_of_it_too(self) -> None:
        fit = bm.fit(bm.OU(theta="1 + funding"), self.made(slice(0, 40)), starts=1)
        assert sum("older than ten" in d.text for d in fit.diagnostics) == 1
        with pytest.raises(bm.DataError, match="settlements end on"):
            bm.fit(bm.OU(theta="1 + funding"), self.made(slice(0, 10), slice(200, 480)))
        assert bm.fit(bm.OU(), self.made(slice(0, 10), slice(200, 480)), starts=1).problem.data.n == 280


def test_where_the_timing_changes_a_row_knows_only_what_its_own_rule_has_fixed() -> None:
    """OKX, attached under the rule that fixes ahead: rows under the later one, which does not, must not look ahead."""
    time = pd.date_range("2025-04-10", "2025-05-20", freq="h", tz="UTC")
    basis = 30.0 * np.sin(np.arange(len(time)) / 5.0)
    old, new = (bm.funding.rule("okx", "BTC-USDT-SWAP", at=day) for day in ("2025-04-12", "2025-05-10"))
    whole = bm.funding.attach(BasisSeries.from_basis(time, basis), old).frame()
    for until in (pd.Timestamp("2025-04-20 13:00", tz="UTC"), pd.Timestamp("2025-05-10 13:00", tz="UTC")):
        seen = time <= until
        part = bm.funding.attach(BasisSeries.from_basis(time[seen], basis[seen]), old).frame().loc[until]
        for name in ("funding", "premium_mean", "funding_last"):
            assert part[name] == whole.loc[until, name], name
    late = whole.index >= pd.Timestamp("2025-04-25", tz="UTC")
    pd.testing.assert_series_equal(whole.loc[late, "funding"], whole.loc[late, "funding_last"], check_names=False)
    assert "funding_due" not in whole
    by_new = bm.funding.attach(BasisSeries.from_basis(time, basis), new).frame()
    pd.testing.assert_series_equal(by_new.loc[late, "funding"], whole.loc[late, "funding"])
