"""One question asked in two ways has one answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels._paths import simulate_path
from basismodels.inference.bootstrap import simulator
from basismodels.likelihood.assemble import coefficients
from basismodels.problem import Problem, bind

TIMES = pd.date_range("2024-01-01", periods=1200, freq="h", tz="UTC")
TWO = {"kappa": 0.5, "theta": 0.0, "sigma": 1.5, "slow.kappa": 0.01, "slow.sigma": 0.8, "tau": 0.5}


@pytest.fixture(scope="module")
def two() -> bm.Fit:
    return bm.fit(bm.OU() + bm.SlowOU() + bm.Noise(), bm.simulate(bm.preset("two-factor"), TWO, TIMES, rng=4), starts=2)


def with_column(z: np.ndarray, model: object, truth: dict[str, float]) -> bm.BasisSeries:
    bare = bm.BasisSeries.from_basis(TIMES, np.arange(len(TIMES)) % 7.0, covariates=pd.DataFrame({"z": z}, index=TIMES))
    return bm.simulate(model, truth, bare, rng=2)


def test_a_row_alone_says_what_it_says_within_its_series(two: bm.Fit) -> None:
    whole = bm.convergence_probability(two, 24, 5)["probability_no_return"]
    far = whole.index[np.argsort(np.abs(whole.to_numpy() - 0.5))[:3]]
    assert (whole[far] > 0.1).all()
    for stamp in far:
        alone = bm.refilter(two, two.data.cut(None, stamp))
        assert bm.convergence_probability(alone, 24, 5)["probability_no_return"].iloc[-1] == pytest.approx(
            whole[stamp], abs=5e-3
        )


def test_no_return_agrees_with_paths_from_the_filtered_state(two: bm.Fit) -> None:
    """Paths of the level and of what reverts about it, from the joint law of both, crossings between steps counted."""
    horizon, band, paths, h = 24.0, 5.0, 20_000, 0.05
    whole = bm.convergence_probability(two, horizon, band)["probability_no_return"]
    row = int(np.argmin(np.abs(whole.to_numpy() - 0.4)))
    at, p, rng = two.problem.place[row], two.params, np.random.default_rng(5)
    mean, var = two.filtered.mean[at, 0], two.filtered.var[at, 0]
    x, level = rng.multivariate_normal(mean, [[var[0], var[1]], [var[1], var[2]]], paths).T
    side, lost = np.sign(mean.sum()), np.ones(paths)
    variance = p["sigma"] ** 2 + p["slow.sigma"] ** 2
    for _ in range(round(horizon / h)):
        before = side * (x + level) - band
        x = p["theta"] + (x - p["theta"]) * np.exp(-p["kappa"] * h) + p["sigma"] * np.sqrt(h) * rng.normal(size=paths)
        level = level * np.exp(-p["slow.kappa"] * h) + p["slow.sigma"] * np.sqrt(h) * rng.normal(size=paths)
        after = side * (x + level) - band
        lost *= 1.0 - np.exp(-2.0 * np.maximum(before, 0.0) * np.maximum(after, 0.0) / (variance * h))
    assert whole.iloc[row] == pytest.approx(lost.mean(), abs=4.0 * lost.std() / np.sqrt(paths) + 5e-3)


def test_a_fixed_speed_leaves_the_slow_level_its_half_life(two: bm.Fit) -> None:
    held = bm.fit(bm.OU(kappa=0.5) + bm.SlowOU() + bm.Noise(), two.data, starts=2)
    total, fast, slow = bm.half_life(held, method="wald")
    assert (fast.value, fast.method, fast.lower) == (pytest.approx(np.log(2) / 0.5), "fixed", pytest.approx(fast.value))
    assert slow.lower < slow.value < slow.upper
    assert total.value == pytest.approx(bm.half_life(two, method="wald")[0].value, rel=0.3)


def test_totals_do_not_depend_on_the_first_row() -> None:
    z = (np.random.default_rng(1).random(len(TIMES)) < 0.2).astype(float)
    model = bm.OU(sigma="1 + z") + bm.SlowOU() + bm.Noise()
    fit = bm.fit(model, with_column(z, model, TWO | {"sigma:z": 1.0}), starts=2)
    starts = [int(np.argmax(z == value)) for value in (0.0, 1.0)]
    lives = [
        (bm.half_life(again, method="wald")[0].value, bm.stationary_sd(again))
        for again in (bm.refilter(fit, fit.data.cut(TIMES[s], None)) for s in starts)
    ]
    assert lives[0] == pytest.approx(lives[1])
    assert bm.half_life(fit, method="wald", at={"z": 1.0})[0].value != pytest.approx(lives[0][0], rel=1e-3)


def test_far_ahead_the_forecast_and_the_probability_inside_agree() -> None:
    draws = np.random.default_rng(3)
    z = np.where(draws.random(len(TIMES)) < 0.8, 0.0, draws.uniform(50.0, 100.0, len(TIMES)))
    z[-1] = 0.0
    model = bm.OU(theta="1 + z")
    fit = bm.fit(model, with_column(z, model, {"kappa": 0.3, "theta": 0.0, "theta:z": 1.0, "sigma": 1.0}), starts=2)
    ahead = bm.forecast(fit, 200)
    inside = float(ahead.cdf(10.0)[-1] - ahead.cdf(-10.0)[-1])
    assert bm.inside_probability(fit, 200, 10).iloc[-1].item() == pytest.approx(inside, abs=1e-6)


def test_a_table_of_many_fits_has_the_half_lives_of_each() -> None:
    z = np.random.default_rng(6).uniform(2.0, 4.0, len(TIMES))
    model = bm.OU(kappa="1 + z")
    data = with_column(z, model, {"kappa": 0.01, "kappa:z": 1.0, "theta": 0.0, "sigma": 1.0})
    many = bm.fit_many(model, {"a": data}, starts=2, n_jobs=1)
    assert many.frame().loc["a", "half_life"] == pytest.approx(bm.half_life(many["a"], method="wald")[0].value)


FREE = {
    "kappa[0]": 0.2, "kappa[1]": 0.8, "theta": 0.5, "sigma[0]": 1.0, "sigma[1]": 3.0, "q[0->1]": 0.02, "q[1->0]": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("odds", [-1.6, 0.0, 3.0])
def test_a_free_start_of_the_chain_leaves_the_law_of_the_basis_within_each_regime(odds: float) -> None:
    data = bm.simulate(bm.Switching(bm.OU(), 2), FREE, TIMES, rng=8)
    free, still = (
        bind(bm.Switching(bm.OU(), 2, chain_start=start), data) for start in ("free", "stationary")
    )
    x = free.spec.to_free(np.array([{**FREE, "chain_start[1]": odds}[name] for name in free.spec.names]))
    begun, usual = coefficients(free.layout, x)[1], coefficients(still.layout, free_of(still))[1]
    np.testing.assert_allclose(begun.mean, usual.mean, atol=1e-9)
    np.testing.assert_allclose(begun.var, usual.var, rtol=1e-9)
    assert begun.p[1] / begun.p[0] == pytest.approx(np.exp(odds))
    step = 1e-6
    value, slope = free.engine.loglik_grad(free.layout, x)
    for i, name in enumerate(free.spec.names):
        up, down = (free.engine.loglik(free.layout, x + sign * step * (np.arange(len(x)) == i)) for sign in (1, -1))
        assert slope[i] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-4), name
    assert value == pytest.approx(free.engine.loglik(free.layout, x), abs=1e-9)


def free_of(problem: Problem) -> np.ndarray:
    return problem.spec.to_free(np.array([FREE[name] for name in problem.spec.names]))


def test_both_simulators_begin_a_diffuse_series_at_the_same_levels() -> None:
    model = bm.Switching(bm.OU(), 2, varies=("kappa", "theta", "sigma"))
    truth = {**FREE, "kappa[1]": -0.0005, "theta[0]": 0.5, "theta[1]": -400.0}
    del truth["theta"]
    problem = bind(model, bm.simulate(bm.OU(), {"kappa": 0.5, "theta": 0.5, "sigma": 1.0}, TIMES, rng=1),
                   initial="conditional")  # fmt: skip
    x = problem.spec.to_free(np.array([truth[name] for name in problem.spec.names]))
    made = simulator(problem, x)
    quick = {round(float(made(np.random.default_rng(i))[0]), 9) for i in range(60)}
    assert quick == {round(float(simulate_path(problem, x, np.random.default_rng(i)).y[0]), 9) for i in range(60)}


def test_a_forecast_steps_as_the_data_do_however_finely_the_fit_cuts_its_steps() -> None:
    data = bm.simulate(bm.Switching(bm.OU(), 2), FREE, TIMES, rng=8)
    coarse = bm.fit(bm.Switching(bm.OU(), 2), data, starts=2)
    fine = bm.refilter(bm.fit(bm.Switching(bm.OU(), 2, max_step=0.25), data, starts=2), data)
    ahead, finer = bm.forecast(coarse, 6).summary_frame(), bm.forecast(fine, 6).summary_frame()
    assert list(finer.index) == list(ahead.index)
    assert finer["sd"].to_numpy() == pytest.approx(ahead["sd"].to_numpy(), rel=0.15)
