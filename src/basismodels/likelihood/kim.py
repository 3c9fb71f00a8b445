"""Filter of a switching linear Gaussian model by moment matching (Kim 1994).

State (x, l) with K regimes. One step of regime k from the filtered moments of
regime j at the step before:

    x <- phi_k x + c_k + Normal(0, v_k),   l <- rho l + Normal(0, w),
    y  = x + l + Normal(0, tau2_kr)        with probability share_r,

then the K*K*R Gaussians are merged, regime by regime, to their first two
moments. With K = R = 1 nothing is merged and the filter is Kalman's. With
tau2 = 0, no slow level and no missing value it is Hamilton's.

Every array of coefficients is a table of distinct steps; `row[i]` says which
one leads to observation i. Row `row[0]` must be a step of length zero. The
number of regimes is read off the type of the tuple `kk`, so that each K is
compiled on its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Steps(NamedTuple):
    """Step coefficients; m distinct steps, K regimes, R parts of the noise.

    phi, c, v (m, K): reversion, shift in bps, variance in bps^2.
    tau2 (m, K, R): variance of the noise in bps^2; share (m, R): probability of each part.
    rho, w (m,): the slow level's decay and variance (zero without one).
    p (m, K, K): transition matrices, rows from, columns to.
    """

    phi: Array
    c: Array
    v: Array
    tau2: Array
    share: Array
    rho: Array
    w: Array
    p: Array


class Start(NamedTuple):
    """Law of the state at the first observation, before it is seen.

    p (K,): regime probabilities; mean (K, 2) in bps; var (K, 3): variances of x,
    covariance, variance of l, in bps^2; diffuse (K,): 1.0 where x is diffuse,
    then its density is taken as exp(flat) for every value.
    """

    p: Array
    mean: Array
    var: Array
    diffuse: Array
    flat: float


@njit(cache=True, error_model="numpy")
def _update(y, mx, ml, a, b, d, phi, c, v, rho, w, t2):  # type: ignore[no-untyped-def]
    """One Kalman step of (x, l): log density, means and covariances after it."""
    px = phi * mx + c
    pl = rho * ml
    pa = phi * phi * a + v
    pb = phi * rho * b
    pd = rho * rho * d + w
    g1 = pa + pb
    g2 = pb + pd
    s = g1 + g2 + t2
    i_s = 1.0 / s
    e = y - px - pl
    k1 = g1 * i_s
    k2 = g2 * i_s
    lp = -0.5 * (math.log(s) + e * e * i_s) - _HALF_LOG_2PI
    return lp, px + k1 * e, pl + k2 * e, pa - k1 * g1, pb - k1 * g2, pd - k2 * g2


@njit(cache=True, error_model="numpy")
def _predict(mx, ml, a, b, d, phi, c, v, rho, w):  # type: ignore[no-untyped-def]
    return phi * mx + c, rho * ml, phi * phi * a + v, phi * rho * b, rho * rho * d + w


@njit(cache=True, error_model="numpy", nogil=True)
def _forward(kk, y, row, steps, start, out_p, out_m, out_v, out_l):  # type: ignore[no-untyped-def]
    """Filter; fills filtered probabilities, moments and one-step log densities; returns the sum."""
    phi, c, v, tau2, share, rho, w, p = steps
    p0, m0, v0, diffuse, flat = start
    K = len(kk)
    R = tau2.shape[2]
    keep = out_p.shape[0] > 1
    logw = np.empty((K, K, R))
    mx = np.empty((K, K, R))
    ml = np.empty((K, K, R))
    va = np.empty((K, K, R))
    vb = np.empty((K, K, R))
    vd = np.empty((K, K, R))
    pr = p0.copy()
    m = m0.copy()
    s = v0.copy()
    total = 0.0
    for i in range(y.shape[0]):
        r = row[i]
        yi = y[i]
        seen = not math.isnan(yi)
        top = -np.inf
        for j in range(K):
            for k in range(K):
                base = pr[j] * p[r, j, k]
                lb = math.log(base) if base > 0.0 else -np.inf
                for n in range(R):
                    if seen:
                        t2 = tau2[r, k, n]
                        if i == 0 and diffuse[j] > 0.0:
                            lp = flat
                            mx[j, k, n] = yi - m[j, 1]
                            ml[j, k, n] = m[j, 1]
                            va[j, k, n] = s[j, 2] + t2
                            vb[j, k, n] = -s[j, 2]
                            vd[j, k, n] = s[j, 2]
                        else:
                            lp, mx[j, k, n], ml[j, k, n], va[j, k, n], vb[j, k, n], vd[j, k, n] = _update(
                                yi, m[j, 0], m[j, 1], s[j, 0], s[j, 1], s[j, 2],
                                phi[r, k], c[r, k], v[r, k], rho[r], w[r], t2,
                            )  # fmt: skip
                    else:
                        lp = 0.0
                        mx[j, k, n], ml[j, k, n], va[j, k, n], vb[j, k, n], vd[j, k, n] = _predict(
                            m[j, 0], m[j, 1], s[j, 0], s[j, 1], s[j, 2],
                            phi[r, k], c[r, k], v[r, k], rho[r], w[r],
                        )  # fmt: skip
                    if R > 1:
                        lp += math.log(share[r, n])
                    lp += lb
                    logw[j, k, n] = lp
                    top = max(top, lp)
        norm = 0.0
        for j in range(K):
            for k in range(K):
                for n in range(R):
                    logw[j, k, n] = math.exp(logw[j, k, n] - top)
                    norm += logw[j, k, n]
        lf = top + math.log(norm)
        if seen:
            total += lf
        if keep:
            out_l[i] = lf if seen else math.nan
        for k in range(K):
            pk = 0.0
            sx = 0.0
            sl = 0.0
            for j in range(K):
                for n in range(R):
                    q = logw[j, k, n]
                    pk += q
                    sx += q * mx[j, k, n]
                    sl += q * ml[j, k, n]
            i_p = 1.0 / pk if pk > 0.0 else 0.0
            sx *= i_p
            sl *= i_p
            sa = 0.0
            sb = 0.0
            sd = 0.0
            for j in range(K):
                for n in range(R):
                    q = logw[j, k, n] * i_p
                    ex = mx[j, k, n] - sx
                    el = ml[j, k, n] - sl
                    sa += q * (va[j, k, n] + ex * ex)
                    sb += q * (vb[j, k, n] + ex * el)
                    sd += q * (vd[j, k, n] + el * el)
            pr[k] = pk / norm
            m[k, 0] = sx
            m[k, 1] = sl
            s[k, 0] = sa
            s[k, 1] = sb
            s[k, 2] = sd
        if keep:
            for k in range(K):
                out_p[i, k] = pr[k]
                out_m[i, k, 0] = m[k, 0]
                out_m[i, k, 1] = m[k, 1]
                out_v[i, k, 0] = s[k, 0]
                out_v[i, k, 1] = s[k, 1]
                out_v[i, k, 2] = s[k, 2]
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _backward(kk, y, row, steps, start, fp, fm, fv, bars, start_bars):  # type: ignore[no-untyped-def]
    """Adjoint of `_forward`: derivatives of the log likelihood, added into `bars` and `start_bars`.

    The probabilities are carried by the derivative h with respect to their
    logarithm, so that no regime's vanishing weight is ever divided by.
    """
    phi, c, v, tau2, share, rho, w, p = steps
    p0, m0, v0, diffuse, flat = start
    g_phi, g_c, g_v, g_tau2, g_share, g_rho, g_w, g_p = bars
    g_p0, g_m0, g_v0 = start_bars
    K = len(kk)
    R = tau2.shape[2]
    wt = np.empty((K, K, R))
    mx = np.empty((K, K, R))
    ml = np.empty((K, K, R))
    va = np.empty((K, K, R))
    vb = np.empty((K, K, R))
    vd = np.empty((K, K, R))
    h = np.zeros(K)
    gm = np.zeros((K, 2))
    gs = np.zeros((K, 3))
    h_in = np.empty(K)
    gm_in = np.empty((K, 2))
    gs_in = np.empty((K, 3))
    pr = np.empty(K)
    m = np.empty((K, 2))
    s = np.empty((K, 3))
    for back in range(y.shape[0]):
        i = y.shape[0] - 1 - back
        r = row[i]
        yi = y[i]
        seen = not math.isnan(yi)
        if i > 0:
            for k in range(K):
                pr[k] = fp[i - 1, k]
                m[k, 0] = fm[i - 1, k, 0]
                m[k, 1] = fm[i - 1, k, 1]
                s[k, 0] = fv[i - 1, k, 0]
                s[k, 1] = fv[i - 1, k, 1]
                s[k, 2] = fv[i - 1, k, 2]
        else:
            for k in range(K):
                pr[k] = p0[k]
                m[k, 0] = m0[k, 0]
                m[k, 1] = m0[k, 1]
                s[k, 0] = v0[k, 0]
                s[k, 1] = v0[k, 1]
                s[k, 2] = v0[k, 2]
        top = -np.inf
        for j in range(K):
            for k in range(K):
                base = pr[j] * p[r, j, k]
                lb = math.log(base) if base > 0.0 else -np.inf
                for n in range(R):
                    if seen:
                        t2 = tau2[r, k, n]
                        if i == 0 and diffuse[j] > 0.0:
                            lp = flat
                            mx[j, k, n] = yi - m[j, 1]
                            ml[j, k, n] = m[j, 1]
                            va[j, k, n] = s[j, 2] + t2
                            vb[j, k, n] = -s[j, 2]
                            vd[j, k, n] = s[j, 2]
                        else:
                            lp, mx[j, k, n], ml[j, k, n], va[j, k, n], vb[j, k, n], vd[j, k, n] = _update(
                                yi, m[j, 0], m[j, 1], s[j, 0], s[j, 1], s[j, 2],
                                phi[r, k], c[r, k], v[r, k], rho[r], w[r], t2,
                            )  # fmt: skip
                    else:
                        lp = 0.0
                        mx[j, k, n], ml[j, k, n], va[j, k, n], vb[j, k, n], vd[j, k, n] = _predict(
                            m[j, 0], m[j, 1], s[j, 0], s[j, 1], s[j, 2],
                            phi[r, k], c[r, k], v[r, k], rho[r], w[r],
                        )  # fmt: skip
                    if R > 1:
                        lp += math.log(share[r, n])
                    lp += lb
                    wt[j, k, n] = lp
                    top = max(top, lp)
        norm = 0.0
        for j in range(K):
            for k in range(K):
                for n in range(R):
                    wt[j, k, n] = math.exp(wt[j, k, n] - top)
                    norm += wt[j, k, n]
        i_n = 1.0 / norm
        rest = 1.0 if seen else 0.0
        for k in range(K):
            rest -= h[k]
            h_in[k] = 0.0
            gm_in[k, 0] = 0.0
            gm_in[k, 1] = 0.0
            gs_in[k, 0] = 0.0
            gs_in[k, 1] = 0.0
            gs_in[k, 2] = 0.0
        for k in range(K):
            pk = 0.0
            for j in range(K):
                for n in range(R):
                    pk += wt[j, k, n]
            i_p = 1.0 / pk if pk > 0.0 else 0.0
            ck0 = fm[i, k, 0]
            ck1 = fm[i, k, 1]
            gmx = gm[k, 0]
            gml = gm[k, 1]
            ga = gs[k, 0]
            gb = gs[k, 1]
            gd = gs[k, 2]
            mean_br = 0.0
            for j in range(K):
                for n in range(R):
                    ex = mx[j, k, n] - ck0
                    el = ml[j, k, n] - ck1
                    br = (
                        gmx * ex + gml * el + ga * (va[j, k, n] + ex * ex)
                        + gb * (vb[j, k, n] + ex * el) + gd * (vd[j, k, n] + el * el)
                    )  # fmt: skip
                    mean_br += wt[j, k, n] * i_p * br
            for j in range(K):
                for n in range(R):
                    q = wt[j, k, n] * i_p
                    if q == 0.0:
                        continue
                    ex = mx[j, k, n] - ck0
                    el = ml[j, k, n] - ck1
                    br = (
                        gmx * ex + gml * el + ga * (va[j, k, n] + ex * ex)
                        + gb * (vb[j, k, n] + ex * el) + gd * (vd[j, k, n] + el * el)
                    )  # fmt: skip
                    gl = q * (br - mean_br + h[k]) + wt[j, k, n] * i_n * rest
                    h_in[j] += gl
                    if p[r, j, k] > 0.0:
                        g_p[r, j, k] += gl / p[r, j, k]
                    if R > 1:
                        g_share[r, n] += gl / share[r, n]
                    omx = q * (gmx + 2.0 * ga * ex + gb * el)
                    oml = q * (gml + gb * ex + 2.0 * gd * el)
                    oa = q * ga
                    ob = q * gb
                    od = q * gd
                    if i == 0 and diffuse[j] > 0.0 and seen:
                        g_tau2[r, k, n] += oa
                        gm_in[j, 1] += oml - omx
                        gs_in[j, 2] += oa - ob + od
                        continue
                    f = phi[r, k]
                    ro = rho[r]
                    if seen:
                        pa = f * f * s[j, 0] + v[r, k]
                        pb = f * ro * s[j, 1]
                        pd = ro * ro * s[j, 2] + w[r]
                        g1 = pa + pb
                        g2 = pb + pd
                        i_s = 1.0 / (g1 + g2 + tau2[r, k, n])
                        e = yi - f * m[j, 0] - c[r, k] - ro * m[j, 1]
                        k1 = g1 * i_s
                        k2 = g2 * i_s
                        ge = -gl * e * i_s + omx * k1 + oml * k2
                        gk1 = omx * e - oa * g1 - ob * g2
                        gk2 = oml * e - od * g2
                        g_s = gl * 0.5 * (e * e * i_s - 1.0) * i_s - (gk1 * k1 + gk2 * k2) * i_s
                        gg1 = -oa * k1 + gk1 * i_s + g_s
                        gg2 = -ob * k1 - od * k2 + gk2 * i_s + g_s
                        g_tau2[r, k, n] += g_s
                        oa += gg1
                        ob += gg1 + gg2
                        od += gg2
                        omx -= ge
                        oml -= ge
                    g_phi[r, k] += omx * m[j, 0] + 2.0 * oa * f * s[j, 0] + ob * ro * s[j, 1]
                    g_c[r, k] += omx
                    g_v[r, k] += oa
                    g_rho[r] += oml * m[j, 1] + ob * f * s[j, 1] + 2.0 * od * ro * s[j, 2]
                    g_w[r] += od
                    gm_in[j, 0] += omx * f
                    gm_in[j, 1] += oml * ro
                    gs_in[j, 0] += oa * f * f
                    gs_in[j, 1] += ob * f * ro
                    gs_in[j, 2] += od * ro * ro
        for k in range(K):
            h[k] = h_in[k]
            gm[k, 0] = gm_in[k, 0]
            gm[k, 1] = gm_in[k, 1]
            gs[k, 0] = gs_in[k, 0]
            gs[k, 1] = gs_in[k, 1]
            gs[k, 2] = gs_in[k, 2]
    for k in range(K):
        g_p0[k] = h[k] / p0[k] if p0[k] > 0.0 else 0.0
        g_m0[k, 0] = gm[k, 0]
        g_m0[k, 1] = gm[k, 1]
        g_v0[k, 0] = gs[k, 0]
        g_v0[k, 1] = gs[k, 1]
        g_v0[k, 2] = gs[k, 2]


class Filtered(NamedTuple):
    """Filter output: p (n, K); mean (n, K, 2), var (n, K, 3) of (x, l); log_density (n,), NaN where missing."""

    p: Array
    mean: Array
    var: Array
    log_density: Array


def _tuple(k: int) -> tuple[int, ...]:
    return (0,) * k


def loglik(y: Array, row: Rows, steps: Steps, start: Start) -> float:
    """Log likelihood of y (n,) in bps, NaN where missing."""
    k = steps.phi.shape[1]
    none = np.empty((1, k))
    value = _forward(
        _tuple(k), y, row, tuple(steps), tuple(start), none, none[:, :, None], none[:, :, None], none[0]
    )
    return float(value)


def filter(y: Array, row: Rows, steps: Steps, start: Start) -> Filtered:
    """Filtered regime probabilities and moments, and one-step log densities."""
    n, k = len(y), steps.phi.shape[1]
    # a second, unused row keeps one observation distinguishable from "store nothing"
    size = max(n, 2)
    out = Filtered(np.empty((size, k)), np.empty((size, k, 2)), np.empty((size, k, 3)), np.empty(size))
    _forward(_tuple(k), y, row, tuple(steps), tuple(start), out.p, out.mean, out.var, out.log_density)
    return Filtered(*(part[:n] for part in out))


def loglik_grad(y: Array, row: Rows, steps: Steps, start: Start) -> tuple[float, Steps, Start]:
    """Log likelihood and its derivatives with respect to every coefficient and the start."""
    filtered = filter(y, row, steps, start)
    bars = Steps(*(np.zeros_like(part) for part in steps))
    p, mean, var = np.zeros_like(start.p), np.zeros_like(start.mean), np.zeros_like(start.var)
    _backward(
        _tuple(steps.phi.shape[1]), y, row, tuple(steps), tuple(start),
        filtered.p, filtered.mean, filtered.var, tuple(bars), (p, mean, var),
    )  # fmt: skip
    value = float(np.nansum(filtered.log_density))
    return value, bars, Start(p, mean, var, start.diffuse, start.flat)


def pointwise(y: Array, row: Rows, steps: Steps, start: Start) -> Array:
    """One-step-ahead log density of each observation (n,), NaN where missing."""
    return filter(y, row, steps, start).log_density


def any_tuple(steps: Any) -> tuple[Any, ...]:
    """The plain tuple a compiled kernel takes."""
    return tuple(steps)
