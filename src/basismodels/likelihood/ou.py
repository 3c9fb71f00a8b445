"""Exact likelihood of one Ornstein-Uhlenbeck process on any grid, profiled over level and volatility.

With drift a - kappa x and g_i = (1 - exp(-2 kappa dt_i)) / (2 kappa), the residuals
d_i - a h_i, d_i = y_i - phi_i y_{i-1}, h_i = (1 - phi_i) / kappa, have variance
sigma^2 g_i. Given kappa, a = B / A and sigma^2 = (C - B^2 / A) / n with
A = sum h^2/g, B = sum h d/g, C = sum d^2/g. All sums, and their derivatives in
kappa, come from one pass (`ou_sums`); the maximum is a root of the exact slope.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.ou_sums import FINE, SUMS, longest, mean, scaled, sums

Array = NDArray[np.float64]

_WIDTHS = (0,) * 8, (0,)
# the search ends at a step this small in log kappa, whose product with the step before, the size
# of the secant's own error, is this small; the step itself is then made to first order
_NEAR = 1e-6
_SECANT_ERROR = 1e-13
_MOST = 100


class Profile(NamedTuple):
    """Profile log likelihood at one kappa.

    value; slope in kappa; drift a (bps/h); sigma^2 (bps^2/h); information: expected, on
    log kappa, in the decay; drift_slope and variance_slope in log kappa.
    """

    value: float
    slope: float
    drift: float
    variance: float
    information: float
    drift_slope: float
    variance_slope: float


@njit(error_model="numpy")
def _at(ww, one, kappa, y, dt, widest, stationary, s):  # type: ignore[no-untyped-def]
    """`Profile` at one kappa, `widest` the longest step; a kappa of zero is replaced by a minute one."""
    least = 1e-20 / widest
    if abs(kappa) < least:
        kappa = least
    sums(ww, one, kappa, y, dt, abs(kappa) * widest < FINE, s)
    n = dt.shape[0]
    a, b, c, da, db, dc, dl, info, log_g = s
    if stationary:
        # the first observation: h = 1 / kappa, g = 1 / (2 kappa), d = y_0
        n += 1
        a += 2.0 / kappa
        b += 2.0 * y[0]
        c += 2.0 * kappa * y[0] * y[0]
        da -= 2.0 / kappa
        dc += 2.0 * kappa * y[0] * y[0]
        dl -= 1.0
        log_g -= math.log(2.0 * kappa)
    drift = b / a
    variance = (c - b * drift) / n
    variance_slope = (dc - 2.0 * drift * db + drift * drift * da) / n
    value = -0.5 * (n * math.log(2.0 * math.pi * variance) + log_g + n)
    slope = -0.5 * (n * variance_slope / variance + dl)
    return Profile(value, slope / kappa, drift, variance, info, (db - drift * da) / a, variance_slope)


@njit(cache=True, error_model="numpy", nogil=True)
def _profile(ww, one, kappa, y, dt, stationary):  # type: ignore[no-untyped-def]
    return _at(ww, one, kappa, y, dt, longest(ww, dt), stationary, np.empty(SUMS))


def profile(kappa: float, y: Array, dt: Array, stationary: bool) -> Profile:
    """Profile log likelihood of y (n,) in bps at steps dt (n - 1,) in hours, for kappa in 1/h.

    `stationary` adds the stationary density of y[0] and needs kappa > 0; without it
    the likelihood is conditional on y[0] and kappa may be zero or negative.
    """
    found = _profile(*_WIDTHS, float(kappa), np.ascontiguousarray(y), np.ascontiguousarray(dt), bool(stationary))
    return Profile(*found)


class Maximum(NamedTuple):
    """Maximum likelihood estimates: kappa 1/h, drift bps/h, variance = sigma^2 in bps^2/h, log likelihood."""

    kappa: float
    drift: float
    variance: float
    value: float
    inside: bool


def maximise(y: Array, dt: Array, stationary: bool, positive: bool = True) -> Maximum:
    """Maximum likelihood of OU on y (n,) at steps dt (n - 1,), by root finding on the exact slope.

    `positive` keeps kappa above 1e-6 over the span; `inside` says that the maximum is
    not at a bound. Level and data are centred inside.
    """
    y, dt = np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(dt, dtype=np.float64)
    kappa, drift, variance, value, inside = _maximise(*_WIDTHS, y, dt, bool(stationary), bool(positive or stationary))
    return Maximum(kappa, drift, variance, value, bool(inside))


class _Series(NamedTuple):
    """Data less their mean, steps over their mean, the longest and shortest step, a first kappa."""

    z: Array
    step: Array
    centre: float
    unit: float
    widest: float
    least: float
    guess: float


@njit(error_model="numpy")
def _scaled(ww, y, dt):  # type: ignore[no-untyped-def]
    n = dt.shape[0]
    centre, unit = mean(ww, y), mean(ww, dt)
    z, step = np.empty(n + 1), np.empty(n)
    own, cross, short, widest, least = scaled(ww, y, dt, centre, unit, z, step)
    rho = min(max(cross / max(own, 1e-300), 1e-3), 1.0 - 1e-9)
    guess = max(-math.log(rho), 0.5 / n) * n / short
    return _Series(z, step, centre, unit, widest, least, guess)


@njit(error_model="numpy")
def _move(v, slope, last_v, last_slope, information):  # type: ignore[no-untyped-def]
    """Secant step to the root of the slope; a scoring step at first and where the slope does not fall."""
    if v != last_v:
        curvature = (slope - last_slope) / (v - last_v)
        if curvature < 0.0:
            return -slope / curvature
    return min(max(slope / max(information, 1e-300), -2.0), 2.0)


@njit(error_model="numpy")
def _search(ww, one, data, stationary, logs, v, low, high, s):  # type: ignore[no-untyped-def]
    """Root of the slope in v = log kappa (`logs`) or v = kappa between two limits.

    Returns the profile and kappa at the root or the limit, and whether it is a root.
    """
    scale = 1.0 if logs else data.step.shape[0]
    edge = 1e-9 * (high - low)
    below, above = low, high
    last_v, last_slope = v, 0.0
    for _ in range(_MOST):
        kappa = math.exp(v) if logs else v
        found = _at(ww, one, kappa, data.z, data.step, data.widest, stationary, s)
        slope = found.slope * (kappa if logs else 1.0)
        if (slope >= 0.0 and v >= high - edge) or (slope <= 0.0 and v <= low + edge):
            return found, kappa, False
        if slope > 0.0:
            below = v
        else:
            above = v
        move = _move(v, slope, last_v, last_slope, found.information if logs else 0.0)
        close = abs(move) * scale < _NEAR and abs(move * (v - last_v)) * scale * scale < _SECANT_ERROR
        if close or above - below < 1e-15 * abs(v):
            relative = move if logs else move / kappa
            return _corrected(found, kappa, relative), kappa * (1.0 + relative), True
        last_v, last_slope = v, slope
        v += move
        if not below < v < above:
            v = 0.5 * (below + above) if below > low and above < high else min(max(v, low), high)
    return found, kappa, False


@njit(error_model="numpy")
def _corrected(found, kappa, move):  # type: ignore[no-untyped-def]
    """The profile after a small last move in log kappa, to first order; its value to second."""
    return Profile(
        found.value + 0.5 * found.slope * kappa * move, 0.0, found.drift + found.drift_slope * move,
        found.variance + found.variance_slope * move, found.information, found.drift_slope, found.variance_slope,
    )  # fmt: skip


@njit(cache=True, error_model="numpy", nogil=True)
def _maximise(ww, one, y, dt, stationary, positive):  # type: ignore[no-untyped-def]
    data = _scaled(ww, y, dt)
    n = dt.shape[0]
    s = np.empty(SUMS)
    high = math.log(50.0 / data.least)
    low = math.log((1e-6 if positive else 0.05) / n)
    guess = min(max(math.log(data.guess), low), high)
    found, kappa, inside = _search(ww, one, data, stationary, True, guess, low, high, s)
    if not (inside or positive) and kappa < 1.0 / n:
        found, kappa, inside = _search(ww, one, data, stationary, False, -20.0 / n, -20.0 / n, kappa, s)
    drift = found.drift / data.unit + kappa / data.unit * data.centre
    return kappa / data.unit, drift, found.variance / data.unit, found.value, inside
