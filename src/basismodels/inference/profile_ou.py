"""Profile limits of the level and the volatility of a plain Ornstein-Uhlenbeck process, from its sums alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from basismodels.inference.profile import quantile
from basismodels.inference.starts import observed
from basismodels.likelihood import ou
from basismodels.likelihood.transition import decay_ratio
from basismodels.results import Fit

Array = NDArray[np.float64]
_FARTHEST = 1e4


def plain_limits(fit: Fit, name: str, level: float) -> tuple[float, float]:
    """Profile limits of "theta" in bps or "sigma" in bps per root hour; infinite where the profile stays high."""
    y, dt = observed(fit.problem)
    centre, stationary = float(fit.params[name]), fit.problem.layout.stationary
    if name == "theta":
        spread = fit.problem.layout.spread
        scaled = _AtLevel((y - centre) / spread, dt, stationary)
        low, high = (centre + spread * _limit(scaled, 0.0, side * 0.05, level) for side in (-1.0, 1.0))
        return low, high
    held = _AtVolatility(y / centre, dt, stationary)
    stride = 1.0 / math.sqrt(len(y))
    low, high = (_limit(lambda s: held(math.exp(s)), 0.0, side * stride, level) for side in (-1.0, 1.0))
    return centre * math.exp(low), centre * math.exp(high)


def _limit(best: Callable[[float], float], centre: float, stride: float, level: float) -> float:
    """Where the profile has fallen by half the chi-squared quantile, going one way from its top."""
    from scipy.optimize import brentq

    goal = best(centre) - 0.5 * quantile(level) ** 2
    inner = outer = centre
    while best(outer) > goal:
        inner, outer, stride = outer, outer + stride, 1.6 * stride
        if abs(outer) > _FARTHEST:
            return math.copysign(math.inf, stride)
    return float(brentq(lambda v: best(v) - goal, inner, outer, rtol=1e-8))


class _OverSpeed:
    """Greatest log likelihood over kappa > 0, something else held."""

    def __init__(self, y: Array, dt: Array, stationary: bool) -> None:
        self.y, self.dt, self.stationary = np.ascontiguousarray(y), np.ascontiguousarray(dt), stationary
        self.n = len(dt) + int(stationary)
        self.ends = math.log(1e-3 / float(dt.sum())), math.log(30.0 / float(np.median(dt)))

    def greatest(self, value: Callable[[float], float]) -> float:
        """Maximum of a function of kappa."""
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda s: -value(math.exp(s)), bounds=self.ends, method="bounded", options={"xatol": 1e-5}
        )
        return -float(found.fun)

    def parts(self, kappa: float) -> tuple[float, float, float]:
        """Drift, mean square residual and sum of log g at the profile's own drift."""
        found = ou.profile(kappa, self.y, self.dt, self.stationary)
        log_g = -2.0 * found.value - self.n * (math.log(2.0 * math.pi * found.variance) + 1.0)
        return found.drift, found.variance, log_g


class _AtVolatility(_OverSpeed):
    """Greatest log likelihood at a volatility."""

    def __call__(self, sigma: float) -> float:
        variance = sigma * sigma

        def value(kappa: float) -> float:
            _, square, log_g = self.parts(kappa)
            return -0.5 * (self.n * (math.log(2.0 * math.pi * variance) + square / variance) + log_g)

        return self.greatest(value)


class _AtLevel(_OverSpeed):
    """Greatest log likelihood at a level: another drift adds A (kappa theta - drift)^2 to the squares."""

    def __init__(self, y: Array, dt: Array, stationary: bool) -> None:
        super().__init__(y, dt, stationary)
        self.kinds, self.count = np.unique(dt, return_counts=True)

    def __call__(self, theta: float) -> float:
        def value(kappa: float) -> float:
            drift, square, log_g = self.parts(kappa)
            moved = square + self.weight(kappa) * (kappa * theta - drift) ** 2 / self.n
            return -0.5 * (self.n * (math.log(2.0 * math.pi * moved) + 1.0) + log_g)

        return self.greatest(value)

    def weight(self, kappa: float) -> float:
        """A = sum h^2 / g, with the first observation's 2 / kappa under a stationary start."""
        h, g = decay_ratio(kappa * self.kinds), decay_ratio(2.0 * kappa * self.kinds)
        return float(self.count @ (self.kinds * h * h / g)) + (2.0 / kappa if self.stationary else 0.0)
