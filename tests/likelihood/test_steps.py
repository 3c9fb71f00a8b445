"""Laws of one step: composition, short steps, the chain's exponential."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from basismodels.inference.chain import rates_from_matrix
from basismodels.likelihood import kalman, kim, transition

QUIET = settings(max_examples=60, deadline=None)


def rates(regimes, m=4, seed=0, size=1.0):
    g = np.random.default_rng(seed)
    made = size * np.exp(g.normal(0.0, 1.5, (m, regimes, regimes)))
    made[:, np.arange(regimes), np.arange(regimes)] = 0.0
    return made


@QUIET
@given(st.floats(-2.0, 5.0), st.floats(-20.0, 20.0), st.floats(0.01, 9.0), st.floats(1e-6, 10.0), st.floats(0.1, 0.9))
def test_two_steps_are_one(kappa, drift, variance, dt, share):
    """Of OU, explosive ones too, split anywhere."""

    def at(length):
        made = transition.ou_step(*(np.array([[v]]) for v in (kappa, drift, variance, length)))
        return [float(part[0, 0]) for part in made]

    (f1, c1, v1), (f2, c2, v2), (f, c, v) = at(share * dt), at((1 - share) * dt), at(dt)
    assert f2 * f1 == pytest.approx(f, rel=1e-12)
    assert f2 * c1 + c2 == pytest.approx(c, rel=1e-10, abs=1e-10 * (1 + abs(drift)))
    assert f2**2 * v1 + v2 == pytest.approx(v, rel=1e-10)


@pytest.mark.parametrize("regimes", [2, 3, 4, 6])
def test_two_half_steps_of_the_chain_are_one(regimes):
    q, dt = rates(regimes), np.array([1e-6, 0.3, 4.0, 60.0])
    half, whole = transition.chain_step(q, dt / 2), transition.chain_step(q, dt)
    np.testing.assert_allclose(half @ half, whole, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(whole.sum(axis=2), 1.0, rtol=1e-12)
    assert whole.min() > 0.0


@pytest.mark.parametrize("regimes", [2, 3, 4, 6])
def test_chain_is_the_matrix_exponential(regimes):
    q, dt = rates(regimes), np.array([1e-3, 0.3, 4.0, 60.0])
    made = transition.chain_step(q, dt)
    for one, given_rates, length in zip(made, q, dt, strict=True):
        np.testing.assert_allclose(
            one, expm(transition.generator(given_rates[None])[0] * length), rtol=1e-11, atol=1e-14
        )


@pytest.mark.parametrize("regimes", [3, 4])
def test_stiff_and_unlike_steps_in_one_table(regimes):
    """A table may hold a second beside a month, and rates of a second beside rates of a year."""
    q = np.concatenate([rates(regimes, 1, 1, 1e-6), rates(regimes, 1, 2, 300.0), rates(regimes, 1, 3, 1.0)])
    dt = np.array([720.0, 1.0, 1e-4])
    made = transition.chain_step(q, dt)
    for one, given_rates, length in zip(made, q, dt, strict=True):
        exact = expm(transition.generator(given_rates[None])[0] * length)
        np.testing.assert_allclose(one, exact, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("regimes", [2, 3, 4])
def test_adjoint_of_the_chain(regimes):
    q, dt = rates(regimes, 3, 4), np.array([1e-3, 0.7, 9.0])
    g = np.random.default_rng(5)
    bar = g.normal(size=q.shape)
    adjoint = transition.chain_step_adjoint(q, dt, bar)
    for j in range(regimes):
        for k in range(regimes):
            if j == k:
                continue
            width = 1e-3 * (1.0 + q[:, j, k])
            moved = np.zeros_like(q)
            moved[:, j, k] = width

            def value(times, moved=moved):
                return (bar * transition.chain_step(q + times * moved, dt)).sum(axis=(1, 2))

            numeric = (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * width)
            np.testing.assert_allclose(adjoint[:, j, k], numeric, rtol=1e-7, atol=1e-9)


def test_no_reversion_is_a_random_walk_with_drift():
    """kappa = 0 itself, and its neighbours join it."""
    for kappa in (0.0, 1e-300, 1e-14, -1e-14):
        phi, c, v = transition.ou_step(*(np.array([[x]]) for x in (kappa, 0.7, 1.3, 2.0)))
        assert float(phi[0, 0]) == pytest.approx(1.0, rel=1e-12)
        assert float(c[0, 0]) == pytest.approx(1.4, rel=1e-12)
        assert float(v[0, 0]) == pytest.approx(2.6, rel=1e-12)


@QUIET
@given(st.floats(-1.0, 1.0), st.floats(-5.0, 5.0), st.floats(0.1, 4.0))
def test_short_steps_are_the_differential_equation(kappa, drift, variance):
    dt = 1e-7
    phi, c, v = (float(p[0, 0]) for p in transition.ou_step(*(np.array([[x]]) for x in (kappa, drift, variance, dt))))
    assert (1.0 - phi) / dt == pytest.approx(kappa, rel=1e-6, abs=1e-8)
    assert c / dt == pytest.approx(drift, rel=1e-6, abs=1e-12)
    assert v / dt == pytest.approx(variance, rel=1e-6)
    q = rates(3, 1)
    p = transition.chain_step(q, np.array([dt]))[0]
    np.testing.assert_allclose((p - np.eye(3)) / dt, transition.generator(q)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("u", [0.0, 1e-310, 1e-17, 1e-9, 9.9e-5, 1.01e-4, 1e-2, 1.0, 30.0, -1e-9, -1.01e-4, -2.0])
def test_decay_ratio_and_slope(u):
    """Against a power series in extended precision where u is small, the plain formula where it is not."""
    wide = np.longdouble(u)
    terms = [(-wide) ** k for k in range(14)]
    factorial = np.cumprod(np.concatenate([[1], np.arange(1, 16)]).astype(np.longdouble))
    if abs(u) < 0.1:
        ratio = sum(terms[k] / factorial[k + 1] for k in range(14))
        slope = sum(-k * (-wide) ** (k - 1) / factorial[k + 1] for k in range(1, 14))
    else:
        ratio = -np.expm1(-wide) / wide
        slope = (wide * np.exp(-wide) + np.expm1(-wide)) / wide**2
    assert float(transition.decay_ratio(np.array(u))) == pytest.approx(float(ratio), rel=1e-15)
    assert float(transition.decay_ratio_slope(np.array(u))) == pytest.approx(float(slope), rel=5e-12)


@pytest.mark.parametrize("kernel", [kalman, kim])
def test_a_missing_row_halfway_changes_nothing(kernel):
    """One regime: the filter of a step equals that of its halves, the middle unseen."""
    g = np.random.default_rng(2)
    y = g.normal(size=40)
    slow = kernel is kim

    def table(dt, missing):
        kappa, drift, variance = (np.full((len(dt), 1), v) for v in (-0.02, 1.0, 0.8))
        phi, c, v = transition.ou_step(kappa, drift, variance, dt[:, None])
        rho, w = np.exp(-0.1 * dt), 0.3 * dt * transition.decay_ratio(0.2 * dt)
        if not slow:
            rho, w = np.zeros_like(dt), np.zeros_like(dt)
        one = np.ones((len(dt), 1))
        steps = kim.Steps(phi, c, v, 0.2 * one[:, :, None], one, rho, w, one[:, :, None])
        start = kim.Start(np.ones(1), np.zeros((1, 2)), np.array([[2.0, 0.0, 1.5 * slow]]), np.zeros(1), 0.0)
        return kernel.loglik(missing, np.arange(len(dt)), steps, start)

    dt = np.concatenate([[0.0], g.uniform(0.2, 3.0, 39)])
    halves = np.concatenate([[0.0], np.repeat(dt[1:] / 2, 2)])
    split = np.full(79, np.nan)
    split[::2] = y
    assert table(halves, split) == pytest.approx(table(dt, y), rel=1e-12)


def test_stationary_law():
    for regimes in (2, 3, 6):
        q = rates(regimes, 1, 6)
        law = transition.stationary_law(q[0])
        np.testing.assert_allclose(law @ transition.generator(q)[0], 0.0, atol=1e-13)
        assert law.sum() == pytest.approx(1.0, rel=1e-13)
        assert law.min() > 0


def test_rates_from_a_matrix_and_back():
    q = rates(3, 1, 7, 0.3)
    p = transition.chain_step(q, np.array([2.0]))[0]
    found = rates_from_matrix(p, 2.0)
    np.testing.assert_allclose(found, transition.generator(q)[0], rtol=1e-9, atol=1e-10)


def test_a_matrix_no_continuous_chain_makes_is_refused():
    with pytest.raises(ValueError, match=r"chain|embeddable"):
        rates_from_matrix(np.array([[0.1, 0.9], [0.9, 0.1]]), 1.0)
