"""Predictors to step coefficients and back, compiled: `transition` number by number."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from basismodels.likelihood.lane_bits import apart

_SMALL = 1e-4


@njit(error_model="numpy")
def decay_ratio(u):  # type: ignore[no-untyped-def]
    """(1 - exp(-u)) / u, continuous through u = 0."""
    return 1.0 if abs(u) < 1e-300 else -math.expm1(-u) / u


@njit(error_model="numpy")
def decay_ratio_slope(u):  # type: ignore[no-untyped-def]
    """Derivative of `decay_ratio`."""
    if abs(u) < _SMALL:
        return -0.5 + u / 3.0 - u * u / 8.0 + u**3 / 30.0
    return (u * math.exp(-u) + math.expm1(-u)) / (u * u)


@njit(error_model="numpy")
def ou_steps(kappa, drift, variance, dt):  # type: ignore[no-untyped-def]
    """phi, c, v (m, K) of every distinct step."""
    apart()
    phi, c, v = np.empty_like(kappa), np.empty_like(kappa), np.empty_like(kappa)
    for r in range(kappa.shape[0]):
        for k in range(kappa.shape[1]):
            u = kappa[r, k] * dt[r]
            phi[r, k] = math.exp(-u)
            c[r, k] = drift[r, k] * dt[r] * decay_ratio(u)
            v[r, k] = variance[r, k] * dt[r] * decay_ratio(2.0 * u)
    return phi, c, v


@njit(error_model="numpy")
def ou_bars(kappa, drift, variance, dt, g_phi, g_c, g_v):  # type: ignore[no-untyped-def]
    """Derivatives in kappa, drift, variance (m, K) from those in phi, c, v."""
    apart()
    d_kappa, d_drift, d_variance = np.empty_like(kappa), np.empty_like(kappa), np.empty_like(kappa)
    for r in range(kappa.shape[0]):
        h = dt[r]
        for k in range(kappa.shape[1]):
            u = kappa[r, k] * h
            slope = g_c[r, k] * drift[r, k] * decay_ratio_slope(u)
            slope += 2.0 * g_v[r, k] * variance[r, k] * decay_ratio_slope(2.0 * u)
            d_kappa[r, k] = -h * math.exp(-u) * g_phi[r, k] + h * h * slope
            d_drift[r, k] = g_c[r, k] * h * decay_ratio(u)
            d_variance[r, k] = g_v[r, k] * h * decay_ratio(2.0 * u)
    return d_kappa, d_drift, d_variance


@njit(error_model="numpy")
def generator(K, rates):  # type: ignore[no-untyped-def]
    """Generator matrix (K, K) from the rates of one step (K K,); their diagonal is ignored."""
    apart()
    q = np.zeros((K, K))
    for j in range(K):
        for k in range(K):
            if j != k:
                q[j, k] = rates[j * K + k]
                q[j, j] -= q[j, k]
    return q


@njit(error_model="numpy")
def expm(a):  # type: ignore[no-untyped-def]
    """Matrix exponential by scaling, an 18-term Taylor sum, and squaring; NaN where `a` is not finite."""
    apart()
    norm = 0.0
    for i in range(a.shape[0]):
        norm = max(norm, np.abs(a[i]).sum())
    if not norm < 1e300:
        return np.full_like(a, np.nan)
    squarings = max(0, math.ceil(math.log2(max(norm, 1e-30))) + 1)
    x = a / 2.0**squarings
    term = np.eye(a.shape[0])
    total = np.eye(a.shape[0])
    for order in range(1, 19):
        term = product(term, x) / order
        total = total + term
    for _ in range(squarings):
        total = product(total, total)
    return total


@njit(error_model="numpy")
def product(a, b):  # type: ignore[no-untyped-def]
    """Product of two small square matrices."""
    apart()
    out = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(a.shape[0]):
            for k in range(a.shape[0]):
                out[i, k] += a[i, j] * b[j, k]
    return out


@njit(error_model="numpy")
def _chain_one(K, rates, h):  # type: ignore[no-untyped-def]
    """expm(Q h) of a generator, without a negative entry on the way where the step is not too long."""
    apart()
    if K == 2:
        total = rates[1] + rates[2]
        reach = h * decay_ratio(total * h)
        return np.array([[1.0 - rates[1] * reach, rates[1] * reach], [rates[2] * reach, 1.0 - rates[2] * reach]])
    q = generator(K, rates) * h
    shift = 0.0
    for k in range(K):
        shift = max(shift, -q[k, k])
    if not shift < 200.0:
        return expm(q)
    return math.exp(-shift) * expm(q + shift * np.eye(K))


@njit(error_model="numpy")
def chain_steps(K, rates, dt):  # type: ignore[no-untyped-def]
    """Transition matrices (m, K, K); rows of equal rates and length are made once."""
    apart()
    m = len(dt)
    p = np.ones((m, K, K))
    if K == 1:
        return p
    for r in range(m):
        if r > 1 and dt[r] == dt[r - 1] and np.all(rates[r] == rates[r - 1]):
            p[r] = p[r - 1]
        else:
            p[r] = _chain_one(K, rates[r], dt[r])
    return p


@njit(error_model="numpy")
def chain_bars(K, rates, dt, g_p):  # type: ignore[no-untyped-def]
    """Derivatives in the rates (m, K K) from those in P (m, K, K)."""
    apart()
    out = np.zeros_like(rates)
    if K == 1:
        return out
    for r in range(len(dt)):
        if dt[r] == 0.0:
            continue
        if K == 2:
            _two_state_bars(rates[r], dt[r], g_p[r], out[r])
        else:
            _chain_bars_one(K, rates[r], dt[r], g_p[r], out[r])
    return out


@njit(error_model="numpy")
def _two_state_bars(rates, h, g, out):  # type: ignore[no-untyped-def]
    up, down = rates[1], rates[2]
    u = (up + down) * h
    reach = h * decay_ratio(u)
    bar_up, bar_down = g[0, 1] - g[0, 0], g[1, 0] - g[1, 1]
    common = (bar_up * up + bar_down * down) * h * h * decay_ratio_slope(u)
    out[1] = bar_up * reach + common
    out[2] = bar_down * reach + common


@njit(error_model="numpy")
def _chain_bars_one(K, rates, h, g, out):  # type: ignore[no-untyped-def]
    """The upper right block of the exponential of [[Q', G], [0, Q']]."""
    apart()
    q = generator(K, rates) * h
    size = max(np.abs(g).max(), 1e-300)
    block = np.zeros((2 * K, 2 * K))
    block[:K, :K] = q.T
    block[K:, K:] = q.T
    block[:K, K:] = g / size
    bar = expm(block)[:K, K:] * (size * h)
    for j in range(K):
        for k in range(K):
            out[j * K + k] = bar[j, k] - bar[j, j]
