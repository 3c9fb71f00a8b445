"""Posterior draws of many markets at once: their speeds, noise and rates are drawn towards each other.

    free_u = mu + s * z_u,  z_u ~ Normal(0, 1),  s ~ HalfNormal(1)

for the pooled coefficients of unit u on the free scale (log kappa, log tau, log q), mu with the default
prior; every other coefficient is the unit's own (Gelman & Hill 2007).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.diagnose_draws import diagnose_draws, rhat
from basismodels.inference.labels import ordered, settled
from basismodels.inference.mle import fit_problem
from basismodels.inference.posterior import Run
from basismodels.inference.priors import priors_of
from basismodels.inference.samplers import Mode, compiled_by_nutpie, density, mode_of, run_trace, started
from basismodels.likelihood.packed import data_of
from basismodels.model import Component, Model
from basismodels.params import INTERCEPT, Prior
from basismodels.problem import Problem, bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
POOLED = ("kappa", "tau", "q")


@dataclass(frozen=True, eq=False)
class PanelFit(Mapping[str, Fit]):
    """Fits by unit, each with its own part of the joint draws, and the law they were drawn towards.

    pooled (m, 2 P) frame: mu and sd of each pooled coefficient on the free scale, one row a draw; alone: the
    maximum-likelihood fits, each unit on its own.
    """

    fits: dict[str, Fit]
    pooled: pd.DataFrame
    alone: dict[str, Fit]
    seconds: float

    def __getitem__(self, unit: str) -> Fit:
        return self.fits[unit]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def ok(self) -> bool:
        """Whether every unit's draws are to be trusted."""
        return all(one.ok for one in self.fits.values())

    def shrinkage(self) -> pd.DataFrame:
        """Each unit's pooled coefficients alone and in the panel: one row a unit and coefficient.

        Columns alone (maximum likelihood), panel (median), lower, upper (95%), as reported.
        """
        rows = []
        for unit, one in self.fits.items():
            values = np.array([one.problem.spec.to_natural(x) for x in np.asarray(one.draws)])
            for name in self.pooled.columns.get_level_values(0).unique():
                at = one.problem.spec.position(name)
                low, middle, high = np.quantile(values[:, at], [0.025, 0.5, 0.975])
                alone = float(self.alone[unit].params[name])
                rows.append(
                    {"unit": unit, "name": name, "alone": alone, "panel": middle, "lower": low, "upper": high}
                )
        return pd.DataFrame(rows)


def sample_panel(
    model: Component | Model,
    panel: Mapping[str, BasisSeries],
    *,
    pool: tuple[str, ...] = POOLED,
    rng: np.random.Generator | int | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    initial: str = "stationary",
    starts: int = 8,
    target_accept: float = 0.9,
    cores: int | None = None,
) -> PanelFit:
    """Posterior draws of one model for several markets, whose `pool` parameters are partially pooled.

    Speeds are on the log scale, regimes as they come out in order of size in each market. Errors: ModelError
    for fewer than two units or formulas that give units different coefficients.
    """
    began = time.perf_counter()
    if len(panel) < 2:
        raise ModelError("a panel takes at least two series", remedy="bm.sample(model, data) for one")
    generator = np.random.default_rng(0 if rng is None else rng)
    seed = int(generator.integers(2**31))
    problems = {unit: bind(model, data, initial=initial, kappa_link="log") for unit, data in panel.items()}
    if len({tuple(one.spec.names) for one in problems.values()}) > 1:
        raise ModelError("the model has other coefficients in one unit than in another", rows=list(problems)[:3])
    alone = {unit: fit_problem(one, starts=starts, rng=seed) for unit, one in problems.items()}
    made = _pooled(problems, pool)
    compiled = compiled_by_nutpie(_joint_model(problems, made))
    run = Run(draws, tune, chains, "nutpie", target_accept, cores)
    start = _begin(compiled, problems, alone, made)
    trace = run_trace(started(compiled, start), run, seed)
    free, stats = np.asarray(trace["posterior"]["free"].values), _stats(trace)
    fits = {unit: _unit(one, free[:, :, i], stats, alone[unit], seed) for i, (unit, one) in enumerate(problems.items())}
    return PanelFit(fits, _law(trace, problems, made), alone, time.perf_counter() - began)


@dataclass(frozen=True)
class _Pooled:
    """Places of the pooled and the other coefficients in the free vector; prior mean and sd (units, p) there."""

    pooled: NDArray[np.int64]
    own: NDArray[np.int64]
    mean: Array
    sd: Array


