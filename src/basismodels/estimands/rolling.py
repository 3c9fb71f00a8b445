"""A model fitted to window after window of one series."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.convergence import autocovariance, total_half_life
from basismodels.inference.tasks import Progress, key_of, run_tasks, unpacked
from basismodels.inference.windows import Windows, block_size, fit_block, whole_fit, windows_of
from basismodels.likelihood.predictors import Layout
from basismodels.likelihood.transition import generator, stationary_law
from basismodels.model import Component, Model
from basismodels.problem import Problem, bind
from basismodels.series import BasisSeries

Array = NDArray[np.float64]


def rolling(
    model: Component | Model,
    data: BasisSeries,
    window: str | pd.Timedelta = "30D",
    step: str | pd.Timedelta = "1D",
    *,
    starts: int = 5,
    initial: str = "stationary",
    mask: bool = True,
    depth: int = 1,
    n_jobs: int | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Estimates of a model on windows of fixed length, one every `step`, by the window's end.

    Columns: the parameters as in `fit.params`, half_life (h, the combined one), llf, nobs and ok: converged,
    no parameter at a bound, ten observations to be expected in each regime. A window with too few observations is
    NaN and not ok. The first window of each block is searched from `starts` starting points, the others from the
    maximum before. `checkpoint`: folder from which a killed run goes on; `n_jobs`: workers, default all cores.
    Errors: ModelError, DataError.
    """
    problem = bind(model, data, initial=initial, mask=mask, depth=depth)
    chosen = windows_of(problem, _length(window, "window"), _length(step, "step"))
    size = block_size(problem)
    jobs = [(chosen.first[i : i + size], chosen.after[i : i + size]) for i in range(0, len(chosen.ends), size)]
    made = run_tasks(
        partial(fit_block, problem, starts, whole_fit(problem, starts)), jobs, title="rolling",
        key=_key(problem, chosen, starts), n_jobs=n_jobs, checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    return _frame(problem, chosen, np.concatenate([unpacked(part) for part in made]))


def _length(value: object, name: str) -> pd.Timedelta:
    refused = ModelError(f"{name} must be a length of time, got {value!r}", remedy=f'{name}="30D"')
    if not isinstance(value, str | timedelta | np.timedelta64):
        raise refused
    try:
        made = pd.Timedelta(value)
    except ValueError as error:
        raise refused from error
    if pd.isna(made):
        raise refused
    return made


def _key(problem: Problem, chosen: Windows, starts: int) -> str:
    layout = problem.layout
    design = [part for name in sorted(layout.design) for part in (name, layout.design[name])]
    return key_of(
        "rolling", repr(problem.model), problem.initial, starts, chosen.first, chosen.after, block_size(problem),
        layout.y, layout.row, layout.dt, design, layout.constants, layout.depth,
    )  # fmt: skip


def _frame(problem: Problem, chosen: Windows, found: Array) -> pd.DataFrame:
    free, (llf, count, ok) = found[:, :-3], found[:, -3:].T
    natural = np.array([problem.spec.to_natural(x) for x in free])
    frame = pd.DataFrame(natural, columns=problem.spec.names, index=chosen.ends)
    frame["half_life"] = half_lives(problem, free)
    frame["llf"], frame["nobs"], frame["ok"] = llf, count.astype(np.int64), ok == 1.0
    frame.index.name = "time"
    return frame


def half_lives(problem: Problem, free: Array) -> Array:
    """Combined half-lives in hours at many free vectors (m, p), NaN where one is not finite."""
    known = np.isfinite(free).all(axis=1)
    out = np.full(len(free), np.nan)
    layout = problem.layout
    if not {"slow.kappa", "innovation"}.isdisjoint(layout.places) or any(len(at) > 1 for at in layout.places.values()):
        out[known] = [total_half_life(problem, x) for x in free[known]]
    else:
        out[known] = _bare(layout, np.column_stack([free[known], np.tile(layout.constants, (int(known.sum()), 1))]))
    return out


def _bare(layout: Layout, x: Array) -> Array:
    """`total_half_life` of models without slow level and covariates, at extended vectors (m, p + c) at once."""
    kappa = np.exp(x[:, layout.places["kappa"][0]]) if layout.kappa_log else x[:, layout.places["kappa"][0]]
    if layout.regimes == 1:
        with np.errstate(divide="ignore"):
            return np.where(kappa[:, 0] > 0, math.log(2.0) / np.maximum(kappa[:, 0], 0.0), np.inf)
    drift = x[:, layout.places["theta"][0]] * (1.0 if layout.level_is_drift else kappa)
    variance = np.exp(2.0 * x[:, layout.places["sigma"][0]])
    push = drift - kappa * layout.centre
    flow = generator(np.exp(x[:, layout.places["q"][0]]))
    law = np.array([stationary_law(q - np.diag(np.diag(q))) for q in flow])
    turned, still = np.swapaxes(flow, 1, 2), np.eye(layout.regimes)
    once, twice = turned - kappa[:, :, None] * still, turned - 2.0 * kappa[:, :, None] * still
    first = _solved(once, -push * law)
    second, noise = _solved(twice, -(2.0 * push * first + variance * law)), _solved(twice, -variance * law)
    proper = (noise > 0).all(axis=1) & (second * law > first**2).all(axis=1)
    out = np.full(len(x), np.inf)
    out[proper] = _half_times(*(autocovariance(*(v[proper] for v in (kappa, push, flow, law, first, second)))))
    return out


def _solved(systems: Array, right: Array) -> Array:
    return np.asarray(np.linalg.solve(systems, right[:, :, None])[:, :, 0])


def _half_times(flow: Array, start: Array) -> Array:
    """Where each of many autocovariances has fallen by half, by bisection in log h; infinite past 1e9 h."""
    k = start.shape[1] // 2
    rates, vectors = np.linalg.eig(flow)
    weights = vectors[:, :k].sum(axis=1) * np.linalg.solve(vectors, start[:, :, None].astype(complex))[:, :, 0]
    half, low, high = 0.5 * start[:, :k].sum(axis=1), np.full(len(flow), -30.0), np.full(len(flow), math.log(1e9))

    def above(v: Array) -> NDArray[np.bool_]:
        return np.asarray((weights * np.exp(rates * np.exp(v)[:, None])).sum(axis=1).real > half)

    never = above(high)
    for _ in range(60):
        middle = 0.5 * (low + high)
        later = above(middle)
        low, high = np.where(later, middle, low), np.where(later, high, middle)
    return np.where(never, np.inf, np.exp(0.5 * (low + high)))
