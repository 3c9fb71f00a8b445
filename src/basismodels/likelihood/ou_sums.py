"""One pass over a series for the profile likelihood of an Ornstein-Uhlenbeck process at one kappa.

With u = kappa dt, phi = exp(-u), x = 1 - phi, s = 1 + phi and q = 1 / (x s):
h = x / kappa, g = x s / (2 kappa), h / g = 2 / s. The derivatives in log kappa of h and g are
t s - 1 and 2 t phi - 1 with t = u phi q; both vanish like u, so that where every u is
small their series serve.
"""

from __future__ import annotations

import math

from numba import njit

from basismodels.likelihood.lane_bits import exponent, inverse_power
from basismodels.likelihood.lane_powers import expm1
from basismodels.likelihood.lanes import fill, fma, greater, greatest, load, product, total

# sums of h^2/g, h d/g, d^2/g, their derivatives in log kappa, that of log g, and information
SUMS = 9
FINE = 1e-3
_GROUP = 8


@njit(error_model="numpy")
def _within(ww, u):  # type: ignore[no-untyped-def]
    """u kept within 300 of zero."""
    low = greater(u, fill(ww, -300.0))
    return fill(ww, 0.0) - greater(fill(ww, 0.0) - low, fill(ww, -300.0))


@njit(error_model="numpy")
def _pass(ww, fine, kappa, y, dt, first, last, out):  # type: ignore[no-untyped-def]
    """Adds the sums over steps `first` to `last` to `out` (9,)."""
    W = len(ww)
    zero, one, two, rate = fill(ww, 0.0), fill(ww, 1.0), fill(ww, 2.0), fill(ww, kappa)
    half = fill(ww, 0.5 / kappa)
    aa, bb, cc, da, db, dc, dl, info, powers = zero, zero, zero, zero, zero, zero, zero, zero, zero
    lanes_g = one
    for begin in range(first, last, _GROUP * W):
        for i in range(begin, min(begin + _GROUP * W, last), W):
            before, after, step = load(ww, y, i), load(ww, y, i + 1), load(ww, dt, i)
            u = _within(ww, rate * step)
            x = zero - expm1(zero - u)
            phi = one - x
            xs = x * (one + phi)
            q = one / xs
            r, f = x * q, u * phi
            t = f * q
            if len(fine) > 0:
                uu = u * u
                slope_h = uu * fma(uu, fill(ww, 7.0 / 360.0), fill(ww, -1.0 / 6.0))
                slope_g = fma(uu, fma(uu, fill(ww, -1.0 / 45.0), fill(ww, 1.0 / 3.0)), zero - u)
            else:
                slope_h, slope_g = fma(two, t, zero - one), fma(two * t, phi, zero - one)
            d = fma(zero - phi, before, after)
            move = f * before
            xr, dr, dq = x * r, d * r, d * q
            aa = aa + xr
            bb = bb + dr
            cc = fma(d, dq, cc)
            da = fma(xr, slope_h, da)
            db = fma(dr, t * x, fma(r, move, db))
            dc = fma(dq, fma(two, move, zero - d * slope_g), dc)
            dl = dl + slope_g
            info = fma(f, t, info)
            lanes_g = lanes_g * (xs * half)
        powers = powers + exponent(lanes_g)
        lanes_g = lanes_g * inverse_power(lanes_g)
    out[0] += 2.0 / kappa * total(aa)
    out[1] += 2.0 * total(bb)
    out[2] += 2.0 * kappa * total(cc)
    out[3] += 2.0 / kappa * total(da)
    out[4] += 2.0 * total(db)
    out[5] += 2.0 * kappa * total(dc)
    out[6] += total(dl)
    out[7] += total(info)
    out[8] += total(powers) * math.log(2.0) + math.log(product(lanes_g))


@njit(cache=True, error_model="numpy", nogil=True)
def sums(ww, one, kappa, y, dt, fine, out):  # type: ignore[no-untyped-def]
    """Sums over the steps of y (n + 1,) with lengths dt (n,), into `out` (9,).

    Sums of h^2/g, h d/g, d^2/g, with d = y_i - phi_i y_{i-1}; their derivatives in log
    kappa; that of sum log g; the information on log kappa in the decay; sum log g.
    `fine`: whether every |kappa dt| is under `FINE`.
    """
    n, W = dt.shape[0], len(ww)
    whole = n - n % W
    out[:] = 0.0
    if fine:
        _pass(ww, one, kappa, y, dt, 0, whole, out)
        _pass(one, one, kappa, y, dt, whole, n, out)
    else:
        _pass(ww, (), kappa, y, dt, 0, whole, out)
        _pass(one, (), kappa, y, dt, whole, n, out)


@njit(error_model="numpy")
def mean(ww, y):  # type: ignore[no-untyped-def]
    """Mean of y (n,)."""
    W, n = len(ww), y.shape[0]
    whole = n - n % W
    held = fill(ww, 0.0)
    for i in range(0, whole, W):
        held = held + load(ww, y, i)
    value = total(held)
    for i in range(whole, n):
        value += y[i]
    return value / n


@njit(error_model="numpy")
def scaled(ww, y, dt, centre, unit, z, step):  # type: ignore[no-untyped-def]
    """Fills z = y - centre and step = dt / unit.

    Returns sums of z_{i-1}^2, of z_{i-1} z_i and of steps cut at 10, the longest and the shortest step.
    """
    W, n = len(ww), dt.shape[0]
    whole = n - n % W
    own, cross, short, least = 0.0, 0.0, 0.0, math.inf
    for i in range(n + 1):
        z[i] = y[i] - centre
    for i in range(n):
        step[i] = dt[i] / unit
    squares, products, cut = fill(ww, 0.0), fill(ww, 0.0), fill(ww, 0.0)
    negative = fill(ww, -math.inf)
    for i in range(0, whole, W):
        before, t = load(ww, z, i), load(ww, step, i)
        squares, products = fma(before, before, squares), fma(before, load(ww, z, i + 1), products)
        minus = fill(ww, 0.0) - t
        cut = cut - greater(minus, fill(ww, -10.0))
        negative = greater(negative, minus)
    for i in range(whole, n):
        own += z[i] * z[i]
        cross += z[i] * z[i + 1]
        short += min(step[i], 10.0)
        least = min(least, step[i])
    own, cross, short = own + total(squares), cross + total(products), short + total(cut)
    return own, cross, short, longest(ww, step), min(least, -greatest(negative))


@njit(error_model="numpy")
def longest(ww, dt):  # type: ignore[no-untyped-def]
    """Longest step."""
    W, n = len(ww), dt.shape[0]
    whole = n - n % W
    held = fill(ww, 0.0)
    for i in range(0, whole, W):
        held = greater(held, load(ww, dt, i))
    value = greatest(held)
    for i in range(whole, n):
        value = max(value, dt[i])
    return value
