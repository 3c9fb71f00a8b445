"""Maximum likelihood: several starts, quasi-Newton on the exact gradient, Newton at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.engine import Objective, matched, objective
from basismodels.errors import ModelError
from basismodels.inference.diagnose import diagnose
from basismodels.inference.labels import ordered
from basismodels.inference.starts import Scales, bounds, candidates, observed, perturbation, scales, steps
from basismodels.inference.tasks import generator_of
from basismodels.likelihood import hamilton_layout, ou
from basismodels.likelihood.hamilton_layout import Places, places
from basismodels.model import Component, Model
from basismodels.problem import Problem, bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_RACE = 40
_POLISH = 400
_SAME = 0.01


def fit(
    model: Component | Model,
    data: BasisSeries,
    *,
    starts: int = 20,
    initial: str = "stationary",
    mask: bool = True,
    depth: int = 1,
    rng: np.random.Generator | int | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit a model to a basis series by maximum likelihood.

    `starts`: number of starting points (one-regime models need few and use fewer);
    `initial`: "stationary" or "conditional" law of the first state; `mask`: leave out
    rows the quality check masked; `depth`: over how many of the last regimes moments are kept
    where they are matched (regimes with noise or a slow level): 3 is nearer to the exact
    likelihood than 1, at about twice the cost (see `particle_loglik`); `rng`: seed of the
    perturbed starts, a fixed one by default. Errors: ModelError, DataError. See `Fit.diagnostics` before use.
    """
    if not isinstance(starts, int) or starts < 1:
        raise ModelError(f"starts must be a positive whole number, got {starts!r}")
    problem = bind(model, data, initial=initial, mask=mask, depth=depth)
    return fit_problem(problem, starts=starts, rng=rng, progress=progress)


def fit_problem(
    problem: Problem,
    *,
    starts: int = 20,
    rng: np.random.Generator | int | None = None,
    progress: Progress | None = None,
) -> Fit:
    """As `fit`, for a model already bound to data."""
    began = time.perf_counter()
    size = scales(problem)
    box = bounds(problem, size)
    optima = optima_of(problem, size, box, starts, generator_of(rng), progress)
    best = max(optima, key=lambda o: o.llf)
    x = ordered(problem, best.x)
    information = observed_information(problem, x)
    cov = covariance(information, x, box)
    table = _table(problem, optima)
    found = diagnose(problem, x, cov, box, table)
    llf = problem.engine.loglik(problem.layout, x)
    return Fit(problem, x, cov, llf, tuple(found), table, time.perf_counter() - began)


@dataclass(frozen=True)
class Optimum:
    """Where one start ended: free vector, log likelihood, gradient calls, optimiser's word."""

    start: int
    x: Array
    llf: float
    calls: int
    converged: bool


