"""Compiled forward pass of the Kim filter: one vector lane for each regime at a step's end.

At depth d > 1 a lane is a history of the last d regimes, the newest its leading digit to
base K, and `deep` has H = K^(d-1) entries (one at d = 1): lane t is reached from the
histories (t mod H) K + j, one for each regime j that is then forgotten.

A moment record is six rows of W lanes: p, E x, E l, Var x, Cov, Var l. A row of the
table of steps holds phi, c, v, rho, w, then tau2 and share of each part of the noise,
then the rows of P, all W lanes wide. Nothing is ever logged but products of densities.
The widths of the tuples `kk`, `ww`, `parts`, `slow` are known to the compiler: regimes,
lanes, parts of the noise, and whether there is a slow level.
"""

from __future__ import annotations

import math

from numba import njit

from basismodels.likelihood.lane_powers import exp
from basismodels.likelihood.lanes import (
    fill,
    fma,
    greater,
    greatest,
    load,
    reach,
    root,
    store,
    total,
    where_positive,
)

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
TINY = 1e-290
# rows of W lanes kept for each branch (j, part): weight, five moments, density before
# its exponential, the exponent, precision
BRANCH = 9


@njit(error_model="numpy")
def branches(kk, ww, deep, parts, slow, y, table, at, s, before, b):  # type: ignore[no-untyped-def]
    """Kalman step of every branch from the record at `before`: moments, density, exponent, precision."""
    W, R = len(ww), len(parts)
    phi, c, v = load(ww, table, at), load(ww, table, at + W), load(ww, table, at + 2 * W)
    rho, w = load(ww, table, at + 3 * W), load(ww, table, at + 4 * W)
    one, half, seen = fill(ww, 1.0), fill(ww, 0.5), fill(ww, y)
    for j in range(len(kk)):
        px = fma(phi, reach(kk, ww, deep, s, before + W, j), c)
        pa = fma(phi * phi, reach(kk, ww, deep, s, before + 3 * W, j), v)
        base = reach(kk, ww, deep, s, before, j) * load(ww, table, at + (5 + 2 * R + j) * W)
        pl, pb, pd = px, px, px
        e, g1, g2, g = seen - px, pa, pa, pa
        if len(slow) > 0:
            pl = rho * reach(kk, ww, deep, s, before + 2 * W, j)
            pb = phi * rho * reach(kk, ww, deep, s, before + 4 * W, j)
            pd = fma(rho * rho, reach(kk, ww, deep, s, before + 5 * W, j), w)
            e, g1, g2 = e - pl, pa + pb, pb + pd
            g = g1 + g2
        for n in range(R):
            o = BRANCH * W * (j * R + n)
            precision = one / (g + load(ww, table, at + (5 + n) * W))
            k1 = g1 * precision
            store(fma(k1, e, px), b, o + W)
            store(pa - k1 * g1, b, o + 3 * W)
            if len(slow) > 0:
                k2 = g2 * precision
                store(fma(k2, e, pl), b, o + 2 * W)
                store(pb - k1 * g2, b, o + 4 * W)
                store(pd - k2 * g2, b, o + 5 * W)
            weight = base * root(precision)
            if R > 1:
                weight = weight * load(ww, table, at + (5 + R + n) * W)
            store(weight, b, o + 6 * W)
            store(half * e * e * precision, b, o + 7 * W)
            store(precision, b, o + 8 * W)


@njit(error_model="numpy")
def diffuse_branch(kk, ww, deep, parts, slow, y, j, flat, table, at, s, before, b):  # type: ignore[no-untyped-def]
    """Branches from regime j at the first observation, where x is diffuse: x = y - l - noise."""
    W, R = len(ww), len(parts)
    base = reach(kk, ww, deep, s, before, j) * load(ww, table, at + (5 + 2 * R + j) * W)
    level, var = reach(kk, ww, deep, s, before + 2 * W, j), reach(kk, ww, deep, s, before + 5 * W, j)
    zero = fill(ww, 0.0)
    for n in range(R):
        o = BRANCH * W * (j * R + n)
        store(fill(ww, y) - level, b, o + W)
        store(level, b, o + 2 * W)
        store(var + load(ww, table, at + (5 + n) * W), b, o + 3 * W)
        store(zero - var, b, o + 4 * W)
        store(var, b, o + 5 * W)
        store(base * load(ww, table, at + (5 + R + n) * W), b, o + 6 * W)
        store(fill(ww, -flat - HALF_LOG_2PI), b, o + 7 * W)


