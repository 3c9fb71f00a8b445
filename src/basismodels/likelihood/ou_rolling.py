"""Maximum likelihood of Ornstein-Uhlenbeck processes over many windows of one series, from incremental sums.

Given kappa, the likelihood of `ou` asks of the steps of one length only their number n and the sums of x, y, x^2, xy
and y^2, with x before the step and y after it. Those of a window are the difference of two running sums, so that an
evaluation costs as many operations as there are lengths of step, whatever the window.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_KINDS = 24
_SUMS = 6
_MOST = 100
_NEAR = 1e-9


class Windows(NamedTuple):
    """Estimates window by window (m,): kappa 1/h, drift bps/h, sigma^2 bps^2/h, log likelihood, information on log
    kappa (from the curvature of the profile), and whether the maximum is inside its bounds."""

    kappa: Array
    drift: Array
    variance: Array
    value: Array
    information: Array
    inside: NDArray[np.bool_]


def running_sums(y: Array, dt: Array) -> tuple[Array, Array, Rows]:
    """Running sums (n, kinds, 6) over steps of y (n,) less its mean, the lengths of step (kinds,), the kind of each."""
    kinds, row = np.unique(np.round(dt, 9), return_inverse=True)
    z = y - y.mean()
    x, after = z[:-1], z[1:]
    terms = np.stack([np.ones_like(x), x, after, x * x, x * after, after * after], axis=1)
    out = np.zeros((len(y), len(kinds), _SUMS))
    for k in range(len(kinds)):
        out[1:, k] = np.cumsum(np.where((row == k)[:, None], terms, 0.0), axis=0)
    return out, kinds, row.ravel().astype(np.int64)


def maximise(y: Array, dt: Array, first: Rows, after: Rows, stationary: bool) -> Windows:
    """Estimates of the windows of observations `first` to `after` (exclusive) of y (n,) bps at steps dt (n - 1,) hours.

    NaN where a window has under three observations. Errors: ValueError for more than 24 lengths of step.
    """
    sums, kinds, _ = running_sums(y, dt)
    if len(kinds) > MOST_KINDS:
        raise ValueError(f"{len(kinds)} lengths of step; running sums serve {MOST_KINDS}")
    centre = float(y.mean())
    out = np.full((len(first), 6), np.nan)
    _all(np.ascontiguousarray(sums), kinds, y - centre, first, after, bool(stationary), out)
    return Windows(out[:, 0], out[:, 1] + out[:, 0] * centre, out[:, 2], out[:, 3], out[:, 4], out[:, 5] == 1.0)


@njit(error_model="numpy")
def _at(v, s, kinds, y0, stationary, out):  # type: ignore[no-untyped-def]
    """Profile at v = log kappa from one window's sums s (kinds, 6): slope in v; out: value, drift, variance."""
    kappa = math.exp(v)
    n, a, b, c, log_g = 0.0, 0.0, 0.0, 0.0, 0.0
    da, db, dc, dl = 0.0, 0.0, 0.0, 0.0
    for k in range(kinds.shape[0]):
        count = s[k, 0]
        if count == 0.0:
            continue
        d = kinds[k]
        u = kappa * d
        phi, gone, gone2 = math.exp(-u), -math.expm1(-u), -math.expm1(-2.0 * u)
        h, g = gone / kappa, 0.5 * gone2 / kappa
        if u < 1e-3:
            dh = d * u * (-0.5 + u / 3.0 - u * u / 8.0)
            dg = d * u * (-1.0 + 4.0 * u / 3.0 - u * u)
        else:
            dh, dg = d * phi - h, d * phi * phi - g
        dphi = -u * phi
        push = s[k, 2] - phi * s[k, 1]
        rest = s[k, 5] - 2.0 * phi * s[k, 4] + phi * phi * s[k, 3]
        n += count
        a += count * h * h / g
        b += h / g * push
        c += rest / g
        ratio = dh / h - dg / g
        da += count * h * h / g * (2.0 * dh / h - dg / g)
        db += h / g * (push * ratio - dphi * s[k, 1])
        dc += (2.0 * dphi * (phi * s[k, 3] - s[k, 4]) - rest * dg / g) / g
        log_g += count * math.log(g)
        dl += count * dg / g
    if stationary:
        n += 1.0
        a += 2.0 / kappa
        b += 2.0 * y0
        c += 2.0 * kappa * y0 * y0
        da -= 2.0 / kappa
        dc += 2.0 * kappa * y0 * y0
        log_g -= math.log(2.0 * kappa)
        dl -= 1.0
    drift = b / a
    variance = max((c - b * drift) / n, 1e-300)
    out[0] = -0.5 * (n * math.log(2.0 * math.pi * variance) + log_g + n)
    out[1], out[2] = drift, variance
    return -0.5 * ((dc - 2.0 * drift * db + drift * drift * da) / variance + dl)


@njit(error_model="numpy")
def _root(s, kinds, y0, stationary, v, low, high, out):  # type: ignore[no-untyped-def]
    """Root of the profile's slope in v from a first guess: (v, curvature, whether inside the limits)."""
    below, above = low, high
    slope = _at(v, s, kinds, y0, stationary, out)
    last_v, last_slope, curvature = v, slope, 0.0
    for _ in range(_MOST):
        if slope > 0.0:
            below = v
        else:
            above = v
        if (slope > 0.0 and v >= high) or (slope < 0.0 and v <= low):
            return v, curvature, False
        move = min(max(slope, -1.0), 1.0)
        if v != last_v:
            bend = (slope - last_slope) / (v - last_v)
            if bend < 0.0:
                curvature = bend
                move = -slope / bend
        if slope == 0.0 or abs(move) < _NEAR or above - below < 1e-14 * abs(v):
            return v, curvature, True
        last_v, last_slope = v, slope
        v += min(max(move, -3.0), 3.0)
        if not below < v < above:
            v = 0.5 * (below + above) if below > low and above < high else min(max(v, low), high)
        slope = _at(v, s, kinds, y0, stationary, out)
    return v, curvature, False


@njit(cache=True, error_model="numpy", nogil=True)
def _all(sums, kinds, z, first, after, stationary, out):  # type: ignore[no-untyped-def]
    """Fills out (m, 6) window by window, each search begun where the last one ended."""
    found = np.empty(3)
    high = math.log(50.0 / kinds[0])
    v = math.nan
    for w in range(first.shape[0]):
        begin, last = first[w], after[w] - 1
        if last - begin < 2:
            continue
        s = sums[last] - sums[begin]
        span, least = 0.0, 0.0
        for k in range(kinds.shape[0]):
            span += s[k, 0] * kinds[k]
            least = kinds[k] if least == 0.0 and s[k, 0] > 0.0 else least
        n = s[:, 0].sum()
        low = math.log(1e-6 / span)
        if not low < v < high:
            rho = s[:, 4].sum() - s[:, 1].sum() * s[:, 2].sum() / n
            own = s[:, 3].sum() - s[:, 1].sum() ** 2 / n
            v = math.log(max(-math.log(min(max(rho / max(own, 1e-300), 1e-3), 1.0 - 1e-9)), 0.5 / n) * n / span)
        v, curvature, inside = _root(s, kinds, z[begin], stationary, v, low, math.log(50.0 / least), found)
        out[w, 0], out[w, 1], out[w, 2], out[w, 3] = math.exp(v), found[1], found[2], found[0]
        out[w, 4], out[w, 5] = -curvature, 1.0 if inside else 0.0
        if not inside:
            v = math.nan
