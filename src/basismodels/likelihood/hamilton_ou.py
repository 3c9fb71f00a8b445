"""Log likelihood of a two-regime Ornstein-Uhlenbeck process on a regular grid, with its gradient and a climb to its
maximum, compiled as a whole: for bootstraps and rolling windows, where thousands of fits begin near their end.

The free vector is that of the bound model; `at` (8,) says where kappa, theta and log sigma of each regime and the
two log rates stand in it, followed by the model's constants. Steps and their adjoint are those of `transition`, the
filter that of `hamilton_lanes`; the start's own derivative is taken by central differences, being of one observation.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from basismodels.likelihood.bundles import pieces_for, square_of
from basismodels.likelihood.hamilton_head import room
from basismodels.likelihood.hamilton_lanes import places, run

_MOST = 120
_DECREMENT = 1e-10
_SUMS = 12
_START = 8


@njit(error_model="numpy")
def _ratio(u):  # type: ignore[no-untyped-def]
    """(1 - exp(-u)) / u."""
    return 1.0 if abs(u) < 1e-300 else -math.expm1(-u) / u


@njit(error_model="numpy")
def _slope(u):  # type: ignore[no-untyped-def]
    """Derivative of `_ratio`."""
    if abs(u) < 1e-4:
        return -0.5 + u / 3.0 - u * u / 8.0 + u * u * u / 30.0
    return (u * math.exp(-u) + math.expm1(-u)) / (u * u)


@njit(error_model="numpy")
def _natural(ext, at, flags, nat):  # type: ignore[no-untyped-def]
    """Fills nat (8,): kappa, drift, variance of both regimes, the two rates."""
    for k in range(2):
        kappa = math.exp(ext[at[k]]) if flags[0] else ext[at[k]]
        nat[k] = kappa
        nat[2 + k] = ext[at[2 + k]] * (1.0 if flags[1] else kappa)
        nat[4 + k] = math.exp(2.0 * ext[at[4 + k]])
        nat[6 + k] = math.exp(ext[at[6 + k]])


@njit(error_model="numpy")
def _pair(a00, a01, a10, a11, b0, b1):  # type: ignore[no-untyped-def]
    """Solution of two equations."""
    det = a00 * a11 - a01 * a10
    return (b0 * a11 - a01 * b1) / det, (a00 * b1 - a10 * b0) / det


@njit(error_model="numpy")
def _start(nat, flags, y0, centre, flat, density0):  # type: ignore[no-untyped-def]
    """Fills density0 (2,), the log density of y0 in each regime; False where the start is diffuse."""
    density0[:] = flat if flags[2] else 0.0
    if not flags[2]:
        return False
    up, down = nat[6], nat[7]
    law0, law1 = down / (up + down), up / (up + down)
    k0, k1 = nat[0], nat[1]
    b0, b1 = nat[2] - k0 * centre, nat[3] - k1 * centre
    n0, n1 = _pair(-up - 2.0 * k0, down, up, -down - 2.0 * k1, -nat[4] * law0, -nat[5] * law1)
    u0, u1 = _pair(-up - k0, down, up, -down - k1, -b0 * law0, -b1 * law1)
    m0, m1 = _pair(
        -up - 2.0 * k0, down, up, -down - 2.0 * k1,
        -(2.0 * b0 * u0 + nat[4] * law0), -(2.0 * b1 * u1 + nat[5] * law1),
    )  # fmt: skip
    if not (n0 > 0.0 and n1 > 0.0 and m0 * law0 > u0 * u0 and m1 * law1 > u1 * u1):
        return False
    for k in range(2):
        law, first, second = (law0, u0, m0) if k == 0 else (law1, u1, m1)
        var = second / law - (first / law) ** 2
        e = y0 - centre - first / law
        density0[k] = -0.5 * (math.log(2.0 * math.pi * var) + e * e / var)
    return True


@njit(error_model="numpy")
def _start_slopes(nat, flags, y0, centre, flat, weights, g_nat):  # type: ignore[no-untyped-def]
    """Adds to g_nat (8,) what the start's densities contribute."""
    high, low = np.empty(2), np.empty(2)
    for i in range(_START):
        own = nat[i]
        h = 1e-5 * max(abs(own), 1e-4 * abs(nat[4]) if 2 <= i < 4 else 1e-6)
        nat[i] = own + h
        above = _start(nat, flags, y0, centre, flat, high)
        nat[i] = own - h
        below = _start(nat, flags, y0, centre, flat, low)
        nat[i] = own
        if above and below:
            for k in range(2):
                g_nat[i] += weights[k] * (high[k] - low[k]) / (2.0 * h)


