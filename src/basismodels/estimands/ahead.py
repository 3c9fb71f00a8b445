"""What follows the last row of a fit: its closes, the rule that pays, the state there and the step that leaves it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError, real
from basismodels.funding.covariates import rule_of
from basismodels.funding.guess import guessed
from basismodels.funding.mechanism import Rule
from basismodels.likelihood import assemble, predictors
from basismodels.likelihood.kim import Steps
from basismodels.likelihood.predictors import Layout, Natural
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]
_MOST_STEPS = 10_000


def count_ahead(horizon: object, spacing: float) -> int:
    """How many steps of `spacing` hours reach a horizon in hours; ModelError where it is none, or out of all reach."""
    hours = real(horizon, "horizon", above=0.0, remedy="horizon=24, in hours")
    count = float(np.ceil(np.float64(hours) / spacing - 1e-9))
    if not 1 <= count <= _MOST_STEPS:
        raise ModelError(
            f"a horizon of {hours:g} h is {count:,.15g} steps of {spacing:g} h, not 1 to {_MOST_STEPS:,}",
            remedy=f"horizon={spacing:g} to {_MOST_STEPS * spacing:g}",
        )
    return int(count)


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


def closes_ahead(now: pd.Timestamp, spacing: float, count: int) -> pd.DatetimeIndex:
    """The closes of `count` steps of `spacing` hours after a row."""
    return pd.DatetimeIndex(now + np.arange(1, count + 1) * pd.Timedelta(hours=spacing))


def rule_ahead(fit: Fit) -> tuple[Rule, str]:
    """The rule of the data, else a guess, settling as often as the data's last settlements do."""
    known, settled = rule_of(fit.data), fit.data.settlements
    found, said = (known, "") if known is not None else guessed(fit.data, fit.data.time[-1])
    if settled is not None and len(settled) and found.timing != "continuous":
        found = found.with_interval(float(settled["interval_hours"].iloc[-1]))
    return found, said


def drawn(mean: Array, var: Array, rng: np.random.Generator) -> Array:
    """States (m, 2) from means (m, 2) and variances, covariances (m, 3)."""
    a, b, d = np.maximum(var[:, 0], 0.0), var[:, 1], np.maximum(var[:, 2], 0.0)
    z = rng.standard_normal((len(mean), 2))
    root = np.sqrt(a)
    slope = np.divide(b, root, out=np.zeros_like(b), where=root > 0)
    rest = np.sqrt(np.maximum(d - slope**2, 0.0))
    return np.column_stack([mean[:, 0] + root * z[:, 0], mean[:, 1] + slope * z[:, 0] + rest * z[:, 1]])
