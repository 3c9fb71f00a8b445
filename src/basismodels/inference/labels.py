"""Regime labels, settled here for every estimator.

Regimes are ordered by the standard deviation of an 8-hour change, which is finite
for every kappa; they never depend on the criterion of failure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import predictors
from basismodels.likelihood.transition import decay_ratio
from basismodels.params import Spec
from basismodels.problem import Problem

Array = NDArray[np.float64]
HOURS = 8.0
_MOST_PERMUTED = 4


def change_sd(problem: Problem, x: Array) -> Array:
    """Standard deviation in bps of an 8-hour change of the observed basis in each regime, (K,)."""
    nat = predictors.natural(problem.layout, x)
    with np.errstate(over="ignore"):
        moved = nat.variance * HOURS * decay_ratio(2.0 * np.maximum(nat.kappa, -30.0) * HOURS)
    steps = moved + 2.0 * nat.tau2
    # without covariates every step is alike, and a draw need not look at every row
    same = bool((steps == steps[0]).all())
    return np.asarray(np.sqrt(steps[0] if same else np.mean(steps[problem.layout.row], axis=0)))


def permute(spec: Spec, x: Array, order: NDArray[Any]) -> Array:
    """Free vector with regime `order[k]` renamed k."""
    value = dict(zip(spec.names, x, strict=True))
    out = x.copy()
    for i, c in enumerate(spec.coefficients):
        if not c.regime:
            continue
        ends = [str(order[int(part)]) for part in c.regime.split("->")]
        if c.param == "chain_start":
            base = value.get(f"chain_start[{order[0]}]", 0.0)
            out[i] = value.get(f"chain_start[{ends[0]}]", 0.0) - base
            continue
        name = c.name.replace(f"[{c.regime}]", f"[{'->'.join(ends)}]")
        out[i] = value[name]
    return out


def ordered(problem: Problem, x: Array) -> Array:
    """The same point with regimes in order, and the slow level slower than the reversion."""
    if problem.layout.regimes > 1:
        nu = predictors.freedom(problem.layout, x)
        # regimes that differ in their tails alone: the thinner first
        order = np.lexsort((np.zeros(problem.layout.regimes) if nu is None else -nu, change_sd(problem, x)))
        return permute(problem.spec, x, order)
    return _fast_first(problem, x)


def _fast_first(problem: Problem, x: Array) -> Array:
    """Swaps the two factors of a one-regime model where the slow one came out faster."""
    names = problem.spec.names
    volatility = "innovation" if "innovation" in names else "sigma"
    plain = {"kappa", volatility, "slow.kappa", "slow.sigma"}
    if not plain <= set(names) or any(":" in n for n in names) or not problem.layout.stationary:
        return x
    at = {name: names.index(name) for name in plain}
    if not problem.layout.kappa_log or x[at["slow.kappa"]] <= x[at["kappa"]]:
        return x
    out = x.copy()
    out[[at["kappa"], at["slow.kappa"]]] = x[[at["slow.kappa"], at["kappa"]]]
    out[[at[volatility], at["slow.sigma"]]] = x[[at["slow.sigma"], at[volatility]]]
    if volatility == "innovation":
        hour = 0.5 * np.log(decay_ratio(2.0 * np.exp(x[[at["slow.kappa"], at["kappa"]]])))
        out[[at["innovation"], at["slow.sigma"]]] += hour * (1.0, -1.0)
    return out


def matched(problem: Problem, x: Array, weights: Array) -> Array:
    """A draw with its regimes renamed to overlap most with smoothed weights (n, K) of the fit."""
    from scipy.optimize import linear_sum_assignment

    if problem.layout.regimes == 1:
        return x
    own = problem.engine.smooth(problem.layout, x).p
    overlap = weights.T @ own
    if not np.all(np.isfinite(overlap)):
        return x
    _, columns = linear_sum_assignment(-overlap)
    return permute(problem.spec, x, columns)


def settled(problem: Problem, draws: Array) -> Array:
    """Draws (m, p) with regimes renamed, draw by draw, to lie nearest to the median of all, twice over.

    Distance: squares over the variance, over every coefficient of a regime (Stephens 2000).
    """
    from itertools import permutations

    if problem.layout.regimes == 1 or problem.layout.regimes > _MOST_PERMUTED:
        return draws
    orders = [np.array(order) for order in permutations(range(problem.layout.regimes))]
    for _ in range(2):
        centre = np.median(draws, axis=0)
        scale = np.maximum(np.median(np.abs(draws - centre), axis=0), 1e-8)
        named = _renamed(problem.spec, draws, orders)
        nearest = (np.minimum(np.abs(named - centre) / scale, 10.0) ** 2).sum(axis=2).argmin(axis=1)
        draws = named[np.arange(len(draws)), nearest]
    return draws


def _renamed(spec: Spec, draws: Array, orders: list[NDArray[Any]]) -> Array:
    """Every draw under every order of the regimes, (m, orders, p)."""
    if any(c.param == "chain_start" for c in spec.coefficients):
        return np.array([[permute(spec, x, order) for order in orders] for x in draws])
    places = np.array([permute(spec, np.arange(len(spec), dtype=np.float64), order) for order in orders])
    return np.asarray(draws[:, places.astype(np.int64)])
