"""Forecasts against simulation and against the filter itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.forecast_paths import running
from basismodels.funding.covariates import COVARIATES


def hours(n):
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


def test_one_step_ahead_is_the_next_log_density():
    data = bm.load_example(end="2024-02-10")
    for model in (bm.preset("two-factor"), bm.Switching(bm.OU()), bm.Switching(bm.OU() + bm.Noise())):
        fit = bm.fit(model, data, starts=3)
        cut = data.n - 100
        shorter = bm.BasisSeries.from_basis(data.time[:cut], data.basis[:cut])
        from basismodels.problem import bind

        early = replace(fit, problem=bind(model, shorter))
        ahead = bm.forecast(early, horizon=1.0)
        found = ahead.log_density(np.array([data.basis[cut]]))[0]
        assert found == pytest.approx(fit.log_density.iloc[cut], abs=1e-6)


def test_far_ahead_is_the_stationary_law():
    fit = bm.fit(bm.OU() + bm.Noise(), bm.load_example(end="2024-02-20"))
    frame = bm.forecast(fit, horizon=24 * 100).summary_frame().iloc[-1]
    sd = np.hypot(bm.stationary_sd(fit), fit.params["tau"])
    assert frame["mean"] == pytest.approx(fit.params["theta"], abs=1e-3)
    assert frame["sd"] == pytest.approx(sd, rel=1e-3)


def test_quantiles_cover_what_is_simulated_from_the_last_state():
    fit = bm.fit(bm.Switching(bm.OU()), bm.load_example(), starts=3)
    ahead = bm.forecast(fit, horizon=12)
    p, kappa, sigma = (
        fit.filtered.p[-1],
        *(np.array([fit.params[f"{n}[{k}]"] for k in (0, 1)]) for n in ("kappa", "sigma")),
    )
    rng, n = np.random.default_rng(3), 200_000
    from basismodels.likelihood.transition import chain_step

    rates = np.array([[0.0, fit.params["q[0->1]"]], [fit.params["q[1->0]"], 0.0]])
    step = chain_step(rates[None], np.array([1.0]))[0]
    s = (rng.random(n) > p[0]).astype(int)
    x = np.full(n, fit.data.basis[-1])
    for _ in range(12):
        s = (rng.random(n) > step[s, 0]).astype(int)
        decay = np.exp(-kappa[s])
        sd = sigma[s] * np.sqrt(-np.expm1(-2 * kappa[s]) / (2 * kappa[s]))
        x = fit.params["theta"] + decay * (x - fit.params["theta"]) + sd * rng.standard_normal(n)
    assert ahead.regimes.iloc[-1, 1] == pytest.approx(s.mean(), abs=5e-3)
    assert ahead.summary_frame()["sd"].iloc[-1] == pytest.approx(x.std(), rel=0.02)
    for q in (0.05, 0.5, 0.95):
        assert ahead.cdf(np.quantile(x, q))[-1] == pytest.approx(q, abs=0.02)


def test_bad_horizons_are_refused():
    fit = bm.fit(bm.OU(), bm.load_example(end="2024-01-10"))
    with pytest.raises(bm.ModelError, match="horizon"):
        bm.forecast(fit, horizon=0)


RULES = {
    "binance": ("BTCUSDT", "2024-06-01"),
    "bitmex": ("XBTUSD", "2024-06-01"),
    "deribit": ("BTC-PERPETUAL", "2024-06-01"),
    "hyperliquid": ("BTC", "2024-06-01"),
}


@pytest.mark.parametrize("venue", RULES)
def test_columns_on_a_path_are_those_the_rule_makes_of_it(venue):
    """Funding walked close by close is what `attach` makes of the whole path."""
    rule = bm.funding.rule(venue, RULES[venue][0], at=RULES[venue][1])
    rng = np.random.default_rng(4)
    time, cut = pd.date_range("2024-06-01 01:00", periods=400, freq="h", tz="UTC"), 221
    y = np.cumsum(rng.normal(size=400)) + 6.0
    whole = bm.funding.attach(bm.BasisSeries.from_basis(time, y), rule)
    early = bm.funding.attach(bm.BasisSeries.from_basis(time[:cut], y[:cut]), rule)
    walk = running(bm.fit(bm.OU(theta="1 + funding_gap"), early), rule, 3)
    for i in range(cut, 390):  # not the last interval, whose payment the record does not hold
        walk.close(time[i - 1], time[i], np.full(3, y[i]))
        for name, values in walk.columns(time[i], 1.0).items():
            expected = whole.covariates[name].iloc[i]
            assert values == pytest.approx(np.full(3, expected), rel=1e-9, abs=1e-9, nan_ok=True), (name, time[i])
    assert set(walk.columns(time[389], 1.0)) == {c for c in whole.covariates if c in COVARIATES}


@pytest.fixture(scope="module")
def funded():
    """A market whose level follows funding without noise, under a rule that is always free to move."""
    rule = bm.funding.custom(interval_hours=8.0, damper=0.0, cap=0.01, interest_8h=0.0)
    g = np.random.default_rng(5)
    y = np.empty(600)
    y[0] = 12.0
    for i in range(1, 600):
        y[i] = 0.9 * y[i - 1] + g.normal()
    time = pd.date_range("2024-01-01 01:00", periods=600, freq="h", tz="UTC")
    data = bm.funding.attach(bm.BasisSeries.from_basis(time, y), rule)
    fit = bm.fit(bm.OU(theta="1 + funding"), data)
    x = fit.problem.spec.to_free(np.array([0.2, 1.0, 0.8, 1.0]))
    return replace(fit, x=x), rule


def test_simulated_funding_against_a_walk_by_hand(funded):
    """Mean and spread of the basis; funding is the mean of each path's last eight closes, the newest counting most."""
    fit, _ = funded
    ahead = bm.forecast(fit, horizon=24, paths=40_000, rng=1)
    assert ahead.note.startswith("funding simulated")
    assert ahead.weights.shape == (24, 256)
    rng, n, data = np.random.default_rng(2), 40_000, fit.data
    known, decay, sd = float(data.covariates["funding"].iloc[-1]), np.exp(-0.2), np.sqrt(-np.expm1(-0.4) / 0.4)
    x, funding = np.full(n, data.basis[-1]), np.full(n, known)
    begun = data.time[-1].floor("8h")
    rows = [np.full(n, value) for value in data.basis[data.time > begun]]
    for i in range(24):
        level = 1.0 + 0.8 * funding
        x = level + decay * (x - level) + sd * rng.standard_normal(n)
        rows.append(x)
        if (data.time[-1] + pd.Timedelta(hours=i + 1)).hour % 8 == 0:
            premium, rows = 1e4 * np.expm1(np.array(rows) / 1e4), []
            funding = np.average(premium, axis=0, weights=np.arange(1, len(premium) + 1))
    frame = ahead.summary_frame()
    assert frame["mean"].iloc[-1] == pytest.approx(x.mean(), abs=0.05)
    assert frame["sd"].iloc[-1] == pytest.approx(x.std(), rel=0.02)
    assert frame["lower"].iloc[-1] == pytest.approx(np.quantile(x, 0.025), abs=0.15)
    held = bm.forecast(fit, horizon=24, funding="held").summary_frame()
    assert frame["sd"].iloc[-1] > 1.05 * held["sd"].iloc[-1]


