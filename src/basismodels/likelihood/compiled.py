"""Log likelihood and exact gradient of a free vector, compiled from end to end.

The same numbers as `assemble` and the kernels give through Python, without a call into it: for
samplers, which ask for little else. `x` (p,) free vector; `out` (p,) receives the gradient;
`Data` and `Shape` of `packed` spelled out; where the value is not finite it is minus infinity
and the gradient zero.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from basismodels.likelihood import hamilton_lanes, hamilton_plain, kalman
from basismodels.likelihood.compiled_predictors import gradient, predictors
from basismodels.likelihood.compiled_start import begin, unbegin
from basismodels.likelihood.compiled_steps import chain_bars, chain_steps, ou_bars, ou_steps
from basismodels.likelihood.kim_backward import backward
from basismodels.likelihood.kim_forward import BRANCH, forward
from basismodels.likelihood.kim_table import _pack, _unpack_bars
from basismodels.likelihood.lane_bits import apart


@njit(error_model="numpy")
def _finish(value, extended, p, out):  # type: ignore[no-untyped-def]
    """Hands back the value, and the gradient in `out`, or minus infinity and zeros."""
    apart()
    good = math.isfinite(value)
    for i in range(p):
        good = good and math.isfinite(extended[i])
    for i in range(p):
        out[i] = extended[i] if good else 0.0
    return value if good else -math.inf


@njit(error_model="numpy")
def _blank(m, K):  # type: ignore[no-untyped-def]
    """Empty derivatives, one array a parameter, in the order of `packed.ORDER`."""
    apart()
    return (
        np.zeros((m, K)), np.zeros((m, K)), np.zeros((m, K)), np.zeros((m, K)), np.zeros(m), np.zeros(m),
        np.zeros((m, K * K)), np.zeros((m, K)), np.zeros(m), np.zeros(m), np.zeros((m, 1)),
    )  # fmt: skip


@njit(error_model="numpy")
def _extended(x, constants):  # type: ignore[no-untyped-def]
    apart()
    out = np.empty(len(x) + len(constants))
    out[: len(x)] = x
    out[len(x) :] = constants
    return out


@njit(error_model="numpy")
def _moves(nat, dt):  # type: ignore[no-untyped-def]
    """phi, c and v (m, K) of the reversion, a jump as the step begins in c; none where the step has no length."""
    apart()
    phi, c, v = ou_steps(nat.kappa, nat.drift, nat.variance, dt)
    for r in range(len(dt)):
        if dt[r] > 0.0:
            for k in range(phi.shape[1]):
                c[r, k] += phi[r, k] * nat.jump[r]
    return phi, c, v


@njit(error_model="numpy")
def _ou_into(nat, dt, g_phi, g_c, g_v, bars):  # type: ignore[no-untyped-def]
    apart()
    for r in range(len(dt)):
        if dt[r] > 0.0:
            for k in range(g_c.shape[1]):
                bars[10][r, 0] += g_c[r, k] * np.exp(-nat.kappa[r, k] * dt[r])
                g_phi[r, k] += g_c[r, k] * nat.jump[r]
    kappa, drift, variance = ou_bars(nat.kappa, nat.drift, nat.variance, dt, g_phi, g_c, g_v)
    bars[0][:] = kappa
    bars[1][:] = drift
    bars[2][:] = variance


@njit(cache=True, error_model="numpy", nogil=True)
def kalman_gradient(kk, x, y, row, dt, design, settings, constants, places, table, flags, out):  # type: ignore[no-untyped-def]
    """One regime without a slow level."""
    m, n = len(dt), len(y)
    extended = _extended(x, constants)
    nat = predictors(1, table, places, flags, design, extended)
    phi, c, v = _moves(nat, dt)
    at = begin(1, nat, settings, False)
    g = np.zeros((4, m))
    value, g_mean, g_var = kalman._gradient(
        y, row, phi[:, 0].copy(), c[:, 0].copy(), v[:, 0].copy(), nat.tau2[:, 0].copy(),
        at.mean[0, 0], at.var[0, 0], at.diffuse[0], at.flat, np.empty(n), np.empty(n), g,
    )  # fmt: skip
    bars = _blank(m, 1)
    _ou_into(nat, dt, g[0].copy().reshape(m, 1), g[1].copy().reshape(m, 1), g[2].copy().reshape(m, 1), bars)
    bars[3][:, 0] = g[3]
    mean_bar, var_bar = np.zeros((1, 2)), np.zeros((1, 3))
    mean_bar[0, 0], var_bar[0, 0] = g_mean, g_var
    unbegin(1, nat, settings, at, np.zeros(1), mean_bar, var_bar, False, bars)
    extended[:] = 0.0
    gradient(nat, bars, table, places, flags, design, extended)
    return _finish(value, extended, len(x), out)


@njit(error_model="numpy")
def _hamilton_plain(kk, y, row, phi, c, v, p, at, g_phi, g_c, g_v, g_p, law_bar, mean_bar, var_bar):  # type: ignore[no-untyped-def]
    """Log likelihood and derivatives on any grid; the derivatives are added."""
    apart()
    n, K = len(y), len(kk)
    dens, filtered, smoothed = np.empty((n, K)), np.empty((n, K)), np.empty((n, K))
    none = np.empty(0)
    hamilton_plain.log_densities(kk, (), y, row, phi, c, v, none, at.mean, at.var, at.diffuse, at.flat, dens)
    value = hamilton_plain.forward(kk, dens, row, p, at.law, filtered, np.empty(n))
    hamilton_plain.smooth(kk, filtered, row, p, smoothed, g_p)
    hamilton_plain.collect(kk, (), y, row, smoothed, phi, c, v, none, g_phi, g_c, g_v, none)
    for r in range(p.shape[0]):
        for j in range(K):
            for k in range(K):
                g_p[r, j, k] = g_p[r, j, k] / p[r, j, k] if p[r, j, k] > 0.0 else 0.0
    for k in range(K):
        weight = smoothed[0, k]
        law_bar[k] = weight / at.law[k] if at.law[k] > 0.0 else 0.0
        if at.diffuse[k] == 0.0:
            e = (y[0] - at.mean[k, 0]) / at.var[k, 0]
            mean_bar[k, 0] = weight * e
            var_bar[k, 0] = 0.5 * weight * (e * e - 1.0 / at.var[k, 0])
    return value


@njit(cache=True, error_model="numpy", nogil=True)
def hamilton_gradient(kk, x, y, row, dt, design, settings, constants, places, table, flags, out):  # type: ignore[no-untyped-def]
    """Several regimes without noise, slow level or missing values; a regular grid takes the lanes."""
    m, K = len(dt), len(kk)
    extended = _extended(x, constants)
    nat = predictors(K, table, places, flags, design, extended)
    phi, c, v = _moves(nat, dt)
    p = chain_steps(K, nat.rates, dt)
    at = begin(K, nat, settings, False)
    g_phi, g_c, g_v, g_p = np.zeros((m, K)), np.zeros((m, K)), np.zeros((m, K)), np.zeros((m, K, K))
    law_bar, mean_bar, var_bar = np.zeros(K), np.zeros((K, 2)), np.zeros((K, 3))
    sums = np.zeros(K * (K + 4))
    value = hamilton_lanes.regular(kk, y, row, phi, c, v, p, at.law, at.mean, at.var, at.diffuse, at.flat, True, sums)
    if math.isfinite(value):
        hamilton_lanes.bars(
            sums, row[1], y[0], v, p, at.law, at.mean, at.var, at.diffuse,
            g_phi, g_c, g_v, g_p, law_bar, mean_bar, var_bar,
        )  # fmt: skip
    else:
        value = _hamilton_plain(kk, y, row, phi, c, v, p, at, g_phi, g_c, g_v, g_p, law_bar, mean_bar, var_bar)
    bars = _blank(m, K)
    _ou_into(nat, dt, g_phi, g_c, g_v, bars)
    bars[6][:] = chain_bars(K, nat.rates, dt, g_p)
    unbegin(K, nat, settings, at, law_bar, mean_bar, var_bar, False, bars)
    extended[:] = 0.0
    gradient(nat, bars, table, places, flags, design, extended)
    return _finish(value, extended, len(x), out)


@njit(error_model="numpy")
def _noise(K, R, nat):  # type: ignore[no-untyped-def]
    """Variances (m, K, R) and shares (m, R) of the noise's parts."""
    apart()
    m = nat.kappa.shape[0]
    tau2, share = np.empty((m, K, R)), np.ones((m, R))
    for r in range(m):
        for k in range(K):
            tau2[r, k, 0] = nat.tau2[r, k]
            if R > 1:
                tau2[r, k, 1] = nat.tau2[r, k] * nat.widen[r]
        if R > 1:
            share[r, 0], share[r, 1] = 1.0 / (1.0 + nat.odds[r]), nat.odds[r] / (1.0 + nat.odds[r])
    return tau2, share


