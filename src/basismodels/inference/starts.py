"""Where the search begins, and the box it stays in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basismodels.inference.grouping import level_groups, levels_of, volatility_groups
from basismodels.likelihood import ou
from basismodels.likelihood.transition import decay_ratio
from basismodels.params import INTERCEPT, Coefficient
from basismodels.problem import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scales:
    """Sizes read off the data: step h, span h, level and spread bps, volatility bps/sqrt(h), OU guesses."""

    step: float
    span: float
    centre: float
    spread: float
    volatility: float
    kappa: float
    sigma: float
    theta: float


def scales(problem: Problem) -> Scales:
    """Typical sizes of a bound problem."""
    y, dt = observed(problem)
    step = float(np.median(dt))
    change = np.diff(y) / np.sqrt(dt)
    volatility = max(float(np.sqrt(np.mean(change**2))), 1e-12 * max(problem.layout.spread, 1e-300))
    found = ou.maximise(y, dt, stationary=True)
    kappa = min(max(found.kappa, 1e-3 / float(dt.sum())), 20.0 / step)
    return Scales(
        step, float(dt.sum()), problem.layout.centre, problem.layout.spread, volatility,
        kappa, math.sqrt(max(found.variance, 1e-300)), found.drift / found.kappa,
    )  # fmt: skip


def observed(problem: Problem) -> tuple[Array, Array]:
    """Observed values (n,) in bps and the hours between them (n - 1,)."""
    hours = np.cumsum(problem.layout.dt[problem.layout.row])
    seen = np.isfinite(problem.layout.y)
    return problem.layout.y[seen], np.diff(hours[seen])


def bounds(problem: Problem, size: Scales) -> Array:
    """Box of the free vector, (p, 2); sigma and tau stay away from zero relative to the data."""
    return np.array([_bound(problem, c, size) for c in problem.spec.coefficients])


def _bound(problem: Problem, c: Coefficient, size: Scales) -> tuple[float, float]:
    if c.column != INTERCEPT:
        spread = column_scale(problem, c)
        return -30.0 / spread, 30.0 / spread
    if c.over >= 0:
        return -10.0 * size.spread / size.step, 10.0 * size.spread / size.step
    low_speed = math.log(1e-3 / size.span)
    noise = size.volatility * math.sqrt(size.step)
    table = {
        "kappa": (low_speed, math.log(30.0 / size.step)) if c.link == "log" else (-2.0 / size.step, 30.0 / size.step),
        "theta": (size.centre - 1e3 * size.spread, size.centre + 1e3 * size.spread),
        "sigma": (math.log(1e-4 * size.volatility), math.log(1e3 * size.volatility)),
        "innovation": (math.log(1e-4 * size.volatility), math.log(1e3 * size.volatility)),
        "nu": (math.log(0.02), math.log(500.0)),
        "tau": (math.log(1e-4 * noise), math.log(1e2 * noise)),
        "slow.kappa": (low_speed, math.log(10.0 / size.step)),
        "slow.sigma": (math.log(1e-4 * size.volatility), math.log(1e2 * size.volatility)),
        "q": (math.log(0.01 / size.span), math.log(5.0 / size.step)),
        "chain_start": (-20.0, 20.0),
        "outlier.share": (-14.0, 0.0),
        "outlier.scale": (math.log(0.5), math.log(1e4)),
    }
    return table[c.param]


def column_scale(problem: Problem, c: Coefficient) -> float:
    """Standard deviation of a slope's column, for scaling the search; the size of one that never varies."""
    name = "q" if c.param == "q" else c.param
    columns = problem.designs["q" if name == "q" else name].columns
    values = problem.layout.design[name][:, columns.index(c.column)]
    spread, size = float(np.std(values)), float(np.abs(values).max())
    return spread if spread > 1e-9 * size else size or 1.0


def steps(problem: Problem, x: Array, known: Scales | None = None) -> Array:
    """Natural step of each free coefficient, (p,), for preconditioning."""
    size = known or scales(problem)
    out = np.ones(len(x))
    for i, c in enumerate(problem.spec.coefficients):
        if c.column != INTERCEPT:
            out[i] = 1.0 / column_scale(problem, c)
        elif c.param == "theta":
            out[i] = size.spread if c.over < 0 else 0.05 * size.spread / size.step
        elif c.param == "kappa" and c.link == "identity":
            out[i] = max(abs(x[i]), 0.05 / size.step)
    return out


