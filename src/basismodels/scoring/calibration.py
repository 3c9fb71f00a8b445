"""Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018; Modrak et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.convergence import total_half_life
from basismodels.estimands.passage import outside
from basismodels.estimands.state import state_of
from basismodels.inference.labels import ordered
from basismodels.inference.posterior import Run
from basismodels.inference.priors import described, draws_from, priors_of, size_of
from basismodels.inference.pymc_model import pymc_model
from basismodels.inference.samplers import compiled_by_nutpie, mode_of, run_nutpie, started, unconstrainer
from basismodels.inference.simulate import simulate_path
from basismodels.inference.tasks import key_of, packed, run_tasks, unpacked
from basismodels.likelihood import assemble, particles
from basismodels.model import Component, Model
from basismodels.params import INTERCEPT, PRIORS
from basismodels.problem import Problem, bind
from basismodels.results import Fit
from basismodels.scoring import ranks as law
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Quantity = Callable[[Problem, Array], float]
_THIN = 4
_TUNE = 300


@dataclass(frozen=True, eq=False)
class SBC:
    """Ranks of the truth among `size` posterior draws, one simulation a row and one quantity a column.

    kind "prior" or "posterior" (around a fit); priors in words by coefficient.
    """

    ranks: pd.DataFrame
    size: int
    model: str
    kind: str
    priors: dict[str, str]

    def table(self) -> pd.DataFrame:
        """By quantity: simulations, mean (one half if unbiased) and sd (0.289 if as wide as it should be) of the
        relative rank, p value of the simultaneous test that ranks are uniform, and that adjusted for all quantities."""
        share = (self.ranks + 0.5) / (self.size + 1.0)
        p = np.array([law.p_value(self.ranks[name].to_numpy(), self.size) for name in self.ranks])
        columns = {"simulations": len(self.ranks), "mean": share.mean(), "sd": share.std(ddof=0)}
        return pd.DataFrame({**columns, "p": p, "p_holm": law.holm(p)})

    @property
    def ok(self) -> bool:
        """Whether no quantity's ranks leave the simultaneous band at 5%, adjusted for their number."""
        return bool((self.table()["p_holm"] >= 0.05).all())

    def ecdf(self, level: float = 0.95) -> pd.DataFrame:
        """Distribution of each quantity's ranks less that of uniform ones, and the band: columns lower, upper."""
        lower, upper = law.band(len(self.ranks), self.size, level)
        z = law.points(self.size)
        found = {name: law.counts(self.ranks[name].to_numpy(), self.size) for name in self.ranks}
        columns = {name: count / len(self.ranks) - z for name, count in found.items()}
        return pd.DataFrame({**columns, "lower": lower - z, "upper": upper - z}, index=pd.Index(z, name="rank"))

    def __str__(self) -> str:
        verdict = "calibrated" if self.ok else "NOT calibrated"
        return f"{self.model}: {verdict} over {len(self.ranks)} simulations\n{self.table().to_string()}"


def sbc(
    model: Component | Model | Fit,
    data_or_times: BasisSeries | pd.DatetimeIndex | None = None,
    *,
    simulations: int = 300,
    size: int = 99,
    priors: Mapping[str, Any] | None = None,
    quantities: Mapping[str, Quantity] | None = None,
    corrected: bool = False,
    rng: int | None = None,
    checkpoint: str | Path | None = None,
    n_jobs: int | None = None,
) -> SBC:
    """Simulation-based calibration of a model on the rows, gaps and covariates of a series, or at UTC times.

    Each simulation draws parameters from the prior, a series from the model and `size` posterior draws
    (one chain from around the mode, every fourth draw); the truth's rank among them is uniform if prior,
    likelihood, simulator and sampler agree. Quantities: every coefficient, the combined half-life, the share of
    time out of a band of one spread and not returning within 8 steps, the log likelihood, and `quantities`
    (name to function of the simulated problem and a free vector). Regimes are put in order in truth and draws
    alike. A posterior fit in place of the model: parameters are drawn from its draws, and the simulated series is
    added to its own data (posterior calibration, Saeilynoja, Schmitt, Buerkner & Vehtari 2025).
    Default priors come from the series' own sizes, with positive speeds. `corrected`: draws are weighted by a particle
    filter's likelihood over the engine's, where that one matches moments. `checkpoint`: folder for finished
    simulations. Errors: ModelError.
    """
    setup = _from_fit(model, priors) if isinstance(model, Fit) else from_prior(model, data_or_times, priors)
    extra = dict(quantities or {})
    seed = 0 if rng is None else int(rng)
    truths = setup.draw(simulations, np.random.default_rng(seed))
    names = [*setup.problem.spec.names, "half_life", "no_return", "log_likelihood", *extra]
    run = Run(draws=_THIN * size, tune=_TUNE, chains=1, cores=1)

    def work(job: int) -> bytes:
        rng_job = np.random.default_rng(np.random.SeedSequence([seed, job]))
        return packed(ranks_of(setup, truths[job], run, extra, rng_job, corrected).astype(np.float64))

    parts = (setup.kind, setup.problem.layout.dt, truths, size, sorted(extra), corrected)
    key = key_of(repr(setup.problem.model), *parts)
    found = run_tasks(work, list(range(simulations)), title="sbc", key=key, n_jobs=n_jobs, checkpoint=checkpoint)
    frame = pd.DataFrame([unpacked(one).astype(np.int64) for one in found], columns=names)
    said = {name: described(prior) for name, prior in setup.priors.items()}
    return SBC(frame, size, repr(setup.problem.model), setup.kind, said)


