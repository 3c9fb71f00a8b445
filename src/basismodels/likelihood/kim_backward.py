"""Compiled adjoint of `kim_forward`: derivatives of the log likelihood in every step coefficient.

Probabilities are carried by the derivative h with respect to their logarithm, so that
no regime's vanishing weight is ever divided by. The adjoint record is six rows of W
lanes: h and the derivatives in the five moments. Derivatives of P and of the noise's
shares are summed times the coefficient itself; the caller divides.
"""

from __future__ import annotations

import math

from numba import njit

from basismodels.likelihood.kim_forward import (
    BRANCH,
    TINY,
    branches,
    diffuse_branch,
    summed,
    unseen_branches,
    weigh,
)
from basismodels.likelihood.lane_bits import totals
from basismodels.likelihood.lanes import fill, fma, greater, load, reach, store, total


@njit(error_model="numpy")
def _bracket(ww, slow, b, o, s, after, g):  # type: ignore[no-untyped-def]
    """Derivative in a branch's share of its regime, and the branch's deviations from the mean."""
    W = len(ww)
    ex = load(ww, b, o + W) - load(ww, s, after + W)
    value = load(ww, b, g + W) * ex
    value = fma(load(ww, b, g + 3 * W), fma(ex, ex, load(ww, b, o + 3 * W)), value)
    el = ex
    if len(slow) > 0:
        el = load(ww, b, o + 2 * W) - load(ww, s, after + 2 * W)
        value = fma(load(ww, b, g + 2 * W), el, value)
        value = fma(load(ww, b, g + 4 * W), fma(ex, el, load(ww, b, o + 4 * W)), value)
        value = fma(load(ww, b, g + 5 * W), fma(el, el, load(ww, b, o + 5 * W)), value)
    return value, ex, el


@njit(error_model="numpy")
def _unmerge(kk, ww, parts, slow, rest, norm, b, s, after, g):  # type: ignore[no-untyped-def]
    """Adjoint of `merge` and of the weights: branch rows become derivatives.

    Row 0: in the log weight; rows 1-5: in the five moments. `rest` is 1 where the
    observation is seen, less the sum of h.
    """
    W, count = len(ww), len(kk) * len(parts)
    per_regime = load(ww, b, 0)
    for jn in range(1, count):
        per_regime = per_regime + load(ww, b, BRANCH * W * jn)
    scale = fill(ww, 1.0) / greater(per_regime, fill(ww, TINY))
    mean = fill(ww, 0.0)
    for jn in range(count):
        o = BRANCH * W * jn
        value, ex, el = _bracket(ww, slow, b, o, s, after, g)
        mean = fma(load(ww, b, o) * scale, value, mean)
    direct = fill(ww, rest / norm)
    shift = load(ww, b, g) - mean
    ga, two = load(ww, b, g + 3 * W), fill(ww, 2.0)
    for jn in range(count):
        o = BRANCH * W * jn
        value, ex, el = _bracket(ww, slow, b, o, s, after, g)
        weight = load(ww, b, o)
        q = weight * scale
        store(fma(q, value + shift, weight * direct), b, o)
        d_x = fma(two * ga, ex, load(ww, b, g + W))
        if len(slow) > 0:
            gb, gd = load(ww, b, g + 4 * W), load(ww, b, g + 5 * W)
            d_x = fma(gb, el, d_x)
            d_l = fma(two * gd, el, fma(gb, ex, load(ww, b, g + 2 * W)))
            store(q * d_l, b, o + 2 * W)
            store(q * gb, b, o + 4 * W)
            store(q * gd, b, o + 5 * W)
        store(q * d_x, b, o + W)
        store(q * ga, b, o + 3 * W)


