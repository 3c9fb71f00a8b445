"""Exact likelihood of one Ornstein-Uhlenbeck process on any grid, profiled over level and volatility.

With drift a - kappa x and g_i = (1 - exp(-2 kappa dt_i)) / (2 kappa), the residuals
d_i - a h_i, d_i = y_i - phi_i y_{i-1}, h_i = (1 - phi_i) / kappa, have variance
sigma^2 g_i. Given kappa, a = B / A and sigma^2 = (C - B^2 / A) / n with
A = sum h^2/g, B = sum h d/g, C = sum d^2/g. All sums, and their derivatives in
kappa, come from one pass that the compiler turns into vector instructions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LANES = 128
_SUMS = 9
_LOG2E = 1.4426950408889634
_LN2_HI = 6.93147180369123816490e-01
_LN2_LO = 1.90821492927058770002e-10
_MAGIC = 6755399441055744.0


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """The bits of a double as an integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def _double(typingctx: Any, x: Any) -> Any:
    """The double with the bits of an integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def _fma(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z in one rounding."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@njit(inline="always", error_model="numpy")
def _expm1_parts(t):  # type: ignore[no-untyped-def]
    """exp(t) - 1 and exp(t), to one unit in the last place, without a branch (|t| < 700)."""
    shifted = _fma(t, _LOG2E, _MAGIC)
    n = shifted - _MAGIC
    r = _fma(n, -_LN2_LO, _fma(n, -_LN2_HI, t))
    q = 1.0 / 6227020800.0
    q = _fma(q, r, 1.0 / 479001600.0)
    q = _fma(q, r, 1.0 / 39916800.0)
    q = _fma(q, r, 1.0 / 3628800.0)
    q = _fma(q, r, 1.0 / 362880.0)
    q = _fma(q, r, 1.0 / 40320.0)
    q = _fma(q, r, 1.0 / 5040.0)
    q = _fma(q, r, 1.0 / 720.0)
    q = _fma(q, r, 1.0 / 120.0)
    q = _fma(q, r, 1.0 / 24.0)
    q = _fma(q, r, 1.0 / 6.0)
    q = _fma(q, r, 0.5)
    q = _fma(q * r, r, r)
    scale = _double((_bits(shifted) + 1023) << 52)
    return _fma(scale, q, scale - 1.0), _fma(scale, q, scale)


@njit(cache=True, error_model="numpy", nogil=True)
def _sums(kappa, before, after, dt, acc):  # type: ignore[no-untyped-def]
    """Adds the nine sums of the profile likelihood, lane by lane, into `acc` (10 * lanes)."""
    n = before.shape[0]
    for i in range(_LANES):
        acc[9 * _LANES + i] = 1.0
    held = 0
    for start in range(0, n, _LANES):
        # a width the compiler cannot see keeps the loop a loop, and so a vector loop
        width = min(_LANES, n - start)
        b = before[start : start + width]
        f = after[start : start + width]
        t = dt[start : start + width]
        for i in range(width):
            _one(kappa, b[i], f[i], t[i], acc, i)
        held += 1
        if held == 8:
            _flush(acc)
            held = 0
    _flush(acc)


@njit(inline="always", error_model="numpy")
def _one(kappa, yb, ya, dt, acc, i):  # type: ignore[no-untyped-def]
    u = kappa * dt
    u = min(max(u, -600.0), 600.0)
    u = u if abs(u) > 1e-150 else 1e-150
    em1, phi = _expm1_parts(-u)
    small = abs(u) < 5e-3
    i_u = 1.0 / u
    ratio = -em1 * i_u
    h = dt * ratio
    g = h * _fma(0.5, em1, 1.0)
    w = 1.0 / g
    slope_series = _fma(u, _fma(u, _fma(u, _fma(u, -1.0 / 144.0, 1.0 / 30.0), -0.125), 1.0 / 3.0), -0.5)
    dh = dt * dt * (slope_series if small else (phi - ratio) * i_u)
    lg_series = _fma(u, _fma(u * u, -1.0 / 45.0, 1.0 / 3.0), -1.0)
    lg = dt * (lg_series if small else _fma(phi * phi * dt, w, -1.0) * i_u)
    d = _fma(-phi, yb, ya)
    dd = dt * phi * yb
    hw = h * w
    dw = d * w
    acc[0 * _LANES + i] = _fma(h, hw, acc[0 * _LANES + i])
    acc[1 * _LANES + i] = _fma(d, hw, acc[1 * _LANES + i])
    acc[2 * _LANES + i] = _fma(d, dw, acc[2 * _LANES + i])
    acc[3 * _LANES + i] = _fma(hw, _fma(-h, lg, 2.0 * dh), acc[3 * _LANES + i])
    acc[4 * _LANES + i] = _fma(hw, _fma(-d, lg, dd), _fma(dh, dw, acc[4 * _LANES + i]))
    acc[5 * _LANES + i] = _fma(dw, _fma(-d, lg, 2.0 * dd), acc[5 * _LANES + i])
    acc[6 * _LANES + i] += lg
    acc[9 * _LANES + i] *= g


@njit(cache=True, error_model="numpy")
def _flush(acc):  # type: ignore[no-untyped-def]
    """Takes the logarithm of the running products of g."""
    for i in range(_LANES):
        acc[7 * _LANES + i] += math.log(acc[9 * _LANES + i])
        acc[9 * _LANES + i] = 1.0


class Profile(NamedTuple):
    """Profile log likelihood at one kappa: value, slope in kappa, drift a (bps/h), sigma^2, sums (8,)."""

    value: float
    slope: float
    drift: float
    variance: float
    sums: Array


def profile(kappa: float, y: Array, dt: Array, stationary: bool) -> Profile:
    """Profile log likelihood of y (n,) in bps at steps dt (n - 1,) in hours, for kappa in 1/h.

    `stationary` adds the stationary density of y[0] and needs kappa > 0; without it
    the likelihood is conditional on y[0] and kappa may be zero or negative.
    """
    acc = np.zeros((_SUMS + 1) * _LANES)
    _sums(kappa, y[:-1], y[1:], dt, acc)
    s = acc.reshape(_SUMS + 1, _LANES)[:8].sum(axis=1)
    n = len(dt)
    if stationary:
        s += [
            2.0 / kappa, 2.0 * y[0], 2.0 * kappa * y[0] ** 2,
            -2.0 / kappa**2, 0.0, 2.0 * y[0] ** 2, -1.0 / kappa, -math.log(2.0 * kappa),
        ]  # fmt: skip
        n += 1
    return _from_sums(s, n)


def _from_sums(s: Array, n: int) -> Profile:
    a, b, c, da, db, dc, dl, log_g = (float(part) for part in s)
    drift = b / a
    variance = (c - b * drift) / n
    d_variance = (dc - 2.0 * drift * db + drift * drift * da) / n
    value = -0.5 * (n * math.log(2.0 * math.pi * variance) + log_g + n)
    return Profile(value, -0.5 * (n * d_variance / variance + dl), drift, variance, s)


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
    centre, unit = float(np.median(y)), float(np.median(dt))
    z, step = np.ascontiguousarray(y - centre), np.ascontiguousarray(dt / unit)
    span = float(step.sum())
    low = 1e-6 / span if (positive or stationary) else -20.0 / span
    high = 50.0 / float(step.min())

    def slope(kappa: float) -> float:
        return profile(kappa, z, step, stationary).slope

    kappa, inside = _root(slope, _first_guess(z, step), low, high)
    best = profile(kappa, z, step, stationary)
    drift = best.drift / unit + kappa / unit * centre
    return Maximum(kappa / unit, drift, best.variance / unit, best.value, inside)


def _first_guess(z: Array, step: Array) -> float:
    before, after = z[:-1] - z.mean(), z[1:] - z.mean()
    rho = float(before @ after) / max(float(before @ before), 1e-300)
    mean_step = float(np.mean(np.minimum(step, 10.0)))
    return max(-math.log(min(max(rho, 1e-3), 1.0 - 1e-9)), 0.5 / float(step.sum())) / mean_step


def _root(slope: Callable[[float], float], guess: float, low: float, high: float) -> tuple[float, bool]:
    """The maximum's kappa: where the slope falls through zero, else the better bound."""
    from scipy.optimize import brentq

    left = right = min(max(guess, low), high)
    at = slope(left)
    if at == 0.0:
        return left, True
    if at > 0:
        while slope(right) > 0:
            left = right
            right = min(max(right * 1.5, right + 1e-3 * abs(low) + 1e-12), high)
            if right >= high:
                return high, False
    else:
        while slope(left) < 0:
            right = left
            left = left / 1.5 if left / 1.5 > abs(low) else (low if left > 0 else left)
            if left <= low:
                if slope(low) < 0:
                    return low, False
                left = low
                break
    return float(brentq(slope, left, right, xtol=1e-14 * max(abs(right), 1e-300), rtol=1e-14)), True
