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


def paying(event=0.0):
    """A series that ends at a payment, its model jumping by what is paid; its rule settles every 8 h."""
    rule = bm.funding.custom(interval_hours=8.0, damper=0.0, interest_8h=0.0)
    time = pd.date_range("2024-01-01 01:00", periods=320, freq="h", tz="UTC")
    y = 20.0 + np.cumsum(np.random.default_rng(2).normal(size=320))
    extra = pd.DataFrame({"event": np.full(320, event)}, index=time)
    data = bm.funding.attach(bm.BasisSeries.from_basis(time, y, covariates=extra), rule)
    fit = bm.fit(bm.OU(theta="1 + funding_gap") + bm.Settlement(jump="0 + funding_paid"), data)
    names = {"kappa": 0.1, "theta": 5.0, "theta:funding_gap": 0.0, "sigma": 1.0, "jump:funding_paid": -1.0}
    return replace(fit, x=fit.problem.spec.to_free(np.array([names[n] for n in fit.names])))


def test_a_payment_is_made_once_whatever_is_known_of_those_to_come():
    """Held, given and simulated differ by their payments: one at the last row, one of 5 bps, those of the rule."""
    fit = paying()
    now, decay = fit.data.time[-1], np.exp(-0.1)
    held = bm.forecast(fit, 6, funding="held").summary_frame()["mean"].to_numpy()
    paid = float(fit.data.covariates["funding_paid"].iloc[-1])
    assert paid != 0.0
    assert held[0] == pytest.approx(5.0 + decay * (fit.data.basis[-1] - paid - 5.0), rel=1e-9)
    assert np.diff(held[1:]) == pytest.approx(np.diff(held[:-1]) * decay, rel=1e-9)
    gap = pd.DataFrame({"funding_gap": [3.0]}, index=[now + pd.Timedelta(hours=1)])
    np.testing.assert_allclose(bm.forecast(fit, 6, covariates=gap).summary_frame()["mean"], held, rtol=1e-12)
    once = pd.DataFrame({"funding_paid": [5.0]}, index=[now + pd.Timedelta(hours=2)])
    given = bm.forecast(fit, 6, covariates=once).summary_frame()["mean"].to_numpy()
    np.testing.assert_allclose(given[:2], held[:2], rtol=1e-12)
    np.testing.assert_allclose(given[2:] - held[2:], -5.0 * decay ** np.arange(1, 5), rtol=1e-9)
    walked = bm.forecast(fit, 6, paths=20_000, rng=1).summary_frame()["mean"].to_numpy()
    np.testing.assert_allclose(walked, held, atol=0.1)


def test_a_calm_and_a_wild_regime_stay_apart_on_paths():
    """One step ahead the mixture is the exact one, its peak and its tails included."""
    rule = bm.funding.custom(interval_hours=8.0, damper=0.0, interest_8h=0.0)
    model = bm.Switching(bm.OU(theta="1 + funding_gap") + bm.Noise(), 2, varies="sigma")
    time = pd.date_range("2024-01-01 01:00", periods=300, freq="h", tz="UTC")
    data = bm.funding.attach(bm.BasisSeries.from_basis(time, np.random.default_rng(1).normal(size=300)), rule)
    values = {
        "kappa": 0.2, "theta": 0.0, "theta:funding_gap": 0.0, "sigma[0]": 1.0, "sigma[1]": 12.0, "tau": 0.5,
        "q[0->1]": 0.1, "q[1->0]": 0.1,
    }  # fmt: skip
    fit = bm.fit(model, data, starts=1)
    fit = replace(fit, x=fit.problem.spec.to_free(np.array([values[n] for n in fit.names])))
    held, walked = bm.forecast(fit, 1, funding="held"), bm.forecast(fit, 1, paths=20_000, rng=1)
    for p in (0.001, 0.25, 0.5, 0.75, 0.999):
        assert walked.quantile((p,)).iloc[0, 0] == pytest.approx(held.quantile((p,)).iloc[0, 0], abs=0.4), p