@njit(error_model="numpy")
def _unpredict(kk, ww, deep, slow, j, table, at, s, before, b, out, d_x, d_l, da, db, dd, bars):  # type: ignore[no-untyped-def]
    """Adjoint of the prediction from regime j, given derivatives in the predicted moments."""
    W = len(ww)
    phi, rho, two = load(ww, table, at), load(ww, table, at + 3 * W), fill(ww, 2.0)
    x, a = reach(kk, ww, deep, s, before + W, j), reach(kk, ww, deep, s, before + 3 * W, j)
    d_phi = fma(d_x, x, two * da * phi * a)
    store(d_x * phi, b, out + W)
    store(da * phi * phi, b, out + 3 * W)
    if len(slow) > 0:
        c, d = reach(kk, ww, deep, s, before + 4 * W, j), reach(kk, ww, deep, s, before + 5 * W, j)
        d_phi = fma(db * rho, c, d_phi)
        d_rho = fma(d_l, reach(kk, ww, deep, s, before + 2 * W, j), fma(db * phi, c, two * dd * rho * d))
        store(load(ww, bars, at + 3 * W) + d_rho, bars, at + 3 * W)
        store(load(ww, bars, at + 4 * W) + dd, bars, at + 4 * W)
        store(d_l * rho, b, out + 2 * W)
        store(db * phi * rho, b, out + 4 * W)
        store(dd * rho * rho, b, out + 5 * W)
    store(load(ww, bars, at) + d_phi, bars, at)
    store(load(ww, bars, at + W) + d_x, bars, at + W)
    store(load(ww, bars, at + 2 * W) + da, bars, at + 2 * W)


@njit(error_model="numpy")
def _unsee(kk, ww, deep, parts, slow, j, y, table, at, s, before, b, out, bars):  # type: ignore[no-untyped-def]
    """Adjoint of the Kalman steps from regime j."""
    W, R = len(ww), len(parts)
    phi, rho = load(ww, table, at), load(ww, table, at + 3 * W)
    one, half = fill(ww, 1.0), fill(ww, 0.5)
    g1 = fma(phi * phi, reach(kk, ww, deep, s, before + 3 * W, j), load(ww, table, at + 2 * W))
    e = fill(ww, y) - fma(phi, reach(kk, ww, deep, s, before + W, j), load(ww, table, at + W))
    g2 = g1
    if len(slow) > 0:
        pb = phi * rho * reach(kk, ww, deep, s, before + 4 * W, j)
        e = e - rho * reach(kk, ww, deep, s, before + 2 * W, j)
        g1 = g1 + pb
        g2 = pb + fma(rho * rho, reach(kk, ww, deep, s, before + 5 * W, j), load(ww, table, at + 4 * W))
    zero = fill(ww, 0.0)
    s_w, s_x, s_l, s_a, s_b, s_d = zero, zero, zero, zero, zero, zero
    for n in range(R):
        o = BRANCH * W * (j * R + n)
        gl, d_x, da = load(ww, b, o), load(ww, b, o + W), load(ww, b, o + 3 * W)
        precision = load(ww, b, o + 8 * W)
        k1, pe = g1 * precision, e * precision
        d_e = d_x * k1 - gl * pe
        d_k1 = d_x * e - da * g1
        d_s = half * gl * (e * pe - one)
        s_w = s_w + gl
        if len(slow) > 0:
            d_l, db, dd = load(ww, b, o + 2 * W), load(ww, b, o + 4 * W), load(ww, b, o + 5 * W)
            k2 = g2 * precision
            d_e = fma(d_l, k2, d_e)
            d_k1 = d_k1 - db * g2
            d_k2 = d_l * e - dd * g2
            d_s = (d_s - d_k1 * k1 - d_k2 * k2) * precision
            d_g1 = fma(d_k1, precision, d_s) - da * k1
            d_g2 = fma(d_k2, precision, d_s) - db * k1 - dd * k2
            s_l = s_l + (d_l - d_e)
            s_b = s_b + (db + d_g1 + d_g2)
            s_d = s_d + (dd + d_g2)
        else:
            d_s = (d_s - d_k1 * k1) * precision
            d_g1 = fma(d_k1, precision, d_s) - da * k1
        s_a = s_a + (da + d_g1)
        s_x = s_x + (d_x - d_e)
        store(load(ww, bars, at + (5 + n) * W) + d_s, bars, at + (5 + n) * W)
        if R > 1:
            share = at + (5 + R + n) * W
            store(load(ww, bars, share) + gl, bars, share)
    row = at + (5 + 2 * R + j) * W
    store(load(ww, bars, row) + s_w, bars, row)
    store(s_w, b, out)
    _unpredict(kk, ww, deep, slow, j, table, at, s, before, b, out, s_x, s_l, s_a, s_b, s_d, bars)


