"""Failures to come: closed forms, a simulated chain, and a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.outlook import chain_outlook


def test_two_regimes_have_closed_forms():
    """Entry a, exit b: occupation probabilities and exponential durations."""
    a, b, h = 0.02, 0.1, 24.0
    rates, now = np.array([[0.0, a], [b, 0.0]]), np.array([0.7, 0.3])
    made = chain_outlook(rates, now, np.array([False, True]), h, wait=5.0)
    long_run = a / (a + b)
    for hours, name in ((h, "ahead"), (5.0, "next settlement")):
        assert made[name] == pytest.approx(long_run + (0.3 - long_run) * np.exp(-(a + b) * hours), rel=1e-12)
    assert made["any"] == pytest.approx(1 - 0.7 * np.exp(-a * h), rel=1e-12)
    assert made["stationary"] == pytest.approx(long_run, rel=1e-12)
    assert made["duration"] == pytest.approx(1 / b, rel=1e-12)
    assert made["residual"] == pytest.approx(1 / b, rel=1e-12)


def test_three_regimes_against_a_simulated_chain():
    """Two failing regimes that lead into each other: durations and the chance of any, by walking the chain."""
    rates = np.array([[0.0, 0.03, 0.01], [0.1, 0.0, 0.2], [0.05, 0.02, 0.0]])
    failing, now, h = np.array([False, True, True]), np.array([0.8, 0.1, 0.1]), 12.0
    made = chain_outlook(rates, now, failing, h)
    rng = np.random.default_rng(1)
    leave = rates.sum(axis=1)

    def stay(s):
        """Hours in the failing set from regime s."""
        hours = 0.0
        while failing[s]:
            hours += rng.exponential(1 / leave[s])
            s = rng.choice(3, p=rates[s] / leave[s])
        return hours

    n = 20_000
    first = rng.choice(3, size=n, p=now)
    hit = [failing[s] or rng.exponential(1 / leave[0]) < h for s in first]  # every way out of regime 0 leads to failure
    assert made["any"] == pytest.approx(np.mean(hit), abs=0.015)
    from_now = [stay(s) for s in rng.choice([1, 2], size=n)]
    assert made["residual"] == pytest.approx(np.mean(from_now), rel=0.05)
    begun = [stay(s) for s in rng.choice(3, size=n, p=rates[0] / leave[0])]
    assert made["duration"] == pytest.approx(np.mean(begun), rel=0.05)


def test_no_failure_and_nothing_but_failure():
    rates, now = np.array([[0.0, 0.1], [0.2, 0.0]]), np.array([0.4, 0.6])
    none = chain_outlook(rates, now, np.array([False, False]), 24.0)
    assert none["now"] == none["any"] == none["ahead"] == none["stationary"] == 0.0
    assert np.isnan(none["duration"])
    every = chain_outlook(rates, now, np.array([True, True]), 24.0)
    assert every["any"] == every["now"] == pytest.approx(1.0)
    assert np.isinf(every["duration"])


def test_rates_are_those_known_at_the_last_row():
    """A covariate that jumps in the last row moves every quantity: the row before it is no longer in force."""
    times = pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC")
    z = np.sin(np.arange(600.0))
    z[-1] = 3.0
    wild = np.where(np.arange(600) % 60 < 20, 5.0, 1.0)
    basis = wild * np.random.default_rng(1).normal(size=600)
    data = bm.BasisSeries.from_basis(times, basis, covariates=pd.DataFrame({"z": z}, index=times))
    fit = bm.fit(bm.Switching(bm.OU(), 2, transition="1 + z"), data, starts=2)
    made = bm.failure_outlook(fit, band=1e-3, threshold=1e-9, draws=2)
    failing = bm.failure_regimes(fit, band=1e-3, threshold=1e-9, draws=2)["fails"].to_numpy()
    p = fit.params
    rates = np.zeros((2, 2))
    for i, j in ((0, 1), (1, 0)):
        rates[i, j] = p[f"q[{i}->{j}]"] * np.exp(3.0 * p[f"q[{i}->{j}]:z"])
    expected = chain_outlook(rates, fit.filtered.p[-1], failing, 24.0)
    assert made.loc["ahead", "value"] == pytest.approx(expected["ahead"], rel=1e-9)
    assert made.loc["stationary", "value"] == pytest.approx(expected["stationary"], rel=1e-9)
    assert failing.any()


def test_on_a_fit_with_limits():
    """The planted episode of the example: failures are rare, last days, and the limits hold the estimate."""
    data = bm.load_example()
    fit = bm.fit(bm.preset("switching-two-factor"), data, starts=4)
    made = bm.failure_outlook(fit, draws=40, rng=1)
    assert made.attrs["draws"] > 30
    assert 0 < made.loc["stationary", "value"] < 0.3
    assert 12 < made.loc["duration", "value"] < 500
    assert ((made["lower"] <= made["value"]) & (made["value"] <= made["upper"])).all()
    now = bm.failure_probability(fit, draws=2)["filtered"].iloc[-1]
    assert made.loc["now", "value"] == pytest.approx(now, abs=1e-12)
    assert "next settlement" in made.index
    with pytest.raises(bm.ModelError, match="horizon"):
        bm.failure_outlook(fit, horizon=0)
