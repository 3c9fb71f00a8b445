"""The start of a series: stationary moments by regime, or a diffuse start, and their derivatives."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import transition
from basismodels.likelihood.kim import Start
from basismodels.likelihood.predictors import Layout, Natural

Array = NDArray[np.float64]


class Moments(NamedTuple):
    """Stationary moments of x by regime: law (K,), first (K,) and second (K,) moments times the law."""

    law: Array
    first: Array
    second: Array


def moments(layout: Layout, nat: Natural) -> Moments | None:
    """Joint stationary moments of (x - centre, regime) at the first step; None without a positive solution.

    With b = a - kappa centre, solves Q'u - kappa u + b pi = 0 and Q'm - 2 kappa m + 2 b u + sigma^2 pi = 0.
    """
    kappa, push = nat.kappa[0], nat.drift[0] - nat.kappa[0] * layout.centre
    law = still_law(nat)
    if layout.regimes == 1 and kappa[0] <= 0:
        return None
    q = transition.generator(nat.rates[:1])[0].T
    try:
        noise = np.linalg.solve(q - 2.0 * np.diag(kappa), -nat.variance[0] * law)
        first = np.linalg.solve(q - np.diag(kappa), -push * law)
        second = np.linalg.solve(q - 2.0 * np.diag(kappa), -(2.0 * push * first + nat.variance[0] * law))
    except np.linalg.LinAlgError:
        return None
    if not (np.all(noise > 0) and np.all(np.isfinite(second)) and np.all(second * law > first**2)):
        return None
    return Moments(law, first, second)


def still_law(nat: Natural) -> Array:
    """Stationary law of the chain at the first step's rates, (K,)."""
    return np.ones(1) if nat.rates.shape[1] == 1 else transition.stationary_law(nat.rates[0])


def law_of(nat: Natural) -> Array:
    """Law of the chain at the first observation, (K,); x given the regime has its stationary law all the same."""
    return nat.start_law if nat.start_law is not None else still_law(nat)


def start_of(layout: Layout, nat: Natural) -> tuple[Start, Moments | None]:
    """Law of the state before the first observation, and the moments it came from."""
    k = layout.regimes
    found = moments(layout, nat) if layout.stationary else None
    mean, var = np.zeros((k, 2)), np.zeros((k, 3))
    if "slow.kappa" in layout.places:
        var[:, 2] = nat.slow_variance[0] / (2.0 * nat.slow_kappa[0])
    if found is None:
        flat = -math.log(10.0 * layout.spread * math.sqrt(2.0 * math.pi)) if layout.stationary else 0.0
        return Start(law_of(nat), mean, var, np.ones(k), flat), None
    ratio = found.first / found.law
    mean[:, 0] = layout.centre + ratio
    var[:, 0] = found.second / found.law - ratio**2
    return Start(law_of(nat), mean, var, np.zeros(k), 0.0), found


def add_start_bars(
    layout: Layout, nat: Natural, found: Moments | None, own: Start, bars: Start, eta: dict[str, Array]
) -> None:
    """Adds what the start contributes at the first step."""
    still_bar = np.zeros(layout.regimes)
    if "slow.kappa" in layout.places:
        g = float(bars.var[:, 2].sum())
        level = nat.slow_variance[0] / (2.0 * nat.slow_kappa[0])
        eta["slow.kappa"][0, 0] -= g * level / nat.slow_kappa[0]
        eta["slow.sigma"][0, 0] += g / (2.0 * nat.slow_kappa[0])
    if found is not None:
        still_bar += _moment_bars(layout, nat, found, bars, eta)
    law = own.p
    if "chain_start" in layout.places:
        eta["chain_start"] = np.zeros((len(layout.dt), layout.regimes))
        eta["chain_start"][0] = law * (bars.p - law @ bars.p)
    else:
        still_bar += bars.p
    if layout.regimes > 1:
        _law_bars(nat, still_law(nat), still_bar, eta)


def _moment_bars(layout: Layout, nat: Natural, found: Moments, bars: Start, eta: dict[str, Array]) -> Array:
    """Implicit derivatives of the stationary moments; returns the part due to the chain's law."""
    kappa, variance = nat.kappa[0], nat.variance[0]
    push = nat.drift[0] - kappa * layout.centre
    law, first, second = found
    q = transition.generator(nat.rates[:1])[0].T
    ratio = first / law
    second_bar = bars.var[:, 0] / law
    first_bar = (bars.mean[:, 0] - 2.0 * ratio * bars.var[:, 0]) / law
    law_bar = -(bars.var[:, 0] * second / law**2) - (bars.mean[:, 0] - 2.0 * ratio * bars.var[:, 0]) * ratio / law
    lam2 = -np.linalg.solve((q - 2.0 * np.diag(kappa)).T, second_bar)
    kappa_bar = -2.0 * lam2 * second
    push_bar = 2.0 * lam2 * first
    first_bar = first_bar + 2.0 * lam2 * push
    lam1 = -np.linalg.solve((q - np.diag(kappa)).T, first_bar)
    kappa_bar -= lam1 * first
    push_bar += lam1 * law
    law_bar += lam2 * variance + lam1 * push
    eta["kappa"][0] += kappa_bar - layout.centre * push_bar
    eta["theta"][0] += push_bar
    eta["sigma"][0] += lam2 * law
    if layout.regimes > 1:
        # the systems hold Q transposed: entry (k, j) of Q' is q[j -> k]
        qt_bar = np.outer(lam2, second) + np.outer(lam1, first)
        eta["q"][0] += _off_diagonal(qt_bar.T)
    return law_bar


def _off_diagonal(q_bar: Array) -> Array:
    """Derivative with respect to the rates: the diagonal of Q is minus the row sum."""
    return np.asarray(q_bar - np.diag(q_bar)[:, None])


def _law_bars(nat: Natural, law: Array, law_bar: Array, eta: dict[str, Array]) -> None:
    """Derivative of the chain's stationary law with respect to the rates."""
    system = transition.generator(nat.rates[:1])[0].T.copy()
    system[-1] = 1.0
    lam = np.linalg.solve(system.T, law_bar)
    qt_bar = -np.outer(lam, law)
    qt_bar[-1] = 0.0
    eta["q"][0] += _off_diagonal(qt_bar.T)
