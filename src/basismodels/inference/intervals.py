"""Intervals of parameters behind one call."""

from __future__ import annotations

import pandas as pd

from basismodels.errors import ModelError
from basismodels.inference.draws import draws_of
from basismodels.inference.profile import profile_interval
from basismodels.results import Fit

METHODS = ("profile", "wald", "draws")


def conf_int(fit: Fit, method: str | None = None, level: float = 0.95) -> pd.DataFrame:
    """Intervals of every coefficient: columns lower, upper, method.

    "profile" (default for one regime): profile likelihood; "wald" (default for several):
    symmetric on the free scale; "draws" (default where the fit carries draws): quantiles of
    bootstrap or posterior draws. Profile and Wald intervals of kappa cover less than they say where
    kappa times the span is small. Errors: ModelError for an unknown method or level.
    """
    chosen = method_of(fit, method)
    checked_level(level)
    if chosen == "wald":
        return fit.conf_int(level).assign(method="wald")
    if chosen == "draws":
        return _from_draws(fit, level)
    found = fit.conf_int(level).assign(method="wald")
    for name, c in zip(fit.names, fit.problem.spec.coefficients, strict=True):
        if c.over < 0:
            found.loc[name, ["lower", "upper"]] = profile_interval(fit, name, level)
            found.loc[name, "method"] = "profile"
    return found


def method_of(fit: Fit, method: str | None) -> str:
    """The method asked for, or the fit's default; ModelError lists what there is."""
    quick = "profile" if fit.problem.layout.regimes == 1 else "wald"
    chosen = method or ("draws" if fit.draws is not None else quick)
    if chosen not in METHODS:
        raise ModelError(f"no interval method {method!r}; there are {', '.join(METHODS)}")
    return chosen


def checked_level(level: float) -> float:
    """A level strictly between 0 and 1; ModelError otherwise."""
    if not 0.0 < level < 1.0:
        raise ModelError(f"level must lie between 0 and 1, got {level!r}", remedy="level=0.95")
    return level


def _from_draws(fit: Fit, level: float) -> pd.DataFrame:
    tail = 0.5 * (1.0 - level)
    frame = pd.DataFrame([fit.problem.spec.to_natural(x) for x in draws_of(fit, 2000)], columns=fit.names)
    limits = frame.quantile([tail, 1.0 - tail]).T
    return pd.DataFrame({"lower": limits.iloc[:, 0], "upper": limits.iloc[:, 1]}).assign(
        method=fit.draws_kind or "draws"
    )
