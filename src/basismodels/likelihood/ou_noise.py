"""Likelihood of an Ornstein-Uhlenbeck process seen through noise, profiled over level and volatility.

With lam = tau^2 / sigma^2 the filter's gains depend on (kappa, lam) alone. The innovations are
e_i - a d_i, linear in the drift a = kappa theta, with variances sigma^2 s_i, so that a and sigma^2
have closed forms; the first observation is conditioned on. kappa may be zero or negative.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_TRIES = 200
_CLOSE = 1e-5


@njit(cache=True, error_model="numpy", nogil=True)
def _coefficients(kappa, kinds, phi, pull, v):  # type: ignore[no-untyped-def]
    for k in range(kinds.shape[0]):
        u = kappa * kinds[k]
        phi[k] = math.exp(-u)
        pull[k] = kinds[k] * (-math.expm1(-u) / u if abs(u) > 1e-12 else 1.0)
        v[k] = kinds[k] * (-math.expm1(-2.0 * u) / (2.0 * u) if abs(u) > 1e-12 else 1.0)


@njit(cache=True, error_model="numpy", nogil=True)
def value(kappa, lam, y, row, kinds, drift):  # type: ignore[no-untyped-def]
    """Profile log likelihood at kappa in 1/h and lam in h, without the constant -n (1 + log 2 pi) / 2.

    y (n + 1,) bps; row (n,): which of the distinct steps `kinds` (d,) in hours leads to each; `drift`
    False keeps the drift at zero.
    """
    d = kinds.shape[0]
    phi, pull, v = np.empty(d), np.empty(d), np.empty(d)
    _coefficients(kappa, kinds, phi, pull, v)
    m, b, p = y[0], 0.0, lam
    ee, ed, dd, log_s, product = 0.0, 0.0, 0.0, 0.0, 1.0
    gain, weight, variance, last, steady = 0.0, 0.0, 1.0, -1, False
    n = row.shape[0]
    for i in range(n):
        k = row[i]
        if not (steady and k == last):
            ahead = phi[k] * phi[k] * p + v[k]
            variance = ahead + lam
            weight = 1.0 / variance
            gain = ahead * weight
            after = lam * gain
            steady = k == last and abs(after - p) <= 1e-14 * p
            p = after
            last = k
        mean = phi[k] * m
        e = y[i + 1] - mean
        m = mean + gain * e
        step = phi[k] * b + pull[k]
        b = step - gain * step
        we = weight * e
        ee += we * e
        ed += we * step
        dd += weight * step * step
        product *= variance
        if product > 1e100 or product < 1e-100:
            log_s += math.log(product)
            product = 1.0
    rest = ee - ed * ed / dd if drift else ee
    return -0.5 * (n * math.log(rest / n) + log_s + math.log(product))


@njit(cache=True, error_model="numpy", nogil=True)
def best_lam(kappa, log_lam, y, row, kinds, drift, low, high):  # type: ignore[no-untyped-def]
    """Greatest profile over log lam at one kappa, by steps that grow, then a parabola: (value, log lam)."""
    step = 0.3
    x = min(max(log_lam, low), high)
    f = value(kappa, math.exp(x), y, row, kinds, drift)
    for _ in range(_TRIES):
        a, c = max(x - step, low), min(x + step, high)
        fa, fc = value(kappa, math.exp(a), y, row, kinds, drift), value(kappa, math.exp(c), y, row, kinds, drift)
        if fa > f and fa >= fc:
            x, f, step = a, fa, min(step * 1.6, 3.0)
            continue
        if fc > f:
            x, f, step = c, fc, min(step * 1.6, 3.0)
            continue
        bend = fa - 2.0 * f + fc
        if bend >= 0.0 or x in (low, high):
            break
        shift = 0.5 * step * (fa - fc) / bend
        t = min(max(x + shift, low), high)
        ft = value(kappa, math.exp(t), y, row, kinds, drift)
        gained = ft - f
        if gained > 0.0:
            x, f = t, ft
        if abs(gained) < _CLOSE and step < 0.2:
            break
        step = max(0.25 * step, min(abs(shift), step), 0.02)
        if step <= 0.02:
            break
    return f, x


@njit(cache=True, error_model="numpy", nogil=True)
def best(kappa, width, log_lam, y, row, kinds, drift, low, high):  # type: ignore[no-untyped-def]
    """Greatest profile over kappa and log lam from a first guess: (value, kappa, log lam), Nelder & Mead (1965)."""
    x = np.empty((3, 2))
    f = np.empty(3)
    for j in range(3):
        x[j, 0] = kappa + (width if j == 1 else 0.0)
        x[j, 1] = min(max(log_lam + (0.5 if j == 2 else 0.0), low), high)
        f[j] = value(x[j, 0], math.exp(x[j, 1]), y, row, kinds, drift)
    for _ in range(_TRIES):
        order = np.argsort(-f)
        x, f = x[order], f[order]
        if f[0] - f[2] < _CLOSE:
            break
        mid = 0.5 * (x[0] + x[1])
        moved, fm = _try(2.0 * mid - x[2], y, row, kinds, drift, low, high)
        if fm > f[0]:
            far, ff = _try(3.0 * mid - 2.0 * x[2], y, row, kinds, drift, low, high)
            if ff > fm:
                moved, fm = far, ff
        elif fm <= f[1]:
            inner = mid + 0.5 * (moved - mid) if fm > f[2] else mid + 0.5 * (x[2] - mid)
            moved, fm = _try(inner, y, row, kinds, drift, low, high)
            if fm <= f[2]:
                for j in range(1, 3):
                    x[j], f[j] = _try(0.5 * (x[0] + x[j]), y, row, kinds, drift, low, high)
                continue
        x[2], f[2] = moved, fm
    top = int(np.argmax(f))
    return f[top], x[top, 0], x[top, 1]


@njit(cache=True, error_model="numpy", nogil=True)
def _try(point, y, row, kinds, drift, low, high):  # type: ignore[no-untyped-def]
    point[1] = min(max(point[1], low), high)
    found = value(point[0], math.exp(point[1]), y, row, kinds, drift)
    return point, found if math.isfinite(found) else -1e300


@njit(cache=True, error_model="numpy", nogil=True)
def walk(x, z, row, phi, root, out):  # type: ignore[no-untyped-def]
    """A path from x with shocks z (n,), into `out` (n + 1,)."""
    out[0] = x
    for i in range(row.shape[0]):
        x = phi[row[i]] * x + root[row[i]] * z[i]
        out[i + 1] = x
