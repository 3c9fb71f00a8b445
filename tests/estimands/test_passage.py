"""First passage against its closed form, against simulation, and by its limits."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numba import njit
from scipy.special import erfc

import basismodels as bm
from basismodels.estimands import passage
from basismodels.estimands.passage import never_reached, outside
from basismodels.estimands.state import known
from basismodels.likelihood.passage import hit_probability
from basismodels.likelihood.transition import chain_step
from basismodels.problem import bind

HELD = (np.eye(1), np.eye(1))
PAIRS = 600_000


def to_mean(z0: float, half_lives: float, sd: float = 0.0) -> float:
    """P(OU reaches its mean within so many half-lives from z0 stationary sds, known up to `sd` of them)."""
    kappa, sigma = 0.3, 2.0
    unit = sigma / np.sqrt(2.0 * kappa)
    left = [never_reached(s * z0 * unit, sd * unit, kappa, sigma**2, half_lives * np.log(2) / kappa) for s in (1, -1)]
    return float(1.0 - sum(left))


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


@pytest.mark.parametrize("sd", [0.05, 0.7, 3.0])
def test_over_an_uncertain_start_the_closed_form_is_the_mean_over_it(sd):
    z = np.linspace(-8.0, 8.0, 4001)
    weights = np.exp(-0.5 * z * z)
    mean = weights @ [to_mean(1.2 + sd * one, 1.0) for one in z] / weights.sum()
    assert to_mean(1.2, 1.0, sd) == pytest.approx(mean, abs=2e-6)


@pytest.mark.parametrize("kappa", [0.3, 0.0, -0.05])
def test_an_edge_at_the_level_is_reached_as_the_grid_says_at_its_finest(kappa):
    mean, horizon = np.array([0.5, 4.0, 15.0]), 8.0
    grid, u = hit_probability(np.array([kappa]), np.zeros(1), np.array([4.0]), HELD, 0.0, horizon, 15.0, 1281, 960)
    left = never_reached(mean, 0.0, kappa, 4.0, horizon)
    assert left == pytest.approx(1.0 - np.interp(mean, grid, u[0, 0]), abs=1e-5)
    assert never_reached(-mean, 0.0, kappa, 4.0, horizon) == pytest.approx(np.zeros(3), abs=1e-12)


@pytest.fixture(scope="module")
def resting():
    """A model whose level is 10 bps by decree: the upper edge of the band around zero."""
    time = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC")
    model = bm.OU(theta=10) + bm.Noise()
    return bm.fit(model, bm.simulate(model, {"kappa": 0.2, "sigma": 2.0, "tau": 1.0}, time, rng=3), starts=2)


def test_where_an_edge_is_the_level_the_closed_form_stands_in_for_the_grid(resting, monkeypatch):
    exact = bm.convergence_probability(resting, 8, 10, target=0)["probability_no_return"]
    near = bm.convergence_probability(resting, 8, 10, target=1e-4)["probability_no_return"]
    assert exact.max() > 0.3
    assert (exact - near).abs().max() < 4e-3
    sides = []
    monkeypatch.setattr(passage, "_one_side", lambda state, nat, mixes, sign, *rest: sides.append(sign))
    alone = bm.convergence_probability(resting, 8, 10, target=0)["probability_no_return"]
    assert sides == [-1.0]
    assert (exact - alone).abs().max() < 1e-3


def test_passage_to_the_level_is_the_limit_of_a_narrow_band(resting):
    frame = bm.level_passage(resting, 8)
    assert frame.attrs["target"] == pytest.approx(10.0)
    narrow = bm.convergence_probability(resting, 8, band=1e-3, target=10)["probability"]
    assert (frame["probability"] - narrow).abs().max() < 1e-2
    assert frame["probability"].between(0, 1).all()
    assert (bm.level_passage(resting, 24)["probability"] > frame["probability"]).all()
    walk = bm.fit(bm.OU(kappa=0), resting.data)
    for bad in (walk, bm.fit(bm.OU() + bm.SlowOU(), resting.data, starts=2)):
        with pytest.raises(bm.ModelError, match="closed form"):
            bm.level_passage(bad)
    with pytest.raises(bm.ModelError, match="horizon"):
        bm.level_passage(resting, 0)


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


@njit(cache=True)
def walked(kappa, sigma, leave, start, regime, level, horizon, pairs, steps, rng):
    """Mean chance that a level is reached, and its standard error, by pairs of paths on normals of opposite sign.

    Jumps of the regime at their exact times, exact OU steps between them, the Brownian bridge's crossing
    probability inside each.
    """
    total, squares, longest = 0.0, 0.0, horizon / steps
    for _ in range(pairs):
        x, other, s, left = start - level, start - level, regime, horizon
        alive, beside = 1.0, 1.0
        until = rng.standard_exponential() / leave[s]
        while left > 1e-12 and alive + beside > 0.0:
            h = min(longest, left, until)
            k, v = kappa[s], sigma[s] ** 2
            decay = math.exp(-k * h)
            shock = math.sqrt(v * (1.0 - decay * decay) / (2.0 * k)) * rng.standard_normal()
            push = level * (decay - 1.0)
            new, far = x * decay + push + shock, other * decay + push - shock
            if alive > 0.0:
                alive *= 1.0 - math.exp(-2.0 * x * new / (v * h)) if new > 0.0 else 0.0
            if beside > 0.0:
                beside *= 1.0 - math.exp(-2.0 * other * far / (v * h)) if far > 0.0 else 0.0
            x, other, left, until = new, far, left - h, until - h
            if until <= 1e-12:
                s = 1 - s
                until = rng.standard_exponential() / leave[s]
        reached = 1.0 - 0.5 * (alive + beside)
        total += reached
        squares += reached * reached
    mean = total / pairs
    return mean, math.sqrt((squares / pairs - mean * mean) / pairs)


@pytest.mark.parametrize(("start", "regime"), [(18.0, 0), (18.0, 1), (30.0, 1)])
def test_switching_passage_agrees_with_bridge_corrected_simulation(start, regime):
    kappa, sigma, leave = np.array([0.25, 0.02]), np.array([1.0, 4.0]), np.array([0.05, 0.15])
    q = np.array([[0.0, leave[0]], [leave[1], 0.0]])
    level, horizon, steps = 10.0, 12.0, 480
    mixes = chain_step(np.stack([q, q]), np.array([horizon / steps / 4, horizon / steps / 2]))
    grid, u = hit_probability(
        kappa, np.zeros(2), sigma**2, (np.ascontiguousarray(mixes[0]), np.ascontiguousarray(mixes[1])),
        level, horizon, start - level, points=641, steps=steps,
    )  # fmt: skip
    simulated, se = walked(kappa, sigma, leave, start, regime, level, horizon, PAIRS, 30, np.random.default_rng(7))
    assert se < 5e-4
    assert np.interp(start - level, grid, u[regime, 0]) == pytest.approx(simulated, abs=1e-3)


def test_with_a_slow_level_that_moves_the_grid_agrees_with_simulation():
    times = np.datetime64("2024-01-01") + np.arange(30).astype("timedelta64[h]")
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
