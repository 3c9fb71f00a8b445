"""The filters against the sum over every history of regimes."""

from __future__ import annotations

import numpy as np
import pytest

from basismodels.likelihood import brute, hamilton, kim, smoother

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize(("regimes", "n"), [(2, 10), (3, 8)])
@pytest.mark.parametrize("diffuse", [False, True])
def test_hamilton_is_the_sum_over_paths(case, regimes, n, diffuse):
    """Irregular steps, a different transition matrix at each; tau = 0, no slow level."""
    for seed in range(4):
        made = case(regimes, n, seed, noise=0.0, slow=False, missing=False, diffuse=diffuse)
        exact = brute.exact(*made)
        assert hamilton.loglik(*made) == pytest.approx(exact.value, rel=1e-12, abs=1e-12)
        filtered = hamilton.filter(*made)
        p, _ = hamilton.smooth(filtered.p, made.row, made.steps.p)
        np.testing.assert_allclose(p, exact.p, **CLOSE)
        np.testing.assert_allclose(filtered.p[-1], exact.p[-1], **CLOSE)
        np.testing.assert_allclose(smoother.smooth(filtered, made.row, made.steps).p, exact.p, **CLOSE)


def test_hamilton_counts_the_expected_transitions(case):
    """Pairs summed over steps of one kind leave the smoothed law of where they start."""
    made = case(3, 8, 5, noise=0.0, slow=False, missing=False)
    filtered = hamilton.filter(*made)
    p, pairs = hamilton.smooth(filtered.p, made.row, made.steps.p)
    for r in range(1, len(pairs)):
        np.testing.assert_allclose(pairs[r].sum(axis=1), p[:-1][made.row[1:] == r].sum(axis=0), **CLOSE)


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize("slow", [False, True])
def test_one_regime_is_exact(case, slow, diffuse):
    """With one regime nothing is merged: likelihood and smoother, missing values included."""
    for seed in range(4):
        made = case(1, 9, seed, slow=slow, diffuse=diffuse)
        exact = brute.exact(*made)
        assert kim.loglik(*made) == pytest.approx(exact.value, rel=1e-12, abs=1e-12)
        smoothed = smoother.smooth(kim.filter(*made), made.row, made.steps)
        np.testing.assert_allclose(smoothed.mean[:, 0], exact.mean, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(smoothed.var[:, 0], exact.var, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize("regimes", [2, 3])
def test_kim_is_exact_until_it_first_merges(case, regimes, diffuse):
    """Two rows: every pair of regimes is still apart when its density is taken."""
    for seed in range(4):
        made = case(regimes, 2, seed, missing=False, diffuse=diffuse)
        assert kim.loglik(*made) == pytest.approx(brute.loglik(*made), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize(("regimes", "depth"), [(2, 2), (2, 3), (2, 4), (3, 2)])
def test_kim_is_exact_until_it_first_forgets(case, regimes, depth, diffuse):
    """Histories of `depth` regimes are apart until row depth + 1 has been weighed: likelihood and filter."""
    for seed in range(3):
        made = case(regimes, depth + 1, seed, diffuse=diffuse)
        exact = brute.exact(*made)
        assert kim.loglik(*made, depth=depth) == pytest.approx(exact.value, rel=1e-12, abs=1e-12)
        filtered = kim.filter(*made, depth=depth)
        np.testing.assert_allclose(filtered.p[-1], exact.p[-1], **CLOSE)
        mean = (filtered.p[-1][:, None] * filtered.mean[-1]).sum(axis=0)
        np.testing.assert_allclose(mean, exact.mean[-1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("regimes", "depth"), [(2, 2), (2, 3), (3, 2)])
def test_deeper_is_nearer_and_continues(case, regimes, depth):
    """Over many rows the error falls with depth, and a filter broken off goes on as if it had not been."""
    errors = []
    for seed in range(12):
        made = case(regimes, 9 if regimes == 2 else 7, seed, parts=1)
        exact = brute.loglik(*made)
        errors.append([abs(kim.loglik(*made, depth=d) - exact) for d in (1, depth)])
        y, row, steps, start = made
        whole = kim.filter(*made, depth=depth)
        head, state = kim.continued(y[:4], row[:4], steps, start, depth)
        tail, _ = kim.continued(y[4:], row[4:], steps, state, depth)
        for name in ("p", "mean", "var", "log_density"):
            joined = np.concatenate([getattr(head, name), getattr(tail, name)])
            np.testing.assert_allclose(joined, getattr(whole, name), rtol=1e-12, atol=1e-12)
    shallow, deep = np.mean(errors, axis=0)
    assert deep < 0.5 * shallow


@pytest.mark.parametrize("parts", [1, 2])
def test_kim_is_near_the_sum_over_paths(case, parts):
    """Longer series: close, and not equal, or the test of exactness above would be idle."""
    for seed in range(4):
        made = case(2, 6 if parts == 2 else 10, seed, parts=parts)
        error = kim.loglik(*made) - brute.loglik(*made)
        assert 0.0 < abs(error) < 0.05


def test_missing_rows_only_carry_the_chain(case):
    """A series of missing values has likelihood one and the chain's own law."""
    made = case(2, 5, 3)
    y = np.full(5, np.nan)
    filtered = kim.filter(y, made.row, made.steps, made.start)
    law = made.start.p
    for i in range(1, 5):
        law = law @ made.steps.p[made.row[i]]
    np.testing.assert_allclose(filtered.p[-1], law, **CLOSE)
    assert kim.loglik(y, made.row, made.steps, made.start) == 0.0


def test_too_many_histories_are_refused(case):
    made = case(3, 30)
    with pytest.raises(ValueError, match="too many"):
        brute.loglik(*made)
