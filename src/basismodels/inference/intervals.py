"""Intervals of parameters behind one call."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from basismodels._limits import draw_limits
from basismodels.errors import ModelError, whole
from basismodels.inference.bootstrap import bootstrap
from basismodels.inference.draws import draws_of
from basismodels.inference.inversion import invert, speeds
from basismodels.inference.mle import is_plain_ou
from basismodels.inference.profile import profile_interval
from basismodels.inference.profile_ou import plain_limits
from basismodels.inference.sandwich import sandwich
from basismodels.inference.studentised import studentised_interval
from basismodels.inference.tasks import generator_of
from basismodels.results import Fit, checked_fit

METHODS = ("inversion", "studentised", "bootstrap", "profile", "wald", "sandwich", "draws")
Progress = Callable[[int, int], None]
Seed = np.random.Generator | int | None


def conf_int(
    fit: Fit,
    method: str | None = None,
    level: float = 0.95,
    *,
    draws: int | None = None,
    rng: Seed = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Intervals of every coefficient: columns lower, upper, method.

    "inversion" (default for one regime): speeds by test inversion, the rest by profile likelihood;
    "studentised" (default for several): 199 bootstrap refits, each measured by its own standard error;
    "wald": symmetric on the free scale; "sandwich": the same with errors by funding interval that do not
    take the model at its word; "bootstrap": quantiles of bootstrap refits; "profile": profile
    likelihood; "draws" (default where the fit carries draws): quantiles of bootstrap or posterior
    draws. `draws`: simulated series (inversion, studentised, bootstrap); `rng`: their seed.
    `attrs["monte_carlo"]`: Monte Carlo errors of limits made by inversion. Profile and Wald intervals
    of kappa cover less than they say where kappa times the span is small.
    Errors: ModelError for an unknown method or level.
    """
    chosen = method_of(fit, method)
    checked_level(level)
    if draws is not None:
        whole(draws, "draws", least=0 if chosen == "inversion" else 2, remedy="draws=199")
    generator_of(rng)
    if chosen == "inversion":
        return _inverted(fit, level, draws, rng, progress)
    if chosen == "studentised":
        found = studentised_interval(fit, level, draws=draws, rng=rng, progress=progress)
        return found.assign(method="studentised")
    if chosen == "bootstrap":
        return _from_draws(bootstrapped(fit, draws, rng, progress), level)
    if chosen == "wald":
        return fit.conf_int(level).assign(method="wald")
    if chosen == "sandwich":
        return sandwich(fit).conf_int(level).assign(method="sandwich")
    if chosen == "draws":
        return _from_draws(fit, level)
    return _profiled(fit, fit.names, level)


def _inverted(fit: Fit, level: float, draws: int | None, rng: Seed, progress: Progress | None) -> pd.DataFrame:
    own = speeds(fit)
    rest = [name for name in fit.names if name not in own]
    one = fit.problem.layout.regimes == 1
    found = _profiled(fit, rest, level) if one else fit.conf_int(level).assign(method="wald")
    errors = {}
    for name in own:
        made = invert(fit, name, level, draws=draws, rng=rng, progress=progress)
        found.loc[name, ["lower", "upper"]] = made.lower, made.upper
        found.loc[name, "method"] = "inversion"
        errors[name] = {"lower": made.error_lower, "upper": made.error_upper}
    found.attrs["monte_carlo"] = errors
    return found


def _profiled(fit: Fit, names: list[str], level: float) -> pd.DataFrame:
    """Profile limits of the names, Wald limits where a level is carried as a drift."""
    found = fit.conf_int(level).assign(method="wald")
    for name in names:
        if is_plain_ou(fit.problem) and name != "kappa":
            found.loc[name, ["lower", "upper"]] = plain_limits(fit, name, level)
            found.loc[name, "method"] = "profile"
        elif fit.problem.spec.coefficients[fit.problem.spec.position(name)].over < 0:
            found.loc[name, ["lower", "upper"]] = profile_interval(fit, name, level)
            found.loc[name, "method"] = "profile"
    return found


def bootstrapped(fit: Fit, draws: int | None, rng: Seed, progress: Progress | None = None) -> Fit:
    """The fit with bootstrap draws: its own where it carries some and no number is asked for."""
    if fit.draws_kind == "bootstrap" and draws is None:
        return fit
    return bootstrap(fit, 1000 if draws is None else draws, rng=rng, progress=progress)


def method_of(fit: Fit, method: str | None) -> str:
    """The method asked for, or the fit's default; ModelError lists what there is."""
    checked_fit(fit)
    chosen: object = method
    if method is None:
        chosen = "draws" if fit.draws is not None else _default(fit)
    if not isinstance(chosen, str) or chosen not in METHODS:
        raise ModelError(f"no interval method {method!r}; there are {', '.join(METHODS)}")
    return chosen


def _default(fit: Fit) -> str:
    """Test inversion for one regime, the studentised bootstrap for several where there are standard errors at all."""
    if fit.problem.layout.regimes == 1:
        return "inversion"
    return "studentised" if np.isfinite(np.diag(fit.cov)).any() else "wald"


def checked_level(level: float) -> float:
    """A level strictly between 0 and 1; ModelError otherwise."""
    if not (isinstance(level, (int, float)) and math.isfinite(level) and 0.0 < level < 1.0):
        raise ModelError(f"level must lie between 0 and 1, got {level!r}", remedy="level=0.95")
    return float(level)


def _from_draws(fit: Fit, level: float) -> pd.DataFrame:
    points = draws_of(fit, 2000) if fit.draws is None else fit.draws
    lower, upper = draw_limits(np.array([fit.problem.spec.to_natural(x) for x in points]), level)
    frame = pd.DataFrame({"lower": lower, "upper": upper}, index=fit.names)
    return frame.assign(method=fit.draws_kind or "draws")
