"""The Hamilton kernel against forward and backward passes as a textbook writes them, in logarithms.

Regular grids of awkward lengths, for which the kernel has a faster path, and
irregular ones; observations far outside any regime.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from scipy.stats import t as student

from basismodels.likelihood import brute, hamilton, kalman, kim

LENGTHS = (2, 3, 63, 64, 65, 1000, 4099)


def regular(case, regimes, n, seed, diffuse=False):
    """One distinct step; observations drawn from the model so that regimes are visible."""
    made = case(regimes, n, seed, noise=0.0, slow=False, missing=False, distinct=2, diffuse=diffuse)
    g = np.random.default_rng(seed)
    phi, c, sd, p = made.steps.phi[1], made.steps.c[1], np.sqrt(made.steps.v[1]), made.steps.p[1]
    phi[:] = np.minimum(phi, 0.98)
    y, s = made.y.copy(), 0
    for i in range(1, n):
        s = g.choice(regimes, p=p[s])
        y[i] = phi[s] * y[i - 1] + c[s] + sd[s] * g.normal()
    return made._replace(y=y)


def log_densities(made, nu=None):
    y, row, steps, start = made
    first = np.where(start.diffuse > 0, start.flat, norm.logpdf(y[0], start.mean[:, 0], np.sqrt(start.var[:, 0])))
    ahead = steps.phi[row[1:]] * y[:-1, None] + steps.c[row[1:]]
    scale = np.sqrt(steps.v[row[1:]])
    later = norm.logpdf(y[1:, None], ahead, scale) if nu is None else student.logpdf(y[1:, None], nu, ahead, scale)
    return np.vstack([first, later])


def forward_backward(made, nu=None):
    """Log likelihood, filtered and smoothed probabilities (n, K), and pairs (n - 1, K, K)."""
    dens = log_densities(made, nu)
    with np.errstate(divide="ignore"):
        log_p, alpha = np.log(made.steps.p), [np.log(made.start.p) + dens[0]]
    for i in range(1, len(dens)):
        alpha.append(logsumexp(alpha[-1][:, None] + log_p[made.row[i]], axis=0) + dens[i])
    beta = [np.zeros(dens.shape[1])]
    for i in range(len(dens) - 1, 0, -1):
        beta.append(logsumexp(log_p[made.row[i]] + dens[i] + beta[-1], axis=1))
    a, b = np.array(alpha), np.array(beta[::-1])
    value = logsumexp(a[-1])
    pairs = np.exp(a[:-1, :, None] + log_p[made.row[1:]] + (dens[1:] + b[1:])[:, None, :] - value)
    filtered = np.exp(a - logsumexp(a, axis=1, keepdims=True))
    return value, filtered, np.exp(a + b - value), pairs


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("regimes", [2, 3, 4, 5])
def test_regular_grid(case, regimes, n):
    made = regular(case, regimes, n, seed=n, diffuse=n % 2 == 0)
    value, filtered, smoothed, pairs = forward_backward(made)
    assert hamilton.loglik(*made) == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(hamilton.filter(*made).p, filtered, rtol=1e-8, atol=1e-11)
    p, counts = hamilton.smooth(filtered, made.row, made.steps.p)
    np.testing.assert_allclose(p, smoothed, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(counts[1], pairs.sum(axis=0), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("regimes", [2, 3, 4, 5])
def test_gradient_is_fishers(case, regimes, n):
    """Expected complete-data score under the smoothed law (Fisher's identity), coefficient by coefficient."""
    made = regular(case, regimes, n, seed=n + 1)
    y, row, steps, start = made
    _, _, weight, pairs = forward_backward(made)
    value, bars, back = hamilton.loglik_grad(*made)
    assert value == pytest.approx(hamilton.loglik(*made), rel=1e-12)
    e = y[1:, None] - steps.phi[row[1:]] * y[:-1, None] - steps.c[row[1:]]
    pull = weight[1:] * e / steps.v[1]
    close = {"rtol": 1e-8, "atol": 1e-8}
    np.testing.assert_allclose(bars.c[1], pull.sum(axis=0), **close)
    np.testing.assert_allclose(bars.phi[1], (pull * y[:-1, None]).sum(axis=0), **close)
    spread = 0.5 * weight[1:] * (e**2 / steps.v[1] - 1) / steps.v[1]
    np.testing.assert_allclose(bars.v[1], spread.sum(axis=0), **close)
    np.testing.assert_allclose(bars.p[1] * steps.p[1], pairs.sum(axis=0), **close)
    np.testing.assert_allclose(back.p * start.p, weight[0], **close)
    gap = y[0] - start.mean[:, 0]
    np.testing.assert_allclose(back.mean[:, 0], weight[0] * gap / start.var[:, 0], **close)


@pytest.mark.parametrize("distinct", [2, 5])
@pytest.mark.parametrize("regimes", [2, 3, 4, 5])
def test_observations_no_regime_expects(case, regimes, distinct):
    """Jumps of up to a million standard deviations leave the value right and the gradient finite."""
    made = case(regimes, 400, 3, noise=0.0, slow=False, missing=False, distinct=distinct)
    for size in (40.0, 1e3, 1e6):
        y = made.y.copy()
        y[[50, 51, 200]] += (size, -size, size)
        moved = made._replace(y=y)
        value = forward_backward(moved)[0]
        assert hamilton.loglik(*moved) == pytest.approx(value, rel=1e-11)
        got, bars, _ = hamilton.loglik_grad(*moved)
        assert got == pytest.approx(value, rel=1e-11)
        assert all(np.isfinite(part).all() for part in bars)


@pytest.mark.parametrize("regimes", [2, 3, 4])
def test_a_regime_that_cannot_be_entered(case, regimes):
    """Transition probabilities of zero, in the step and in the start."""
    made = regular(case, regimes, 500, 8)
    made.steps.p[1][:, -1] = 0.0
    made.steps.p[1] /= made.steps.p[1].sum(axis=1, keepdims=True)
    start = made.start.p.copy()
    start[-1] = 0.0
    made = made._replace(start=made.start._replace(p=start / start.sum()))
    value, filtered, _, _ = forward_backward(made)
    assert hamilton.loglik(*made) == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(hamilton.filter(*made).p, filtered, rtol=1e-8, atol=1e-11)
    got, bars, _ = hamilton.loglik_grad(*made)
    assert got == pytest.approx(value, rel=1e-11)
    assert all(np.isfinite(part).all() for part in bars)


@pytest.mark.parametrize("distinct", [2, 5])
@pytest.mark.parametrize("regimes", [1, 2, 3])
def test_student_shocks(case, regimes, distinct):
    """Heavy tails: value, probabilities, and the derivative in every coefficient and the degrees of freedom."""
    made = case(regimes, 200, 7, noise=0.0, slow=False, missing=False, distinct=distinct)
    made.y[100] += 30.0
    nu = np.array([2.5, 7.0, 40.0])[:regimes]
    value, filtered, _, _ = forward_backward(made, nu)
    assert hamilton.loglik(*made, nu=nu) == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(hamilton.filter(*made, nu=nu).p, filtered, rtol=1e-8, atol=1e-11)
    got, bars, _, in_nu = hamilton.loglik_grad_student(*made, nu)
    assert got == pytest.approx(value, rel=1e-11)

    def numeric(table, at, f):
        width = 1e-3 * max(abs(table[at]), 0.1)
        ends = []
        for times in (1, -1, 2, -2):
            moved = table.copy()
            moved[at] += times * width
            ends.append(f(moved))
        return (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * width)

    for name in ("phi", "c", "v"):
        for at in ((1, 0), (1, regimes - 1)):
            slope = numeric(
                getattr(made.steps, name), at,
                lambda moved, name=name: hamilton.loglik(
                    made.y, made.row, made.steps._replace(**{name: moved}), made.start, nu
                ),
            )  # fmt: skip
            assert getattr(bars, name)[at] == pytest.approx(slope, rel=1e-7, abs=1e-7)
    for k in range(regimes):
        slope = numeric(nu, k, lambda moved: hamilton.loglik(*made, nu=moved))
        assert in_nu[k] == pytest.approx(slope, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("slow", [False, True])
def test_far_observations_under_noise(case, slow):
    """Two rows are exact by Kim, any number with one regime; both far outside what is expected."""
    for size in (40.0, 1e3, 1e6):
        for regimes, n in ((2, 2), (3, 2), (1, 9)):
            made = case(regimes, n, 4, slow=slow, missing=False)
            y = made.y.copy()
            y[1] += size
            exact = brute.loglik(y, made.row, made.steps, made.start)
            assert kim.loglik(y, made.row, made.steps, made.start) == pytest.approx(exact, rel=1e-11)
            if regimes == 1 and not slow:
                assert kalman.loglik(y, made.row, made.steps, made.start) == pytest.approx(exact, rel=1e-11)


def test_many_regular_rows_under_noise_end_to_end(case):
    """A long calm after a jump: Kim's gradient stays finite and equal to differences of its value."""
    made = case(2, 3000, 5, missing=False)
    y = made.y.copy()
    y[1500] += 1e4
    value, bars, _ = kim.loglik_grad(y, made.row, made.steps, made.start)
    assert value == pytest.approx(kim.loglik(y, made.row, made.steps, made.start), rel=1e-12)
    for name in ("c", "v"):
        table = getattr(made.steps, name)
        for at in ((1, 0), (2, 1)):
            width = 1e-4 * abs(table[at])
            ends = []
            for sign in (1, -1):
                moved = table.copy()
                moved[at] += sign * width
                ends.append(kim.loglik(y, made.row, made.steps._replace(**{name: moved}), made.start))
            assert getattr(bars, name)[at] == pytest.approx((ends[0] - ends[1]) / (2 * width), rel=1e-5)
