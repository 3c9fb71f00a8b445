"""Which likelihood serves which model, chosen once.

| model | likelihood | |
|---|---|---|
| one regime, no slow level | `kalman` | exact |
| one regime with a slow level | `kim` at K = 1 | exact |
| regimes, no noise, no slow level, no missing value | `hamilton` | exact given the held regime |
| Student's t shocks, in one regime or more, under the same conditions | `student` | exact given the held regime |
| regimes otherwise | `kim` | moments matched |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.likelihood import assemble, hamilton, hamilton_layout, kalman, kim, smoother, student
from basismodels.likelihood.hamilton_layout import Places, places
from basismodels.likelihood.kim import Filtered
from basismodels.likelihood.predictors import Layout, freedom
from basismodels.likelihood.smoother import Smoothed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Engine:
    """A likelihood behind four functions of a layout and a free vector; `exact` unless moments are matched."""

    name: str
    exact: bool
    kernel: Any
    depth: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to another process by the kernel's name, since a module does not pickle."""
        return _engine, (self.name, self.exact, self.kernel.__name__, self.depth)

    def _options(self, layout: Layout, x: Array) -> dict[str, Any]:
        """What the kernel takes besides arrays: the exact ones know no depth, one alone knows degrees of freedom."""
        if self.kernel is student:
            return {"nu": freedom(layout, x)}
        return {} if self.exact else {"depth": self.depth}

    def loglik(self, layout: Layout, x: Array) -> float:
        """Log likelihood at a free vector (p,)."""
        steps, start = assemble.coefficients(layout, x)
        return float(self.kernel.loglik(layout.y, layout.row, steps, start, **self._options(layout, x)))

    def loglik_grad(self, layout: Layout, x: Array) -> tuple[float, Array]:
        """Log likelihood and its exact gradient (p,)."""
        at = assemble.bound(layout, x)
        options = self._options(layout, x)
        value, *bars = self.kernel.loglik_grad(layout.y, layout.row, at.steps, at.start, **options)
        return float(value), assemble.adjoint(layout, x, at, *bars)

    def filter(self, layout: Layout, x: Array) -> Filtered:
        """Filtered probabilities, moments and one-step log densities."""
        steps, start = assemble.coefficients(layout, x)
        options = self._options(layout, x)
        filtered: Filtered = self.kernel.filter(layout.y, layout.row, steps, start, **options)
        return filtered

    def smooth(self, layout: Layout, x: Array) -> Smoothed:
        """Smoothed probabilities and moments."""
        steps, _ = assemble.coefficients(layout, x)
        return smoother.smooth(self.filter(layout, x), layout.row, steps)


def _engine(name: str, exact: bool, kernel: str, depth: int) -> Engine:
    return Engine(name, exact, import_module(kernel), depth)


KALMAN = Engine("kalman", True, kalman)
SLOW_KALMAN = Engine("kalman", True, kim)
HAMILTON = Engine("hamilton", True, hamilton)
STUDENT = Engine("student", True, student)


def matched(depth: int) -> Engine:
    """The moment-matching engine over the last `depth` regimes."""
    return Engine("kim", False, kim, depth)


def choose(layout: Layout) -> Engine:
    """The engine for a bound model."""
    state = "slow.kappa" in layout.places
    mixture = "outlier.share" in layout.places
    bare = not (state or mixture or "tau" in layout.places or np.isnan(layout.y).any())
    if "nu" in layout.places:
        if not bare:
            raise ModelError(
                "Student's t shocks take the basis seen without noise, slow level or missing values",
                remedy="Noise(outliers=True) for wild closes, or data.cut(...) to a span without gaps",
            )
        return STUDENT
    if layout.regimes == 1 and not mixture:
        return SLOW_KALMAN if state else KALMAN
    if bare:
        return HAMILTON
    return matched(layout.depth)


def _compiled(layout: Layout, at: Places, x: Array) -> tuple[float, Array]:
    value, gradient = hamilton_layout.loglik_grad(layout, at, x)
    if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
        return np.inf, np.zeros(len(x))
    return -value, -gradient


Objective = Callable[[Array], tuple[float, Array]]


def objective(engine: Engine, layout: Layout) -> Objective:
    """Minus the log likelihood and its gradient, infinite where it cannot be computed."""

    at = places(layout, engine.name == "hamilton")
    if at is not None:
        return partial(_compiled, layout, at)

    def negative(x: Array) -> tuple[float, Array]:
        try:
            with np.errstate(all="ignore"):
                value, gradient = engine.loglik_grad(layout, x)
        except np.linalg.LinAlgError:
            return np.inf, np.zeros(len(x))
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return np.inf, np.zeros(len(x))
        return -value, -gradient

    return negative
