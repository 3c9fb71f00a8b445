"""Priors of a bound model: the defaults, what the caller puts in their place, and draws from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.starts import scales
from basismodels.params import INTERCEPT, Coefficient, Prior, Size, default_prior
from basismodels.problem import Problem

Array = NDArray[np.float64]
_STEEP = 4.0


def size_of(problem: Problem) -> Size:
    """What default priors scale with."""
    found = scales(problem)
    return Size(found.step, found.span, found.centre, found.spread, found.volatility)


def priors_of(problem: Problem, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A prior for each coefficient by name, over its value as reported, in its own unit.

    `given`: by coefficient ("kappa[1]", "theta:x") or by parameter ("kappa", for every regime), each a
    `Prior`, an unnamed PyMC distribution such as pm.LogNormal.dist(-3, 1), or a PreliZ distribution.
    A level theta has its prior in bps also where the free vector carries the drift kappa theta.
    Errors: ModelError for an unknown name or kind.
    """
    asked = dict(given or {})
    size, out = size_of(problem), {}
    for c in problem.spec.coefficients:
        key = c.name if c.name in asked else _family_name(c)
        out[c.name] = _checked(key, asked[key]) if key in asked else _default(problem, c, size)
    known = {key for c in problem.spec.coefficients for key in (c.name, _family_name(c))}
    unknown = sorted(set(asked) - known)
    if unknown:
        raise ModelError(f"priors= names what the model lacks; it has {', '.join(problem.spec.names)}", rows=unknown)
    return out


def _family_name(c: Coefficient) -> str:
    return c.param if c.column == INTERCEPT else f"{c.param}:{c.column}"


def _default(problem: Problem, c: Coefficient, size: Size) -> Prior:
    return default_prior(c, size, 1.0 if c.column == INTERCEPT else _usual(problem, c))


def _usual(problem: Problem, c: Coefficient) -> float:
    """Root mean square over the rows of a slope's column: about zero, for a column that hardly varies is no scale."""
    own = problem.designs[c.param].columns.index(c.column)
    values = problem.layout.design[c.param][problem.layout.row, own]
    return float(np.sqrt(np.mean(values**2))) or 1.0


def _checked(name: str, prior: Any) -> Any:
    if isinstance(prior, Prior) or hasattr(prior, "to_pymc") or hasattr(prior, "owner"):
        return prior
    raise ModelError(
        f"the prior of {name} must be a distribution, got {type(prior).__name__}",
        remedy=f'priors={{"{name}": pm.LogNormal.dist(-3, 1)}}',
    )


def named(prior: Any, name: str) -> Any:
    """The prior as a variable of the PyMC model in context."""
    if isinstance(prior, Prior):
        return prior.named(name)
    if hasattr(prior, "to_pymc"):
        return prior.to_pymc(name)
    from pymc import modelcontext

    return modelcontext(None).register_rv(_copied(prior), name)


def _copied(prior: Any) -> Any:
    """A fresh variable of the same law, since a variable belongs to one model."""
    return prior.owner.clone().outputs[prior.owner.outputs.index(prior)]


def described(prior: Any) -> str:
    """The prior in words."""
    if isinstance(prior, Prior):
        return str(prior)
    if hasattr(prior, "to_pymc"):
        return repr(prior)
    return str(getattr(prior.owner.op, "_print_name", (type(prior.owner.op).__name__,))[0])


def draws_from(problem: Problem, priors: Mapping[str, Any], count: int, rng: np.random.Generator) -> Array:
    """Free vectors (count, p) from the prior, regimes as they fall."""
    kept: list[Array] = []
    while sum(map(len, kept)) < count:
        seed = int(rng.integers(2**31))
        columns = [_drawn(priors[name], 2 * count, seed + i) for i, name in enumerate(problem.spec.names)]
        found = np.array([problem.spec.to_free(row) for row in np.column_stack(columns)])
        chance = order_weight(problem, found)
        kept.append(found[rng.random(len(found)) < chance])
    return np.concatenate(kept)[:count]


def _drawn(prior: Any, count: int, seed: int) -> Array:
    import pymc

    if hasattr(prior, "to_pymc"):
        return np.asarray(prior.rvs(count, random_state=seed), dtype=float)
    variable = prior.dist(shape=count) if isinstance(prior, Prior) else prior
    draws = 1 if isinstance(prior, Prior) else count
    made = pymc.draw(variable, draws=draws, random_seed=seed, mode="FAST_COMPILE")
    return np.asarray(made, dtype=float).reshape(-1)[:count]


def order_weight(problem: Problem, draws: Array) -> Array:
    """Weight (m,) by which the joint prior favours a slow level slower than the reversion.

    1 / (1 + (slow.kappa / kappa)^4) where one regime has both, else 1: the two names cannot swap.
    """
    places = order_places(problem)
    if places is None:
        return np.ones(len(draws))
    gap = _STEEP * (draws[:, places[1]] - draws[:, places[0]])
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(gap, -700.0, 700.0))))


def order_places(problem: Problem) -> tuple[int, int] | None:
    """Where log kappa and log slow.kappa stand in the free vector, where their order is in doubt."""
    names = problem.spec.names
    if problem.layout.regimes > 1 or not problem.layout.kappa_log or not {"kappa", "slow.kappa"} <= set(names):
        return None
    return names.index("kappa"), names.index("slow.kappa")