def optima_of(
    problem: Problem,
    size: Scales,
    box: Array,
    starts: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> list[Optimum]:
    """Where each start ended, regimes not yet in order."""
    if is_plain_ou(problem):
        return [_plain(problem, box)]
    return _deepened(problem, box, _search(_shallow(problem), size, box, starts, rng, progress))


def is_plain_ou(problem: Problem) -> bool:
    """Whether the closed-form profile serves: one regime, intercepts only, kappa on the log scale."""
    return (
        problem.spec.names == ["kappa", "theta", "sigma"]
        and problem.layout.kappa_log
        and not len(problem.layout.constants)
    )


def _plain(problem: Problem, box: Array) -> Optimum:
    y, dt = observed(problem)
    found = ou.maximise(y, dt, problem.layout.stationary)
    kappa = max(found.kappa, 1e-300)
    x = np.array([np.log(kappa), found.drift / kappa, 0.5 * np.log(max(found.variance, 1e-300))])
    x = np.clip(x, box[:, 0], box[:, 1])
    return Optimum(0, x, found.value, 0, found.inside)


def _shallow(problem: Problem) -> Problem:
    """The problem with moments matched over one regime only, where starts are tried."""
    if problem.engine.exact or problem.layout.depth == 1:
        return problem
    return replace(problem, layout=problem.layout._replace(depth=1), engine=matched(1))


def _deepened(problem: Problem, box: Array, optima: list[Optimum]) -> list[Optimum]:
    """The three best optima at depth 1 followed to the problem's own depth."""
    if problem.engine.exact or problem.layout.depth == 1:
        return optima
    goal = objective(problem.engine, problem.layout)
    best = sorted(optima, key=lambda o: -o.llf)[:3]
    return [descend(goal, o.x, box, steps(problem, o.x), _POLISH, o.start) for o in best]


def _search(
    problem: Problem, size: Scales, box: Array, starts: int, rng: np.random.Generator, progress: Progress | None
) -> list[Optimum]:
    """A short run from every start, then a full one from the better half."""
    if problem.layout.regimes == 1:
        starts = min(starts, 9)
    goal = objective(problem.engine, problem.layout)
    points = candidates(problem, starts, rng, size)
    limits = [_RACE if starts > 3 else _POLISH] * len(points)
    keep = max(3, (starts + 1) // 2)
    total = len(points) + min(keep, len(points))
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    at = places(problem.layout, problem.engine.name == "hamilton")

    def run(job: tuple[int, Array, int]) -> Optimum:
        unit = steps(problem, job[1], size)
        made = None if at is None else _climbed(problem, at, job[1], box, unit, job[0])
        if made is None:
            made = descend(goal, job[1], box, unit, job[2], job[0])
        tell()
        return made

    with ThreadPoolExecutor(max_workers=2) as pool:
        first = list(pool.map(run, ((i, x, n) for i, (x, n) in enumerate(zip(points, limits, strict=True)))))
        leaders = sorted(first, key=lambda o: -o.llf)[:keep]
        second = list(pool.map(run, ((o.start, o.x, _POLISH) for o in leaders)))
    rest = sorted(first, key=lambda o: -o.llf)[keep:]
    found = [*second, *rest]
    if problem.layout.regimes > 1 and starts >= 5:
        found += _around(problem, goal, box, second, rng, starts)
    return found


def _climbed(problem: Problem, at: Places, x: Array, box: Array, unit: Array, start: int) -> Optimum | None:
    """The same in compiled code where that serves; None where it stops short."""
    inverse = np.diag((0.3 * unit) ** 2)
    found, value, _, converged, calls = hamilton_layout.climb(problem.layout, at, x, box, inverse)
    return Optimum(start, found, value, calls, True) if converged else None


def _around(
    problem: Problem, goal: Objective, box: Array, found: list[Optimum], rng: np.random.Generator, starts: int
) -> list[Optimum]:
    """Further starts near the two best optima, where fewer than two starts agree on the best."""
    ranked = sorted(found, key=lambda o: -o.llf)
    if sum(ranked[0].llf - o.llf < _SAME for o in ranked) > 1:
        return []
    spread = perturbation(problem, ranked[0].x)
    jobs = [(starts + i, ranked[i % 2].x + 0.5 * spread * rng.normal(size=len(spread))) for i in range(6)]

    def run(job: tuple[int, Array]) -> Optimum:
        x = np.clip(job[1], box[:, 0] + 1e-9, box[:, 1] - 1e-9)
        return descend(goal, x, box, steps(problem, x), _POLISH, job[0])

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(run, jobs))


def descend(goal: Objective, x0: Array, box: Array, unit: Array, limit: int, start: int = 0) -> Optimum:
    """L-BFGS-B in scaled coordinates (Byrd, Lu, Nocedal & Zhu 1995).

    The goal is divided by its first gradient: otherwise the first step ends in a corner of the box.
    """
    from scipy.optimize import minimize

    value0, gradient0 = goal(x0)
    size = max(float(np.abs(gradient0 * unit).max()), 1e-8)
    wall = (value0 if np.isfinite(value0) else 0.0) / size + 1e3

    def scaled(u: Array) -> tuple[float, Array]:
        value, gradient = goal(u * unit)
        if not np.isfinite(value):
            return wall, np.zeros(len(u))
        return value / size, gradient * unit / size

    found: Any = minimize(
        scaled, x0 / unit, jac=True, method="L-BFGS-B", bounds=box / unit[:, None],
        options={"maxiter": limit, "maxfun": 2 * limit, "maxcor": 30, "ftol": 1e-14, "gtol": 1e-4 / size},
    )  # fmt: skip
    x = np.clip(found.x * unit, box[:, 0], box[:, 1])
    return Optimum(start, x, -goal(x)[0], int(found.nfev), bool(found.success))


def observed_information(problem: Problem, x: Array) -> Array:
    """Minus the Hessian of the log likelihood (p, p), central differences of the exact gradient."""
    goal = objective(problem.engine, problem.layout)
    unit = 1e-4 * steps(problem, x)
    rows = []
    for i, h in enumerate(unit):
        e = np.zeros(len(x))
        e[i] = h
        rows.append((goal(x + e)[1] - goal(x - e)[1]) / (2.0 * h))
    matrix = np.array(rows)
    return np.asarray(0.5 * (matrix + matrix.T))


def covariance(information: Array, x: Array, box: Array) -> Array:
    """Inverse information over coefficients inside the box; NaN elsewhere, or everywhere if not positive definite."""
    p = len(x)
    out = np.full((p, p), np.nan)
    inside = ~at_bound(x, box)
    block = information[np.ix_(inside, inside)]
    if not np.all(np.isfinite(block)) or not inside.any():
        return out
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(block)), 1e-300))
    values = np.linalg.eigvalsh(block * np.outer(scale, scale))
    if values.min() <= 1e-10:
        return out
    out[np.ix_(inside, inside)] = np.linalg.inv(block * np.outer(scale, scale)) * np.outer(scale, scale)
    return out


def at_bound(x: Array, box: Array) -> NDArray[np.bool_]:
    """Which coefficients stand at the edge of the box."""
    room = 1e-5 * (box[:, 1] - box[:, 0])
    return np.asarray((x <= box[:, 0] + room) | (x >= box[:, 1] - room))


def _table(problem: Problem, optima: list[Optimum]) -> pd.DataFrame:
    """One row per start, best first."""
    best = max(o.llf for o in optima)
    rows = [
        {"start": o.start, "llf": o.llf, "behind": best - o.llf, "calls": o.calls, "converged": o.converged,
         **dict(zip(problem.spec.names, problem.spec.to_natural(ordered(problem, o.x)), strict=True))}
        for o in sorted(optima, key=lambda o: -o.llf)
    ]  # fmt: skip
    return pd.DataFrame(rows)
