"""The operation's log density and gradient against a likelihood written with scan."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.problem import bind

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def oracle():
    file = Path(__file__).with_name("scan_oracle.py")
    spec = importlib.util.spec_from_file_location("scan_oracle", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def problem():
    time = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC")
    y = np.cumsum(np.random.default_rng(4).normal(size=60)) * 0.7
    model = bm.Switching(bm.OU(), regimes=2, varies=("kappa", "theta", "sigma"))
    return bind(model, bm.BasisSeries.from_basis(time, y), initial="conditional")


def by_scan(oracle, problem, x):
    """Value and gradient in the free vector (kappa, drift, log sigma of both regimes, log rates)."""
    import pytensor
    import pytensor.tensor as pt

    at = {name: problem.spec.position(name) for name in problem.spec.names}
    free = pt.dvector()
    kappa, drift = free[[at["kappa[0]"], at["kappa[1]"]]], free[[at["theta[0]"], at["theta[1]"]]]
    sigma = pt.exp(free[[at["sigma[0]"], at["sigma[1]"]]])
    rates = pt.exp(free[[at["q[0->1]"], at["q[1->0]"]]])
    value = oracle.log_likelihood(kappa, drift / kappa, sigma, rates, pt.constant(problem.layout.y))
    made = pytensor.function([free], [value, pytensor.grad(value, free)], mode="FAST_COMPILE")
    return made(x)


@pytest.mark.filterwarnings("ignore")
def test_density_and_gradient_are_those_of_the_scan(oracle, problem):
    import pytensor
    import pytensor.tensor as pt

    from basismodels.inference.pytensor_op import LogLik
    from basismodels.likelihood.packed import data_of

    natural = {"kappa[0]": 0.2, "kappa[1]": 0.05, "theta[0]": 1.0, "theta[1]": -2.0, "sigma[0]": 0.5, "sigma[1]": 1.4}
    natural |= {"q[0->1]": 0.1, "q[1->0]": 0.3}
    x = problem.spec.to_free(np.array([natural[name] for name in problem.spec.names]))
    free = pt.dvector()
    value = LogLik(problem)(free, *(pt.constant(part) for part in data_of(problem.layout)))[0]
    made = pytensor.function([free], [value, pytensor.grad(value, free)], mode="FAST_COMPILE")
    own, slope = made(x)
    expected, expected_slope = by_scan(oracle, problem, x)
    assert float(own) == pytest.approx(float(expected), rel=1e-8)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-8, atol=1e-8 * np.abs(expected_slope).max())
