"""One-regime models against the dense multivariate normal of their continuous-time covariance."""

from __future__ import annotations

import numpy as np
import pytest

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.likelihood import assemble, kalman, ou, predictors
from basismodels.likelihood.kim import Start, Steps
from basismodels.problem import bind

MODELS = {"ou": OU, "ou-noise": lambda: OU() + Noise(), "two-factor": lambda: OU() + SlowOU() + Noise()}


def setting(series, name, initial, seed, kappa=0.2):
    """A bound model at a point, its hours and its parameters by name."""
    made = bind(MODELS[name](), series(120, seed), initial=initial)
    values = {
        "kappa": kappa, "theta": 1.5, "sigma": 0.9, "tau": 0.4, "slow.kappa": 0.013, "slow.sigma": 0.3,
    }  # fmt: skip
    x = made.spec.to_free(np.array([values[name] for name in made.spec.names]))
    values = dict(zip(made.spec.names, made.spec.to_natural(x), strict=True))
    return made, x, np.cumsum(made.layout.dt[made.layout.row]), values


def covariance(t, u, v, initial):
    """Cov(x(t), x(u)) and the covariance of the slow level; the conditional start holds x(0) fixed."""
    k, s = v["kappa"], v["sigma"]
    apart, along = np.abs(t[:, None] - u), t[:, None] + u
    lost = np.exp(-k * along) if initial == "conditional" else 0.0
    x = s**2 / (2 * k) * (np.exp(-k * apart) - lost)
    if "slow.kappa" not in v:
        return x, np.zeros_like(x)
    return x, v["slow.sigma"] ** 2 / (2 * v["slow.kappa"]) * np.exp(-v["slow.kappa"] * apart)


def dense_loglik(y, t, v, initial):
    """Gaussian log density; a diffuse x(0) is integrated out in closed form."""
    x, l = covariance(t, t, v, initial)
    s = x + l + v.get("tau", 0.0) ** 2 * np.eye(len(t))
    z = np.exp(-v["kappa"] * t)
    r = y - v["theta"] * (1.0 - (z if initial == "conditional" else 0.0))
    if initial == "stationary":
        return -0.5 * (len(y) * np.log(2 * np.pi) + np.linalg.slogdet(s)[1] + r @ np.linalg.solve(s, r))
    if "tau" not in v:
        return conditional(y, r, z, s)
    sr, sz = np.linalg.solve(s, r), np.linalg.solve(s, z)
    quadratic = r @ sr - (z @ sr) ** 2 / (z @ sz)
    return -0.5 * ((len(y) - 1) * np.log(2 * np.pi) + np.linalg.slogdet(s)[1] + np.log(z @ sz) + quadratic)


def conditional(y, r, z, s):
    """Without noise x(0) is the first observation itself."""
    e, s = (r - z * y[0])[1:], s[1:, 1:]
    return -0.5 * (len(e) * np.log(2 * np.pi) + np.linalg.slogdet(s)[1] + e @ np.linalg.solve(s, e))


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_likelihood(series, name, initial, seed):
    made, x, t, v = setting(series, name, initial, seed)
    seen = np.isfinite(made.layout.y)
    expected = dense_loglik(made.layout.y[seen], t[seen], v, initial)
    assert made.engine.loglik(made.layout, x) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kappa", [1e-7, 3.0])
def test_likelihood_at_extreme_speeds(series, kappa):
    """From nearly a random walk to nearly independent draws."""
    made, x, t, v = setting(series, "ou-noise", "stationary", 4, kappa)
    seen = np.isfinite(made.layout.y)
    expected = dense_loglik(made.layout.y[seen], t[seen], v, "stationary")
    assert made.engine.loglik(made.layout, x) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", ["ou-noise", "two-factor"])
def test_smoother_is_the_conditional_expectation(series, name):
    made, x, t, v = setting(series, name, "stationary", 5)
    seen = np.isfinite(made.layout.y)
    states = covariance(t, t[seen], v, "stationary")
    s = states[0][seen] + states[1][seen] + v["tau"] ** 2 * np.eye(seen.sum())
    r = made.layout.y[seen] - v["theta"]
    smoothed = made.engine.smooth(made.layout, x)
    full = covariance(t, t, v, "stationary")
    for i, shift in ((0, v["theta"]), (1, 0.0)):
        mean = shift + states[i] @ np.linalg.solve(s, r)
        np.testing.assert_allclose(smoothed.mean[:, 0, i], mean, rtol=1e-9, atol=1e-9)
    pairs = ((0, 0, 0), (0, 1, 1), (1, 1, 2))
    for a, b, place in pairs:
        own = full[a] if a == b else np.zeros_like(full[0])
        var = np.diag(own - states[a] @ np.linalg.solve(s, states[b].T))
        np.testing.assert_allclose(smoothed.var[:, 0, place], var, rtol=1e-8, atol=1e-9)