@njit(error_model="numpy")
def value_gradient(kk, square, ww, y, dt, ext, at, flags, centre, flat, b, g):  # type: ignore[no-untyped-def]
    """Log likelihood at the extended vector, not finite where it fails; g (len(ext),) takes the gradient, if any."""
    nat, out, density0 = np.empty(8), np.zeros(_SUMS), np.empty(2)
    _natural(ext, at, flags, nat)
    phi, c, v, reach = np.empty(2), np.empty(2), np.empty(2), np.empty(2)
    for k in range(2):
        u = nat[k] * dt
        reach[k] = dt * _ratio(u)
        phi[k], c[k], v[k] = math.exp(-u), nat[2 + k] * reach[k], nat[4 + k] * dt * _ratio(2.0 * u)
    up, down = nat[6], nat[7]
    total = up + down
    leave = dt * _ratio(total * dt)
    p = np.empty((2, 2))
    p[0, 0], p[0, 1], p[1, 0], p[1, 1] = 1.0 - up * leave, up * leave, down * leave, 1.0 - down * leave
    law = np.empty(2)
    law[0], law[1] = down / total, up / total
    proper = _start(nat, flags, y[0], centre, flat, density0)
    if len(g) == 0:
        found = run(kk, square, ww, (), y, phi, c, v, p, law, density0, False, b, out)
        return found if math.isfinite(found) else -math.inf
    found = run(
        kk, square, ww, (), y, phi.copy(), c.copy(), v.copy(), p.copy(), law.copy(), density0.copy(), True, b, out
    )  # fmt: skip
    g[:] = 0.0
    if not math.isfinite(found):
        return -math.inf
    g_nat = np.zeros(8)
    for k in range(2):
        weight = p[0, k] * out[6 + k] + p[1, k] * out[8 + k]
        g_phi, g_c = out[k] / v[k], out[2 + k] / v[k]
        g_v = 0.5 * (out[4 + k] / v[k] - weight) / v[k]
        u = nat[k] * dt
        g_nat[k] = -dt * phi[k] * g_phi + dt * dt * (
            g_c * nat[2 + k] * _slope(u) + g_v * nat[4 + k] * 2.0 * _slope(2.0 * u)
        )
        g_nat[2 + k] = g_c * reach[k]
        g_nat[4 + k] = g_v * dt * _ratio(2.0 * u)
    bar_up, bar_down = out[7] - out[6], out[8] - out[9]
    common = (bar_up * up + bar_down * down) * dt * dt * _slope(total * dt)
    lean = (out[11] / law[1] - out[10] / law[0]) / (total * total)
    g_nat[6] = bar_up * leave + common + lean * down
    g_nat[7] = bar_down * leave + common - lean * up
    if proper:
        _start_slopes(nat, flags, y[0], centre, flat, out[10:12], g_nat)
    for k in range(2):
        if not flags[1]:
            g_nat[k] += g_nat[2 + k] * ext[at[2 + k]]
            g_nat[2 + k] *= nat[k]
        g[at[k]] += g_nat[k] * (nat[k] if flags[0] else 1.0)
        g[at[2 + k]] += g_nat[2 + k]
        g[at[4 + k]] += 2.0 * nat[4 + k] * g_nat[4 + k]
        g[at[6 + k]] += nat[6 + k] * g_nat[6 + k]
    return found


@njit(cache=True, error_model="numpy", nogil=True)
def loglik(kk, y, dt, ext, at, flags, centre, flat):  # type: ignore[no-untyped-def]
    """Log likelihood at the extended vector, for regimes kk = (0, 0)."""
    b = room(places(kk, pieces_for(kk), y.shape[0], False).size)
    return value_gradient(kk, square_of(kk), pieces_for(kk), y, dt, ext, at, flags, centre, flat, b, np.empty(0))


@njit(cache=True, error_model="numpy", nogil=True)
def loglik_grad(kk, y, dt, ext, at, flags, centre, flat):  # type: ignore[no-untyped-def]
    """Log likelihood and its gradient in the extended vector, for regimes kk = (0, 0)."""
    b, g = room(places(kk, pieces_for(kk), y.shape[0], True).size), np.empty(ext.shape[0])
    return value_gradient(kk, square_of(kk), pieces_for(kk), y, dt, ext, at, flags, centre, flat, b, g), g


