"""A fit's parameters held on other data: what the model says of a time it was not fitted to."""

from __future__ import annotations

from dataclasses import replace

from basismodels.errors import ModelError
from basismodels.problem import bind
from basismodels.results import Fit
from basismodels.series import BasisSeries


def refilter(fit: Fit, data: BasisSeries) -> Fit:
    """The fit with its parameters and their uncertainty held, bound to other data.

    The filter starts afresh on the first row of `data`; to go on from the fit's last row, see `update`. The log
    likelihood is that of `data`. Errors: DataError, ModelError where the data lack a column.
    """
    old = fit.problem
    problem = bind(
        fit.model, data, initial=old.initial, mask=old.mask, kappa_link=old.link, depth=old.layout.depth,
        like=old,
    )
    if problem.spec.names != fit.names:
        raise ModelError("the model has other parameters on these data", rows=problem.spec.names)
    return replace(fit, problem=problem, llf=problem.engine.loglik(problem.layout, fit.x))