def _pooled(problems: Mapping[str, Problem], pool: tuple[str, ...]) -> _Pooled:
    first = next(iter(problems.values()))
    known = {c.param for c in first.spec.coefficients}
    if not set(pool) & known:
        raise ModelError(f"pool= names nothing the model has; it has {', '.join(sorted(known))}", rows=list(pool))
    at = [i for i, c in enumerate(first.spec.coefficients) if c.param in pool and c.column == INTERCEPT]
    own = [i for i in range(len(first.spec)) if i not in at]
    laws = np.array([[_on_free(law) for law in priors_of(one).values()] for one in problems.values()])
    return _Pooled(np.array(at), np.array(own, dtype=np.int64), laws[:, :, 0], laws[:, :, 1])


def _on_free(law: Prior) -> tuple[float, float]:
    """Mean and sd of a prior on the free scale; a share's as a wide normal law of its log odds."""
    args = dict(law.args)
    return (args["mu"], args["sigma"]) if law.family in ("LogNormal", "Normal") else (-3.0, 1.2)


def _joint_model(problems: Mapping[str, Problem], made: _Pooled) -> Any:
    import pymc
    import pytensor.tensor as pt

    from basismodels.inference.pytensor_op import DATA, LogLik, shared

    units, names = list(problems), next(iter(problems.values())).spec.names
    with pymc.Model(coords={"unit": units, "coefficient": names}) as model:
        mu = pymc.Normal("mu", made.mean[:, made.pooled].mean(axis=0), made.sd[:, made.pooled].mean(axis=0))
        s = pymc.HalfNormal("sd", 1.0, shape=len(made.pooled))
        z = pymc.Normal("z", 0.0, 1.0, shape=(len(units), len(made.pooled)))
        shape = (len(units), len(made.own))
        own = pymc.Normal("own", made.mean[:, made.own], made.sd[:, made.own], shape=shape)
        order = np.argsort(np.concatenate([made.pooled, made.own]))
        free = pymc.Deterministic("free", pt.concatenate([mu + s * z, own], axis=1)[:, order])
        for i, (unit, one) in enumerate(problems.items()):
            data = shared(data_of(one.layout), [f"{name}_{i}" for name in DATA])
            pymc.Potential(f"log_likelihood_{unit}", LogLik(one)(free[i], *data)[0])
    return model


def _begin(compiled: Any, problems: Mapping[str, Problem], alone: Mapping[str, Fit], made: _Pooled) -> Mode:
    """The joint mode, climbed to from the units' own maxima drawn towards the prior where they are wild."""
    x = np.array([fit.x for fit in alone.values()])
    x = np.clip(x, made.mean - 3.0 * made.sd, made.mean + 3.0 * made.sd)
    centre = x[:, made.pooled].mean(axis=0)
    sd = np.maximum(x[:, made.pooled].std(axis=0), 0.2)
    z = (x[:, made.pooled] - centre) / sd
    point = np.concatenate([centre, np.log(sd), z.ravel(), x[:, made.own].ravel()])
    found = mode_of(compiled, point, climb=False)
    return found if np.isfinite(density(compiled, found.at)[0]) else replace_root(found)


def replace_root(found: Mode) -> Mode:
    """The same point with chains all beginning there."""
    return found._replace(root=np.zeros_like(found.root))


def _stats(trace: Any) -> dict[str, Array]:
    from basismodels.inference.samplers import statistics

    return statistics(trace)


def _unit(problem: Problem, free: Array, stats: dict[str, Array], alone: Fit, seed: int) -> Fit:
    count, length, p = free.shape
    flat = settled(problem, np.array([ordered(problem, x) for x in free.reshape(-1, p)]))
    centre: Array = np.median(flat, axis=0)
    found = diagnose_draws(problem, flat.reshape(count, length, p), stats, centre)
    facts = {"chains": count, "stats": stats, "sampler": "nutpie", "seed": seed, "own_priors": True}
    return replace(
        alone, x=centre, cov=np.atleast_2d(np.cov(flat.T)).astype(np.float64), draws=flat, draws_kind="posterior",
        llf=problem.engine.loglik(problem.layout, centre), diagnostics=tuple(found), facts=facts,
    )  # fmt: skip


def _law(trace: Any, problems: Mapping[str, Problem], made: _Pooled) -> pd.DataFrame:
    names = [next(iter(problems.values())).spec.names[i] for i in made.pooled]
    found = {kind: np.asarray(trace["posterior"][kind].values) for kind in ("mu", "sd")}
    columns = {
        (name, kind): values[:, :, i].ravel() for kind, values in found.items() for i, name in enumerate(names)
    }
    frame = pd.DataFrame(columns)
    frame.attrs["rhat"] = float(max(np.max(rhat(values)) for values in found.values()))
    return frame
