"""Limits in which one filter must become another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.inference.simulate import free_vector
from basismodels.likelihood import hamilton, kalman, kim
from basismodels.likelihood.kim import Start, Steps
from basismodels.problem import bind
from basismodels.series import BasisSeries


def alike(made, regimes):
    """The one-regime case copied into several regimes of a chain that moves."""
    g = np.random.default_rng(9)
    m = len(made.steps.phi)
    p = g.dirichlet(np.ones(regimes), (m, regimes))
    p[0] = np.eye(regimes)
    wide = [np.repeat(part, regimes, axis=1) for part in made.steps[:4]]
    start = made.start
    copied = Start(
        g.dirichlet(np.ones(regimes)), np.repeat(start.mean, regimes, 0), np.repeat(start.var, regimes, 0),
        np.repeat(start.diffuse, regimes), start.flat,
    )  # fmt: skip
    return Steps(*wide, *made.steps[4:7], p), copied


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize("regimes", [2, 3, 4])
def test_equal_regimes_leave_kim_the_kalman_filter(case, regimes, diffuse):
    made = case(1, 300, 4, slow=False, diffuse=diffuse)
    steps, start = alike(made, regimes)
    value = kalman.loglik(*made)
    assert kim.loglik(made.y, made.row, steps, start) == pytest.approx(value, rel=1e-9)
    moments = kim.filter(made.y, made.row, steps, start)
    plain = kalman.filter(*made)
    for k in range(regimes):
        np.testing.assert_allclose(moments.mean[:, k], plain.mean[:, 0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(moments.var[:, k], plain.var[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("diffuse", [False, True])
def test_equal_regimes_leave_kim_exact_with_a_slow_level(case, diffuse):
    made = case(1, 300, 5, diffuse=diffuse)
    steps, start = alike(made, 3)
    assert kim.loglik(made.y, made.row, steps, start) == pytest.approx(kim.loglik(*made), rel=1e-9)


@pytest.mark.parametrize("regimes", [2, 3, 4])
@pytest.mark.parametrize("diffuse", [False, True])
def test_kim_without_noise_is_hamilton(case, regimes, diffuse):
    made = case(regimes, 300, 6, noise=0.0, slow=False, missing=False, diffuse=diffuse)
    value = hamilton.loglik(*made)
    assert kim.loglik(*made) == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(kim.filter(*made).p, hamilton.filter(*made).p, rtol=1e-8, atol=1e-9)


def test_vanishing_noise_goes_to_hamilton_at_first_order(case):
    made = case(2, 200, 7, noise=0.0, slow=False, missing=False)
    exact = hamilton.loglik(*made)
    gaps = []
    for tau2 in (1e-6, 1e-8):
        steps = made.steps._replace(tau2=np.full_like(made.steps.tau2, tau2))
        gaps.append(abs(kim.loglik(made.y, made.row, steps, made.start) - exact))
    assert gaps[0] < 1e-2
    assert gaps[1] == pytest.approx(gaps[0] / 100, rel=0.05)


@pytest.mark.parametrize("diffuse", [False, True])
def test_scalar_kalman_is_kim_with_one_regime(case, diffuse):
    made = case(1, 400, 8, slow=False, diffuse=diffuse)
    assert kalman.loglik(*made) == pytest.approx(kim.loglik(*made), rel=1e-12)
    value, bars, back = kalman.loglik_grad(*made)
    other, theirs, their_back = kim.loglik_grad(*made)
    assert value == pytest.approx(other, rel=1e-12)
    for name in ("phi", "c", "v", "tau2"):
        np.testing.assert_allclose(getattr(bars, name), getattr(theirs, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back.mean, their_back.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back.var[:, 0], their_back.var[:, 0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("tau2", [0.0, 0.3, 30.0])
def test_the_settled_gain_changes_nothing(case, tau2):
    """Regular stretches, in which the gain settles, broken by other steps and missing rows."""
    made = case(1, 6000, 9, slow=False, missing=False, distinct=4)
    row = np.ones(6000, dtype=np.int64)
    row[0], row[2000:2003], row[4000] = 0, 2, 3
    y = made.y.copy()
    y[[1000, 3000, 3001]] = np.nan
    steps = made.steps._replace(tau2=np.full_like(made.steps.tau2, tau2))
    plain = np.nansum(kalman.pointwise(y, row, steps, made.start))
    assert kalman.loglik(y, row, steps, made.start) == pytest.approx(plain, rel=1e-12)
    steady = np.ones(6000, dtype=np.int64)
    steady[0] = 0
    plain = np.nansum(kalman.pointwise(made.y, steady, steps, made.start))
    assert kalman.loglik(made.y, steady, steps, made.start) == pytest.approx(plain, rel=1e-12)


def test_pointwise_densities_sum_to_the_likelihood(case):
    for kernel, kwargs in (
        (kim, {}),
        (kalman, {"slow": False}),
        (hamilton, {"slow": False, "missing": False}),
    ):
        made = case(1 if kernel is kalman else 2, 50, 3, **kwargs)
        density = kernel.pointwise(*made)
        assert np.array_equal(np.isnan(density), np.isnan(made.y))
        assert np.nansum(density) == pytest.approx(kernel.loglik(*made), rel=1e-12)
        assert kernel.loglik_grad(*made)[0] == pytest.approx(kernel.loglik(*made), rel=1e-12)


def test_one_observation_is_its_start_density(case):
    made = case(2, 1, 2)
    sd2 = made.start.var[:, 0] + made.start.var[:, 2] + made.steps.tau2[0, :, 0]
    e = made.y[0] - made.start.mean[:, 0]
    density = made.start.p @ (np.exp(-0.5 * e**2 / sd2) / np.sqrt(2 * np.pi * sd2))
    assert kim.loglik(*made) == pytest.approx(np.log(density), rel=1e-12)
    assert kim.filter(*made).p.shape == (1, 2)


def test_a_regime_without_shocks_does_not_blow_up_the_smoother():
    """Merging puts weight on histories a deterministic regime cannot have; smoothing them would grow without bound."""
    values = {
        "kappa[0]": 0.45, "kappa[1]": 0.54, "kappa[2]": 0.04, "theta[0]": 3.4, "theta[1]": 1.0, "theta[2]": -67.0,
        "sigma[0]": 1.6e-4, "sigma[1]": 0.48, "sigma[2]": 4.0, "slow.kappa": 0.0015, "slow.sigma": 0.26, "tau": 0.76,
        "q[0->1]": 0.78, "q[0->2]": 8e-4, "q[1->0]": 0.9, "q[1->2]": 5e-6, "q[2->0]": 5e-6, "q[2->1]": 0.015,
    }  # fmt: skip
    rng = np.random.default_rng(2)
    n = 1500
    y = np.convolve(rng.normal(size=n + 8), 0.6 ** np.arange(9), "valid") + 0.75 * rng.normal(size=n)
    y[700:772] += np.cumsum(3.5 * rng.normal(size=72))
    data = BasisSeries.from_basis(pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC"), y)
    model = Switching(OU() + SlowOU() + Noise(), 3, varies=("kappa", "theta", "sigma"))
    problem = bind(model, data)
    smoothed = problem.engine.smooth(problem.layout, free_vector(problem, values))
    assert np.isfinite(smoothed.var).all()
    assert np.abs(smoothed.mean[smoothed.p > 1e-6]).max() < 20 * np.abs(y).max()
