"""The signed root of the combined half-life, as a speed ln 2 / half-life, by refits under that constraint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.engine import objective
from basismodels.inference.starts import bounds, observed, scales, steps
from basismodels.results import Fit

Array = NDArray[np.float64]
_LN2, _FAR, _NEVER = math.log(2.0), 8.0, 1e12


class TotalRoot:
    """Roots of the combined speed of a fit; the nuisance is the whole free vector.

    `half_life`: combined half-life in hours at a free vector. A restricted estimate begins where the last one was.
    """

    positive = True

    def __init__(self, fit: Fit, half_life: Callable[[Array], float]) -> None:
        self.half_life, self.top = half_life, fit.llf
        self.goal = objective(fit.problem.engine, fit.problem.layout)
        self.box, self.unit = bounds(fit.problem, scales(fit.problem)), steps(fit.problem, fit.x)
        dt = observed(fit.problem)[1]
        self.span = float(dt.sum())
        self.highest = 3.0 / float(np.median(dt))
        self.estimate = _LN2 / half_life(fit.x)
        self.near = {self.estimate: fit.x}

    def root(self, value: float) -> tuple[float, Array]:
        """Signed root at a combined speed in 1/h and the restricted estimate."""
        x, llf = self._restricted(value)
        self.near[value] = x
        depth = min(math.sqrt(max(2.0 * (self.top - llf), 0.0)), _FAR)
        return math.copysign(depth, self.estimate - value), x

    def _restricted(self, value: float) -> tuple[Array, float]:
        """The highest point with that combined speed, and its log likelihood; minus infinity where none was reached."""
        from scipy.optimize import minimize

        target, begun = math.log(_LN2 / value), self.near[min(self.near, key=lambda v: abs(math.log(v / value)))]
        low, high = ((self.box[:, i] - begun) / self.unit for i in (0, 1))

        def scaled(u: Array) -> tuple[float, Array]:
            down, slope = self.goal(begun + u * self.unit)
            return float(down), slope * self.unit

        def gap(u: Array) -> float:
            hours = self.half_life(begun + u * self.unit)
            return math.log(hours if hours < _NEVER else _NEVER) - target

        def tangent(u: Array) -> Array:
            step = 1e-4 * np.eye(len(u))
            return np.array([(gap(u + s) - gap(u - s)) / 2e-4 for s in step])

        found: Any = minimize(
            scaled, np.zeros(len(begun)), jac=True, method="SLSQP", bounds=list(zip(low, high, strict=True)),
            constraints=[{"type": "eq", "fun": gap, "jac": tangent}], options={"maxiter": 200, "ftol": 1e-9},
        )  # fmt: skip
        if abs(gap(found.x)) > 1e-4:
            return begun, -math.inf
        return begun + found.x * self.unit, -float(found.fun)
