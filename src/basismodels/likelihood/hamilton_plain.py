"""Compiled passes of Hamilton's filter on any grid, with Gaussian or Student-t shocks.

A table of distinct steps gives phi, c, v (m, K) and P (m, K, K); `row` says which one
leads to each observation. `tails` is () for Gaussian shocks and (0,) for Student's t
with scale sqrt(v) and nu (K,) degrees of freedom.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@njit(error_model="numpy")
def _gamma_ratio(nu):  # type: ignore[no-untyped-def]
    """log Gamma((nu + 1) / 2) - log Gamma(nu / 2); by the asymptotic series where the two would cancel."""
    if nu < 200.0:
        return math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu)
    return 0.5 * math.log(0.5 * nu) - 0.25 / nu + 1.0 / (24.0 * nu**3) - 1.0 / (20.0 * nu**5)


@njit(error_model="numpy")
def _constants(kk, tails, v, nu):  # type: ignore[no-untyped-def]
    """The part of each log density that does not depend on the data, and 1 / v; both (m, K)."""
    fixed, precision = np.empty_like(v), np.empty_like(v)
    for k in range(len(kk)):
        own = -_HALF_LOG_2PI
        if len(tails) > 0:
            own = _gamma_ratio(nu[k]) - 0.5 * math.log(math.pi * nu[k])
        for r in range(v.shape[0]):
            fixed[r, k] = own - 0.5 * math.log(v[r, k])
            precision[r, k] = 1.0 / v[r, k]
    return fixed, precision


@njit(cache=True, error_model="numpy", nogil=True)
def log_densities(kk, tails, y, row, phi, c, v, nu, mean0, var0, diffuse, flat, out):  # type: ignore[no-untyped-def]
    """Log density of each observation under each regime, (n, K); the first is Gaussian."""
    K = len(kk)
    fixed, precision = _constants(kk, tails, v, nu)
    for k in range(K):
        out[0, k] = flat
        if diffuse[k] == 0.0:
            e = y[0] - mean0[k, 0]
            out[0, k] = -0.5 * (math.log(var0[k, 0]) + e * e / var0[k, 0]) - _HALF_LOG_2PI
    for i in range(1, y.shape[0]):
        r = row[i]
        for k in range(K):
            e = y[i] - phi[r, k] * y[i - 1] - c[r, k]
            square = e * e * precision[r, k]
            if len(tails) > 0:
                out[i, k] = fixed[r, k] - 0.5 * (nu[k] + 1.0) * math.log1p(square / nu[k])
            else:
                out[i, k] = fixed[r, k] - 0.5 * square


@njit(cache=True, error_model="numpy", nogil=True)
def forward(kk, dens, row, p, p0, out_p, out_l):  # type: ignore[no-untyped-def]
    """Filtered probabilities (n, K) and one-step log densities (n,); returns the log likelihood."""
    K = len(kk)
    total = 0.0
    ahead = np.empty(K)
    now = p0.copy()
    for i in range(dens.shape[0]):
        r = row[i]
        top = -np.inf
        for k in range(K):
            acc = 0.0
            if i == 0:
                acc = now[k]
            else:
                for j in range(K):
                    acc += now[j] * p[r, j, k]
            ahead[k] = acc
            if acc > 0.0:
                top = max(top, dens[i, k])
        norm = 0.0
        for k in range(K):
            ahead[k] = ahead[k] * math.exp(dens[i, k] - top) if ahead[k] > 0.0 else 0.0
            norm += ahead[k]
        scale = 1.0 / norm
        for k in range(K):
            now[k] = ahead[k] * scale
            out_p[i, k] = now[k]
        out_l[i] = top + math.log(norm)
        total += out_l[i]
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def smooth(kk, filtered, row, p, out, pairs):  # type: ignore[no-untyped-def]
    """Smoothed probabilities (n, K); adds the expected transitions of each distinct step to `pairs`."""
    K = len(kk)
    n = filtered.shape[0]
    ahead = np.empty(K)
    for k in range(K):
        out[n - 1, k] = filtered[n - 1, k]
    for back in range(n - 1):
        i = n - 2 - back
        r = row[i + 1]
        for k in range(K):
            acc = 0.0
            for j in range(K):
                acc += filtered[i, j] * p[r, j, k]
            ahead[k] = out[i + 1, k] / acc if acc > 0.0 else 0.0
        for j in range(K):
            acc = 0.0
            for k in range(K):
                both = filtered[i, j] * p[r, j, k] * ahead[k]
                pairs[r, j, k] += both
                acc += both
            out[i, j] = acc


@njit(error_model="numpy")
def _digamma(x):  # type: ignore[no-untyped-def]
    """Derivative of log gamma, x > 0: recurrence up to 10, then the asymptotic series."""
    value = 0.0
    while x < 10.0:
        value -= 1.0 / x
        x += 1.0
    u = 1.0 / (x * x)
    series = u * (1.0 / 12.0 - u * (1.0 / 120.0 - u * (1.0 / 252.0 - u * (1.0 / 240.0 - u * (1.0 / 132.0)))))
    return value + math.log(x) - 0.5 / x - series


@njit(cache=True, error_model="numpy", nogil=True)
def collect(kk, tails, y, row, weights, phi, c, v, nu, g_phi, g_c, g_v, g_nu):  # type: ignore[no-untyped-def]
    """Adds the smoothed weights times the gradient of each log density."""
    K = len(kk)
    fixed = np.zeros(K)
    if len(tails) > 0:
        for k in range(K):
            fixed[k] = 0.5 * (_digamma(0.5 * (nu[k] + 1.0)) - _digamma(0.5 * nu[k]) - 1.0 / nu[k])
    for i in range(1, y.shape[0]):
        r = row[i]
        for k in range(K):
            e = y[i] - phi[r, k] * y[i - 1] - c[r, k]
            q = weights[i, k] * e / v[r, k]
            if len(tails) > 0:
                square = e * e / v[r, k]
                pull = (nu[k] + 1.0) / (nu[k] + square)
                slope = fixed[k] - 0.5 * math.log1p(square / nu[k]) + 0.5 * pull * square / nu[k]
                g_nu[k] += weights[i, k] * slope
                q *= pull
            g_phi[r, k] += q * y[i - 1]
            g_c[r, k] += q
            g_v[r, k] += 0.5 * (q * e - weights[i, k]) / v[r, k]
