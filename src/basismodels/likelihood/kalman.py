"""Exact filter of one Ornstein-Uhlenbeck process seen through noise (Kalman 1960).

The scalar case K = R = 1 without a slow level of `kim`, on the same step
coefficients: x <- phi x + c + Normal(0, v), y = x + Normal(0, tau2). On a
regular grid the gain settles; from then on it is reused.
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
def _loglik(y, row, phi, c, v, tau2, m, s, diffuse, flat):  # type: ignore[no-untyped-def]
    """Log likelihood; the product of four predictive variances is logged at a time."""
    n = y.shape[0]
    quad = 0.0
    log_s = 0.0
    product = 1.0
    held = 0
    seen = 0
    first = 0
    total = 0.0
    if diffuse > 0.0:
        m = y[0]
        s = tau2[row[0]]
        first = 1
        total = flat
    last_row = -1
    steady = False
    gain = 0.0
    precision = 0.0
    variance = 1.0
    for i in range(first, n):
        r = row[i]
        yi = y[i]
        if math.isnan(yi):
            m = phi[r] * m + c[r]
            s = phi[r] * phi[r] * s + v[r]
            last_row = -1
            steady = False
            continue
        if not (steady and r == last_row):
            a = phi[r] * phi[r] * s + v[r]
            variance = a + tau2[r]
            precision = 1.0 / variance
            gain = a * precision
            after = tau2[r] * gain
            steady = r == last_row and abs(after - s) <= 1e-16 * s
            s = after
            last_row = r
        ahead = phi[r] * m + c[r]
        e = yi - ahead
        m = ahead + gain * e
        quad += e * e * precision
        product *= variance
        held += 1
        seen += 1
        if held == 4:
            log_s += math.log(product)
            product = 1.0
            held = 0
    log_s += math.log(product)
    return total - 0.5 * (log_s + quad) - seen * _HALF_LOG_2PI


@njit(cache=True, error_model="numpy", nogil=True)
def _filter(y, row, phi, c, v, tau2, m, s, diffuse, flat, out_m, out_s, out_l):  # type: ignore[no-untyped-def]
    for i in range(y.shape[0]):
        r = row[i]
        yi = y[i]
        if i == 0 and diffuse > 0.0:
            m = yi
            s = tau2[r]
            out_l[i] = flat
        else:
            m = phi[r] * m + c[r]
            s = phi[r] * phi[r] * s + v[r]
            out_l[i] = math.nan
            if not math.isnan(yi):
                variance = s + tau2[r]
                e = yi - m
                out_l[i] = -0.5 * (math.log(variance) + e * e / variance) - _HALF_LOG_2PI
                m += s / variance * e
                s = tau2[r] * s / variance
        out_m[i] = m
        out_s[i] = s


@njit(cache=True, error_model="numpy", nogil=True)
def _gradient(y, row, phi, c, v, tau2, m0, s0, diffuse, flat, ms, ss, g):  # type: ignore[no-untyped-def]
    """Log likelihood and its adjoint; `g` (4, m) receives d/d(phi, c, v, tau2); returns start terms."""
    n = y.shape[0]
    total = 0.0
    m = m0
    s = s0
    for i in range(n):
        r = row[i]
        yi = y[i]
        if i == 0 and diffuse > 0.0:
            m = yi
            s = tau2[r]
            total += flat
        else:
            m = phi[r] * m + c[r]
            s = phi[r] * phi[r] * s + v[r]
            if not math.isnan(yi):
                variance = s + tau2[r]
                i_s = 1.0 / variance
                e = yi - m
                total -= 0.5 * (math.log(variance) + e * e * i_s) + _HALF_LOG_2PI
                m += s * i_s * e
                s = tau2[r] * s * i_s
        ms[i] = m
        ss[i] = s
    gm = 0.0
    gs = 0.0
    for back in range(n):
        i = n - 1 - back
        r = row[i]
        yi = y[i]
        if i == 0 and diffuse > 0.0:
            g[3, r] += gs
            gm = 0.0
            gs = 0.0
            continue
        bm = ms[i - 1] if i > 0 else m0
        bs = ss[i - 1] if i > 0 else s0
        if not math.isnan(yi):
            a = phi[r] * phi[r] * bs + v[r]
            i_s = 1.0 / (a + tau2[r])
            e = yi - phi[r] * bm - c[r]
            gain = a * i_s
            keep = 1.0 - gain
            g_gain = gm * e
            g_s = 0.5 * (e * e * i_s - 1.0) * i_s
            # s' = tau2 a / (a + tau2): ds'/da = keep^2, ds'/dtau2 = gain^2
            g[3, r] += g_s + gs * gain * gain - g_gain * gain * i_s
            gs = g_s + gs * keep * keep + g_gain * keep * i_s
            gm = gm * keep + e * i_s
        g[0, r] += gm * bm + 2.0 * gs * phi[r] * bs
        g[1, r] += gm
        g[2, r] += gs
        gm *= phi[r]
        gs *= phi[r] * phi[r]
    return total, gm, gs


def _scalars(steps: Steps, start: Start) -> tuple[Array, Array, Array, Array, float, float, float, float]:
    return (
        np.ascontiguousarray(steps.phi[:, 0]), np.ascontiguousarray(steps.c[:, 0]),
        np.ascontiguousarray(steps.v[:, 0]), np.ascontiguousarray(steps.tau2[:, 0, 0]),
        float(start.mean[0, 0]), float(start.var[0, 0]), float(start.diffuse[0]), float(start.flat),
    )  # fmt: skip


def loglik(y: Array, row: Rows, steps: Steps, start: Start) -> float:
    """Log likelihood of y (n,) in bps, NaN where missing."""
    return float(_loglik(y, row, *_scalars(steps, start)))


def loglik_grad(y: Array, row: Rows, steps: Steps, start: Start) -> tuple[float, Steps, Start]:
    """Log likelihood and its derivatives with respect to every coefficient and the start."""
    n, m = len(y), len(steps.phi)
    g = np.zeros((4, m))
    value, gm, gs = _gradient(y, row, *_scalars(steps, start), np.empty(n), np.empty(n), g)
    bars = Steps(
        g[0][:, None], g[1][:, None], g[2][:, None], g[3][:, None, None],
        np.zeros((m, 1)), np.zeros(m), np.zeros(m), np.zeros((m, 1, 1)),
    )  # fmt: skip
    back = Start(np.zeros(1), np.array([[gm, 0.0]]), np.array([[gs, 0.0, 0.0]]), start.diffuse, start.flat)
    return float(value), bars, back


def filter(y: Array, row: Rows, steps: Steps, start: Start) -> Filtered:
    """Filtered moments and one-step log densities, in the form of `kim.Filtered`."""
    n = len(y)
    mean, var, dens = np.zeros((n, 1, 2)), np.zeros((n, 1, 3)), np.empty(n)
    m, s = np.empty(n), np.empty(n)
    _filter(y, row, *_scalars(steps, start), m, s, dens)
    mean[:, 0, 0], var[:, 0, 0] = m, s
    return Filtered(np.ones((n, 1)), mean, var, dens)


def pointwise(y: Array, row: Rows, steps: Steps, start: Start) -> Array:
    """One-step-ahead log density of each observation (n,), NaN where missing."""
    return filter(y, row, steps, start).log_density
