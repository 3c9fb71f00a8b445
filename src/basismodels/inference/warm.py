"""Maximum likelihood from a point near the maximum: quasi-Newton from a known curvature, in a few evaluations.

Bootstraps and rolling windows fit again and again where a maximum and its information are known. Two regimes of an
Ornstein-Uhlenbeck process without covariates on a regular grid climb in compiled code, everything else in the same
steps around its engine; where the climb stops short, the full search from the same point decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.engine import Objective, objective
from basismodels.inference.labels import ordered
from basismodels.inference.mle import descend, is_plain_ou
from basismodels.inference.starts import steps
from basismodels.likelihood import hamilton_layout, hamilton_ou, ou
from basismodels.likelihood.hamilton_layout import places
from basismodels.likelihood.predictors import Layout
from basismodels.problem import Problem

Array = NDArray[np.float64]

_MOST = 120
_DECREMENT = 1e-10
_WIDEST = 8.0


class Warm(NamedTuple):
    """Where a climb ended: free vector, log likelihood, inverse curvature (p, p), and whether it converged."""

    x: Array
    llf: float
    inverse: Array
    converged: bool


def warm_fit(problem: Problem, x: Array, box: Array, inverse: Array) -> Warm:
    """Maximum near x within box (p, 2), from an inverse curvature (p, p) such as a covariance; regimes in order."""
    if is_plain_ou(problem):
        return _plain(problem, inverse)
    start = np.clip(x, box[:, 0], box[:, 1])
    at = places(problem.layout, problem.engine.name == "hamilton")
    if at is not None:
        found = _compiled(problem.layout, at, start, box, inverse)
    else:
        found = climb(objective(problem.engine, problem.layout), start, box, inverse)
    if not found.converged:
        full = descend(objective(problem.engine, problem.layout), start, box, steps(problem, start), 400)
        if not full.llf <= found.llf:
            found = Warm(full.x, full.llf, inverse, full.converged)
    return found._replace(x=ordered(problem, found.x))


def _plain(problem: Problem, inverse: Array) -> Warm:
    hours = np.cumsum(problem.layout.dt[problem.layout.row])
    seen = np.isfinite(problem.layout.y)
    found = ou.maximise(problem.layout.y[seen], np.diff(hours[seen]), problem.layout.stationary)
    kappa = max(found.kappa, 1e-12)
    x = np.array([np.log(kappa), found.drift / kappa, 0.5 * np.log(found.variance)])
    return Warm(x, found.value, inverse, found.inside)


def curvature(problem: Problem, x: Array, cov: Array) -> Array:
    """Inverse curvature (p, p) to begin with: the covariance, and small variances where it is unknown."""
    known = np.isfinite(np.diag(cov))
    out = np.where(np.outer(known, known), cov, 0.0)
    out[~known, ~known] = (0.1 * steps(problem, x)[~known]) ** 2
    return np.ascontiguousarray(out)


def _compiled(layout: Layout, at: NDArray[np.int64], x: Array, box: Array, inverse: Array) -> Warm:
    found, value, own, converged, _ = hamilton_layout.climb(layout, at, x, box, inverse)
    return Warm(found, value, own, converged)


def climb(goal: Objective, x: Array, box: Array, inverse: Array) -> Warm:
    """BFGS (Broyden, Fletcher, Goldfarb & Shanno 1970) from a known inverse curvature, within a box.

    `goal`: minus the log likelihood and its gradient. Ends at a Newton decrement under 1e-10.
    """
    minus, slope = goal(x)
    value, g, h, d = -minus, -slope, inverse.copy(), np.empty(len(x))
    for _ in range(_MOST):
        gain, widest = hamilton_ou.direction(h, g, hamilton_ou.blocked(x, g, box), d)
        if not (np.isfinite(value) and gain >= _DECREMENT):
            return Warm(x, value, h, bool(np.isfinite(value) and gain >= 0.0))
        new, better, g_new = _search(goal, x, value, gain, d * min(1.0, _WIDEST / max(widest, 1e-300)), box)
        if not better > value:
            return Warm(x, value, h, bool(gain < 1e-6))
        hamilton_ou.update(h, new - x, g - g_new)
        x, value, g = new, better, g_new
    return Warm(x, value, h, False)


def _search(
    goal: Objective, x: Array, value: float, gain: float, move: Array, box: Array
) -> tuple[Array, float, Array]:
    """Backtracks along a move until it gains (Armijo 1966)."""
    step = 1.0
    while True:
        new = np.clip(x + step * move, box[:, 0], box[:, 1])
        minus, slope = goal(new)
        if -minus >= value + 1e-4 * step * gain or step < 1e-7:
            return new, -minus, -slope
        step *= 0.3


def window_layout(layout: Layout, first: int, after: int) -> Layout:
    """Internal rows `first` to `after` of a layout as a series of its own, its first step of length zero."""
    y, row, design = layout.y[first:after], layout.row[first:after].copy(), layout.design
    if any(values.shape[1] > 1 for values in design.values()) and len(row) > 1:
        # the start reads the covariates of its own row, which stand with the step that leaves it
        design = {name: np.vstack([values[row[1]], values[1:]]) for name, values in design.items()}
    row[0] = layout.row[0]
    seen = y[np.isfinite(y)]
    return layout._replace(y=y, row=row, design=design, centre=float(np.median(seen)), spread=float(np.std(seen)))
