"""Expected time to return: the integral formula, paths of a switching model, and the end of a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import erfcx

import basismodels as bm
from basismodels.estimands.return_time import return_times, slow_chain

NONE = np.zeros((1, 1))


def by_integral(kappa, sigma, band, x):
    """Mean passage time of OU from x down to the band: sqrt(2 pi)/kappa times an integral (Ricciardi & Sato 1988)."""
    sd = sigma / np.sqrt(2 * kappa)
    part = quad(lambda u: 0.5 * erfcx(u / np.sqrt(2.0)), band / sd, x / sd)[0]
    return np.sqrt(2 * np.pi) / kappa * part


@pytest.mark.parametrize(("kappa", "sigma"), [(0.3, 5.0), (0.05, 2.0), (1.0, 1.0), (0.01, 8.0)])
def test_one_regime_is_the_integral(kappa, sigma):
    grid, hours = return_times(np.array([kappa]), np.zeros(1), np.array([sigma**2]), NONE, 10.0, 60.0)
    for x in (12.0, 20.0, 60.0):
        expected = by_integral(kappa, sigma, 10.0, x)
        assert np.interp(x, grid, hours[:, 0, 0]) == pytest.approx(expected, rel=2e-3)


def test_two_regimes_that_are_one():
    both = return_times(np.full(2, 0.1), np.zeros(2), np.full(2, 9.0), np.array([[0, 0.3], [0.7, 0]]), 10.0, 50.0)
    np.testing.assert_allclose(both[1][:, 0], both[1][:, 1], rtol=1e-9)
    assert np.interp(40.0, both[0], both[1][:, 0, 0]) == pytest.approx(by_integral(0.1, 3.0, 10.0, 40.0), rel=2e-3)


def test_switching_against_paths():
    """A reverting and a drifting regime: Euler paths with a bridge correction between steps."""
    kappa, sigma, q = np.array([0.4, 0.0]), np.array([2.0, 4.0]), np.array([0.05, 0.2])
    rates = np.array([[0.0, q[0]], [q[1], 0.0]])
    grid, hours = return_times(kappa, np.zeros(2), sigma**2, rates, 10.0, 40.0)
    rng, dt, n = np.random.default_rng(1), 0.02, 8000
    for start in (0, 1):
        x, s, alive, spent = np.full(n, 25.0), np.full(n, start), np.ones(n, bool), np.zeros(n)
        for _ in range(20_000):
            if not alive.any():
                break
            new = x - kappa[s] * x * dt + sigma[s] * np.sqrt(dt) * rng.standard_normal(n)
            crossed = np.exp(-2 * np.maximum(x - 10, 0) * np.maximum(new - 10, 0) / (sigma[s] ** 2 * dt))
            spent[alive] += dt
            alive &= ~((new <= 10) | (rng.random(n) < crossed))
            x, s = new, np.where(rng.random(n) < q[s] * dt, 1 - s, s)
        assert np.interp(25.0, grid, hours[:, start, 0]) == pytest.approx(spent.mean(), abs=4 * spent.std() / n**0.5)


def test_never_sure_to_return_is_infinite():
    assert np.isinf(return_times(np.zeros(1), np.zeros(1), np.ones(1), NONE, 10.0, 20.0)[1]).all()
    stuck = np.array([[0.0, 0.1], [0.0, 0.0]])
    assert np.isinf(return_times(np.array([0.3, -0.1]), np.zeros(2), np.ones(2), stuck, 10.0, 20.0)[1]).all()


def test_on_a_fit():
    """Zero inside the band, longest in the planted episode; a wider band is sooner reached."""
    fit = bm.fit(bm.preset("switching-two-factor"), bm.load_example(), starts=4)
    hours = bm.expected_return_time(fit)["hours"]
    wide = bm.expected_return_time(fit, band=20.0)["hours"]
    assert (hours >= 0).all()
    assert (wide <= hours + 1e-6).all()
    begin, end = (pd.Timestamp(day, tz="UTC") for day in ("2024-03-17", "2024-03-19"))
    planted = (hours.index >= begin) & (hours.index < end)
    assert hours[planted].min() > 10 * max(hours[~planted].median(), 0.01)
    with pytest.raises(bm.ModelError, match="band"):
        bm.expected_return_time(fit, band=0)


@pytest.mark.parametrize(
    ("kappa", "sigma", "slow", "start"),
    [((0.5,), (2.0,), (0.05, 1.0), (0.0, 20.0)), ((0.5, 0.0), (2.0, 4.0), (0.05, 1.0), (4.0, 12.0))],
)
def test_a_slow_level_moves_on_the_way(kappa, sigma, slow, start):
    """Paths of reversion and slow level in small steps, with a bridge correction, from (x, l)."""
    kappa, sigma, q = np.array(kappa), np.array(sigma), np.array([0.05, 0.2])[: len(kappa)]
    rates = NONE if len(kappa) == 1 else np.array([[0.0, q[0]], [q[1], 0.0]])
    fast = float(np.sqrt(np.min(sigma**2 / np.maximum(2.0 * kappa, 1e-3))))
    chain = slow_chain(slow[0], slow[1] ** 2, 0.0, 20.0, 10.0, fast)
    grid, hours = return_times(kappa, np.zeros(len(kappa)), sigma**2, rates, 10.0, 40.0, slow=chain)
    expected = np.interp(start[1], chain.levels, [np.interp(sum(start), grid, one) for one in hours[:, 0].T])
    rng, dt, n = np.random.default_rng(1), 0.05, 6000
    x, level, s = np.full(n, start[0]), np.full(n, start[1]), np.zeros(n, dtype=int)
    alive, spent = np.ones(n, bool), np.zeros(n)
    while alive.any():
        gap = x + level
        x = x * np.exp(-kappa[s] * dt) + sigma[s] * np.sqrt(dt) * rng.standard_normal(n)
        level = level * np.exp(-slow[0] * dt) + slow[1] * np.sqrt(dt) * rng.standard_normal(n)
        spread = (sigma[s] ** 2 + slow[1] ** 2) * dt
        crossed = np.exp(-2 * np.maximum(gap - 10, 0) * np.maximum(x + level - 10, 0) / spread)
        spent[alive] += dt
        alive &= ~((x + level <= 10) | (rng.random(n) < crossed))
        s = np.where(rng.random(n) < q[s] * dt, 1 - s, s) if len(q) > 1 else s
    assert expected == pytest.approx(spent.mean(), abs=4 * spent.std() / n**0.5 + 0.02 * expected)
