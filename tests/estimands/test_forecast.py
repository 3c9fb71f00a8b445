"""Forecasts against simulation and against the filter itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm


def hours(n):
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


def test_one_step_ahead_is_the_next_log_density():
    data = bm.load_example(end="2024-02-10")
    for model in (bm.preset("two-factor"), bm.Switching(bm.OU()), bm.Switching(bm.OU() + bm.Noise())):
        fit = bm.fit(model, data, starts=3)
        cut = data.n - 100
        shorter = bm.BasisSeries.from_basis(data.time[:cut], data.basis[:cut])
        from dataclasses import replace

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
