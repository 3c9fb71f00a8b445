"""The law of the basis without noise, time by time and regime by regime."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.kim import Filtered
from basismodels.likelihood.smoother import Smoothed
from basismodels.problem import Problem

Array = NDArray[np.float64]


class State(NamedTuple):
    """Weights (n, K), mean and sd of the basis x + l in bps (n, K), mean of the slow level l (n, K)."""

    weights: Array
    mean: Array
    sd: Array
    level: Array


def state_of(problem: Problem, found: Filtered | Smoothed) -> State:
    """The law at data rows, from a filter or smoother on internal rows."""
    place = problem.place
    mean, var = found.mean[place], found.var[place]
    spread = np.maximum(var[:, :, 0] + 2.0 * var[:, :, 1] + var[:, :, 2], 0.0)
    return State(found.p[place], mean.sum(axis=2), np.sqrt(spread), mean[:, :, 1])
