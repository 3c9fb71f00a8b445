"""Studentised parametric bootstrap (Hall 1992): each refit is measured by its own standard error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError, whole
from basismodels.inference.bootstrap import with_series
from basismodels.inference.labels import matched
from basismodels.inference.mle import covariance, observed_information
from basismodels.inference.simulate import simulate_path
from basismodels.inference.starts import bounds, scales
from basismodels.inference.tasks import packed, run_tasks, seed_of, unpacked
from basismodels.inference.warm import curvature, warm_fit
from basismodels.params import Spec
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

DRAWS = 199
_FEWEST, _STEP = 0.6, 1e-4


@dataclass(frozen=True, eq=False)
class Pivots:
    """Studentised refits (m, p); NaN where a refit stood at a bound or had no standard error."""

    values: Array

    @property
    def usable(self) -> Array:
        """Share of refits with a standard error, (p,)."""
        return np.asarray(np.isfinite(self.values).mean(axis=0))


def studentised_interval(
    fit: Fit,
    level: float = 0.95,
    *,
    draws: int | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Limits of every coefficient by the studentised bootstrap on the free scale: lower, upper, usable.

    `draws`: refits, default 199; `usable`: share of them with a standard error. Limits are NaN where
    the fit has none itself or fewer than 60% of the refits do. Errors: ModelError where the fit has no
    standard error at all.
    """
    centre, se = _scaled(fit.problem.spec, fit.x, fit.cov)
    if not np.isfinite(se).any():
        raise ModelError(
            "no studentised interval: the fit has no standard errors",
            remedy='bm.conf_int(fit, method="bootstrap")',
        )
    pivots = pivots_of(fit, DRAWS if draws is None else draws, rng, progress)
    low, high = _limits(pivots, level)
    spec = fit.problem.spec
    lower, upper = _natural(spec, centre - high * se), _natural(spec, centre - low * se)
    return pd.DataFrame({"lower": lower, "upper": upper, "usable": pivots.usable}, index=fit.names)


def _limits(pivots: Pivots, level: float) -> tuple[Array, Array]:
    enough = pivots.usable >= _FEWEST
    low, high = draw_limits(pivots.values, level)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _natural(spec: Spec, values: Array) -> Array:
    """Values on the scale of `_scaled` to reported ones."""
    return np.array(
        [v if c.over >= 0 else c.to_natural(float(v)) for c, v in zip(spec.coefficients, values, strict=True)]
    )


def _scaled(spec: Spec, x: Array, cov: Array) -> tuple[Array, Array]:
    """Free values and standard errors; a level carried as a drift counts as the level itself."""
    value, jacobian = x.copy(), np.eye(len(x))
    for i, c in enumerate(spec.coefficients):
        if c.over >= 0:
            value[i] = spec.to_natural(x)[i]
            jacobian[i] = spec.jacobian(x)[i]
    known = np.nan_to_num(cov, nan=0.0)
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, known, jacobian))
    lost = (jacobian != 0.0) @ np.isnan(np.diag(cov)) > 0
    return value, np.where(lost, np.nan, se)


def studentised_function(
    fit: Fit,
    value: Callable[[Problem, Array], float],
    level: float = 0.95,
    *,
    draws: int | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Progress | None = None,
) -> tuple[float, float]:
    """Limits of a positive function of the free vector by the studentised bootstrap of its logarithm.

    Standard errors by the delta method; NaN where the fit has none itself or fewer than 60% of the refits do.
    """
    centre, se = logged(fit.problem, fit.x, fit.cov, value)
    if not np.isfinite(se):
        return np.nan, np.nan
    box, weights, seed = bounds(fit.problem, scales(fit.problem)), fit.smoothed.p, seed_of(rng)
    work = partial(_one_function, fit, box, weights, seed, value)
    rows = run_tasks(work, range(draws or DRAWS), title="refits of simulated series", progress=progress)
    found = np.array([unpacked(row) for row in rows])
    low, high = _limits(Pivots((found[:, :1] - centre) / found[:, 1:]), level)
    return float(np.exp(centre - high[0] * se)), float(np.exp(centre - low[0] * se))


