"""The carry trade: its accounts, its laws, and what it refuses."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import basismodels as bm
from basismodels.estimands.carry_paths import payments, walks
from basismodels.inference.simulate import free_vector
from basismodels.problem import bind

TIMES = pd.date_range("2024-01-01", periods=1200, freq="h", tz="UTC")
RULE = bm.funding.rule("binance", "BTCUSDT", at="2024-06-01")


def fitted(params, model=None, spot=None, seed=1):
    model = bm.OU() if model is None else model
    data = bm.simulate(model, params, TIMES, rng=seed)
    if spot is not None:
        data = bm.BasisSeries.from_prices(spot, spot * np.exp(data.basis / 1e4))
    return bm.fit(model, data, starts=2)


@pytest.fixture(scope="module")
def fit():
    return fitted({"kappa": 0.05, "theta": 3.0, "sigma": 4.0})


def test_the_accounts_add_up_and_the_sides_mirror(fit):
    short = bm.carry(fit, 48, side="short", rule=RULE, draws=3, rng=1)
    long = bm.carry(fit, 48, side="long", rule=RULE, draws=3, rng=1)
    v = short.table["value"]
    assert v["profit"] == pytest.approx(v["convergence"] + v["funding"] + v["cost"], abs=1e-9)
    np.testing.assert_allclose(short.profit + long.profit, -20.0, atol=1e-9)
    assert v["P(loss)"] == pytest.approx(np.mean(short.profit < 0))
    assert v["expected shortfall"] >= v["value at risk"]
    assert (short.table["lower"] <= short.table["upper"]).all()


def test_convergence_is_the_forecast(fit):
    """Mean and spread of the basis after a day are those of the exact forecast."""
    made = bm.carry(fit, 24, side="short", rule=RULE, cost=0.0, draws=1, paths=40_000, rng=2)
    ahead = bm.forecast(fit, 24).summary_frame().iloc[-1]
    now = fit.data.basis[-1]
    moved = made.profit - 0.0
    assert made.table.loc["convergence", "value"] == pytest.approx(now - ahead["mean"], abs=4 * ahead["sd"] / 200)
    assert np.std(moved) == pytest.approx(ahead["sd"], rel=0.1)  # funding moves it a little


def test_the_covariates_in_force_are_those_of_the_last_row():
    """A level that follows a covariate which jumps in the last row: the first step goes where the forecast goes."""
    z = pd.DataFrame({"z": np.r_[np.sin(np.arange(len(TIMES) - 1.0)), 40.0]}, index=TIMES)
    basis = np.random.default_rng(3).normal(size=len(TIMES)) + np.r_[0.0, z["z"].to_numpy()[:-1]]
    fit = bm.fit(bm.OU(theta="1 + z"), bm.BasisSeries.from_basis(TIMES, basis, covariates=z))
    ahead = bm.forecast(fit, 1).summary_frame().iloc[-1]
    made = bm.carry(fit, 1, side="short", rule=RULE, draws=1, paths=20_000, rng=2)
    assert abs(ahead["mean"] - fit.data.basis[-1]) > 10
    assert made.table.loc["convergence", "value"] == pytest.approx(fit.data.basis[-1] - ahead["mean"], abs=0.1)


def test_inside_the_deadband_a_day_pays_three_times_the_interest():
    made = bm.carry(fitted({"kappa": 1.0, "theta": 2.0, "sigma": 0.01}), 24, side="short", rule=RULE, draws=1, rng=1)
    assert made.table.loc["funding", "value"] == pytest.approx(3.0, abs=1e-6)


def test_a_premium_beyond_the_deadband_pays_itself_less_the_damper():
    """At 25 bps for eight hours: 25 + clamp(1 - 25, +-5) = 20 bps."""
    made = bm.carry(fitted({"kappa": 1.0, "theta": 25.0, "sigma": 0.01}), 8, side="short", rule=RULE, draws=1, rng=1)
    assert made.table.loc["funding", "value"] == pytest.approx(1e4 * np.expm1(25e-4) - 5.0, abs=0.05)


def test_the_first_payment_remembers_the_rows_already_seen():
    """Seven of eight hours stood at 25 bps: the payment in an hour is set by them, whatever the last hour does."""
    calm = fitted({"kappa": 1.0, "theta": 0.0, "sigma": 0.01})
    basis = np.array(calm.data.basis)
    basis[-7:] = 25.0
    fit = bm.refilter(calm, bm.BasisSeries.from_basis(TIMES, basis))
    made = bm.carry(fit, 1, side="short", rule=RULE, draws=1, paths=50, rng=1)
    last = 25.0 * np.exp(-fit.params["kappa"]) + fit.params["theta"] * -np.expm1(-fit.params["kappa"])
    premium = 1e4 * np.expm1(np.r_[np.full(7, 25.0), last] / 1e4)
    expected = premium @ np.arange(1, 9) / 36 - 5.0
    assert made.table.loc["funding", "value"] == pytest.approx(expected, abs=0.02)


def test_closing_at_convergence_forfeits_what_comes_later(fit):
    whole = bm.carry(fit, 96, side="short", rule=RULE, band=2.0, target=3.0, draws=1, rng=3)
    early = bm.carry(fit, 96, side="short", rule=RULE, band=2.0, target=3.0, until="convergence", draws=1, rng=3)
    assert early.table.loc["sd of profit", "value"] < whole.table.loc["sd of profit", "value"]
    back = early.table.loc["P(back in the band)", "value"]
    assert back == whole.table.loc["P(back in the band)", "value"] > 0.8


def test_margin_is_gone_as_often_as_a_random_walk_says():
    """Spot a random walk of 50 bps an hour, a basis that stays out: first passage by the reflection principle."""
    spot = pd.Series(100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 50e-4, len(TIMES)))), TIMES)
    fit = fitted({"kappa": 1.0, "theta": 2.0, "sigma": 0.1}, spot=spot)
    made = bm.carry(
        fit, 48, side="short", rule=RULE, target=-20.0, margin=550.0, maintenance=50.0, draws=1, paths=20_000, rng=5
    )
    sd = 1e4 * np.diff(np.log(spot)).std() * np.sqrt(48.0)
    barrier = 500.0 + 0.5826 * 50.0  # monitored once an hour (Broadie, Glasserman & Kou 1997)
    expected = 2 * norm.sf(barrier / sd)
    assert made.table.loc["P(margin gone)", "value"] == pytest.approx(expected, abs=0.03)


def test_what_it_refuses(fit):
    with pytest.raises(bm.ModelError, match="side"):
        bm.carry(fit, 24, side="up", rule=RULE)
    with pytest.raises(bm.DataError, match="reference"):
        bm.carry(fit, 24, margin=500.0, rule=RULE)
    with pytest.raises(bm.ModelError, match="horizon"):
        bm.carry(fit, -1.0)


def test_a_rule_that_is_guessed_is_said(fit):
    made = bm.carry(fit, 8, draws=1, paths=100)
    assert any("funding rule" in note for note in made.notes)
    assert "binance" in str(made)


def hourly(rates_every: int, rate: float, basis: np.ndarray) -> bm.BasisSeries:
    stamps = TIMES[TIMES.hour % rates_every == 0]
    return bm.BasisSeries.from_basis(TIMES, basis, funding=pd.Series(rate, index=stamps))


def test_payments_come_as_often_as_the_data_settle(fit):
    paid = {
        every: bm.carry(
            bm.fit(bm.OU(), hourly(every, 1e-4, np.asarray(fit.data.basis)), starts=1), 48, side="short", draws=1, rng=1
        ).table.loc["funding", "value"]
        for every in (8, 4)
    }
    assert paid[4] == pytest.approx(2.0 * paid[8], rel=0.3)


def test_a_payment_is_not_won_without_the_jump_that_it_makes():
    """A share in full: to hold over one payment more, or to end just before it, earns the same."""
    model = bm.OU(kappa=0.002, theta=0) + bm.Settlement(jump=1)
    basis = 30.0 + np.random.default_rng(2).normal(size=len(TIMES)).cumsum() * 0.05
    data = bm.funding.attach(hourly(8, 1e-4, basis), RULE).cut(None, "2024-02-10 17:00")
    fit = bm.fit(model, data, starts=1)
    profit = [
        bm.carry(fit, h, side="short", cost=0.0, rule=RULE, draws=1, paths=4000, rng=1).table.loc["profit", "value"]
        for h in (6, 7, 8)
    ]
    assert np.ptp(profit) < 1.0


def test_where_a_payment_is_fixed_ahead_the_first_follows_from_the_interval_that_ended():
    rule = bm.funding.rule("bitmex", "XBTUSD")
    basis = np.where(np.arange(len(TIMES)) < 1190, 5.0, 40.0) + np.random.default_rng(1).normal(size=len(TIMES))
    end = TIMES[TIMES.hour == 20][-1]
    data = bm.BasisSeries.from_basis(TIMES, basis).cut(None, end)
    due = payments(bm.fit(bm.OU(), data, starts=1), rule, 24)
    own = np.asarray(data.basis)[(data.time > end - pd.Timedelta(hours=8)) & (data.time <= end)]
    assert due.fixed == pytest.approx(1e4 * float(rule.rate(np.expm1(own / 1e4))))


def test_a_venue_that_settles_once_a_day_pays_for_every_interval_of_its_rate():
    """Deribit: rates for 8 h, settled at 08:00: three of them in a day, not one."""
    data = bm.BasisSeries.from_basis(TIMES, np.random.default_rng(1).normal(size=len(TIMES)))
    due = payments(bm.fit(bm.OU(), data, starts=1), bm.funding.rule("deribit", "BTC-PERPETUAL"), 48)
    assert len(due.steps) == 6


@pytest.mark.parametrize(
    "bad", [{"until": "converge"}, {"cost": float("nan")}, {"risk": 95}, {"paths": 0}, {"draws": 2.5}, {"target": "x"}]
)
def test_arguments_that_make_no_sense_are_refused(fit, bad):
    with pytest.raises(bm.ModelError, match=next(iter(bad))):
        bm.carry(fit, 24, rule=RULE, **bad)


def held(model, params, data) -> bm.results.Fit:
    """A fit held at given parameters, its covariance that of a sure estimate."""
    problem = bind(model, data)
    x = free_vector(problem, params)
    return bm.results.Fit(problem, x, 1e-12 * np.eye(len(x)), 0.0, (), pd.DataFrame())


def test_no_regime_is_held_for_longer_than_in_the_fit():
    """Four-hour data under steps of half an hour: the basis goes where the forecast goes, with its spread."""
    times = pd.date_range("2024-01-01", periods=300, freq="4h", tz="UTC")
    data = bm.BasisSeries.from_basis(times, 40.0 + np.random.default_rng(1).normal(size=300).cumsum() * 0.1)
    params = {"kappa[0]": 0.6, "kappa[1]": 0.02, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 2.0, "q[0->1]": 0.2,
              "q[1->0]": 0.1}  # fmt: skip
    fit = held(bm.Switching(bm.OU(), regimes=2, max_step=0.5), params, data)
    ahead = bm.forecast(fit, 8).summary_frame()
    made = walks(fit.problem, fit.x, 2, 40_000, np.random.default_rng(2)).basis
    error = ahead["sd"].to_numpy() / np.sqrt(40_000)
    np.testing.assert_allclose(made[:, 1:].mean(axis=0), ahead["mean"], atol=4 * error.max())
    np.testing.assert_allclose(made[:, 1:].std(axis=0), ahead["sd"], rtol=0.02)
    short = bm.carry(fit, 4, side="short", rule=RULE, draws=1, paths=20_000, rng=2)
    assert short.table.loc["convergence", "value"] == pytest.approx(fit.data.basis[-1] - ahead["mean"].iloc[0], abs=0.3)


@pytest.mark.parametrize("call", [bm.forecast, bm.carry])
def test_a_horizon_out_of_all_reach_is_refused(fit, call):
    with pytest.raises(bm.ModelError, match="1,000,000,000 steps"):
        call(fit, 1e9)
    for far in (1e-12, 1e308):
        with pytest.raises(bm.ModelError, match=r"10,000\. Remedy: horizon=1 to 10000"):
            call(fit, far)


def test_a_payment_is_set_by_the_rows_of_its_interval(fit):
    """As from the whole path, rows already seen first; but the path is not copied for it."""
    due = payments(fit, RULE, 400)
    basis = np.random.default_rng(1).normal(20.0, 5.0, (500, 401))
    path = np.concatenate([np.broadcast_to(due.before, (500, len(due.before))), basis[:, 1:]], axis=1)
    for step, rows in zip(due.steps, due.rows, strict=True):
        expected = 1e4 * RULE.rate(np.expm1(path[:, rows] / 1e4))
        np.testing.assert_allclose(due.at(basis, step), expected, rtol=1e-12)
    tracemalloc.start()
    due.at(basis, due.steps[-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < basis.nbytes / 4


@pytest.mark.parametrize("rule", ["binance", 8])
def test_a_rule_of_another_kind_is_refused(fit, rule):
    with pytest.raises(bm.ModelError, match=r"rule must be a funding rule, got .*bm\.funding\.rule"):
        bm.carry(fit, 8, rule=rule)


@pytest.mark.parametrize("wrong", [None, pd.DataFrame(), "fit"])
def test_what_is_no_fit_is_refused(wrong):
    with pytest.raises(bm.ModelError, match="expected a fit"):
        bm.carry(wrong, 8)
