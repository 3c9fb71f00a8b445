"""The law of the basis without noise, time by time and regime by regime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.kim import Filtered
from basismodels.likelihood.passage_mean import State
from basismodels.likelihood.smoother import Smoothed
from basismodels.problem import Problem

Array = NDArray[np.float64]


def state_of(problem: Problem, found: Filtered | Smoothed) -> State:
    """The law at data rows, from a filter or smoother on internal rows."""
    place = problem.place
    return of_moments(found.p[place], found.mean[place], found.var[place])


def of_moments(weights: Array, mean: Array, var: Array) -> State:
    """The law from weights (n, K), means of x and l (n, K, 2), and var x, cov x l, var l (n, K, 3)."""
    spread = np.maximum(var[:, :, 0] + 2.0 * var[:, :, 1] + var[:, :, 2], 0.0)
    with_g = var[:, :, 1] + var[:, :, 2]
    tilt = np.divide(with_g, spread, out=np.zeros_like(spread), where=spread > 0.0)
    left = np.maximum(var[:, :, 2] - tilt * with_g, 0.0)
    return State(weights, mean.sum(axis=2), np.sqrt(spread), mean[:, :, 1], tilt, np.sqrt(left))


def known(mean: Array, level: Array) -> State:
    """One regime whose basis and level, (n,) bps, are known."""
    still = np.zeros((len(mean), 1))
    return State(still + 1.0, mean[:, None] + still, still, level[:, None] + still, still, still)