def _one_function(
    fit: Fit, box: Array, weights: Array, seed: int, value: Callable[[Problem, Array], float], i: int
) -> bytes:
    x, cov = refit(fit, box, weights, np.random.SeedSequence(seed, spawn_key=(i,)))
    return packed(np.array(logged(fit.problem, x, cov, value)))


def logged(problem: Problem, x: Array, cov: Array, value: Callable[[Problem, Array], float]) -> tuple[float, float]:
    """Logarithm of a function and its standard error; NaN where either is infinite."""
    ends = np.array([[value(problem, x + s), value(problem, x - s)] for s in _STEP * np.eye(len(x))])
    with np.errstate(invalid="ignore", divide="ignore"):
        middle, logs = float(np.log(value(problem, x))), np.log(ends)
        slope = (logs[:, 0] - logs[:, 1]) / (2.0 * _STEP)
        felt = np.flatnonzero(np.abs(slope) > 1e-9)
        found = middle, float(np.sqrt(slope[felt] @ cov[np.ix_(felt, felt)] @ slope[felt]))
    return found if np.isfinite(found).all() else (np.nan, np.nan)


_KEPT: WeakKeyDictionary[Fit, dict[tuple[int, int], Pivots]] = WeakKeyDictionary()


def pivots_of(
    fit: Fit, draws: int, rng: np.random.Generator | int | None = None, progress: Progress | None = None
) -> Pivots:
    """Studentised refits of series simulated at the fit; remembered where the seed is a number."""
    whole(draws, "draws", least=2, remedy="draws=199")
    if isinstance(rng, np.random.Generator):
        return _made(fit, draws, seed_of(rng), progress)
    key = (draws, seed_of(rng))
    kept = _KEPT.setdefault(fit, {})
    if key not in kept:
        kept[key] = _made(fit, *key, progress)
    return kept[key]


def _made(fit: Fit, draws: int, seed: int, progress: Progress | None) -> Pivots:
    box, weights = bounds(fit.problem, scales(fit.problem)), fit.smoothed.p
    work = partial(_one, fit, box, weights, seed)
    rows = run_tasks(work, range(draws), title="refits of simulated series", progress=progress)
    return Pivots(np.array([unpacked(row) for row in rows]))


def _one(fit: Fit, box: Array, weights: Array, seed: int, i: int) -> bytes:
    return packed(pivot(fit, box, weights, np.random.SeedSequence(seed, spawn_key=(i,))))


def pivot(fit: Fit, box: Array, weights: Array, seed: np.random.SeedSequence) -> Array:
    """(estimate - truth) / standard error of one simulated refit (p,)."""
    moved, se = refitted(fit, box, weights, seed)
    return np.asarray(moved / se)


def refit(fit: Fit, box: Array, weights: Array, seed: np.random.SeedSequence) -> tuple[Array, Array]:
    """Free vector (p,) of one series simulated at the fit and refitted, regimes matched, and its covariance (p, p)."""
    again = with_series(fit.problem, simulate_path(fit.problem, fit.x, np.random.default_rng(seed)).y)
    inverse = curvature(fit.problem, fit.x, fit.cov)
    x = matched(fit.problem, warm_fit(again, fit.x, box, inverse).x, weights)
    return x, covariance(observed_information(again, x), x, box)


def refitted(fit: Fit, box: Array, weights: Array, seed: np.random.SeedSequence) -> tuple[Array, Array]:
    """Estimate less truth, and standard error, of one simulated refit, regimes matched to the fit's, (p,) each."""
    x, cov = refit(fit, box, weights, seed)
    value, se = _scaled(fit.problem.spec, x, cov)
    return value - _scaled(fit.problem.spec, fit.x, fit.cov)[0], se
