"""Innovations of the Kalman filter of one regime, and the series that given innovations make.

State (x, l) and steps as in `kim` with K = 1: the one-step error of each observation over its standard deviation is
standard normal and independent where the model holds. Variances and gains do not depend on the data, so that the
recursion runs backwards as well: from innovations to a series (Stoffer & Wall 1991).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def innovations(y, row, phi, c, v, tau2, rho, w, mean, var, diffuse):  # type: ignore[no-untyped-def]
    """Standardised innovations (n,), their standard deviations (n,) and gains (n, 2); NaN where y is missing.

    Coefficients (m,) by distinct step; mean (2,), var (3,): x, covariance, l at the first observation; `diffuse`: x
    is unknown there, and the first innovation NaN.
    """
    n = y.shape[0]
    z, root, gain = np.full(n, np.nan), np.full(n, np.nan), np.zeros((n, 2))
    mx, ml, a, b, d = mean[0], mean[1], var[0], var[1], var[2]
    for i in range(n):
        r = row[i]
        if i > 0:
            mx, ml = phi[r] * mx + c[r], rho[r] * ml
            a, b, d = phi[r] ** 2 * a + v[r], phi[r] * rho[r] * b, rho[r] ** 2 * d + w[r]
        if math.isnan(y[i]):
            continue
        if i == 0 and diffuse:
            mx, a, b = y[0] - ml, tau2[r] + d, -d
            continue
        f = a + 2.0 * b + d + tau2[r]
        root[i] = math.sqrt(f)
        z[i] = (y[i] - mx - ml) / root[i]
        gain[i, 0], gain[i, 1] = (a + b) / f, (b + d) / f
        mx, ml = mx + gain[i, 0] * root[i] * z[i], ml + gain[i, 1] * root[i] * z[i]
        a, b, d = a - gain[i, 0] ** 2 * f, b - gain[i, 0] * gain[i, 1] * f, d - gain[i, 1] ** 2 * f
    return z, root, gain


@njit(cache=True, error_model="numpy", nogil=True)
def rebuilt(z, root, gain, y0, row, phi, c, rho, mean):  # type: ignore[no-untyped-def]
    """The series (n,) whose innovations are z (n,), NaN where `root` is; a diffuse first value stays y0."""
    n = z.shape[0]
    out = np.full(n, np.nan)
    mx, ml = mean[0], mean[1]
    for i in range(n):
        r = row[i]
        if i > 0:
            mx, ml = phi[r] * mx + c[r], rho[r] * ml
        if math.isnan(root[i]):
            if i == 0:
                out[0], mx = y0, y0 - ml
            continue
        e = root[i] * z[i]
        out[i] = mx + ml + e
        mx, ml = mx + gain[i, 0] * e, ml + gain[i, 1] * e
    return out
