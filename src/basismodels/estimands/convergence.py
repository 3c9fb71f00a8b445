"""How fast the basis converges: half-lives, by component, by regime and combined."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels._typical import row_of, typical
from basismodels.errors import ModelError
from basismodels.estimands.total_root import TotalRoot
from basismodels.inference.draws import draws_of
from basismodels.inference.intervals import Progress, Seed, bootstrapped, checked_level, conf_int, method_of
from basismodels.inference.inversion import invert, inverted
from basismodels.inference.inversion_ou import table_of
from basismodels.inference.profile import kappa_interval, profile_interval
from basismodels.inference.starts import observed
from basismodels.inference.studentised import studentised_function
from basismodels.likelihood import predictors, stationary
from basismodels.likelihood.transition import generator
from basismodels.problem import Problem
from basismodels.results import Estimate, Fit

Array = NDArray[np.float64]
_DRAWS = 500


@dataclass(frozen=True)
class _Making:
    """How limits are made: level, method, number of simulated series or None, their seed, progress."""

    level: float
    method: str
    draws: int | None = None
    rng: Seed = None
    progress: Progress | None = None


def half_life(
    fit: Fit,
    level: float = 0.95,
    method: str | None = None,
    at: Mapping[str, float] | None = None,
    *,
    draws: int | None = None,
    rng: Seed = None,
    progress: Progress | None = None,
) -> tuple[Estimate, ...]:
    """Half-lives in hours: the combined one first, then one per component and regime.

    The combined half-life is the horizon at which half of a typical gap is expected to be
    gone: where the autocorrelation of the basis without noise crosses one half. `method`:
    as in `conf_int`, with its `draws` and `rng`. The combined one of a reversion and a slow level is inverted (or
    profiled) itself, by the law of the slow level's root; that of regimes is studentised, or uses draws, and says so.
    `at`: covariate values at which parameters are read, default their medians.
    A speed that may be zero gives an infinite upper limit.
    """
    checked_level(level)
    made = _Making(level, method_of(fit, method), draws, rng, progress)
    if made.method == "bootstrap":
        fit = bootstrapped(fit, draws, rng, progress)
    parts = _components(fit, made, at)
    if len(parts) == 1:
        only = parts[0]
        total = Estimate(only.value, only.lower, only.upper, "h", level, only.method, "total")
        return (total, *parts)
    return (_total(fit, made, at), *parts)


def to_half_life(kappa: float) -> float:
    """ln 2 / kappa in hours; infinite for kappa <= 0."""
    if math.isnan(kappa):
        return math.nan
    return math.log(2.0) / kappa if kappa > 0 else math.inf


def _components(fit: Fit, made: _Making, at: Mapping[str, float] | None) -> list[Estimate]:
    out = []
    regimes = fit.problem.layout.regimes
    switching = regimes > 1 and ("kappa" in fit.model.varies or any(v.startswith("kappa:") for v in fit.model.varies))
    for k in range(regimes) if switching else [None]:
        value = to_half_life(float(speeds(fit.problem, fit.x, at)[k or 0]))
        lower, upper, used = _speed_limits(fit, k, made, at)
        out.append(Estimate(value, to_half_life(upper), to_half_life(lower), "h", made.level, used, "reversion", k))
    if "slow.kappa" in fit.problem.layout.places:
        out.append(_slow(fit, made, at))
    return out


def _slow(fit: Fit, made: _Making, at: Mapping[str, float] | None) -> Estimate:
    value = to_half_life(float(typical(fit.problem, fit.x, at).slow_kappa[0]))
    if "slow.kappa" not in fit.names or len([n for n in fit.names if n.startswith("slow.kappa")]) > 1:
        return Estimate(value, math.nan, math.nan, "h", made.level, "none", "slow")
    lower, upper, used = _coefficient_limits(fit, "slow.kappa", made)
    return Estimate(value, to_half_life(upper), to_half_life(lower), "h", made.level, used, "slow")


def _speed_limits(
    fit: Fit, regime: int | None, made: _Making, at: Mapping[str, float] | None
) -> tuple[float, float, str]:
    """Limits of kappa in 1/h, and how they were made."""
    if not isinstance(fit.model.formulas()["kappa"], str):
        held = float(speeds(fit.problem, fit.x)[regime or 0])
        return held, held, "fixed"
    name = "kappa" if regime is None else f"kappa[{regime}]"
    slopes = [n for n in fit.names if n.split("[")[0].split(":")[0] == "kappa" and ":" in n]
    if slopes or name not in fit.names:
        return _combined_speed_limits(fit, regime or 0, made.level, at)
    if made.method == "profile" and fit.problem.layout.regimes == 1:
        return (*kappa_interval(fit, made.level), "profile")
    return _coefficient_limits(fit, name, made)


def _coefficient_limits(fit: Fit, name: str, made: _Making) -> tuple[float, float, str]:
    options: dict[str, Any] = {"draws": made.draws, "rng": made.rng, "progress": made.progress}
    if made.method == "inversion":
        found = invert(fit, name, made.level, **options)
        return found.lower, found.upper, "inversion"
    if made.method == "profile":
        return (*profile_interval(fit, name, made.level), "profile")
    if made.method in ("wald", "sandwich", "studentised"):
        limits = conf_int(fit, made.method, made.level, **options)
        return float(limits["lower"][name]), float(limits["upper"][name]), made.method
    limits = conf_int(fit, "draws", made.level)
    return float(limits["lower"][name]), float(limits["upper"][name]), fit.draws_kind or "wald draws"


def _combined_speed_limits(
    fit: Fit, regime: int, level: float, at: Mapping[str, float] | None
) -> tuple[float, float, str]:
    """As `_speed_limits`, of a speed that several coefficients make: by draws where the fit carries them, else Wald.

    The link of the speed is linear in them, so that its standard error is exact; another estimate at its bound does
    no harm. NaN and "none" where one of them has no standard error.
    """
    from scipy.special import ndtri

    problem = fit.problem
    if fit.draws is not None or "kappa" not in problem.designs:
        drawn = np.array([speeds(problem, x, at)[regime] for x in draws_of(fit, _DRAWS)])
        low, high = draw_limits(drawn, level)
        return float(low), float(high), fit.draws_kind or "wald draws"
    row, places = row_of(problem, "kappa", at), problem.layout.places["kappa"][:, regime]
    free = places < len(fit.x)
    weights, own = row[free], fit.cov[np.ix_(places[free], places[free])]
    middle = float(row @ np.concatenate([fit.x, problem.layout.constants])[places])
    reach = float(ndtri(0.5 + 0.5 * level)) * math.sqrt(weights @ own @ weights)
    lower, upper = middle - reach, middle + reach
    if problem.layout.kappa_log:
        lower, upper = float(np.exp(lower)), float(np.exp(upper))
    return lower, upper, "none" if math.isnan(reach) else "wald"


def speeds(problem: Problem, x: Array, at: Mapping[str, float] | None = None) -> Array:
    """kappa of each regime in 1/h, (K,), at covariate values (default: medians over the rows)."""
    return np.asarray(typical(problem, x, at).kappa[0])


def shares(fit: Fit) -> dict[str, float]:
    """Share of the stationary variance of the basis without noise, "reversion" and "slow"; empty for one component."""
    fast, slow = _variances(fit.problem, fit.x)
    if slow == 0.0 or not math.isfinite(fast):
        return {}
    return {"reversion": fast / (fast + slow), "slow": slow / (fast + slow)}


def stationary_sd(fit: Fit) -> float:
    """Stationary standard deviation of the basis without noise in bps; infinite without one."""
    fast, slow = _variances(fit.problem, fit.x)
    return math.sqrt(fast + slow)


def _variances(problem: Problem, x: Array) -> tuple[float, float]:
    nat = typical(problem, x)
    found = stationary.moments(problem.layout, nat)
    slow = _slow_variance(problem, nat)
    if found is None:
        return math.inf, slow
    return float(found.second.sum() - found.first.sum() ** 2), slow


def _slow_variance(problem: Problem, nat: predictors.Natural) -> float:
    there = "slow.kappa" in problem.layout.places
    return float(nat.slow_variance[0] / (2 * nat.slow_kappa[0])) if there else 0.0


def total_half_life(problem: Problem, x: Array, at: Mapping[str, float] | None = None) -> float:
    """Horizon in hours at which the autocorrelation of the basis without noise is one half.

    Covariates stand at their medians, or at `at`.
    """
    nat = typical(problem, x, at)
    kappa, found = nat.kappa[0], stationary.moments(problem.layout, nat)
    if found is None:
        return math.inf
    chain = generator(nat.rates[:1])[0] if len(kappa) > 1 else np.zeros((1, 1))
    push = nat.drift[0] - kappa * problem.layout.centre
    flow, start = autocovariance(kappa, push, chain, found.law, found.first, found.second)
    return _half_time(flow, start, float(nat.slow_kappa[0]), _slow_variance(problem, nat))


def autocovariance(
    kappa: Array, push: Array, chain: Array, law: Array, first: Array, second: Array
) -> tuple[Array, Array]:
    """F (..., 2K, 2K) and z (..., 2K) such that the first K entries of expm(F h) z add up to the autocovariance of x.

    z = (E[u^2 1{s}], E[u 1{s}]) with u = x less its mean: a regime that is left takes its level with it, so what u is
    worth h ahead depends on where the chain has gone. kappa, push = kappa (theta - reference), law, first and second
    moments of x - reference times the law: (..., K); generator of the chain (..., K, K).
    """
    mean = first.sum(axis=-1, keepdims=True)
    push = push - kappa * mean
    first, second = first - mean * law, second - 2.0 * mean * first + mean**2 * law
    turned, still = np.swapaxes(chain, -1, -2), np.eye(kappa.shape[-1])
    above = np.concatenate([turned - kappa[..., None] * still, push[..., None] * still], axis=-1)
    below = np.concatenate([np.zeros_like(turned), turned], axis=-1)
    return np.concatenate([above, below], axis=-2), np.concatenate([second, first], axis=-1)


def _half_time(flow: Array, start: Array, slow_kappa: float, slow: float) -> float:
    """Where the autocovariance, with that of the slow level, has fallen by half; NaN where it is infinite itself."""
    from scipy.optimize import brentq

    rates, weights = _modes(flow, start)
    whole = float(start[: len(start) // 2].sum()) + slow

    def gap(h: float) -> float:
        return float((weights @ np.exp(rates * h)).real) + slow * math.exp(-slow_kappa * h) - 0.5 * whole

    if math.isnan(gap(0.0)):
        return math.nan
    high = 1.0
    while gap(high) > 0:
        high *= 2.0
        if high > 1e9:
            return math.inf
    return float(brentq(gap, 0.0, high, xtol=1e-9, rtol=1e-12))


def _modes(flow: Array, start: Array) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Exponents and weights of the first half of expm(flow h) start, added up; a defective matrix is nudged apart."""
    rates, vectors = np.linalg.eig(flow)
    if np.linalg.cond(vectors) > 1e8:
        nudge = 1e-7 * np.abs(flow).max() * np.diag(np.arange(1.0, len(flow) + 1.0))
        rates, vectors = np.linalg.eig(flow + nudge)
    weights = vectors[: len(start) // 2].sum(axis=0) * np.linalg.solve(vectors, start.astype(complex))
    return rates.astype(complex), weights.astype(complex)


def _total(fit: Fit, made: _Making, at: Mapping[str, float] | None) -> Estimate:
    value, level = total_half_life(fit.problem, fit.x, at), made.level
    if made.method in ("inversion", "profile") and fit.problem.layout.regimes == 1 and fit.draws is None:
        lower, upper = _total_limits(fit, made, at)
        return Estimate(value, lower, upper, "h", level, made.method, "total")
    if made.method == "studentised" and fit.draws is None:
        options: dict[str, Any] = {"draws": made.draws, "rng": made.rng, "progress": made.progress}
        lower, upper = studentised_function(fit, partial(total_half_life, at=at), level, **options)
        if not math.isnan(lower):
            return Estimate(value, lower, upper, "h", level, made.method, "total")
    try:
        found = np.array([total_half_life(fit.problem, x, at) for x in draws_of(fit, _DRAWS)])
    except ModelError:
        found = np.array([math.nan])
    if np.isnan(found).any():
        return Estimate(value, math.nan, math.nan, "h", level, "none: no draws", "total")
    low, high = draw_limits(found, level)
    return Estimate(value, float(low), float(high), "h", level, fit.draws_kind or "wald draws", "total")


def _total_limits(fit: Fit, made: _Making, at: Mapping[str, float] | None) -> tuple[float, float]:
    """Limits in hours from the root of the combined half-life: as a slow level's, or normal where profiled."""
    from scipy.special import ndtri

    problem = fit.problem
    root = TotalRoot(fit, lambda x: total_half_life(problem, x, at))
    table = table_of(observed(problem)[1])

    def quantile(p: float, points: list[Array]) -> Array:
        if made.method == "profile":
            return np.full(len(points), ndtri(p))
        return table.quantile(p)(root.span * np.array([typical(problem, x, at).slow_kappa[0] for x in points]))

    found = inverted(root, made.level, quantile)
    return to_half_life(found.upper), to_half_life(found.lower)
