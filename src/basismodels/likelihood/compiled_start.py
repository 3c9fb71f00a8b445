"""The start and its adjoint, compiled: the stationary law of state and chain, as in `assemble`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from basismodels.likelihood.compiled_steps import generator
from basismodels.likelihood.hamilton_search import solve as eliminated
from basismodels.likelihood.lane_bits import apart


class Begin(NamedTuple):
    """Law of the chain at the start and its stationary law (K,), first and second stationary moments of x times the
    latter, and whether they exist (1.0) or x is diffuse.

    mean (K, 2), var (K, 3), diffuse (K,) and flat as in `kim.Start`.
    """

    law: np.ndarray
    still: np.ndarray
    first: np.ndarray
    second: np.ndarray
    proper: float
    mean: np.ndarray
    var: np.ndarray
    diffuse: np.ndarray
    flat: float


@njit(error_model="numpy")
def solve(a, b):  # type: ignore[no-untyped-def]
    """Solution of a small linear system, which is left as it is; not finite where there is none."""
    apart()
    return eliminated(a.copy(), b.copy())


@njit(error_model="numpy")
def _stationary_system(K, rates):  # type: ignore[no-untyped-def]
    apart()
    system = np.ascontiguousarray(generator(K, rates).T)
    system[K - 1] = 1.0
    return system


@njit(error_model="numpy")
def _still(K, rates):  # type: ignore[no-untyped-def]
    apart()
    if K == 1:
        return np.ones(1)
    if K == 2:
        return np.array([rates[2], rates[1]]) / (rates[1] + rates[2])
    target = np.zeros(K)
    target[K - 1] = 1.0
    return solve(_stationary_system(K, rates), target)


@njit(error_model="numpy")
def _shifted(q, kappa, factor):  # type: ignore[no-untyped-def]
    """Q' - factor diag(kappa)."""
    apart()
    out = np.ascontiguousarray(q.T).copy()
    for k in range(len(kappa)):
        out[k, k] -= factor * kappa[k]
    return out


@njit(error_model="numpy")
def begin(K, nat, settings, slow):  # type: ignore[no-untyped-def]
    """The start at the first step's predictors."""
    apart()
    centre, kappa, variance = settings[1], nat.kappa[0], nat.variance[0]
    push = nat.drift[0] - kappa * centre
    law = _still(K, nat.rates[0])
    start = nat.law if nat.law.sum() > 0.0 and K > 1 else law
    mean, var, diffuse = np.zeros((K, 2)), np.zeros((K, 3)), np.zeros(K)
    if slow:
        var[:, 2] = nat.slow_variance[0] / (2.0 * nat.slow_kappa[0])
    q = generator(K, nat.rates[0])
    twice = _shifted(q, kappa, 2.0)
    noise = solve(twice, -variance * law)
    first = solve(_shifted(q, kappa, 1.0), -push * law)
    second = solve(twice, -(2.0 * push * first + variance * law))
    proper = settings[0] > 0.0 and (K > 1 or kappa[0] > 0.0)
    for k in range(K):
        good = noise[k] > 0.0 and second[k] * law[k] > first[k] ** 2 and abs(second[k]) < 1e300
        proper = proper and good
    if not proper:
        diffuse[:] = 1.0
        flat = -math.log(10.0 * settings[2] * math.sqrt(2.0 * math.pi)) if settings[0] > 0.0 else 0.0
        return Begin(start, law, first, second, 0.0, mean, var, diffuse, flat)
    for k in range(K):
        mean[k, 0] = centre + first[k] / law[k]
        var[k, 0] = second[k] / law[k] - (first[k] / law[k]) ** 2
    return Begin(start, law, first, second, 1.0, mean, var, diffuse, 0.0)


@njit(error_model="numpy")
def unbegin(K, nat, settings, at, law_bar, mean_bar, var_bar, slow, bars):  # type: ignore[no-untyped-def]
    """Adds what the start contributes at the first step to `bars`, one array a parameter as in `gradient`."""
    apart()
    if slow:
        g = var_bar[:, 2].sum()
        level = nat.slow_variance[0] / (2.0 * nat.slow_kappa[0])
        bars[4][0] -= g * level / nat.slow_kappa[0]
        bars[5][0] += g / (2.0 * nat.slow_kappa[0])
    still_bar = np.zeros(K)
    if at.proper > 0.0:
        still_bar += _moment_bars(K, nat, settings[1], at, mean_bar, var_bar, bars)
    if nat.law.sum() > 0.0:
        whole = (at.law * law_bar).sum()
        for k in range(K):
            bars[7][0, k] += at.law[k] * (law_bar[k] - whole)
    else:
        still_bar += law_bar
    if K > 1:
        _law_bars(K, nat.rates[0], at.still, still_bar, bars[6][0])


@njit(error_model="numpy")
def _moment_bars(K, nat, centre, at, mean_bar, var_bar, bars):  # type: ignore[no-untyped-def]
    """Implicit derivatives of the stationary moments; returns the part due to the chain's law."""
    apart()
    kappa, variance = nat.kappa[0], nat.variance[0]
    push = nat.drift[0] - kappa * centre
    law, first, second = at.still, at.first, at.second
    q = generator(K, nat.rates[0])
    ratio = first / law
    spread_bar = mean_bar[:, 0] - 2.0 * ratio * var_bar[:, 0]
    law_bar = -(var_bar[:, 0] * second / law**2) - spread_bar * ratio / law
    two = -solve(np.ascontiguousarray(_shifted(q, kappa, 2.0).T), var_bar[:, 0] / law)
    first_bar = spread_bar / law + 2.0 * two * push
    one = -solve(np.ascontiguousarray(_shifted(q, kappa, 1.0).T), first_bar)
    for k in range(K):
        push_bar = 2.0 * two[k] * first[k] + one[k] * law[k]
        bars[0][0, k] += -2.0 * two[k] * second[k] - one[k] * first[k] - centre * push_bar
        bars[1][0, k] += push_bar
        bars[2][0, k] += two[k] * law[k]
    if K > 1:
        for j in range(K):
            own = two[j] * second[j] + one[j] * first[j]
            for k in range(K):
                bars[6][0, j * K + k] += two[k] * second[j] + one[k] * first[j] - own
    return law_bar + two * variance + one * push


@njit(error_model="numpy")
def _law_bars(K, rates, law, law_bar, out):  # type: ignore[no-untyped-def]
    """Adds the derivative of the chain's stationary law in the rates."""
    apart()
    lam = solve(np.ascontiguousarray(_stationary_system(K, rates).T), law_bar)
    lam[K - 1] = 0.0
    for j in range(K):
        for k in range(K):
            out[j * K + k] += lam[j] * law[j] - lam[k] * law[j]
