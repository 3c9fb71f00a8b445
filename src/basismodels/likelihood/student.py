"""Hamilton's filter with Student's t shocks of given variance; with Gaussian ones it is `hamilton`.

Given the regime k at a step's end the shock is sqrt(v_k (nu_k - 2) / nu_k) times a t variable of nu_k degrees of
freedom: v_k stays its variance, so that moments of the basis do not know the tails. The first observation is Gaussian.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import hamilton
from basismodels.likelihood.kim import Filtered, Start, Steps

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def scaled(steps: Steps, nu: Array) -> Steps:
    """The steps with the square of the t variable's scale in place of the variance."""
    return steps._replace(v=steps.v * (nu - 2.0) / nu)


def loglik(y: Array, row: Rows, steps: Steps, start: Start, nu: Array) -> float:
    """Log likelihood of y (n,) in bps, none missing; nu (K,) above 2."""
    return hamilton.loglik(y, row, scaled(steps, nu), start, nu)


def loglik_grad(y: Array, row: Rows, steps: Steps, start: Start, nu: Array) -> tuple[float, Steps, Start, Array]:
    """Log likelihood and its derivatives with respect to every coefficient, the start and nu (K,)."""
    value, bars, start_bars, g_nu = hamilton.loglik_grad_student(y, row, scaled(steps, nu), start, nu)
    g_nu = g_nu + (bars.v * steps.v).sum(axis=0) * 2.0 / nu**2
    return value, bars._replace(v=bars.v * (nu - 2.0) / nu), start_bars, g_nu


def filter(y: Array, row: Rows, steps: Steps, start: Start, nu: Array) -> Filtered:
    """Filtered probabilities and one-step log densities; the state is the observation itself."""
    return hamilton.filter(y, row, scaled(steps, nu), start, nu)