@njit(error_model="numpy")
def _noise_bars(nat, share, g_tau2, g_share, bars):  # type: ignore[no-untyped-def]
    """Derivatives in tau2 and the outliers from those in the parts of the noise."""
    apart()
    m, K, R = g_tau2.shape
    for r in range(m):
        for k in range(K):
            bars[3][r, k] = g_tau2[r, k, 0]
            if R > 1:
                bars[3][r, k] += nat.widen[r] * g_tau2[r, k, 1]
                bars[9][r] += 2.0 * (nat.widen[r] - 1.0) * nat.tau2[r, k] * g_tau2[r, k, 1]
        if R > 1:
            bars[8][r] = share[r, 0] * share[r, 1] * (g_share[r, 1] - g_share[r, 0])


@njit(error_model="numpy")
def _slow_steps(nat, dt, slow):  # type: ignore[no-untyped-def]
    """rho and w (m,) of the slow level."""
    apart()
    rho, w = np.zeros(len(dt)), np.zeros(len(dt))
    if slow:
        phi, _, v = ou_steps(
            nat.slow_kappa.copy().reshape(-1, 1), np.zeros((len(dt), 1)), nat.slow_variance.copy().reshape(-1, 1), dt
        )
        rho[:] = phi[:, 0]
        w[:] = v[:, 0]
    return rho, w