def test_a_given_path_of_funding(funded):
    """The level follows what is given from its stamp on; a path that stays as it was changes nothing."""
    fit, _ = funded
    now = fit.data.time[-1]
    jump = pd.DataFrame({"funding": [50.0]}, index=[now + pd.Timedelta(hours=3)])
    given, held = bm.forecast(fit, 6, covariates=jump), bm.forecast(fit, 6, funding="held")
    mean, still = given.summary_frame()["mean"].to_numpy(), held.summary_frame()["mean"].to_numpy()
    np.testing.assert_allclose(mean[:3], still[:3], rtol=1e-12)
    level, decay = 1.0 + 0.8 * 50.0, np.exp(-0.2)
    assert mean[3] == pytest.approx(level + decay * (mean[2] - level), rel=1e-12)
    same = pd.DataFrame({"funding": fit.data.covariates["funding"].iloc[[-1]].to_numpy()}, index=jump.index)
    np.testing.assert_allclose(bm.forecast(fit, 6, covariates=same).summary_frame(), held.summary_frame(), rtol=1e-12)


def test_regimes_that_follow_utilisation_and_the_same_seed(funded):
    fit, _ = funded
    model = bm.Switching(bm.OU() + bm.Noise(), 2, transition="1 + funding_utilisation")
    fit = bm.fit(model, fit.data, starts=2)
    ahead, again = (bm.forecast(fit, 5, paths=300, rng=7) for _ in range(2))
    assert np.array_equal(ahead.mean, again.mean)
    np.testing.assert_allclose(ahead.regimes.sum(axis=1), 1.0, rtol=1e-9)
    # one step ahead nothing has to be simulated but the state
    held = bm.forecast(fit, 1, funding="held").summary_frame().iloc[0]
    first = bm.forecast(fit, 1, paths=20_000, rng=7).summary_frame().iloc[0]
    assert first["sd"] == pytest.approx(held["sd"], rel=0.02)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"funding": "guessed"}, "simulated"),
        ({"paths": 0}, "paths"),
        ({"covariates": pd.DataFrame({"wave": [1.0]}, index=pd.DatetimeIndex(["2030-01-01"], tz="UTC"))}, "wave"),
        ({"covariates": pd.DataFrame({"funding": [1.0]}, index=pd.DatetimeIndex(["2020-01-01"], tz="UTC"))}, "after"),
        ({"covariates": pd.DataFrame({"funding": [1.0]}, index=pd.DatetimeIndex(["2030-01-01"]))}, "UTC"),
        (
            {"covariates": pd.DataFrame({"funding": [np.nan]}, index=pd.DatetimeIndex(["2030-01-01"], tz="UTC"))},
            "missing",
        ),
        ({"covariates": {"funding": 1.0}}, "frame by time"),
    ],
)
def test_what_cannot_be_forecast_is_refused(funded, asked, word):
    with pytest.raises(bm.BasismodelsError, match=word):
        bm.forecast(funded[0], 6, **asked)


def test_simulation_needs_a_rule():
    fit = bm.fit(bm.OU(), bm.BasisSeries.from_basis(hours(50), np.random.default_rng(1).normal(size=50)))
    with pytest.raises(bm.ModelError, match="no funding rule"):
        bm.forecast(fit, 6, funding="simulated")
