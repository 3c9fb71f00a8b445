"""Bootstrap: simulate from the fit, or from blocks of its innovations, fit again, keep the free vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from basismodels._paths import diffuse_levels
from basismodels.inference.blocks import block_simulator
from basismodels.inference.simulate import simulate_path
from basismodels.inference.starts import bounds, scales
from basismodels.inference.tasks import chunks, key_of, packed, run_tasks, seed_of, unpacked
from basismodels.inference.warm import curvature, warm_fit
from basismodels.likelihood import assemble, hamilton_ou
from basismodels.likelihood.hamilton_layout import places
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]
_CHUNK = 20


def bootstrap(
    fit: Fit,
    draws: int = 1000,
    *,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    n_jobs: int | None = None,
    blocks: bool | float = False,
) -> Fit:
    """A copy of the fit carrying `draws` bootstrap estimates, parametric by default (Efron 1979).

    Each series is simulated at the estimate on the data's own time grid, missing rows kept
    missing, and fitted from the estimate; regimes are put in order draw by draw. One seed
    a draw, so the result does not depend on how the work is shared out. `checkpoint`: folder that
    keeps finished draws, from which a killed run goes on; `n_jobs`: workers, default all cores, or what
    `joblib.parallel_config` says. `blocks`: hours, or True for the funding interval: one-regime series are then built
    from blocks of the data's own innovations, so that neither their law nor their bursts are taken on trust.
    Errors: ModelError.
    """
    jobs, seed = chunks(draws, _CHUNK), seed_of(rng)
    if blocks is not False:
        block_simulator(fit, _hours(blocks))  # refuses before any work is shared out
    work = partial(_refits, fit, bounds(fit.problem, scales(fit.problem)), seed, blocks)
    made = run_tasks(
        work, jobs, title="bootstrap", key=_key(fit, seed, blocks), n_jobs=n_jobs, checkpoint=checkpoint,
        progress=None if progress is None else partial(_draws_done, progress, draws),
    )  # fmt: skip
    return replace(fit, draws=np.concatenate([unpacked(part) for part in made]), draws_kind="bootstrap")


def _draws_done(progress: Callable[[int, int], None], draws: int, done: int, total: int) -> None:
    progress(min(done * _CHUNK, draws), draws)


def _hours(blocks: bool | float) -> float | None:
    return None if blocks is True else float(blocks)


def _key(fit: Fit, seed: int, blocks: bool | float) -> str:
    layout = fit.problem.layout
    design = [part for name in sorted(layout.design) for part in (name, layout.design[name])]
    return key_of(
        "bootstrap", _CHUNK, repr(fit.model), fit.problem.initial, fit.names, fit.x, fit.cov,
        layout.y, layout.row, layout.dt, layout.constants, design, layout.kappa_log, layout.depth, seed, blocks,
    )  # fmt: skip


def _refits(fit: Fit, box: Array, seed: int, blocks: bool | float, job: tuple[int, int]) -> bytes:
    """Free vectors (m, p) of draws `first` to `first + m`."""
    (first, count), problem, x = job, fit.problem, fit.x
    inverse = curvature(problem, x, fit.cov)
    make = simulator(problem, x) if blocks is False else block_simulator(fit, _hours(blocks))
    seeds = [np.random.SeedSequence(seed, spawn_key=(i,)) for i in range(first, first + count)]
    made = [warm_fit(with_series(problem, make(np.random.default_rng(one))), x, box, inverse).x for one in seeds]
    return packed(np.array(made))


def with_series(problem: Problem, y: Array) -> Problem:
    """The problem with another series (n,) in place of its own, missing where that is."""
    y = np.where(np.isfinite(problem.layout.y), y, np.nan)
    return replace(problem, layout=problem.layout._replace(y=y))


def simulator(problem: Problem, x: Array) -> Callable[[np.random.Generator], Array]:
    """What makes series (n,) of a problem at a free vector; step coefficients are computed once."""
    if places(problem.layout, problem.engine.name == "hamilton") is None:
        return lambda rng: simulate_path(problem, x, rng).y
    steps, start = assemble.coefficients(problem.layout, x)
    level = diffuse_levels(problem, x)
    r, n = problem.layout.row[1], len(problem.layout.y)

    def make(rng: np.random.Generator) -> Array:
        s = int(rng.random() > start.p[0])
        proper = start.diffuse[s] == 0
        x0 = start.mean[s, 0] + np.sqrt(start.var[s, 0]) * rng.standard_normal() if proper else level[s]
        y = np.empty(n)
        z, u = rng.standard_normal(n - 1), rng.random(n - 1)
        hamilton_ou.walk(float(x0), s, steps.phi[r], steps.c[r], steps.v[r], steps.p[r], z, u, y)
        return y

    return make