@njit(error_model="numpy")
def _slow_bars(nat, dt, g_rho, g_w, bars):  # type: ignore[no-untyped-def]
    apart()
    zero = np.zeros((len(dt), 1))
    kappa, _, variance = ou_bars(
        nat.slow_kappa.copy().reshape(-1, 1), zero, nat.slow_variance.copy().reshape(-1, 1), dt,
        g_rho.reshape(-1, 1), zero, g_w.reshape(-1, 1),
    )  # fmt: skip
    bars[4][:] = kappa[:, 0]
    bars[5][:] = variance[:, 0]


@njit(error_model="numpy")
def _place(k, K, H):  # type: ignore[no-untyped-def]
    """Place of the history that has been in regime k throughout."""
    return k * ((K * H - 1) // max(K - 1, 1))


@njit(error_model="numpy")
def _first_record(K, W, H, at, out):  # type: ignore[no-untyped-def]
    """The start as the filter's first record: every history has the moments of its newest regime."""
    for k in range(K):
        out[_place(k, K, H)] = at.law[k]
        for t in range(k * H, (k + 1) * H):
            out[W + t], out[2 * W + t] = at.mean[k, 0], at.mean[k, 1]
            for i in range(3):
                out[(3 + i) * W + t] = at.var[k, i]


@njit(cache=True, error_model="numpy", nogil=True)
def kim_gradient(  # type: ignore[no-untyped-def]
    kk, ww, deep, parts, slow, x, y, row, dt, design, settings, constants, places, table, flags, out
):
    """Regimes with noise or a slow level; one regime with a slow level."""
    m, n, K, W, H, R, S = len(dt), len(y), len(kk), len(ww), len(deep), len(parts), len(slow) > 0
    extended = _extended(x, constants)
    nat = predictors(K, table, places, flags, design, extended)
    phi, c, v = _moves(nat, dt)
    tau2, share = _noise(K, R, nat)
    rho, w = _slow_steps(nat, dt, S)
    p = chain_steps(K, nat.rates, dt)
    at = begin(K, nat, settings, S)
    flat = np.empty((m, (5 + 2 * R + K) * W))
    _pack(W, H, phi, c, v, tau2, share, rho, w, p, flat)
    steps = flat.ravel()
    store, b = np.empty((n + 1) * 6 * W), np.zeros((BRANCH * K * R + 6 * (K + 1)) * W)
    store[: 6 * W] = 0.0
    _first_record(K, W, H, at, store)
    value = forward(
        kk, ww, deep, parts, slow, y, row, steps, at.diffuse, at.flat, store, 6 * W, b, np.empty(0)
    )
    g = np.zeros(len(steps))
    backward(kk, ww, deep, parts, slow, y, row, steps, at.diffuse, at.flat, store, b, g)
    g_phi, g_c, g_v, g_p = np.zeros((m, K)), np.zeros((m, K)), np.zeros((m, K)), np.zeros((m, K, K))
    g_tau2, g_share, g_rho, g_w = np.zeros((m, K, R)), np.zeros((m, R)), np.zeros(m), np.zeros(m)
    _unpack_bars(W, H, g.reshape(m, -1), share, p, g_phi, g_c, g_v, g_tau2, g_share, g_rho, g_w, g_p)
    bars = _blank(m, K)
    _ou_into(nat, dt, g_phi, g_c, g_v, bars)
    _noise_bars(nat, share, g_tau2, g_share, bars)
    bars[6][:] = chain_bars(K, nat.rates, dt, g_p)
    law_bar, mean_bar, var_bar = np.zeros(K), np.zeros((K, 2)), np.zeros((K, 3))
    last = len(b) - 6 * W
    for k in range(K):
        here = last + _place(k, K, H)
        law_bar[k] = b[here] / at.law[k] if at.law[k] > 0.0 else 0.0
        mean_bar[k, 0], mean_bar[k, 1] = b[here + W], b[here + 2 * W]
        for i in range(3):
            var_bar[k, i] = b[here + (3 + i) * W]
    if S:
        _slow_bars(nat, dt, g_rho, g_w, bars)
    unbegin(K, nat, settings, at, law_bar, mean_bar, var_bar, S, bars)
    extended[:] = 0.0
    gradient(nat, bars, table, places, flags, design, extended)
    return _finish(value, extended, len(x), out)
