"""Predictors and step lengths to step coefficients, and the adjoint of that map.

An Ornstein-Uhlenbeck step of length dt with drift a - kappa x, a = kappa theta, is

    x(t + dt) = phi x(t) + c + Normal(0, v),
    phi = exp(-kappa dt),  c = a (1 - phi) / kappa,  v = sigma^2 (1 - exp(-2 kappa dt)) / (2 kappa),

valid by continuation for kappa = 0 and kappa < 0 (Uhlenbeck & Ornstein 1930).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SMALL = 1e-4


def decay_ratio(u: Array) -> Array:
    """(1 - exp(-u)) / u, continuous through u = 0; any shape, dimensionless."""
    safe = np.where(np.abs(u) < 1e-300, 1.0, u)
    return np.where(np.abs(u) < 1e-300, 1.0, -np.expm1(-safe) / safe)


def decay_ratio_slope(u: Array) -> Array:
    """Derivative of `decay_ratio` with respect to u; any shape, dimensionless."""
    near = np.abs(u) < _SMALL
    safe = np.where(near, 1.0, u)
    exact = (safe * np.exp(-safe) + np.expm1(-safe)) / (safe * safe)
    series = -0.5 + u / 3.0 - u * u / 8.0 + u**3 / 30.0
    return np.where(near, series, exact)


def ou_step(kappa: Array, drift: Array, variance: Array, dt: Array) -> tuple[Array, Array, Array]:
    """Step coefficients (phi, c, v) of OU with drift a - kappa x, each (m, K).

    `kappa` 1/h, `drift` = a = kappa theta in bps/h, `variance` = sigma^2 in bps^2/h, all (m, K);
    `dt` hours (m, 1).
    """
    u = kappa * dt
    return np.exp(-u), drift * dt * decay_ratio(u), variance * dt * decay_ratio(2.0 * u)


def ou_step_adjoint(
    kappa: Array, drift: Array, variance: Array, dt: Array, phi: Array, c: Array, v: Array
) -> tuple[Array, Array, Array]:
    """Derivatives with respect to (kappa, drift, variance) from those with respect to (phi, c, v)."""
    u = kappa * dt
    d_kappa = -dt * np.exp(-u) * phi + c * drift * dt * dt * decay_ratio_slope(u)
    d_kappa += v * variance * 2.0 * dt * dt * decay_ratio_slope(2.0 * u)
    return d_kappa, c * dt * decay_ratio(u), v * dt * decay_ratio(2.0 * u)


def generator(rates: Array) -> Array:
    """Generator matrices (m, K, K) from off-diagonal rates (m, K, K) in 1/h; the diagonal is ignored."""
    q = rates.copy()
    diagonal = np.arange(q.shape[1])
    q[:, diagonal, diagonal] = 0.0
    q[:, diagonal, diagonal] = -q.sum(axis=2)
    return q


def chain_step(rates: Array, dt: Array) -> Array:
    """Transition matrices expm(Q dt), (m, K, K), rows summing to one; closed form for K = 2."""
    if rates.shape[1] == 1:
        return np.ones_like(rates)
    if rates.shape[1] == 2:
        total = rates[:, 0, 1] + rates[:, 1, 0]
        reach = dt * decay_ratio(total * dt)
        up, down = rates[:, 0, 1] * reach, rates[:, 1, 0] * reach
        return np.stack([1.0 - up, up, down, 1.0 - down], axis=1).reshape(-1, 2, 2)
    return _expm_generator(generator(rates) * dt[:, None, None])


def _expm_generator(q: Array) -> Array:
    """expm of generators, entry by entry accurate: the shifted matrix has no negative entry."""
    shift = np.max(-np.einsum("mii->mi", q), axis=1)
    lifted = q + shift[:, None, None] * np.eye(q.shape[1])
    return np.asarray(np.exp(-shift)[:, None, None] * expm_batch(lifted)) if shift.max() < 200 else expm_batch(q)


def chain_step_adjoint(rates: Array, dt: Array, p: Array) -> Array:
    """Derivative (m, K, K) with respect to the off-diagonal rates from that with respect to P."""
    k = rates.shape[1]
    if k == 1:
        return np.zeros_like(rates)
    if k == 2:
        return _two_state_adjoint(rates, dt, p)
    q = generator(rates) * dt[:, None, None]
    block = np.zeros((len(dt), 2 * k, 2 * k))
    block[:, :k, :k] = np.swapaxes(q, 1, 2)
    block[:, k:, k:] = block[:, :k, :k]
    size = max(float(np.abs(p).max()), 1e-300)
    block[:, :k, k:] = p / size
    bar = expm_batch(block)[:, :k, k:] * (size * dt[:, None, None])
    return np.asarray(bar - np.einsum("mii->mi", bar)[:, :, None])


def _two_state_adjoint(rates: Array, dt: Array, p: Array) -> Array:
    up, down = rates[:, 0, 1], rates[:, 1, 0]
    u = (up + down) * dt
    reach = dt * decay_ratio(u)
    slope = dt * dt * decay_ratio_slope(u)
    bar_up, bar_down = p[:, 0, 1] - p[:, 0, 0], p[:, 1, 0] - p[:, 1, 1]
    common = (bar_up * up + bar_down * down) * slope
    out = np.zeros_like(rates)
    out[:, 0, 1] = bar_up * reach + common
    out[:, 1, 0] = bar_down * reach + common
    return out


def expm_batch(a: Array) -> Array:
    """Matrix exponentials of a stack (m, k, k) by scaling, an 18-term Taylor sum, and squaring."""
    norm = float(np.abs(a).sum(axis=2).max(initial=0.0))
    if not np.isfinite(norm):
        return np.full_like(a, np.nan)
    squarings = max(0, int(np.ceil(np.log2(max(norm, 1e-30)))) + 1)
    x = a / 2.0**squarings
    term = np.broadcast_to(np.eye(a.shape[1]), a.shape).copy()
    total = term.copy()
    for order in range(1, 19):
        term = term @ x / order
        total += term
    for _ in range(squarings):
        total = total @ total
    return total


def stationary_law(rates: Array) -> Array:
    """Stationary probabilities (K,) of the chain with off-diagonal rates (K, K)."""
    if len(rates) == 2:
        return np.asarray(np.array([rates[1, 0], rates[0, 1]]) / (rates[0, 1] + rates[1, 0]))
    system = generator(rates[None])[0].T.copy()
    system[-1] = 1.0
    target = np.zeros(len(rates))
    target[-1] = 1.0
    return np.asarray(np.linalg.solve(system, target))