def test_filter_ends_where_the_smoother_starts(bound, point):
    x = point(bound, 3)
    filtered, smoothed = bound.engine.filter(bound.layout, x), bound.engine.smooth(bound.layout, x)
    np.testing.assert_array_equal(filtered.p[-1], smoothed.p[-1])
    np.testing.assert_allclose(smoothed.p.sum(axis=1), 1.0, rtol=1e-9)
    assert np.nansum(filtered.log_density) == pytest.approx(bound.engine.loglik(bound.layout, x), rel=1e-12)


@pytest.mark.parametrize(
    ("kappa", "stationary"), [(0.4, True), (0.01, True), (0.4, False), (0.01, False), (1e-9, False), (-0.002, False)]
)
def test_profile_is_the_kalman_filter_without_noise(kappa, stationary):
    """At the level and volatility the profile implies; conditional, kappa may be zero or negative."""
    g = np.random.default_rng(1)
    y, dt = 0.5 * np.cumsum(g.normal(size=301)) + 3.0, g.uniform(0.1, 4.0, 300)
    at = ou.profile(kappa, y, dt, stationary)
    u = kappa * dt
    h, spread = -np.expm1(-u) / kappa, -np.expm1(-2 * u) / (2 * kappa)
    table = [np.concatenate([[first], part])[:, None] for first, part in (
        (1.0, np.exp(-u)), (0.0, at.drift * h), (0.0, at.variance * spread))]  # fmt: skip
    zero, one = np.zeros(301), np.ones((301, 1))
    steps = Steps(*table, np.zeros((301, 1, 1)), one, zero, zero, one[:, :, None])
    var = np.array([[at.variance / (2 * abs(kappa)), 0.0, 0.0]])
    start = Start(np.ones(1), np.array([[at.drift / kappa, 0.0]]), var, np.full(1, 0.0 if stationary else 1.0), 0.0)
    assert kalman.loglik(y, np.arange(301), steps, start) == pytest.approx(at.value, rel=1e-10)
    wide = 1e-4 * max(abs(kappa), 1e-2)
    slope = ou.profile(kappa + wide, y, dt, stationary).value - ou.profile(kappa - wide, y, dt, stationary).value
    assert at.slope == pytest.approx(slope / (2 * wide), rel=1e-4, abs=1e-4)


def test_the_closed_form_maximum_is_the_engines(series):
    """No direction of the free vector leads up from it."""
    made = bind(OU(), series(300, 6))
    hours = np.cumsum(made.layout.dt[made.layout.row])
    seen = np.isfinite(made.layout.y)
    best = ou.maximise(made.layout.y[seen], np.diff(hours[seen]), True)
    x = np.array([np.log(best.kappa), best.drift / best.kappa, 0.5 * np.log(best.variance)])
    value, gradient = made.engine.loglik_grad(made.layout, x)
    assert value == pytest.approx(best.value, rel=1e-12)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


def test_a_stationary_start_is_the_law_of_a_long_past(series, point):
    """Switching: the moments of x given the regime are a fixed point of the step itself."""
    from basismodels.components.switching import Switching

    made = bind(Switching(OU(), 3, varies=("kappa", "theta", "sigma")), series(gaps=False))
    x = point(made, 2)
    steps, start = assemble.coefficients(made.layout, x)
    nat = predictors.natural(made.layout, x)
    q = assemble.transition.generator(nat.rates[:1])[0]
    law, mean = start.p, start.mean[:, 0]
    second = start.var[:, 0] + mean**2
    first_flow = q.T @ (law * mean) + (nat.drift[0] - nat.kappa[0] * mean) * law
    np.testing.assert_allclose(first_flow, 0.0, atol=1e-12)
    second_flow = q.T @ (law * second) + law * (nat.variance[0] - 2 * (nat.kappa[0] * second - nat.drift[0] * mean))
    np.testing.assert_allclose(second_flow, 0.0, atol=1e-12)
    assert steps.p.shape[1] == 3
