"""One row past the end of a fit, with the covariates known at its last row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import assemble, predictors
from basismodels.likelihood.kim import Steps
from basismodels.likelihood.predictors import Layout, Natural
from basismodels.problem import Problem

Array = NDArray[np.float64]


def layout_ahead(problem: Problem, hours: float) -> Layout:
    """Layout of the one step of `hours` that leaves the last row."""
    last = problem.data.n - 1
    design = {
        name: problem.designs[name].values[[last]] if name in problem.designs else np.ones((1, 1))
        for name in problem.layout.places
    }
    return problem.layout._replace(dt=np.array([hours]), design=design, row=np.zeros(1, dtype=np.int64))


def natural_ahead(problem: Problem, x: Array) -> Natural:
    """Predictors at the last row under a free vector (p,), one row each."""
    return predictors.natural(layout_ahead(problem, 1.0), x)


def steps_ahead(problem: Problem, x: Array, hours: float, *, later: bool = False) -> Steps:
    """Coefficients of a step of `hours` from the last row under a free vector (p,).

    `later`: of the steps after it, with the same covariates but for payments, of which none is known yet.
    """
    layout = layout_ahead(problem, hours)
    layout = assemble.without_jump(layout) if later else layout
    return assemble.steps_of(layout, predictors.natural(layout, x))
