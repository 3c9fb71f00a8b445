"""Free coefficients to predictors and back, compiled: the first stage of `assemble`, number by number.

`table`, `places`, `flags` and `design` as in `packed`; K regimes, m distinct steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from basismodels.likelihood.lane_bits import apart

KAPPA, THETA, SIGMA, TAU, SLOW_KAPPA, SLOW_SIGMA, RATES, CHAIN, SHARE, SCALE, JUMP = range(11)


class Predictors(NamedTuple):
    """As `assemble.Natural`, with the level's own predictor; arrays (m, K), (m,), rates (m, K K), law (K,)."""

    kappa: np.ndarray
    level: np.ndarray
    drift: np.ndarray
    variance: np.ndarray
    tau2: np.ndarray
    slow_kappa: np.ndarray
    slow_variance: np.ndarray
    rates: np.ndarray
    odds: np.ndarray
    widen: np.ndarray
    law: np.ndarray
    jump: np.ndarray


@njit(error_model="numpy")
def predictor(i, width, table, places, design, extended):  # type: ignore[no-untyped-def]
    """Linear predictor of parameter i, (m, width); zeros where the model lacks it."""
    apart()
    m = design.shape[0]
    out = np.zeros((m, width))
    columns, column, place = table[i, 0], table[i, 2], table[i, 3]
    for r in range(m):
        for c in range(columns):
            for k in range(width):
                out[r, k] += design[r, column + c] * extended[places[place + c * width + k]]
    return out


@njit(error_model="numpy")
def unpredict(i, bars, table, places, design, out):  # type: ignore[no-untyped-def]
    """Adds the derivatives in parameter i's predictor (m, width) to those in its coefficients."""
    apart()
    columns, width, column, place = table[i, 0], table[i, 1], table[i, 2], table[i, 3]
    for c in range(columns):
        for k in range(width):
            total = 0.0
            for r in range(bars.shape[0]):
                total += design[r, column + c] * bars[r, k]
            out[places[place + c * width + k]] += total


@njit(error_model="numpy")
def _exponential(eta, power):  # type: ignore[no-untyped-def]
    apart()
    for r in range(eta.shape[0]):
        for k in range(eta.shape[1]):
            eta[r, k] = np.exp(power * eta[r, k])
    return eta


@njit(error_model="numpy")
def _law(K, table, places, extended):  # type: ignore[no-untyped-def]
    """Law of the chain at the start where it is free, (K,); zeros where it is not."""
    apart()
    law = np.zeros(K)
    if table[CHAIN, 0] == 0:
        return law
    place, top, total = table[CHAIN, 3], 0.0, 0.0
    for k in range(1, K):
        law[k] = extended[places[place + k]]
        top = max(top, law[k])
    for k in range(K):
        law[k] = np.exp(law[k] - top)
        total += law[k]
    return law / total


@njit(error_model="numpy")
def predictors(K, table, places, flags, design, extended):  # type: ignore[no-untyped-def]
    """Every predictor on its natural scale."""
    apart()
    kappa = predictor(KAPPA, K, table, places, design, extended)
    if flags[0]:
        kappa = _exponential(kappa, 1.0)
    level = predictor(THETA, K, table, places, design, extended)
    drift = level.copy() if flags[1] else kappa * level
    tau2 = predictor(TAU, K, table, places, design, extended)
    rates = predictor(RATES, K * K, table, places, design, extended)
    slow_kappa = predictor(SLOW_KAPPA, 1, table, places, design, extended)
    slow_variance = predictor(SLOW_SIGMA, 1, table, places, design, extended)
    odds = predictor(SHARE, 1, table, places, design, extended)
    widen = predictor(SCALE, 1, table, places, design, extended)
    return Predictors(
        kappa, level, drift,
        _exponential(predictor(SIGMA, K, table, places, design, extended), 2.0),
        _exponential(tau2, 2.0) if table[TAU, 0] > 0 else tau2,
        _exponential(slow_kappa, 1.0)[:, 0] if table[SLOW_KAPPA, 0] > 0 else slow_kappa[:, 0],
        _exponential(slow_variance, 2.0)[:, 0] if table[SLOW_SIGMA, 0] > 0 else slow_variance[:, 0],
        _exponential(rates, 1.0) if K > 1 else rates,
        _exponential(odds, 1.0)[:, 0], 1.0 + _exponential(widen, 2.0)[:, 0],
        _law(K, table, places, extended), predictor(JUMP, 1, table, places, design, extended)[:, 0],
    )  # fmt: skip


@njit(error_model="numpy")
def gradient(nat, bars, table, places, flags, design, out):  # type: ignore[no-untyped-def]
    """Derivatives in the coefficients from those in the natural scale: `bars`, one array (m, width) a parameter.

    In the place of theta stands the derivative in the drift.
    """
    kappa, level, sigma, tau, slow_kappa, slow_sigma, rates, chain, share, scale, jump = bars
    if not flags[1] and table[THETA, 0] > 0:
        kappa = kappa + level * nat.level
        level = level * nat.kappa
    unpredict(KAPPA, kappa * nat.kappa if flags[0] else kappa, table, places, design, out)
    unpredict(THETA, level, table, places, design, out)
    unpredict(SIGMA, 2.0 * sigma * nat.variance, table, places, design, out)
    unpredict(TAU, 2.0 * tau * nat.tau2, table, places, design, out)
    if table[SLOW_KAPPA, 0] > 0:
        unpredict(SLOW_KAPPA, (slow_kappa * nat.slow_kappa).reshape(-1, 1), table, places, design, out)
        unpredict(SLOW_SIGMA, (2.0 * slow_sigma * nat.slow_variance).reshape(-1, 1), table, places, design, out)
    if table[RATES, 0] > 0:
        unpredict(RATES, rates * nat.rates, table, places, design, out)
    unpredict(CHAIN, chain, table, places, design, out)
    unpredict(JUMP, jump, table, places, design, out)
    if table[SHARE, 0] > 0:
        unpredict(SHARE, share.reshape(-1, 1), table, places, design, out)
        unpredict(SCALE, scale.reshape(-1, 1), table, places, design, out)