def candidates(problem: Problem, count: int, rng: np.random.Generator, known: Scales | None = None) -> list[Array]:
    """`count` starting points: a few laid out by hand, the rest perturbed."""
    size = known or scales(problem)
    box = bounds(problem, size)
    first = _laid_out(problem, size, count)
    out = []
    for i in range(count):
        if i < len(first):
            x = first[i]
        elif problem.layout.regimes > 1 and (i - len(first)) % 2:
            x = _flicker(problem, size, rng)
        else:
            near = first[i % len(first)]
            x = near + rng.normal(size=len(near)) * perturbation(problem, near, size)
        out.append(np.clip(x, box[:, 0] + 1e-9, box[:, 1] - 1e-9))
    return out


def _flicker(problem: Problem, size: Scales, rng: np.random.Generator) -> Array:
    """A start whose regimes come and go: single steps grouped by a random cut of the plain model's residuals."""
    y, dt = observed(problem)
    regimes = problem.layout.regimes
    decay = np.exp(-size.kappa * dt)
    residual = (y[1:] - size.theta - decay * (y[:-1] - size.theta)) / np.sqrt(dt)
    score = np.abs(residual) if rng.random() < 0.5 else residual
    cuts = np.quantile(score, np.cumsum(rng.dirichlet(np.full(regimes, 3.0)))[:-1])
    groups = np.searchsorted(cuts, score).astype(np.int64)
    kappa, sigma, _ = _by_group(y, dt, groups, np.full(regimes, float(np.median(y))), size)
    rates = np.exp(rng.normal(-1.0, 0.8, (regimes, regimes))) / size.step
    noise = rng.uniform(0.05, 0.5)
    tau = np.maximum(noise * sigma * math.sqrt(size.step), 1e-3 * size.volatility * math.sqrt(size.step))
    return _fill(problem, size, {"kappa": kappa, "sigma": sigma, "q": rates, "tau": tau})


def perturbation(problem: Problem, x: Array, known: Scales | None = None) -> Array:
    """Standard deviation of a random step of each coefficient, (p,)."""
    size = known or scales(problem)
    out = np.full(len(x), 0.7)
    for i, c in enumerate(problem.spec.coefficients):
        if c.column != INTERCEPT:
            out[i] = 0.3 / column_scale(problem, c)
        elif c.param == "theta":
            out[i] = 0.5 * size.spread if c.over < 0 else 0.02 * size.spread / size.step
        elif c.param == "kappa" and c.link == "identity":
            out[i] = max(0.7 * abs(x[i]), 0.02 / size.step)
    return out


def _laid_out(problem: Problem, size: Scales, count: int) -> list[Array]:
    if problem.layout.regimes > 1:
        return _regime_starts(problem, size, count)
    has_noise, has_slow = "tau" in problem.layout.places, "slow.kappa" in problem.layout.places
    if not (has_noise or has_slow):
        return [_fill(problem, size, {})]
    out = []
    for ratio in (0.15, 0.4, 0.02):
        for speed in ((10.0, 0.03), (30.0, 0.3), (3.0, 0.003)) if has_slow else ((0.3, 0.0), (1.0, 0.0), (0.05, 0.0)):
            kappa = min(max(size.kappa * speed[0], 2e-3 / size.span), 3.0 / size.step)
            out.append(
                _fill(
                    problem,
                    size,
                    {
                        "kappa": kappa,
                        "tau": ratio * size.volatility * math.sqrt(size.step),
                        "sigma": size.sigma * (0.8 if has_slow else 0.6),
                        "slow.kappa": max(size.kappa * max(speed[1], 1e-3), 3e-3 / size.span),
                        "slow.sigma": 0.3 * size.sigma,
                    },
                )
            )
    return out


