"""The closed loop against the covariates of its own output, the open loop, and rates with known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.closed_loop import PremiumLink, premium_link, simulate
from basismodels.inference.simulate import simulate as open_simulate

BINANCE = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
HOURS = pd.date_range("2024-01-01 03:00", periods=480, freq="h", tz="UTC")
SHARED = [c for c in bm.funding.COVARIATES if c not in ("funding_due",)]
RULES = {
    "binance": BINANCE,
    "four hours": BINANCE.with_interval(4),
    "bitmex": bm.funding.rule("bitmex", "XBTUSD"),
    "hyperliquid": bm.funding.rule("hyperliquid", "BTC"),
    "deribit": bm.funding.rule("deribit", "BTC", cap=0.005),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("name", SHARED)
def test_the_basis_follows_the_covariate_that_attach_computes_from_the_output(rule: bm.funding.Rule, name: str) -> None:
    """Almost without noise, each bar is the exact OU step towards 1 + 2 z, with z of the row before."""
    params = {"kappa": 0.2, "theta": 20.0, f"theta:{name}": -1.5, "sigma": 1e-6}
    data = simulate(bm.OU(theta=f"1 + {name}"), rule, params, HOURS, rng=1)
    if name == "funding_paid" and rule.timing == "continuous":
        assert name not in data.frame()
        return
    z = data.frame()[name].to_numpy()[:-1]
    expected = np.exp(-0.2) * data.basis[:-1] + -np.expm1(-0.2) * (20.0 - 1.5 * z)
    known = np.isfinite(z)
    assert known.sum() > 400
    assert data.basis[1:][known] == pytest.approx(expected[known], abs=1e-3)


def test_without_covariates_it_has_the_moments_of_the_model() -> None:
    model = bm.OU() + bm.SlowOU() + bm.Noise()
    params = {"kappa": 0.5, "theta": 3.0, "sigma": 2.0, "slow.kappa": 0.05, "slow.sigma": 0.5, "tau": 1.0}
    times = pd.date_range("2024-01-01", periods=20000, freq="h", tz="UTC")
    data = simulate(model, BINANCE, params, times, rng=2)
    variance = 4.0 / 1.0 + 0.25 / 0.1 + 1.0
    assert np.mean(data.basis) == pytest.approx(3.0, abs=0.3)
    assert np.var(data.basis) == pytest.approx(variance, rel=0.06)
    fit = bm.fit(model, data.cut(end="2024-12-31"))
    truth = open_simulate(model, params, times[:8000], rng=1)
    assert fit.problem.spec.names == bm.fit(model, truth).problem.spec.names
    assert abs(np.log(fit.params["kappa"] / 0.5)) < 5 * fit.bse["kappa"] / fit.params["kappa"]


def test_regimes_change_at_their_rates() -> None:
    model = bm.Switching(bm.OU(), regimes=2)
    params = {"kappa[0]": 0.3, "kappa[1]": 0.3, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 5.0,
              "q[0->1]": 0.05, "q[1->0]": 0.15}  # fmt: skip
    times = pd.date_range("2024-01-01", periods=20000, freq="h", tz="UTC")
    state = simulate(model, BINANCE, params, times, rng=3).covariates["true_regime"].to_numpy()
    assert state.mean() == pytest.approx(0.25, abs=0.03)
    left = np.mean(state[1:][state[:-1] == 0])
    assert left == pytest.approx(0.25 * -np.expm1(-0.2), rel=0.12)


def test_a_premium_held_still_settles_at_the_rate_of_the_rule() -> None:
    params = {"kappa": 5.0, "theta": 1e4 * np.log1p(16e-4), "sigma": 1e-6}
    data = simulate(bm.OU(), BINANCE, params, HOURS, rng=1)
    assert data.settlements is not None
    assert data.settlements["rate"].to_numpy() == pytest.approx(11e-4, abs=1e-8)
    assert [t.hour % 8 for t in data.settlements.index] == [0] * len(data.settlements)
    high = simulate(bm.OU(), BINANCE, {**params, "theta": 90.0}, HOURS, rng=1)
    assert high.settlements is not None
    assert (high.settlements["rate"] == 0.003).all()


def test_one_seed_one_path() -> None:
    params = {"kappa": 0.5, "theta": 0.0, "sigma": 2.0}
    one, two, three = (simulate(bm.OU(), BINANCE, params, HOURS, rng=seed).basis for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_the_link_is_found_again() -> None:
    link = PremiumLink(3.0, 0.9, 1.5)
    params = {"kappa": 0.05, "theta": 0.0, "sigma": 2.0}
    times = pd.date_range("2024-01-01", periods=8760, freq="h", tz="UTC")
    data = simulate(bm.OU(), BINANCE, params, times, link=link, rng=7)
    found = premium_link(data, BINANCE)
    assert found.offset == pytest.approx(3.0, abs=0.25)
    assert found.slope == pytest.approx(0.9, abs=0.05)
    assert found.sd == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (bm.OU(theta="1 + volume") + bm.Noise(), "volume"),
        (bm.OU() + bm.Noise(outliers=True), "outliers"),
    ],
)
def test_what_it_cannot_do_is_refused(model: bm.Model, said: str) -> None:
    with pytest.raises(bm.ModelError, match=said):
        simulate(model, BINANCE, {"kappa": 1.0}, HOURS)


def test_missing_names_are_listed() -> None:
    with pytest.raises(bm.ModelError, match="kappa, theta, sigma"):
        simulate(bm.OU(), BINANCE, {"kappa": 1.0}, HOURS)


OU = {"kappa": 0.5, "theta": 0.0, "sigma": 2.0}
BYBIT = bm.funding.rule("bybit", "BTCUSDT", at="2024-01-01")


@pytest.mark.parametrize("name", ["funding_utilisation", "funding_saturated"])
def test_a_share_of_a_cap_that_is_not_known_is_refused(name: str) -> None:
    params = {**OU, f"theta:{name}": -50.0}
    with pytest.raises(bm.ModelError, match=f"cap of bybit BTCUSDT is not known, which {name} need"):
        simulate(bm.OU(theta=f"1 + {name}"), BYBIT, params, HOURS)
    with_cap = bm.funding.rule("bybit", "BTCUSDT", at="2024-01-01", cap=0.003)
    assert simulate(bm.OU(theta=f"1 + {name}"), with_cap, params, HOURS, rng=1).n == 480
    chain = bm.Switching(bm.OU(), transition=f"1 + {name}")
    with pytest.raises(bm.ModelError, match="is not known"):
        simulate(chain, BYBIT, {"kappa[0]": 0.3, "kappa[1]": 0.3, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 5.0,
                                "q[0->1]": 0.05, "q[1->0]": 0.15, f"q[0->1]:{name}": 1.0, f"q[1->0]:{name}": 0.0},
                 HOURS)  # fmt: skip


def test_columns_that_need_no_cap_are_simulated_without_one() -> None:
    made = simulate(bm.OU(theta="1 + funding_gap"), BYBIT, {**OU, "theta:funding_gap": -0.5}, HOURS, rng=1)
    assert np.isfinite(made.basis).all()


def test_a_payment_to_come_is_refused_where_none_is_fixed() -> None:
    params = {**OU, "theta:funding_due": -0.5}
    for rule in (BINANCE, RULES["deribit"]):
        with pytest.raises(bm.ModelError, match="fixes nothing in advance"):
            simulate(bm.OU(theta="1 + funding_due"), rule, params, HOURS)
    made = simulate(bm.OU(theta="1 + funding_due"), RULES["bitmex"], params, HOURS, rng=1)
    assert "funding_due" in made.frame()


@pytest.mark.parametrize(
    ("name", "value"),
    [("kappa", np.nan), ("kappa", -0.5), ("sigma", -1.0), ("sigma", 0.0), ("sigma", "2"), ("theta", np.inf)],
)
def test_impossible_parameters_are_named(name: str, value: object) -> None:
    with pytest.raises(bm.ModelError, match=f"{name} must be"):
        simulate(bm.OU(), BINANCE, {**OU, name: value}, HOURS)  # type: ignore[dict-item]


def test_an_interval_that_would_have_become_shorter_is_said_once() -> None:
    rule = bm.funding.rule("binance", "ALPACAUSDT", at="2025-06-01")
    hours = pd.date_range("2025-06-01", periods=240, freq="h", tz="UTC")
    far = simulate(bm.OU(), rule, {**OU, "theta": 300.0}, hours, rng=1)
    assert sum("shortens its interval to 1 h" in text for text in far.warnings) == 1
    near = simulate(bm.OU(), rule, OU, hours, rng=1)
    assert not any("shortens" in text for text in near.warnings)
    still = simulate(bm.OU(), bm.funding.rule("binance", "ALPACAUSDT", at="2025-04-01"), {**OU, "theta": 300.0}, HOURS)
    assert not any("shortens" in text for text in still.warnings)


@pytest.mark.parametrize("rule", [None, "binance", [BINANCE]])
def test_what_is_no_rule_is_refused(rule: object) -> None:
    with pytest.raises(bm.ModelError, match="rule must be a funding rule"):
        simulate(bm.OU(), rule, OU, HOURS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (HOURS[::-1], "not sorted|order"),
        (HOURS[[0, 1, 1, 2]], "twice|duplicate|same"),
        (HOURS[[0, 1, 2, 5, 6]], "not evenly spaced"),
        (HOURS.tz_localize(None), "no zone"),
        (HOURS[:2], "three or more"),
        (5, "times must be stamps"),
    ],
    ids=["unsorted", "double", "uneven", "no zone", "two", "number"],
)
def test_times_that_are_no_even_grid_are_refused(times: pd.DatetimeIndex, said: str) -> None:
    with pytest.raises((bm.DataError, bm.ModelError), match=said):
        simulate(bm.OU(), BINANCE, OU, times)


def test_a_series_with_a_gap_is_put_on_an_even_grid_and_that_is_said() -> None:
    data = bm.BasisSeries.from_basis(HOURS[np.r_[0:100, 103:480]], np.arange(477) % 5.0)
    made = simulate(bm.OU(), BINANCE, OU, data, rng=1)
    assert made.n == 480
    assert any("477 closes were put on an even grid of 480" in text for text in made.warnings)
    whole = simulate(bm.OU(), BINANCE, OU, bm.BasisSeries.from_basis(HOURS, np.arange(480) % 5.0), rng=1)
    assert not any("even grid" in text for text in whole.warnings)


@pytest.mark.parametrize("link", [PremiumLink(np.nan, 1.0, 1.0), PremiumLink(0.0, 1.0, -1.0)])
def test_a_link_that_makes_no_sense_is_refused(link: PremiumLink) -> None:
    with pytest.raises(bm.ModelError, match="a link takes"):
        simulate(bm.OU(), BINANCE, OU, HOURS, link=link)


def test_all_that_is_paid_within_a_bar_moves_the_basis() -> None:
    """Bars of eight hours under hourly settlements: the level follows the sum of eight payments, as the columns say."""
    grid = pd.date_range("2024-01-01 08:00", periods=60, freq="8h", tz="UTC")
    rule = bm.funding.rule("hyperliquid", "BTC")
    params = {"kappa": 0.05, "theta": 20.0, "theta:funding_paid": 0.5, "sigma": 1e-6}
    made = bm.funding.simulate(bm.OU(theta="1 + funding_paid"), rule, params, grid, rng=1)
    paid, x = made.frame()["funding_paid"].to_numpy(), np.asarray(made.basis)
    level, decay = 20.0 + 0.5 * paid[1:-1], np.exp(-0.05 * 8.0)
    assert paid[1] > 5.0 * 1e4 * made.settlements["rate"].to_numpy()[8:16].max()
    assert x[2:] == pytest.approx(level + decay * (x[1:-1] - level), rel=1e-4)
