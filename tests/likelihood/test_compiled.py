"""The likelihood compiled from end to end gives the engine's numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from basismodels.inference.pytensor_op import function_of
from basismodels.likelihood.packed import data_of, packs
from basismodels.problem import Problem, bind
from basismodels.series import BasisSeries

pytestmark = pytest.mark.long

Factory = Callable[..., Any]


def agree(problem: Problem, x: NDArray[np.float64]) -> None:
    # what compiled code does not know goes through the engine, and says the same
    assert packs(problem.layout) == {"innovation", "nu"}.isdisjoint(problem.layout.places)
    value, gradient = function_of(problem)(x, *data_of(problem.layout))
    expected, slope = problem.engine.loglik_grad(problem.layout, x)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-10 * np.abs(slope).max())


@pytest.mark.parametrize("model", ["ou, formulas", "switching-ou, all vary", "switching-two-factor"], indirect=True)
def test_value_and_gradient_are_the_engines(bound: Problem, point: Factory) -> None:
    agree(bound, point(bound))


@pytest.mark.slow
def test_every_kind_of_model_agrees(bound: Problem, point: Factory) -> None:
    agree(bound, point(bound))


def test_what_cannot_be_computed_is_minus_infinity(series: Factory) -> None:
    from basismodels.components.ou import OU

    problem = bind(OU(), series())
    value, gradient = function_of(problem)(np.array([np.nan, 0.0, 0.0]), *data_of(problem.layout))
    assert float(value) == -np.inf
    assert not gradient.any()


def test_other_data_need_no_new_function(series: Factory, point: Factory) -> None:
    """The series is an argument: a function made for one serves another of the same model."""
    from basismodels.components.ou import OU

    first: BasisSeries = series(seed=1)
    function, other = function_of(bind(OU(), first)), bind(OU(), series(seed=9, n=200))
    value, _ = function(point(other), *data_of(other.layout))
    assert float(value) == pytest.approx(other.engine.loglik(other.layout, point(other)), rel=1e-12)
