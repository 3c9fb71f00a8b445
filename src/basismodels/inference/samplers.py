"""Two samplers behind one call: a PyMC model to chains of free vectors and what the sampler says of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.problem import Problem

Array = NDArray[np.float64]
_STATS = {
    "diverging": "diverging", "energy": "energy", "n_steps": "n_steps", "step_size": "step_size",
    "depth": "tree_depth", "tree_depth": "tree_depth", "logp": "lp", "lp": "lp",
}  # fmt: skip


class Chains(NamedTuple):
    """Draws after tuning: free (chains, draws, p), and statistics of the sampler by name (chains, draws)."""

    free: Array
    stats: dict[str, Array]


def by_nutpie(model: Any, problem: Problem, natural: Array, run: Any, seed: int) -> Chains:
    """NUTS by nutpie, from around the posterior mode."""
    compiled = compiled_by_nutpie(model)
    made = started(compiled, mode_of(compiled, unconstrainer(model, problem)(natural)))
    return run_nutpie(made, run, seed)


def compiled_by_nutpie(model: Any) -> Any:
    """A PyMC model compiled whole; its data can be exchanged by `with_data`."""
    import nutpie

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nutpie.compile_pymc_model(model)


def run_nutpie(compiled: Any, run: Any, seed: int) -> Chains:
    """Draws of a compiled model."""
    return chains_of(run_trace(compiled, run, seed))


def run_trace(compiled: Any, run: Any, seed: int) -> Any:
    """What nutpie hands back: an InferenceData or a DataTree."""
    import nutpie

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nutpie.sample(
            compiled, draws=run.draws, tune=run.tune, chains=run.chains, cores=run.cores, seed=seed,
            progress_bar=run.progress, save_warmup=False, target_accept=run.target_accept,
        )  # fmt: skip


def chains_of(trace: Any) -> Chains:
    """Free vectors and statistics from an InferenceData or a DataTree."""
    return Chains(np.asarray(trace["posterior"]["free"].values), statistics(trace))


def statistics(trace: Any) -> dict[str, Array]:
    """The sampler's statistics by name (chains, draws)."""
    stats = trace["sample_stats"]
    return {ours: np.asarray(stats[name].values) for name, ours in _STATS.items() if name in stats}


def by_pymc(model: Any, problem: Problem, natural: Array, run: Any, seed: int) -> Chains:
    """NUTS by PyMC itself, from around the maximum likelihood."""
    import logging

    import pymc

    start = dict(zip(problem.spec.names, natural, strict=True))
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with model, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trace = pymc.sample(
                draws=run.draws, tune=run.tune, chains=run.chains, cores=run.cores or 1, random_seed=seed,
                progressbar=run.progress, initvals=start, init="jitter+adapt_diag", target_accept=run.target_accept,
                compute_convergence_checks=False, compile_kwargs={"mode": "NUMBA"},
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    return chains_of(trace)


SAMPLERS: dict[str, Callable[[Any, Problem, Array, Any, int], Chains]] = {"nutpie": by_nutpie, "pymc": by_pymc}


def unconstrainer(model: Any, problem: Problem) -> Callable[[Array], Array]:
    """Function of reported values (p,) to the space the sampler moves in; outside its prior: the prior's point."""
    import pytensor
    import pytensor.tensor as pt

    values, nodes, own = pt.dvector(), [], model.initial_point()
    for i, name in enumerate(problem.spec.names):
        rv = model[name]
        transform = model.rvs_to_transforms[rv]
        nodes.append(values[i] if transform is None else transform.forward(values[i], *rv.owner.inputs))
    made = pytensor.function([values], nodes, mode="FAST_COMPILE", on_unused_input="ignore")
    fallback = np.array([float(own[model.rvs_to_values[model[name]].name]) for name in problem.spec.names])

    def forward(natural: Array) -> Array:
        with np.errstate(all="ignore"):
            found = np.array([float(one) for one in made(natural)])
        return np.where(np.isfinite(found), found, fallback)

    return forward


class Mode(NamedTuple):
    """Where the posterior is highest in the sampler's space (p,), and a root (p, p) of its normal approximation."""

    at: Array
    root: Array


def mode_of(compiled: Any, start: Array, climb: bool = True) -> Mode:
    """Climbs from a point to the mode nearby, unless told to stay, and takes the curvature there."""
    from scipy.optimize import minimize

    def negative(u: Array) -> tuple[float, Array]:
        value, gradient = density(compiled, u)
        return (-value, -gradient) if np.isfinite(value) else (1e300, np.zeros(len(u)))

    if not climb:
        return Mode(start, _root(compiled, start))
    found = minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "maxcor": 20})
    at = np.asarray(found.x) if np.isfinite(found.fun) and found.fun < 1e299 else start
    return Mode(at, _root(compiled, at))


def density(compiled: Any, u: Array) -> tuple[float, Array]:
    """Log density and gradient of a compiled model in the sampler's space."""
    keys = getattr(compiled, "shared_var_keys", None)  # newer nutpie keeps data under keys of its own
    variables = compiled.logp_func.get_shared()
    shared = [compiled.shared_data[one.name if keys is None else keys[one]] for one in variables]
    value, gradient = compiled.logp_func.vm.jit_fn(u, *shared)
    return float(value), np.asarray(gradient, dtype=float)


def _root(compiled: Any, at: Array) -> Array:
    """Root of the inverse curvature by differences of the gradient; a tenth in each direction where there is none."""
    step = 1e-4
    rows = []
    for i in range(len(at)):
        e = np.zeros(len(at))
        e[i] = step
        rows.append((density(compiled, at - e)[1] - density(compiled, at + e)[1]) / (2.0 * step))
    curvature = 0.5 * (np.array(rows) + np.array(rows).T)
    if np.all(np.isfinite(curvature)):
        values, vectors = np.linalg.eigh(curvature)
        if values.min() > 0.0:
            return np.asarray(vectors * np.minimum(1.0 / np.sqrt(values), 2.0))
    return 0.1 * np.eye(len(at))


def started(compiled: Any, mode: Mode) -> Any:
    """The compiled model with chains that begin at normal draws around the mode, by seed."""

    def begin(seed: Any = None) -> Array:
        rng = np.random.default_rng(seed)
        for shrink in (1.0, 0.5, 0.1, 0.0):
            u = mode.at + shrink * (mode.root @ rng.standard_normal(len(mode.at)))
            if np.isfinite(density(compiled, u)[0]):
                break
        return np.ascontiguousarray(u)

    return replace(compiled, initial_point_func=begin)
