"""First passage against its closed form, against simulation, and by its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

import basismodels as bm
from basismodels.estimands.passage import outside
from basismodels.estimands.state import known
from basismodels.likelihood.passage import hit_probability
from basismodels.likelihood.transition import chain_step
from basismodels.problem import bind

HELD = (np.eye(1), np.eye(1))


def to_mean(z0: float, half_lives: float) -> float:
    """P(OU reaches its mean within this many half-lives from z0 stationary sds), by the closed form."""
    decay = 0.5**half_lives
    return float(erfc(abs(z0) * decay / np.sqrt(2.0 * (1.0 - decay**2))))


@pytest.mark.parametrize(
    ("z0", "lives", "printed"),
    [(1, 1, 0.563703), (2, 1, 0.248213), (2, 2, 0.605577), (2, 4, 0.900330), (3, 1, 0.083265), (3, 4, 0.850981)],
)
def test_closed_form_figures_and_the_grid_agree(z0, lives, printed):
    assert to_mean(z0, lives) == pytest.approx(printed, abs=5e-7)
    kappa, sigma = 0.3, 2.0
    start = z0 * sigma / np.sqrt(2 * kappa)
    horizon = lives * np.log(2) / kappa
    grid, u = hit_probability(np.array([kappa]), np.array([0.0]), np.array([sigma**2]), HELD, 0.0, horizon, start)
    assert np.interp(start, grid, u[0, 0]) == pytest.approx(printed, abs=1e-3)
    grid, u = hit_probability(
        np.array([kappa]), np.array([0.0]), np.array([sigma**2]), HELD, 0.0, horizon, start, points=1281, steps=960
    )
    assert np.interp(start, grid, u[0, 0]) == pytest.approx(printed, abs=5e-6)


@pytest.mark.parametrize("kappa", [-0.02, 0.0, 1e-9])
def test_brownian_limit_and_explosion(kappa):
    sigma, start, horizon = 1.5, 4.0, 10.0
    grid, u = hit_probability(np.array([kappa]), np.array([0.0]), np.array([sigma**2]), HELD, 0.0, horizon, start)
    brownian = erfc(start / (sigma * np.sqrt(2 * horizon)))
    found = np.interp(start, grid, u[0, 0])
    if kappa < 0:
        assert found < brownian - 0.01
    else:
        assert found == pytest.approx(brownian, abs=1e-3)


def bridge_monte_carlo(kappa, theta, sigma, q, start, regime, level, horizon, paths=40_000, steps=400):
    """P(level reached) by simulation, with the Brownian bridge's crossing probability inside each step."""
    rng = np.random.default_rng(7)
    h = horizon / steps
    p = chain_step(np.broadcast_to(q, (1, *q.shape)).copy(), np.array([h]))[0]
    x = np.full(paths, start)
    s = np.full(paths, regime)
    alive = np.ones(paths)
    for _ in range(steps):
        s = (rng.random(paths)[:, None] > np.cumsum(p[s], axis=1)).sum(axis=1)
        decay = np.exp(-kappa[s] * h)
        sd = sigma[s] * np.sqrt(-np.expm1(-2 * kappa[s] * h) / (2 * kappa[s]))
        new = theta[s] + decay * (x - theta[s]) + sd * rng.standard_normal(paths)
        a, b = np.maximum(x - level, 0), np.maximum(new - level, 0)
        alive *= 1.0 - np.exp(-2 * a * b / (sigma[s] ** 2 * h))
        x = new
    return 1.0 - alive.mean(), alive.std() / np.sqrt(paths)


@pytest.mark.parametrize(("start", "regime"), [(18.0, 0), (18.0, 1), (30.0, 1)])
def test_switching_passage_agrees_with_bridge_corrected_simulation(start, regime):
    kappa, theta, sigma = np.array([0.25, 0.02]), np.array([0.0, 0.0]), np.array([1.0, 4.0])
    q = np.array([[0.0, 0.05], [0.15, 0.0]])
    level, horizon, steps = 10.0, 12.0, 120
    mixes = chain_step(np.stack([q, q]), np.array([horizon / steps / 4, horizon / steps / 2]))
    grid, u = hit_probability(
        kappa, kappa * theta, sigma**2, (np.ascontiguousarray(mixes[0]), np.ascontiguousarray(mixes[1])),
        level, horizon, start - level, points=321, steps=steps,
    )  # fmt: skip
    simulated, se = bridge_monte_carlo(kappa, theta, sigma, q, start, regime, level, horizon)
    assert np.interp(start - level, grid, u[regime, 0]) == pytest.approx(simulated, abs=4 * se + 1.5e-3)


def test_with_a_slow_level_that_moves_the_grid_agrees_with_simulation():
    times = np.datetime64("2024-01-01") + np.arange(30).astype("timedelta64[h]")
    import pandas as pd

    data = bm.BasisSeries.from_basis(pd.DatetimeIndex(times, tz="UTC"), np.arange(30) % 2.0)
    problem = bind(bm.OU() + bm.SlowOU(), data)
    values = {"kappa": 0.5, "theta": 0.0, "sigma": 1.5, "slow.kappa": 0.002, "slow.sigma": 0.3}
    x = problem.spec.to_free(np.array([values[n] for n in problem.spec.names]))
    state = known(np.array([18.0]), np.array([11.0]))
    found = outside(problem, x, state, horizon=24.0, band=10.0, points=321, steps=240)[0, 0]
    rng = np.random.default_rng(3)
    n, h = 20_000, 0.02
    gap, level, out = np.full(n, 7.0), np.full(n, 11.0), np.ones(n)
    for _ in range(int(24 / h)):
        before = gap + level - 10.0
        gap = gap * np.exp(-0.5 * h) + 1.5 * np.sqrt(h) * rng.standard_normal(n)
        level = level * np.exp(-0.002 * h) + 0.3 * np.sqrt(h) * rng.standard_normal(n)
        after = gap + level - 10.0
        cross = np.exp(-2 * np.maximum(before, 0) * np.maximum(after, 0) / ((1.5**2 + 0.3**2) * h))
        out *= 1.0 - cross
    assert found == pytest.approx(out.mean(), abs=4 * out.std() / np.sqrt(n) + 1e-3)


def test_inside_the_band_nothing_is_lost_and_far_outside_all_is():
    fit = bm.fit(bm.OU(), bm.load_example(end="2024-01-31"))
    frame = bm.convergence_probability(fit, horizon=8, band=1e6)
    assert (frame["probability"] == 1.0).all()
    far = bm.convergence_probability(fit, horizon=1e-3, band=10, target=500.0)
    assert (far["probability"] < 1e-6).all()


def test_the_horizon_only_helps():
    fit = bm.fit(bm.OU() + bm.Noise(), bm.load_example(end="2024-03-31"))
    short, long = (bm.convergence_probability(fit, horizon=h)["probability"] for h in (4, 48))
    assert (long >= short - 1e-6).all()
    assert (long > short + 0.05).any()


@pytest.mark.parametrize("bad", [{"horizon": 0}, {"horizon": -1}, {"band": 0}, {"band": float("nan")}])
def test_bad_events_are_refused(bad):
    fit = bm.fit(bm.OU(), bm.load_example(end="2024-01-10"))
    with pytest.raises(bm.ModelError):
        bm.convergence_probability(fit, **bad)
