"""Climbs from near a maximum: the same maximum as the full search, and the compiled gradient is the engine's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.engine import objective
from basismodels.inference.bootstrap import simulator, with_series
from basismodels.inference.mle import descend
from basismodels.inference.starts import bounds, scales, steps
from basismodels.inference.warm import curvature, warm_fit
from basismodels.likelihood import hamilton_ou
from basismodels.likelihood.hamilton_layout import places, regular

BOTH = ("kappa", "theta", "sigma")
MODELS = {
    "plain": bm.OU(),
    "noise": bm.OU() + bm.Noise(),
    "two-factor": bm.OU() + bm.SlowOU() + bm.Noise(),
    "switching": bm.Switching(bm.OU()),
    "levels": bm.Switching(bm.OU(), varies=BOTH),
    "switching-noise": bm.Switching(bm.OU() + bm.Noise()),
}


@pytest.fixture(scope="module")
def data():
    part = bm.load_example(end="2024-02-20")
    return bm.BasisSeries.from_basis(part.time, np.where(np.isfinite(part.basis), part.basis, 0.0))


@pytest.mark.parametrize("initial", ["stationary", "conditional"])
@pytest.mark.parametrize("model", [bm.Switching(bm.OU()), bm.Switching(bm.OU(), varies=BOTH),
                                   bm.Switching(bm.OU(theta=1.5), varies="sigma")])  # fmt: skip
def test_the_compiled_gradient_is_the_engines(model, initial, data):
    fit = bm.fit(model, data, starts=1, initial=initial)
    problem, rng = fit.problem, np.random.default_rng(1)
    at = places(problem.layout, problem.engine.name == "hamilton")
    dt, flags, centre, flat = regular(problem.layout)
    for _ in range(3):
        x = fit.x + 0.1 * rng.standard_normal(len(fit.x)) * np.maximum(np.abs(fit.x), 0.1)
        process = problem.layout.y, dt, np.concatenate([x, problem.layout.constants]), at, flags, centre, flat
        value, g = hamilton_ou.loglik_grad((0, 0), *process)
        assert hamilton_ou.loglik((0, 0), *process) == pytest.approx(value, abs=1e-9)
        expected, slope = problem.engine.loglik_grad(problem.layout, x)
        assert value == pytest.approx(expected, abs=1e-8)
        np.testing.assert_allclose(g[: len(x)], slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("name", MODELS)
def test_a_warm_fit_reaches_what_the_full_search_reaches(name, data):
    fit = bm.fit(MODELS[name], data.cut(end="2024-01-31"), starts=2)
    problem = fit.problem
    box, inverse = bounds(problem, scales(problem)), curvature(problem, fit.x, fit.cov)
    make = simulator(problem, fit.x)
    for seed in range(2):
        again = with_series(problem, make(np.random.default_rng(seed)))
        goal = objective(again.engine, again.layout)
        full = descend(goal, fit.x, box, steps(problem, fit.x), 400)
        warm = warm_fit(again, fit.x, box, inverse)
        assert -goal(warm.x)[0] > full.llf - 1e-4


def test_the_compiled_simulator_follows_the_models_law(data):
    model = bm.Switching(bm.OU(), varies=BOTH)
    truth = {"kappa[0]": 0.3, "kappa[1]": 0.05, "theta[0]": 0.0, "theta[1]": 20.0, "sigma[0]": 1.0, "sigma[1]": 4.0,
             "q[0->1]": 0.05, "q[1->0]": 0.1}  # fmt: skip
    times = pd.date_range("2024-01-01", periods=4000, freq="h", tz="UTC")
    fit = bm.fit(model, bm.simulate(model, truth, times, rng=1), starts=2)
    make = simulator(fit.problem, fit.x)
    compiled = np.array([make(np.random.default_rng(i)) for i in range(40)])
    general = np.array(
        [bm.simulate(model, fit.params, times, rng=i).basis for i in range(40)]
    )
    for moment in (lambda y: y.mean(axis=1), lambda y: np.diff(y).std(axis=1), lambda y: y.std(axis=1)):
        a, b = moment(compiled), moment(general)
        assert abs(a.mean() - b.mean()) < 4.0 * np.sqrt((a.var() + b.var()) / 40)


def test_where_the_compiled_climb_does_not_serve(data):
    gap = bm.BasisSeries.from_basis(data.time, np.where(np.arange(data.n) == 50, np.nan, data.basis))
    for model, series in ((MODELS["noise"], data), (MODELS["switching-noise"], data), (MODELS["switching"], gap)):
        problem = bm.fit(model, series.cut(end="2024-01-10"), starts=1).problem
        assert places(problem.layout, problem.engine.name == "hamilton") is None
