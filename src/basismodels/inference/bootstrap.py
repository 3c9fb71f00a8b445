"""Parametric bootstrap: simulate from the fit, fit again, keep the free vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from basismodels.engine import objective
from basismodels.errors import ModelError
from basismodels.inference.labels import ordered
from basismodels.inference.mle import descend, is_plain_ou
from basismodels.inference.simulate import simulate_path
from basismodels.inference.starts import bounds, scales, steps
from basismodels.likelihood import ou
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]


def bootstrap(
    fit: Fit,
    draws: int = 1000,
    *,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """A copy of the fit carrying `draws` parametric bootstrap estimates (Efron 1979).

    Each series is simulated at the estimate on the data's own time grid, missing rows kept
    missing, and fitted from the estimate; regimes are put in order draw by draw. One seed
    a draw, so the result does not depend on how the work is shared out.
    """
    if draws < 1:
        raise ModelError(f"draws must be a positive whole number, got {draws!r}")
    from joblib import Parallel, delayed

    seeds = np.random.SeedSequence(_entropy(rng)).spawn(draws)
    box = bounds(fit.problem, scales(fit.problem))
    jobs = (delayed(refit)(fit.problem, fit.x, box, seed) for seed in seeds)
    found = []
    for i, x in enumerate(Parallel(n_jobs=2, prefer="threads", return_as="generator")(jobs)):
        found.append(x)
        if progress is not None:
            progress(i + 1, draws)
    return replace(fit, draws=np.array(found), draws_kind="bootstrap")


def _entropy(rng: np.random.Generator | int | None) -> int:
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    return 0 if rng is None else int(rng)


def refit(problem: Problem, x: Array, box: Array, seed: np.random.SeedSequence) -> Array:
    """Free vector estimated from one simulated series."""
    path = simulate_path(problem, x, np.random.default_rng(seed))
    y = np.where(np.isfinite(problem.layout.y), path.y, np.nan)
    again = replace(problem, layout=problem.layout._replace(y=y))
    if is_plain_ou(problem):
        return _plain(again)
    goal = objective(again.engine, again.layout)
    return ordered(again, descend(goal, x, box, steps(problem, x), 400).x)


def _plain(problem: Problem) -> Array:
    hours = np.cumsum(problem.layout.dt[problem.layout.row])
    seen = np.isfinite(problem.layout.y)
    found = ou.maximise(problem.layout.y[seen], np.diff(hours[seen]), problem.layout.stationary)
    kappa = max(found.kappa, 1e-12)
    return np.array([np.log(kappa), found.drift / kappa, 0.5 * np.log(found.variance)])