@pytest.mark.parametrize("minutes", [1, 5, 20])
def test_a_given_value_acts_from_its_own_close_on_any_spacing(minutes):
    time = pd.date_range("2024-01-01", periods=200, freq=f"{minutes}min", tz="UTC")
    wave = pd.DataFrame({"wave": np.random.default_rng(1).normal(size=200)}, index=time)
    data = bm.BasisSeries.from_basis(time, np.random.default_rng(2).normal(size=200), covariates=wave)
    fit = bm.fit(bm.OU(theta="1 + wave"), data)
    fit = replace(fit, x=fit.problem.spec.to_free(np.array([1.0, 0.0, 1.0, 1.0])))
    held = bm.forecast(fit, 12 * minutes / 60).summary_frame()["mean"].to_numpy()
    for row in range(1, 11):
        at = pd.DataFrame({"wave": [1e3]}, index=time[-1:] + pd.Timedelta(minutes=row * minutes))
        moved = bm.forecast(fit, 12 * minutes / 60, covariates=at).summary_frame()["mean"].to_numpy() != held
        assert list(moved) == [False] * row + [True] * (12 - row)


@pytest.mark.parametrize("venue", RULES)
def test_closes_rarer_than_payments_give_numbers(venue):
    rule = bm.funding.rule(venue, RULES[venue][0], at=RULES[venue][1])
    time = pd.date_range("2024-06-01", periods=120, freq="D", tz="UTC")
    data = bm.funding.attach(bm.BasisSeries.from_basis(time, np.random.default_rng(3).normal(0, 20, 120)), rule)
    fit = bm.fit(bm.OU(theta="1 + funding_gap"), data)
    frame = bm.forecast(fit, 24 * 4, paths=50, funding="simulated", rng=1).summary_frame()
    assert np.isfinite(frame.to_numpy()).all()


def test_a_payment_fixed_ahead_is_known_in_the_last_interval():
    """What is due follows from the closes so far, in the data and at the forecast's first step."""
    rule = bm.funding.custom(timing="next", damper=0.0, interest_8h=0.0)
    time = pd.date_range("2024-06-01", periods=231, freq="h", tz="UTC")
    y = 10.0 * np.random.default_rng(4).normal(size=231)
    whole = bm.funding.attach(bm.BasisSeries.from_basis(time, y), rule).covariates
    early = bm.funding.attach(bm.BasisSeries.from_basis(time[:222], y[:222]), rule)
    pd.testing.assert_frame_equal(early.covariates, whole.iloc[:222])
    fit = bm.fit(bm.OU(theta="1 + funding"), early)
    fit = replace(fit, x=fit.problem.spec.to_free(np.array([9.0, 0.0, 1.0, 1.0])))
    first = bm.forecast(fit, 1, paths=50, rng=1).summary_frame()["mean"].iloc[0]
    assert first == pytest.approx(whole["funding_due"].iloc[221], abs=0.05)


def test_masked_closes_keep_their_place_in_the_interval():
    rule = bm.funding.rule("binance", "BTCUSDT", at="2024-06-01")
    time = pd.date_range("2024-06-01 01:00", periods=300, freq="h", tz="UTC")
    y = np.cumsum(np.random.default_rng(4).normal(size=300)) + 30.0
    y[216:220] = np.nan
    whole = bm.funding.attach(bm.BasisSeries.from_basis(time, y), rule)
    early = bm.funding.attach(bm.BasisSeries.from_basis(time[:221], y[:221]), rule)
    walk = running(bm.fit(bm.OU(theta="1 + funding_gap"), early), rule, 2)
    for i in range(221, 230):
        walk.close(time[i - 1], time[i], np.full(2, y[i]))
    assert walk.columns(time[229], 1.0)["premium_mean"][0] == pytest.approx(whole.covariates["premium_mean"].iloc[229])


def test_covariates_no_formula_names_are_refused(funded):
    at = pd.DataFrame({"funding_gap": [1.0]}, index=pd.DatetimeIndex(["2030-01-01"], tz="UTC"))
    with pytest.raises(bm.DataError, match="no formula"):
        bm.forecast(funded[0], 6, covariates=at)