@dataclass(frozen=True, eq=False)
class Setup:
    """What every simulation shares: the problem, its priors, the compiled model, where truths come from."""

    problem: Problem
    priors: dict[str, Any]
    compiled: Any
    forward: Callable[[Array], Array]
    kind: str
    band: float
    source: Array | None = None

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """True free vectors (count, p)."""
        if self.source is None:
            return draws_from(self.problem, self.priors, count, rng)
        return np.asarray(self.source[rng.choice(len(self.source), count, replace=count > len(self.source))])


def from_prior(
    model: Component | Model, data_or_times: BasisSeries | pd.DatetimeIndex | None, priors: Mapping[str, Any] | None
) -> Setup:
    if data_or_times is None:
        raise ModelError("a model needs a series or times to be simulated at", remedy="bm.sbc(bm.OU(), data)")
    problem = bind(model, _series(data_or_times))
    return _setup(problem, priors, "prior", None)


def _series(data_or_times: BasisSeries | pd.DatetimeIndex) -> BasisSeries:
    """The series, or one of spread 5 bps at the times: default priors scale with it."""
    if isinstance(data_or_times, BasisSeries):
        return data_or_times
    times = pd.DatetimeIndex(data_or_times)
    rng = np.random.default_rng(0)
    return BasisSeries.from_basis(times, 5.0 * np.sin(np.arange(len(times)) / 8.0) + 0.5 * rng.normal(size=len(times)))


def _from_fit(fit: Fit, priors: Mapping[str, Any] | None) -> Setup:
    if fit.draws_kind != "posterior" or fit.draws is None:
        raise ModelError("calibration around a fit needs posterior draws", remedy="bm.sbc(bm.sample(model, data))")
    if priors is None and fit.facts.get("own_priors"):
        raise ModelError("the fit was made with priors of its own: pass them again", remedy="bm.sbc(post, priors=...)")
    return _setup(fit.problem, priors, "posterior", fit.draws)


def _setup(problem: Problem, priors: Mapping[str, Any] | None, kind: str, source: Array | None) -> Setup:
    given = dict(priors or {})
    if kind == "prior":
        size = size_of(problem)
        for c in problem.spec.coefficients:
            if c.param == "kappa" and c.column == INTERCEPT and not {c.name, "kappa"} & set(given):
                given[c.name] = PRIORS["kappa"](size)
    laws = priors_of(problem, given)
    model = pymc_model(problem, laws, again=kind == "posterior")
    return Setup(
        problem, laws, compiled_by_nutpie(model), unconstrainer(model, problem), kind, problem.layout.spread, source
    )


def ranks_of(
    setup: Setup,
    truth: Array,
    run: Run,
    extra: Mapping[str, Quantity],
    rng: np.random.Generator,
    corrected: bool = False,
) -> NDArray[np.int64]:
    """Ranks of every quantity in one simulation; `run` and `corrected` as in `sbc`."""
    problem = setup.problem
    y = simulate_path(problem, truth, rng).y
    y = np.where(np.isfinite(problem.layout.y), y, np.nan)
    new = replace(problem, layout=problem.layout._replace(y=y))
    name = "basis" if setup.kind == "prior" else "basis_again"
    compiled = setup.compiled.with_data(**{name: y})
    start = mode_of(compiled, setup.forward(problem.spec.to_natural(truth)))
    chain = run_nutpie(started(compiled, start), run, int(rng.integers(2**31)))
    draws = [ordered(new, x) for x in chain.free[0, ::_THIN]]
    own = _values(new, ordered(new, truth), setup.band, extra)
    others = np.array([_values(new, x, setup.band, extra) for x in draws])
    if corrected and not new.engine.exact:
        return _weighted_ranks(others < own, _weights(new, draws, rng))
    less, equal = (others < own).sum(axis=0), (others == own).sum(axis=0)
    return np.asarray(less + rng.integers(0, equal + 1), dtype=np.int64)


def _weights(problem: Problem, draws: list[Array], rng: np.random.Generator) -> Array:
    """Likelihood by particles over the engine's at each draw, summing to one (pseudo-marginal importance weights)."""
    logs = []
    for x in draws:
        steps, start = assemble.coefficients(problem.layout, x)
        made = particles.run(
            problem.layout.y, problem.layout.row, steps, start, particles=200, replicates=2, rng=rng, threads=1
        )
        logs.append(made.value - problem.engine.loglik(problem.layout, x))
    kept = np.where(np.isfinite(logs), logs, -np.inf)
    weights = np.exp(kept - kept.max())
    return np.asarray(weights / weights.sum())


def _weighted_ranks(below: NDArray[np.bool_], weights: Array) -> NDArray[np.int64]:
    size = len(weights)
    share = weights @ below
    return np.minimum(np.floor(share * (size + 1.0)), size).astype(np.int64)


def _values(problem: Problem, x: Array, band: float, extra: Mapping[str, Quantity]) -> Array:
    """Every quantity at one free vector; what is not finite counts as largest."""
    found = [
        *problem.spec.to_natural(x),
        total_half_life(problem, x),
        _no_return(problem, x, band),
        problem.engine.loglik(problem.layout, x),
        *(one(problem, x) for one in extra.values()),
    ]
    return np.array([value if math.isfinite(value) else np.inf for value in found])


def _no_return(problem: Problem, x: Array, band: float) -> float:
    """Share of rows at which the basis is out of the band and not expected back within eight steps."""
    state = state_of(problem, problem.engine.filter(problem.layout, x))
    horizon = 8.0 * float(np.median(problem.layout.dt[problem.layout.row[1:]]))
    lost = outside(problem, x, state, horizon=horizon, band=band, target=problem.layout.centre, points=41, steps=16)
    return float((state.weights * lost).sum(axis=1).mean())
