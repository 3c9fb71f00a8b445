"""Posterior draws of every model: NUTS on the compiled likelihood (Hoffman & Gelman 2014)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.diagnose import diagnose
from basismodels.inference.diagnose_draws import diagnose_draws
from basismodels.inference.labels import ordered, settled
from basismodels.inference.mle import fit_problem
from basismodels.inference.priors import described, draws_from, priors_of
from basismodels.inference.pymc_model import pymc_model
from basismodels.inference.samplers import SAMPLERS, Chains
from basismodels.inference.starts import bounds, scales
from basismodels.inference.tasks import generator_of
from basismodels.model import Component, Model
from basismodels.problem import Problem, bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
_PRIOR_DRAWS = 500


@dataclass(frozen=True)
class Run:
    """How to sample: draws and tuning steps a chain, chains, sampler, acceptance aimed at, cores or None, progress."""

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    sampler: str = "nutpie"
    target_accept: float = 0.9
    cores: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ModelError(f"no sampler {self.sampler!r}; there are {', '.join(SAMPLERS)}")
        for name, least in (("draws", 4), ("tune", 0), ("chains", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ModelError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if not 0.0 < self.target_accept < 1.0:
            raise ModelError(f"target_accept must lie between 0 and 1, got {self.target_accept!r}")


def sample(
    model: Component | Model,
    data: BasisSeries,
    *,
    rng: np.random.Generator | int | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    priors: Mapping[str, Any] | None = None,
    sampler: str = "nutpie",
    initial: str = "stationary",
    mask: bool = True,
    depth: int = 1,
    starts: int = 8,
    target_accept: float = 0.9,
    cores: int | None = None,
    progress: bool = False,
) -> Fit:
    """A fit that carries draws from the posterior of a model.

    Every estimand takes it as it takes any fit; its estimate is the median of the draws. `priors`: by
    coefficient or parameter name, over values as reported: a `Prior`, an unnamed PyMC distribution
    (pm.LogNormal.dist(-3, 1)), or a PreliZ one; the defaults are in `params.PRIORS` and `fit.facts["priors"]`.
    `sampler`: "nutpie" or "pymc"; `starts`: starting points of the search for the mode, around which
    chains begin; the rest as in `bm.fit`. The same seed gives the same draws. Regimes keep their labels:
    each draw's are those nearest to the others'. Errors: ModelError, DataError; see `Fit.diagnostics`.
    """
    run = Run(draws, tune, chains, sampler, target_accept, cores, progress)
    problem = bind(model, data, initial=initial, mask=mask, depth=depth)
    return sample_problem(problem, run, priors=priors, starts=starts, rng=rng)


def sample_problem(
    problem: Problem,
    run: Run,
    *,
    priors: Mapping[str, Any] | None = None,
    starts: int = 8,
    rng: np.random.Generator | int | None = None,
) -> Fit:
    """As `sample`, for a model already bound to data."""
    began = time.perf_counter()
    generator = generator_of(rng)
    seed = int(generator.integers(2**31))
    laws = priors_of(problem, priors)
    first = fit_problem(problem, starts=starts, rng=seed)
    model = pymc_model(problem, laws)
    chains = SAMPLERS[run.sampler](model, problem, _within(first), run, seed)
    facts = {
        "priors": {name: described(law) for name, law in laws.items()},
        "prior_draws": draws_from(problem, laws, _PRIOR_DRAWS, generator),
        "own_priors": bool(priors), "sampler": run.sampler, "tune": run.tune, "seed": seed,
    }  # fmt: skip
    return _fit_of(problem, first, chains, facts, began)


def _within(first: Fit) -> Array:
    """The maximum-likelihood point, a level out of all proportion set to the data's."""
    spec, layout = first.problem.spec, first.problem.layout
    natural = np.nan_to_num(spec.to_natural(first.x), nan=layout.centre)
    for i, c in enumerate(spec.coefficients):
        if c.param == "theta" and c.column == "Intercept" and abs(natural[i] - layout.centre) > 4.0 * layout.spread:
            natural[i] = layout.centre
    return natural


def _fit_of(problem: Problem, first: Fit, chains: Chains, facts: dict[str, Any], began: float) -> Fit:
    """The record: draws in order, their median, covariance and diagnostics."""
    count, length, p = chains.free.shape
    flat = np.array([ordered(problem, x) for x in chains.free.reshape(-1, p)])
    flat = settled(problem, flat)
    centre: Array = np.median(flat, axis=0)
    cov = np.atleast_2d(np.cov(flat.T)).astype(np.float64)
    box = bounds(problem, scales(problem))
    found = [
        *diagnose_draws(problem, flat.reshape(count, length, p), chains.stats, centre),
        *diagnose(problem, centre, cov, box, first.optima.iloc[:1]),
    ]
    found.sort(key=lambda d: not d.fatal)
    return Fit(
        problem, centre, cov, problem.engine.loglik(problem.layout, centre), tuple(found), first.optima,
        time.perf_counter() - began, flat, "posterior", {**facts, "chains": count, "stats": chains.stats},
    )  # fmt: skip
