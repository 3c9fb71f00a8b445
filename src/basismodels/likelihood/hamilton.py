"""Exact filter of a switching Ornstein-Uhlenbeck process seen without noise (Hamilton 1989).

Given the regime k at a step's end, y_i = phi_k y_{i-1} + c_k + Normal(0, v_k). The
gradient is Fisher's identity: smoothed weights times the gradient of each density.
Step coefficients and start as in `kim`; no observation may be missing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.kim import Filtered, Start, Steps

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@njit(cache=True, error_model="numpy", nogil=True)
def _log_densities(kk, y, row, phi, c, v, mean0, var0, diffuse, flat, out):  # type: ignore[no-untyped-def]
    """Log density of each observation under each regime, (n, K)."""
    K = len(kk)
    for k in range(K):
        if diffuse[k] > 0.0:
            out[0, k] = flat
        else:
            e = y[0] - mean0[k]
            out[0, k] = -0.5 * (math.log(var0[k]) + e * e / var0[k]) - _HALF_LOG_2PI
    for i in range(1, y.shape[0]):
        r = row[i]
        for k in range(K):
            e = y[i] - phi[r, k] * y[i - 1] - c[r, k]
            out[i, k] = -0.5 * (math.log(v[r, k]) + e * e / v[r, k]) - _HALF_LOG_2PI


@njit(cache=True, error_model="numpy", nogil=True)
def _forward(kk, dens, row, p, p0, out_p, out_l):  # type: ignore[no-untyped-def]
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
        for k in range(K):
            now[k] = ahead[k] / norm
            out_p[i, k] = now[k]
        out_l[i] = top + math.log(norm)
        total += out_l[i]
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _smooth(kk, filtered, row, p, out, pairs):  # type: ignore[no-untyped-def]
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


@njit(cache=True, error_model="numpy", nogil=True)
def _collect(kk, y, row, weights, phi, c, v, g_phi, g_c, g_v):  # type: ignore[no-untyped-def]
    K = len(kk)
    for i in range(1, y.shape[0]):
        r = row[i]
        for k in range(K):
            e = y[i] - phi[r, k] * y[i - 1] - c[r, k]
            q = weights[i, k] * e / v[r, k]
            g_phi[r, k] += q * y[i - 1]
            g_c[r, k] += q
            g_v[r, k] += 0.5 * (q * e - weights[i, k]) / v[r, k]


def _tuple(k: int) -> tuple[int, ...]:
    return (0,) * k


def _densities(y: Array, row: Rows, steps: Steps, start: Start) -> Array:
    out = np.empty((len(y), steps.phi.shape[1]))
    _log_densities(
        _tuple(out.shape[1]), y, row, steps.phi, steps.c, steps.v,
        np.ascontiguousarray(start.mean[:, 0]), np.ascontiguousarray(start.var[:, 0]),
        start.diffuse, start.flat, out,
    )  # fmt: skip
    return out


def _run(y: Array, row: Rows, steps: Steps, start: Start) -> tuple[float, Array, Array]:
    dens = _densities(y, row, steps, start)
    p, log_density = np.empty_like(dens), np.empty(len(y))
    value = _forward(_tuple(dens.shape[1]), dens, row, steps.p, start.p, p, log_density)
    return float(value), p, log_density


def loglik(y: Array, row: Rows, steps: Steps, start: Start) -> float:
    """Log likelihood of y (n,) in bps, none missing."""
    return _run(y, row, steps, start)[0]


def smooth(filtered: Array, row: Rows, p: Array) -> tuple[Array, Array]:
    """Smoothed probabilities (n, K) and expected transitions per distinct step (m, K, K)."""
    out, pairs = np.empty_like(filtered), np.zeros_like(p)
    _smooth(_tuple(filtered.shape[1]), filtered, row, p, out, pairs)
    return out, pairs


def loglik_grad(y: Array, row: Rows, steps: Steps, start: Start) -> tuple[float, Steps, Start]:
    """Log likelihood and its derivatives with respect to every coefficient and the start."""
    value, filtered, _ = _run(y, row, steps, start)
    weights, pairs = smooth(filtered, row, steps.p)
    g = [np.zeros_like(steps.phi) for _ in range(3)]
    _collect(_tuple(filtered.shape[1]), y, row, weights, steps.phi, steps.c, steps.v, *g)
    g_p = np.divide(pairs, steps.p, out=np.zeros_like(pairs), where=steps.p > 0)
    bars = Steps(
        *g, np.zeros_like(steps.tau2), np.zeros_like(steps.share),
        np.zeros_like(steps.rho), np.zeros_like(steps.w), g_p,
    )  # fmt: skip
    return value, bars, _start_bars(y[0], weights[0], start)


def _start_bars(y0: float, weight: Array, start: Start) -> Start:
    proper = weight * (1.0 - start.diffuse)
    var = np.where(start.diffuse > 0, 1.0, start.var[:, 0])
    e = y0 - start.mean[:, 0]
    mean_bar, var_bar = np.zeros_like(start.mean), np.zeros_like(start.var)
    mean_bar[:, 0] = proper * e / var
    var_bar[:, 0] = 0.5 * proper * (e * e / var - 1.0) / var
    p_bar = np.divide(weight, start.p, out=np.zeros_like(weight), where=start.p > 0)
    return Start(p_bar, mean_bar, var_bar, start.diffuse, start.flat)


def filter(y: Array, row: Rows, steps: Steps, start: Start) -> Filtered:
    """Filtered probabilities and one-step log densities; the state is the observation itself."""
    _, p, log_density = _run(y, row, steps, start)
    mean, var = np.zeros((*p.shape, 2)), np.zeros((*p.shape, 3))
    mean[:, :, 0] = y[:, None]
    return Filtered(p, mean, var, log_density)


def pointwise(y: Array, row: Rows, steps: Steps, start: Start) -> Array:
    """One-step-ahead log density of each observation (n,)."""
    return _run(y, row, steps, start)[2]
