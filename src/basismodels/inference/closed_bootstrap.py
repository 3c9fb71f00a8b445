"""Parametric bootstrap in a closed loop: covariates of funding are computed anew on every simulated path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from basismodels.engine import objective
from basismodels.errors import ModelError
from basismodels.funding.covariates import rule_of
from basismodels.funding.mechanism import Rule
from basismodels.inference.closed_loop import Machine, PremiumLink, even_grid, loop, machine_of, series_of
from basismodels.inference.labels import ordered
from basismodels.inference.mle import descend
from basismodels.inference.starts import bounds, scales, steps
from basismodels.problem import bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]


def closed_bootstrap(
    fit: Fit,
    draws: int = 200,
    *,
    rule: Rule | None = None,
    link: PremiumLink | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """A copy of the fit carrying estimates from series simulated with their own funding (Efron 1979).

    `bm.bootstrap` holds covariates at the data's path; here the simulated basis sets its own rates under
    `rule` (default: the attached one). A series that lacks a column of the model, because a flag never moved on
    it, is drawn again. Errors: ModelError without a rule, or where most series lack a column.
    """
    own = rule or rule_of(fit.data)
    if own is None:
        raise ModelError("no funding rule", remedy="bm.funding.attach(data, rule) before the fit, or rule=")
    seeds = iter(np.random.default_rng(0 if rng is None else rng).spawn(4 * draws))
    machine, found = machine_of(fit), []
    for seed in seeds:
        x = _refit(fit, machine, own, link, seed)
        if x is not None:
            found.append(x)
            if progress is not None:
                progress(len(found), draws)
        if len(found) == draws:
            return replace(fit, draws=np.array(found), draws_kind="closed-loop bootstrap")
    raise ModelError(f"{len(found)} of {4 * draws} simulated series could be fitted: a column never moves on most")


def _refit(fit: Fit, machine: Machine, rule: Rule, link: PremiumLink | None, rng: np.random.Generator) -> Array | None:
    """Free vector from one simulated series, or None where a column does not move on it."""
    grid = even_grid(fit.data)
    made = _as_observed(series_of(machine, rule, grid, loop(machine, rule, grid, rng, link)), fit)
    problem = bind(
        fit.model, made, initial=fit.problem.initial, kappa_link=fit.problem.link, depth=fit.problem.layout.depth,
        like=fit.problem,
    )
    if problem.spec.names != fit.names:
        return None
    box = bounds(problem, scales(problem))
    start = np.clip(fit.x, box[:, 0], box[:, 1])
    found = descend(objective(problem.engine, problem.layout), start, box, steps(problem, start), 400)
    return ordered(problem, found.x)


def _as_observed(made: BasisSeries, fit: Fit) -> BasisSeries:
    """The simulated series, masked where the fit sees no basis."""
    seen = fit.data.time[fit.problem.seen]
    return made.with_mask(~made.time.isin(seen))
