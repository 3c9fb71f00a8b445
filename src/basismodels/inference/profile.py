"""Profile-likelihood intervals (Venzon & Moolgavkar 1988)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from basismodels.engine import objective
from basismodels.inference.mle import Optimum, covariance, descend, is_plain_ou, observed_information
from basismodels.inference.starts import bounds, observed, scales, steps
from basismodels.likelihood import ou
from basismodels.problem import bind
from basismodels.results import Fit

Array = NDArray[np.float64]
_TRIES = 12


def quantile(level: float) -> float:
    """Square root of the chi-squared quantile on one degree of freedom."""
    from scipy.stats import norm

    return float(norm.ppf(0.5 + level / 2.0))


def profile_interval(fit: Fit, name: str, level: float = 0.95) -> tuple[float, float]:
    """Natural-scale limits of one coefficient; infinite or at the bound where the profile never falls enough."""
    i = fit.problem.spec.position(name)
    at = _Profile(fit, i)
    lower, upper = at.limit(-1, quantile(level)), at.limit(1, quantile(level))
    c = fit.problem.spec.coefficients[i]
    return c.to_natural(lower), c.to_natural(upper)


class _Profile:
    """The signed root of the profile of one free coefficient, remembering where it has been."""

    def __init__(self, fit: Fit, i: int) -> None:
        self.fit, self.i = fit, i
        self.box = bounds(fit.problem, scales(fit.problem))
        self.goal = objective(fit.problem.engine, fit.problem.layout)
        self.unit = steps(fit.problem, fit.x)
        se = math.sqrt(fit.cov[i, i]) if np.isfinite(fit.cov[i, i]) else 0.3 * self.unit[i]
        self.se = min(max(se, 1e-6 * self.unit[i]), 3.0 * self.unit[i])
        column = fit.cov[:, i] / fit.cov[i, i] if np.all(np.isfinite(fit.cov)) else np.zeros(len(fit.x))
        self.tangent = column
        self.top = fit.llf
        self.pace = 1.0 / self.se

    def root(self, value: float, near: Array) -> tuple[float, Array]:
        """sqrt(2 (max - profile)) at a free value, and the point reached.

        The others begin where the curvature at the maximum would carry them; where that ends much lower than the last
        point lets expect, they begin where they are as well.
        """
        box = self.box.copy()
        box[self.i] = value
        found = self._descend(near + self.tangent * (value - near[self.i]), box)
        away = abs(value - self.fit.x[self.i])
        if self._depth(found) > 1.3 * self.pace * away + 0.3:
            found = max([found, *(self._descend(x, box) for x in (near, self.fit.x))], key=lambda o: o.llf)
        self.pace = self._depth(found) / max(away, 1e-12)
        return self._depth(found), found.x

    def _depth(self, found: Optimum) -> float:
        return math.sqrt(max(2.0 * (self.top - found.llf), 0.0))

    def _descend(self, x: Array, box: Array) -> Optimum:
        return descend(self.goal, np.clip(x, box[:, 0], box[:, 1]), box, self.unit, 200)

    def limit(self, side: int, z: float) -> float:
        """Free value where the root reaches z on one side, or the box's edge."""
        self.pace = 1.0 / self.se
        edge = self.box[self.i, 0 if side < 0 else 1]
        inner, r_in, x = self.fit.x[self.i], 0.0, self.fit.x
        outer = r_out = math.nan
        value = inner + side * z * self.se
        for _ in range(_TRIES):
            value = float(np.clip(value, *self.box[self.i]))
            r, x = self.root(value, x)
            if abs(r - z) < 2e-3:
                return value
            if r < z:
                inner, r_in = value, r
                if value == edge:
                    return float(edge if self.fit.problem.spec.coefficients[self.i].link != "log" else side * math.inf)
            else:
                outer, r_out = value, r
            if math.isnan(outer):
                growth = min(max(z / max(r, 0.05), 1.2), 3.0)
                value = self.fit.x[self.i] + (value - self.fit.x[self.i]) * growth
            else:
                value = inner + (outer - inner) * min(max((z - r_in) / max(r_out - r_in, 1e-12), 0.1), 0.9)
        return float(value)


def kappa_interval(fit: Fit, level: float = 0.95) -> tuple[float, float]:
    """Profile limits of kappa itself for a one-regime model, in 1/h; it may cross zero.

    Uses the conditional start, under which kappa needs no sign.
    """
    z = quantile(level)
    if is_plain_ou(fit.problem):
        return _plain_ou(fit, z)
    old = fit.problem
    bound = bind(
        fit.model, fit.data, initial="conditional", mask=old.mask, kappa_link="identity", depth=old.layout.depth
    )
    free = replace(fit, problem=bound, x=bound.spec.to_free(np.asarray(fit.params, dtype=float)))
    again = refit_from(free)
    return profile_interval(again, "kappa", level)


def refit_from(fit: Fit) -> Fit:
    """The maximum reached from the fit's own point, with its covariance."""
    box = bounds(fit.problem, scales(fit.problem))
    goal = objective(fit.problem.engine, fit.problem.layout)
    found = descend(goal, np.clip(fit.x, box[:, 0], box[:, 1]), box, steps(fit.problem, fit.x), 400)
    cov = covariance(observed_information(fit.problem, found.x), found.x, box)
    return replace(fit, x=found.x, llf=found.llf, cov=cov)


def _plain_ou(fit: Fit, z: float) -> tuple[float, float]:
    from scipy.optimize import brentq

    y, dt = observed(fit.problem)
    best = ou.maximise(y, dt, stationary=False, positive=False)

    def drop(kappa: float) -> float:
        return 2.0 * (best.value - ou.profile(kappa, y, dt, False).value) - z * z

    span, step = float(dt.sum()), float(np.median(dt))
    limits = []
    for side in (-1.0, 1.0):
        size = max(abs(best.kappa), 1.0 / span)
        for _ in range(40):
            edge = best.kappa + side * size
            if edge * step > 30.0 or edge * float(dt.max()) < -300.0:
                limits.append(side * math.inf)
                break
            if drop(edge) > 0:
                limits.append(float(brentq(drop, best.kappa, edge, xtol=1e-14, rtol=1e-12)))
                break
            size *= 1.7
        else:
            limits.append(side * math.inf)
    return limits[0], limits[1]