@njit(error_model="numpy")
def _undiffuse(ww, parts, slow, j, at, b, out, bars):  # type: ignore[no-untyped-def]
    """Adjoint of `diffuse_branch`."""
    W, R = len(ww), len(parts)
    zero = fill(ww, 0.0)
    s_w, s_l, s_d = zero, zero, zero
    for n in range(R):
        o = BRANCH * W * (j * R + n)
        gl, d_x, da = load(ww, b, o), load(ww, b, o + W), load(ww, b, o + 3 * W)
        s_w = s_w + gl
        if len(slow) > 0:
            s_l = s_l + (load(ww, b, o + 2 * W) - d_x)
            s_d = s_d + (da - load(ww, b, o + 4 * W) + load(ww, b, o + 5 * W))
        store(load(ww, bars, at + (5 + n) * W) + da, bars, at + (5 + n) * W)
        if R > 1:
            share = at + (5 + R + n) * W
            store(load(ww, bars, share) + gl, bars, share)
    row = at + (5 + 2 * R + j) * W
    store(load(ww, bars, row) + s_w, bars, row)
    store(s_w, b, out)
    store(zero, b, out + W)
    store(s_l, b, out + 2 * W)
    store(zero, b, out + 3 * W)
    store(zero, b, out + 4 * W)
    store(s_d, b, out + 5 * W)


@njit(error_model="numpy")
def _scatter(K, W, H, b, at, g):  # type: ignore[no-untyped-def]
    """Derivative in each history of K H: that of every history of `reach` that leads on from it."""
    for u in range(K * H):
        value = 0.0
        for k in range(K):
            value += b[at + 6 * W * (u % K) + k * H + u // K]
        b[g + u] = value


@njit(error_model="numpy")
def _gather(kk, ww, deep, slow, b, outs, g):  # type: ignore[no-untyped-def]
    """Sums of the derivatives over the regimes at the step's end: the adjoint record before it."""
    W = len(ww)
    for moment in range(6):
        if len(slow) > 0 or moment == 0 or moment == 1 or moment == 3:
            if len(deep) == 1:
                store(totals(kk, ww, b, outs + moment * W, 6 * W), b, g + moment * W)
            else:
                _scatter(len(kk), W, len(deep), b, outs + moment * W, g + moment * W)


@njit(cache=True, error_model="numpy", nogil=True)
def backward(kk, ww, deep, parts, slow, y, row, table, diffuse, flat, s, b, bars):  # type: ignore[no-untyped-def]
    """Adds derivatives into `bars`; leaves the start's adjoint record where `b` keeps it.

    `s` holds the records of `forward`, the start first. `b` holds the branches, then K
    records of derivatives, then the adjoint record, zero at first.
    """
    K, W, R = len(kk), len(ww), len(parts)
    width = (5 + 2 * R + K) * W
    outs = BRANCH * W * K * R
    g = outs + 6 * W * K
    for back in range(y.shape[0]):
        i = y.shape[0] - 1 - back
        at = row[i] * width
        before, after = 6 * W * i, 6 * W * (i + 1)
        carried = total(load(ww, b, g))
        if math.isnan(y[i]):
            unseen_branches(kk, ww, deep, parts, slow, table, at, s, before, b)
            _unmerge(kk, ww, (0,), slow, -carried, summed(kk, ww, (0,), b), b, s, after, g)
            for j in range(K):
                o = BRANCH * W * j
                out = outs + 6 * W * j
                p_row = at + (5 + 2 * R + j) * W
                weight = load(ww, b, o)
                store(load(ww, bars, p_row) + weight, bars, p_row)
                store(weight, b, out)
                _unpredict(
                    kk, ww, deep, slow, j, table, at, s, before, b, out, load(ww, b, o + W), load(ww, b, o + 2 * W),
                    load(ww, b, o + 3 * W), load(ww, b, o + 4 * W), load(ww, b, o + 5 * W), bars,
                )  # fmt: skip
            _gather(kk, ww, deep, slow, b, outs, g)
            continue
        branches(kk, ww, deep, parts, slow, y[i], table, at, s, before, b)
        if i == 0:
            for j in range(K):
                if diffuse[j] > 0.0:
                    diffuse_branch(kk, ww, deep, parts, slow, y[0], j, flat, table, at, s, before, b)
        norm, _ = weigh(kk, ww, parts, b)
        _unmerge(kk, ww, parts, slow, 1.0 - carried, norm, b, s, after, g)
        for j in range(K):
            out = outs + 6 * W * j
            if i == 0 and diffuse[j] > 0.0:
                _undiffuse(ww, parts, slow, j, at, b, out, bars)
            else:
                _unsee(kk, ww, deep, parts, slow, j, y[i], table, at, s, before, b, out, bars)
        _gather(kk, ww, deep, slow, b, outs, g)
