"""A bound model as a PyMC model, for sampling and for those who extend it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basismodels.inference.priors import _STEEP, named, order_places, priors_of
from basismodels.likelihood.packed import data_of
from basismodels.model import Component, Model
from basismodels.params import INTERCEPT, Coefficient
from basismodels.problem import Problem, bind
from basismodels.series import BasisSeries


def to_pymc(
    model: Component | Model,
    data: BasisSeries,
    *,
    priors: Mapping[str, Any] | None = None,
    initial: str = "stationary",
    mask: bool = True,
    depth: int = 1,
) -> Any:
    """The model of a series as a `pymc.Model`.

    One variable a coefficient, named and measured as in `fit.params`; "free", the vector they make
    together; a potential "log_likelihood", whose gradient is exact and compiled; the series as `pm.Data`.
    `priors` as in `bm.sample`. Errors: ModelError, DataError.
    """
    return pymc_model(bind(model, data, initial=initial, mask=mask, depth=depth), priors)


def pymc_model(problem: Problem, priors: Mapping[str, Any] | None = None, *, again: bool = False) -> Any:
    """As `to_pymc`, for a model already bound to data; `again`: a second series on the same rows is seen too."""
    import pymc
    import pytensor.tensor as pt

    from basismodels.inference.pytensor_op import LogLik, shared

    laws = priors_of(problem, priors)
    with pymc.Model(coords={"coefficient": problem.spec.names}) as made:
        data = shared(data_of(problem.layout))
        values = {name: named(law, name) for name, law in laws.items()}
        free = [_free(c, values, problem) for c in problem.spec.coefficients]
        x = pymc.Deterministic("free", pt.stack(free), dims="coefficient")
        pymc.Potential("log_likelihood", LogLik(problem)(x, *data)[0])
        if again:
            second = shared(data_of(problem.layout)[:1], ("basis_again",))
            pymc.Potential("log_likelihood_again", LogLik(problem)(x, *second, *data[1:])[0])
        places = order_places(problem)
        if places is not None:
            pymc.Potential("order", -pt.softplus(_STEEP * (free[places[1]] - free[places[0]])))
    return made


def _free(c: Coefficient, values: Mapping[str, Any], problem: Problem) -> Any:
    """Free value of a coefficient from reported values."""
    import pytensor.tensor as pt

    value = values[c.name]
    if c.over >= 0:
        return value * values[problem.spec.coefficients[c.over].name]
    if c.column != INTERCEPT or c.link == "identity":
        return value
    if c.link == "logit":
        return pt.log(value) - pt.log1p(-value)
    return pt.log(value) if c.link == "log" else pt.log(value - 2.0)