@njit(cache=True, error_model="numpy", nogil=True)
def climb(kk, y, dt, ext, at, flags, centre, flat, box, inverse):  # type: ignore[no-untyped-def]
    """BFGS from `ext` in place within box (p, 2), from an inverse Hessian (p, p), in place too.

    Returns log likelihood, whether a Newton decrement under 1e-10 was reached, and kernel calls.
    """
    square, ww = square_of(kk), pieces_for(kk)
    b = room(places(kk, ww, y.shape[0], True).size)
    p = box.shape[0]
    g, g_new, new = np.empty(ext.shape[0]), np.empty(ext.shape[0]), ext.copy()
    value = value_gradient(kk, square, ww, y, dt, ext, at, flags, centre, flat, b, g)
    calls, d, r, s = 1, np.empty(p), np.empty(p), np.empty(p)
    if not math.isfinite(value):
        return value, False, calls
    while calls < _MOST:
        held = blocked(ext, g, box)
        gain, widest = direction(inverse, g, held, d)
        if gain < _DECREMENT:
            return value, gain >= 0.0, calls
        step, better = min(1.0, 8.0 / max(widest, 1e-300)), -math.inf
        while calls < _MOST:
            for i in range(p):
                new[i] = min(max(ext[i] + step * d[i], box[i, 0]), box[i, 1])
            better = value_gradient(kk, square, ww, y, dt, new, at, flags, centre, flat, b, g_new)
            calls += 1
            if better >= value + 1e-4 * step * gain or step < 1e-7:
                break
            step *= 0.3
        if not better > value:
            return value, gain < 1e-6, calls
        for i in range(p):
            s[i], r[i] = new[i] - ext[i], g[i] - g_new[i]
            ext[i] = new[i]
        update(inverse, s, r)
        g[:], value = g_new, better
    return value, False, calls


@njit(cache=True, error_model="numpy", nogil=True)
def blocked(x, g, box):  # type: ignore[no-untyped-def]
    """Which coefficients stand at a bound that the gradient g of what is maximised points through."""
    held = np.zeros(box.shape[0], dtype=np.bool_)
    for i in range(box.shape[0]):
        held[i] = (x[i] <= box[i, 0] and g[i] < 0.0) or (x[i] >= box[i, 1] and g[i] > 0.0)
    return held


@njit(cache=True, error_model="numpy", nogil=True)
def direction(inverse, g, held, d):  # type: ignore[no-untyped-def]
    """Fills d (p,); returns its Newton decrement and its greatest length in standard errors."""
    gain, widest = 0.0, 0.0
    for i in range(d.shape[0]):
        d[i] = 0.0
        if not held[i]:
            for k in range(d.shape[0]):
                d[i] += 0.0 if held[k] else inverse[i, k] * g[k]
            gain += d[i] * g[i]
            widest = max(widest, abs(d[i]) / math.sqrt(max(inverse[i, i], 1e-300)))
    return gain, widest


@njit(cache=True, error_model="numpy", nogil=True)
def update(inverse, s, r):  # type: ignore[no-untyped-def]
    """BFGS update of the inverse Hessian by a step s and the fall r of the gradient."""
    n, sr = s.shape[0], 0.0
    for i in range(n):
        sr += s[i] * r[i]
    if not sr > 1e-14:
        return
    hr, rhr = np.zeros(n), 0.0
    for i in range(n):
        for k in range(n):
            hr[i] += inverse[i, k] * r[k]
        rhr += r[i] * hr[i]
    factor = (1.0 + rhr / sr) / sr
    for i in range(n):
        for k in range(n):
            inverse[i, k] += factor * s[i] * s[k] - (hr[i] * s[k] + s[i] * hr[k]) / sr


@njit(cache=True, error_model="numpy", nogil=True)
def roll(kk, y, first, after, dt, begin, every, at, flags, centre, flat, box, inverse, out):  # type: ignore[no-untyped-def]
    """Maxima of windows `first` to `after` of y by three tracks, each window's climb begun where the last one ended.

    One track goes from the best maximum of the window before, one from begin[0], one from begin[1], changed for the
    next of `begin` (s, len(ext)) every so many windows; flat (m,): log density of a diffuse start by window.
    Fills out (m, p + 2): free vector, log likelihood, whether the climb converged.
    """
    p = box.shape[0]
    tracks, curves = np.empty((3, begin.shape[1])), np.empty((3, p, p))
    for s in range(3):
        tracks[s], curves[s] = begin[min(s, 1)], inverse
    for w in range(first.shape[0]):
        part, leader = y[first[w] : after[w]], 0
        if w % every == 0:
            tracks[2], curves[2] = begin[min(1 + w // every, begin.shape[0] - 1)], inverse
        out[w, p], out[w, p + 1] = -math.inf, 0.0
        for s in range(3):
            value, converged, _ = climb(kk, part, dt, tracks[s], at, flags, centre, flat[w], box, curves[s])
            if not converged:
                curves[s] = inverse
            if value > out[w, p] + (1e-7 if s > 0 else 0.0):
                leader = s
                out[w, :p], out[w, p], out[w, p + 1] = tracks[s, :p], value, 1.0 if converged else 0.0
        if leader > 0:
            tracks[0], curves[0] = tracks[leader], curves[leader]


@njit(cache=True, error_model="numpy", nogil=True)
def walk(x, s, phi, c, v, p, z, u, y):  # type: ignore[no-untyped-def]
    """Fills y (n,) by a path from (x, s) on steps of coefficients phi, c, v (2,), p (2, 2); z, u (n - 1,) at random."""
    y[0] = x
    root = np.sqrt(v)
    for i in range(z.shape[0]):
        s = 1 if u[i] < p[s, 1] else 0
        x = phi[s] * x + c[s] + root[s] * z[i]
        y[i + 1] = x
