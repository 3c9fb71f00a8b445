"""Simulator and density agree: the score has mean zero over simulated series.

Two thousand series from the package's own simulator, the gradient from its own
likelihood; Hotelling's T^2 says whether the mean can be zero. A simulator that is wrong
in any one place is told from the right one by the same test.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.inference.simulate import simulate_path
from basismodels.likelihood import assemble
from basismodels.problem import bind
from basismodels.series import BasisSeries

SERIES = 2000
VALUES = {
    "kappa": 0.3, "theta": 2.0, "sigma": 1.0, "tau": 0.5, "slow.kappa": 0.03, "slow.sigma": 0.4,
    "kappa[0]": 0.5, "kappa[1]": 0.15, "theta[0]": 0.0, "theta[1]": 3.0, "sigma[0]": 0.6, "sigma[1]": 2.0,
    "nu": 5.0, "nu[0]": 4.0, "nu[1]": 8.0,
    "q[0->1]": 0.05, "q[1->0]": 0.15, "kappa:z": 0.2, "sigma:z": 0.1, "q[0->1]:z": 0.3, "q[1->0]:z": -0.2,
}  # fmt: skip
HAMILTON = Switching(OU(), 2, varies=("kappa", "theta", "sigma"))
EXACT = {
    "kalman, ou": OU(),
    "kalman, ou-noise": OU(kappa="1 + z", sigma="1 + z") + Noise(),
    "kalman, two-factor": OU() + SlowOU() + Noise(),
    "hamilton": HAMILTON,
    "student": OU(kappa="1 + z", nu="1"),
    "student, regimes": Switching(OU(nu="1"), 2, varies=("kappa", "sigma", "nu")),
    "hamilton, rates": Switching(OU(), 2, varies=("kappa", "theta", "sigma"), transition="1 + z"),
}


def bound_to_hours(model, n=60, gaps=True):
    g = np.random.default_rng(0)
    time = pd.date_range("2024-01-01", periods=2 * n, freq="h", tz="UTC")
    if gaps:
        time = time[np.sort(g.choice(2 * n, n, replace=False))]
    time = time[:n]
    z = pd.DataFrame({"z": g.normal(size=n)}, index=time)
    data = BasisSeries.from_basis(time, g.normal(2.0, 1.0, n), covariates=z)
    made = bind(model, data, initial="stationary")
    return made, made.spec.to_free(np.array([VALUES[name] for name in made.spec.names]))


def scores(problem, x, draw):
    """Gradients (series, p) at x of series drawn by `draw`."""
    out = np.empty((SERIES, len(x)))
    rng = np.random.default_rng(1)
    for i in range(SERIES):
        layout = problem.layout._replace(y=draw(rng))
        out[i] = problem.engine.loglik_grad(layout, x)[1]
    return out


def p_value(gradients):
    """Of the hypothesis that the mean is zero."""
    mean = gradients.mean(axis=0)
    spread = np.cov(gradients.T).reshape(len(mean), len(mean))
    return float(chi2.sf(len(gradients) * mean @ np.linalg.solve(spread, mean), len(mean)))


@pytest.mark.parametrize("name", list(EXACT))
def test_mean_score_is_zero(name):
    problem, x = bound_to_hours(EXACT[name], gaps=name.startswith("kalman"))
    assert problem.engine.name == name.split(",")[0]
    gradients = scores(problem, x, lambda rng: simulate_path(problem, x, rng).y)
    assert p_value(gradients) > 1e-3


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", ["kalman, ou-noise", "kalman, two-factor", "hamilton"])
def test_each_wrong_parameter_of_the_simulator_is_seen(name):
    """One free coefficient a quarter off (levels half a bp) in the simulator alone."""
    problem, x = bound_to_hours(EXACT[name], gaps=name.startswith("kalman"))
    for i, coefficient in enumerate(problem.spec.coefficients):
        wrong = x.copy()
        if coefficient.link == "log" or ":" in coefficient.name:
            wrong[i] += 0.25
        else:
            wrong[i] += 0.5 if coefficient.param == "theta" else 0.25 * wrong[i]
        gradients = scores(problem, x, lambda rng, at=wrong: simulate_path(problem, at, rng).y)
        assert p_value(gradients) < 1e-4, coefficient.name


def walk(problem, x, rng, form):
    """A second simulator, in plain numpy: the package's "intercept" form, or one of two it is not.

    "mean": a switch of regime moves the basis by the difference of levels (Hamilton 1989);
    "euler": the step's first-order scheme.
    """
    steps, start = assemble.coefficients(problem.layout, x)
    phi, c, v = steps.phi[-1], steps.c[-1], steps.v[-1]
    theta = c / (1.0 - phi)
    if form == "euler":
        kappa = -np.log(phi)
        v = v * 2.0 * kappa / (1.0 - phi**2)
        phi = 1.0 - kappa
        c = kappa * theta
    s = rng.choice(2, p=start.p)
    y = [start.mean[s, 0] + np.sqrt(start.var[s, 0]) * rng.standard_normal()]
    for r in problem.layout.row[1:]:
        after = rng.choice(2, p=steps.p[r, s])
        ahead = c[after] + phi[after] * y[-1]
        if form == "mean":
            ahead = theta[after] + phi[after] * (y[-1] - theta[s])
        y.append(ahead + np.sqrt(v[after]) * rng.standard_normal())
        s = after
    return np.array(y)


@pytest.mark.parametrize(("form", "agrees"), [("intercept", True), ("mean", False), ("euler", False)])
def test_another_model_is_told_apart(form, agrees):
    problem, x = bound_to_hours(HAMILTON, gaps=False)
    found = p_value(scores(problem, x, lambda rng: walk(problem, x, rng, form)))
    assert (found > 1e-3) if agrees else (found < 1e-6)