@njit(error_model="numpy")
def unseen_branches(kk, ww, deep, parts, slow, table, at, s, before, b):  # type: ignore[no-untyped-def]
    """Prediction of every branch where the observation is missing; one branch a regime."""
    W, R = len(ww), len(parts)
    phi, c, v = load(ww, table, at), load(ww, table, at + W), load(ww, table, at + 2 * W)
    rho, w = load(ww, table, at + 3 * W), load(ww, table, at + 4 * W)
    for j in range(len(kk)):
        o = BRANCH * W * j
        store(reach(kk, ww, deep, s, before, j) * load(ww, table, at + (5 + 2 * R + j) * W), b, o)
        store(fma(phi, reach(kk, ww, deep, s, before + W, j), c), b, o + W)
        store(fma(phi * phi, reach(kk, ww, deep, s, before + 3 * W, j), v), b, o + 3 * W)
        if len(slow) > 0:
            store(rho * reach(kk, ww, deep, s, before + 2 * W, j), b, o + 2 * W)
            store(phi * rho * reach(kk, ww, deep, s, before + 4 * W, j), b, o + 4 * W)
            store(fma(rho * rho, reach(kk, ww, deep, s, before + 5 * W, j), w), b, o + 5 * W)


@njit(error_model="numpy")
def _weigh(kk, ww, parts, lift, b):  # type: ignore[no-untyped-def]
    """Weights of the branches times exp(lift); returns their sum."""
    W = len(ww)
    lifted, per_regime = fill(ww, lift), fill(ww, 0.0)
    for jn in range(len(kk) * len(parts)):
        o = BRANCH * W * jn
        q = load(ww, b, o + 6 * W)
        if len(kk) * len(parts) > 1:
            q = q * exp(lifted - load(ww, b, o + 7 * W))
        store(q, b, o)
        per_regime = per_regime + q
    return total(per_regime)


@njit(error_model="numpy")
def summed(kk, ww, parts, b):  # type: ignore[no-untyped-def]
    """Sum of the weights of the branches."""
    W = len(ww)
    per_regime = load(ww, b, 0)
    for jn in range(1, len(kk) * len(parts)):
        per_regime = per_regime + load(ww, b, BRANCH * W * jn)
    return total(per_regime)


@njit(error_model="numpy")
def weigh(kk, ww, parts, b):  # type: ignore[no-untyped-def]
    """Weights of the branches: their sum and the logarithm it was lifted by, zero unless all are minute."""
    W = len(ww)
    if len(kk) * len(parts) == 1:
        return _weigh(kk, ww, parts, 0.0, b), total(load(ww, b, 7 * W))
    norm = _weigh(kk, ww, parts, 0.0, b)
    if norm > 1e-100:
        return norm, 0.0
    best = fill(ww, -1e300)
    for jn in range(len(kk) * len(parts)):
        o = BRANCH * W * jn
        exponent = fill(ww, 0.0) - load(ww, b, o + 7 * W)
        best = greater(best, where_positive(load(ww, b, o + 6 * W), exponent, fill(ww, -1e300)))
    lift = -greatest(best)
    return _weigh(kk, ww, parts, lift, b), lift


