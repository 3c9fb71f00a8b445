"""Sandwich errors: equal to the information's where the model is right, wider where shocks come in bursts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.sandwich import sandwich, scores

TIMES = pd.date_range("2024-01-01", periods=4000, freq="h", tz="UTC")


def test_scores_add_up_to_the_gradient():
    """Their sum is the gradient of the log likelihood, at the maximum and away from it."""
    from dataclasses import replace

    data = bm.simulate(bm.OU() + bm.Noise(), {"kappa": 0.1, "theta": 1.0, "sigma": 1.0, "tau": 0.5}, TIMES[:500], rng=1)
    fit = bm.fit(bm.OU() + bm.Noise(), data, initial="conditional")
    away = replace(fit, x=fit.x + 0.05)
    _, gradient = away.problem.engine.loglik_grad(away.problem.layout, away.x)
    np.testing.assert_allclose(scores(away).sum(axis=0), gradient, rtol=1e-5, atol=1e-5 * np.abs(gradient).max())


def test_where_the_model_is_right_nothing_changes():
    data = bm.simulate(bm.OU(), {"kappa": 0.2, "theta": 0.0, "sigma": 1.0}, TIMES, rng=2)
    fit = bm.fit(bm.OU(), data)
    np.testing.assert_allclose(sandwich(fit).bse, fit.bse, rtol=0.15)


def test_shocks_in_bursts_widen_the_error_of_sigma():
    """Two regimes fitted by one: the spread of repeated estimates is what the sandwich says, twice the plain one."""
    model = bm.Switching(bm.OU(), 2)
    truth = {"kappa[0]": 0.2, "kappa[1]": 0.2, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 4.0,
             "q[0->1]": 0.01, "q[1->0]": 0.03}  # fmt: skip
    found, said, plain = [], [], []
    for seed in range(40):
        fit = bm.fit(bm.OU(), bm.simulate(model, truth, TIMES, rng=seed))
        found.append(fit.x[2])
        said.append(np.sqrt(sandwich(fit, hours=72.0).cov[2, 2]))
        plain.append(np.sqrt(fit.cov[2, 2]))
    assert np.mean(said) == pytest.approx(np.std(found, ddof=1), rel=0.35)
    assert np.mean(said) > 2 * np.mean(plain)


def test_behind_the_one_call_and_what_it_refuses():
    data = bm.simulate(bm.OU(), {"kappa": 0.2, "theta": 0.0, "sigma": 1.0}, TIMES[:300], rng=2)
    fit = bm.fit(bm.OU(), data)
    made = bm.conf_int(fit, method="sandwich")
    assert (made["method"] == "sandwich").all()
    assert (made["lower"] < fit.params).all()
    with pytest.raises(bm.ModelError, match="hours"):
        sandwich(fit, hours=-1)