def _fill(problem: Problem, size: Scales, values: dict[str, float | Array]) -> Array:
    """Free vector from natural values by parameter; slopes start at zero."""
    default: dict[str, float | Array] = {
        "kappa": size.kappa, "theta": size.theta if abs(size.theta - size.centre) < 5 * size.spread else size.centre,
        "sigma": size.sigma, "tau": 0.3 * size.volatility * math.sqrt(size.step),
        "slow.kappa": size.kappa / 30.0, "slow.sigma": 0.2 * size.sigma,
        "q": 0.02 / size.step, "chain_start": 0.0, "outlier.share": 0.02, "outlier.scale": 5.0, "nu": 6.0,
    }  # fmt: skip
    default |= values
    default["innovation"] = default["sigma"] * np.sqrt(decay_ratio(2.0 * np.asarray(default["kappa"], dtype=float)))
    out = np.zeros(len(problem.spec))
    for i, c in enumerate(problem.spec.coefficients):
        if c.column != INTERCEPT:
            continue
        value = default[c.param]
        if isinstance(value, np.ndarray) and value.ndim:
            ends = [int(part) for part in c.regime.split("->")] if c.regime else []
            value = float(value[tuple(ends)]) if ends else float(np.mean(value))
        out[i] = c.to_free(float(value))
    for i, c in enumerate(problem.spec.coefficients):
        if c.over >= 0:
            out[i] *= out[c.over]
    return out


def _regime_starts(problem: Problem, size: Scales, count: int) -> list[Array]:
    """Starts from k-means on local volatility and slope, by noise share and window until `count` are had."""
    y, dt = observed(problem)
    out: list[Array] = []
    ways = [(window, volatility_groups) for window in (24, 8, 72)]
    if any(c.param == "theta" and c.regime for c in problem.spec.coefficients):
        ways = [ways[0], (24, level_groups), (72, level_groups), *ways[1:]]
    for window, grouped in ways:
        if len(out) >= count:
            break
        groups = grouped(y, dt, problem.layout.regimes, window)
        if groups is not None:
            out += _grouped_starts(problem, size, y, dt, groups, grouped is level_groups)
    return out or [_fill(problem, size, {})]


def _grouped_starts(
    problem: Problem, size: Scales, y: Array, dt: Array, groups: NDArray[np.int64], levels: bool
) -> list[Array]:
    """One start for each share of noise from grouped steps; `levels`: each group has a level of its own."""
    regimes = problem.layout.regimes
    theta = levels_of(y, groups, regimes) if levels else np.full(regimes, float(np.median(y)))
    kappa, sigma, rates = _by_group(y, dt, groups, theta, size)
    if levels:
        # about its own level each regime reverts fast, or the level would not have been seen
        kappa = np.maximum(kappa, 0.4 / size.step)
    out = []
    for noise in (0.15, 0.4) if "tau" in problem.layout.places else (0.0,):
        shrink = math.sqrt(max(1.0 - 2.0 * noise**2, 0.1))
        values: dict[str, float | Array] = {
            "kappa": kappa, "sigma": sigma * shrink, "q": rates,
            "tau": np.maximum(
                noise * sigma * math.sqrt(size.step), 1e-3 * size.volatility * math.sqrt(size.step)
            ),
            "slow.kappa": max(size.kappa / 20.0, 3e-3 / size.span), "slow.sigma": 0.2 * size.sigma,
        }  # fmt: skip
        out.append(_fill(problem, size, values | ({"theta": theta} if levels else {})))
    return out


def _by_group(y: Array, dt: Array, groups: NDArray[np.int64], theta: Array, size: Scales) -> tuple[Array, Array, Array]:
    """kappa (K,), sigma (K,) and rates (K, K) of grouped steps, about levels theta (K,)."""
    regimes = len(theta)
    kappa, sigma = np.full(regimes, size.kappa), np.full(regimes, size.volatility)
    rates = np.full((regimes, regimes), 0.02 / size.step)
    change = np.diff(y)
    for k in range(regimes):
        own = groups == k
        if own.sum() < 5:
            continue
        x = y[:-1][own] - theta[k]
        drag = -float(x @ change[own]) / max(float((x**2) @ dt[own]), 1e-300)
        kappa[k] = min(max(drag, 0.2 * size.kappa), 2.0 / size.step)
        sigma[k] = max(float(np.sqrt(np.mean(change[own] ** 2 / dt[own]))), 1e-3 * size.volatility)
        hours = float(dt[own].sum())
        for j in range(regimes):
            if j != k:
                jumps = int(np.sum((groups[:-1] == k) & (groups[1:] == j)))
                rates[k, j] = max(jumps, 0.5) / max(hours, size.step)
    return kappa, sigma, np.clip(rates, 1e-3 / size.step, 1.0 / size.step)