@njit(error_model="numpy")
def merge(kk, ww, parts, slow, norm, b, s, after):  # type: ignore[no-untyped-def]
    """Moments of the mixture of branches in each regime, into the record at `after`."""
    W, count = len(ww), len(kk) * len(parts)
    if count == 1:
        store(fill(ww, 1.0), s, after)
        for moment in range(1, 6):
            store(load(ww, b, moment * W), s, after + moment * W)
        return
    step = BRANCH * W
    per_regime = load(ww, b, 0)
    for jn in range(1, count):
        per_regime = per_regime + load(ww, b, step * jn)
    scale = fill(ww, 1.0) / greater(per_regime, fill(ww, TINY))
    store(per_regime * fill(ww, 1.0 / norm), s, after)
    zero = fill(ww, 0.0)
    x, l, a, c, d = zero, zero, zero, zero, zero
    for jn in range(count):
        o = step * jn
        q = load(ww, b, o) * scale
        x = fma(q, load(ww, b, o + W), x)
        a = fma(q, load(ww, b, o + 3 * W), a)
        if len(slow) > 0:
            l = fma(q, load(ww, b, o + 2 * W), l)
            c = fma(q, load(ww, b, o + 4 * W), c)
            d = fma(q, load(ww, b, o + 5 * W), d)
    if count <= 3:
        # sum of q_i q_j (m_i - m_j)^2 over pairs: shorter to wait for than deviations from the mean
        for i in range(count):
            for k in range(i):
                q = (load(ww, b, step * i) * scale) * (load(ww, b, step * k) * scale)
                ex = load(ww, b, step * i + W) - load(ww, b, step * k + W)
                a = fma(q, ex * ex, a)
                if len(slow) > 0:
                    el = load(ww, b, step * i + 2 * W) - load(ww, b, step * k + 2 * W)
                    c = fma(q, ex * el, c)
                    d = fma(q, el * el, d)
    else:
        for jn in range(count):
            q = load(ww, b, step * jn) * scale
            ex = load(ww, b, step * jn + W) - x
            a = fma(q, ex * ex, a)
            if len(slow) > 0:
                el = load(ww, b, step * jn + 2 * W) - l
                c = fma(q, ex * el, c)
                d = fma(q, el * el, d)
    store(x, s, after + W)
    store(a, s, after + 3 * W)
    if len(slow) > 0:
        store(l, s, after + 2 * W)
        store(c, s, after + 4 * W)
        store(d, s, after + 5 * W)


@njit(cache=True, error_model="numpy", nogil=True)
def forward(kk, ww, deep, parts, slow, y, row, table, diffuse, flat, s, stride, b, out_l):  # type: ignore[no-untyped-def]
    """Log likelihood; records follow each other in `s` by `stride` numbers (0: one record, overwritten).

    The first record is the start. `out_l` (n,) or empty receives one-step log densities.
    """
    W, R, K = len(ww), len(parts), len(kk)
    width = (5 + 2 * R + K) * W
    value = 0.0
    product = 1.0
    seen = 0
    for i in range(y.shape[0]):
        at = row[i] * width
        here = i * stride
        if math.isnan(y[i]):
            unseen_branches(kk, ww, deep, parts, slow, table, at, s, here, b)
            merge(kk, ww, (0,), slow, summed(kk, ww, (0,), b), b, s, here + stride)
            if out_l.shape[0] > 0:
                out_l[i] = math.nan
            continue
        branches(kk, ww, deep, parts, slow, y[i], table, at, s, here, b)
        if i == 0:
            for j in range(K):
                if diffuse[j] > 0.0:
                    diffuse_branch(kk, ww, deep, parts, slow, y[0], j, flat, table, at, s, here, b)
        norm, lift = weigh(kk, ww, parts, b)
        merge(kk, ww, parts, slow, norm, b, s, here + stride)
        value -= lift
        seen += 1
        if norm > 1e-100 and norm < 1e100:
            product *= norm
            if not (product > 1e-150 and product < 1e150):
                value += math.log(product)
                product = 1.0
        else:
            value += math.log(norm)
        if out_l.shape[0] > 0:
            out_l[i] = math.log(norm) - lift - HALF_LOG_2PI
    return value + math.log(product) - seen * HALF_LOG_2PI
