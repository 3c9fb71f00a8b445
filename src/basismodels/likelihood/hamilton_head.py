"""What `hamilton_lanes` does before its pieces: the first few observations, the order of the regimes, the cut."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from basismodels.likelihood.lane_bits import transpose_block

LN2 = math.log(2.0)
EIGHT = (0,) * 8


@njit(error_model="numpy")
def head_filter(kk, y, count, coef, p, law, density0, e, laws):  # type: ignore[no-untyped-def]
    """Plain filter over the first `count` + 1 observations; leaves the law in `law`; returns the log likelihood.

    After the first observation without the part of the density all share.
    """
    K = len(kk)
    value = 0.0
    now = law.copy()
    for i in range(count + 1):
        top = -np.inf
        for k in range(K):
            if i == 0:
                e[i, k] = density0[k]
            else:
                r = coef[k] * y[i] + coef[K + k] * y[i - 1] + coef[2 * K + k]
                e[i, k] = -r * r * LN2
            top = max(top, e[i, k])
        norm = 0.0
        for k in range(K):
            e[i, k] = math.exp(e[i, k] - top)
            now[k] = law[k]
            if i > 0:
                now[k] = 0.0
                for j in range(K):
                    now[k] += law[j] * p[j, k]
            now[k] *= e[i, k]
            norm += now[k]
        for k in range(K):
            law[k] = now[k] / norm
            laws[i, k] = law[k]
        value += top + math.log(norm)
    return value


@njit(error_model="numpy")
def head_sums(kk, more, y, count, phi_c, p, follow, e, laws, out):  # type: ignore[no-untyped-def]
    """As `piece_sums` over the first observations; the weights of the first go at the end of `out`."""
    K = len(kk)
    ahead = follow.copy()
    for back in range(count + 1):
        i = count - back
        norm = 0.0
        for k in range(K):
            norm += laws[i, k] * follow[k]
        for k in range(K):
            follow[k] /= norm
        if i == 0:
            for k in range(K):
                out[3 * K + K * K + k] = laws[0, k] * follow[k]
            return
        norm = 0.0
        for k in range(K):
            ahead[k] = e[i, k] * follow[k]
            for j in range(K):
                norm += laws[i - 1, j] * p[j, k] * ahead[k]
        for k in range(K):
            r = y[i] - phi_c[K + k] - phi_c[k] * y[i - 1]
            weight = laws[i, k] * follow[k]
            we = weight * r
            if len(more) > 0:
                out[4 * K + K * K + k] += weight * y[i - 1] * y[i - 1]
                out[5 * K + K * K + k] += weight * y[i - 1]
            out[k] += we * y[i - 1]
            out[K + k] += we
            out[2 * K + k] += we * r
            for j in range(K):
                out[3 * K + j * K + k] += laws[i - 1, j] * ahead[k] / norm
        for j in range(K):
            follow[j] = 0.0
            for k in range(K):
                follow[j] += p[j, k] * ahead[k]


@njit(error_model="numpy")
def exchange(kk, more, k, phi, c, v, p, law, density0, out):  # type: ignore[no-untyped-def]
    """Exchanges regimes 0 and k, in the sums `out` too."""
    K = len(kk)
    for a in (phi, c, v, law, density0):
        a[0], a[k] = a[k], a[0]
    for j in range(K):
        p[0, j], p[k, j] = p[k, j], p[0, j]
    for j in range(K):
        p[j, 0], p[j, k] = p[j, k], p[j, 0]
    if out.shape[0] == 0:
        return
    for row in range(4 + K + 2 * len(more)):
        at = row * K
        out[at], out[at + k] = out[at + k], out[at]
    for j in range(K):
        at = 3 * K + j
        out[at], out[at + k * K] = out[at + k * K], out[at]


@njit(error_model="numpy")
def interleave(ww, y, first, stride, length, b, at):  # type: ignore[no-untyped-def]
    """Row t + 1 of lanes: observation t of every piece, pieces `stride` apart; row 0: the one before."""
    W = len(ww)
    for lane in range(W):
        b[at + lane] = y[first + lane * stride - 1]
    whole = length - length % 8
    for t in range(0, whole, 8):
        for lane in range(0, W, 8):
            transpose_block(EIGHT, y, first + lane * stride + t, stride, b, at + (t + 1) * W + lane, W)
    for t in range(whole, length):
        for lane in range(W):
            b[at + (t + 1) * W + lane] = y[first + lane * stride + t]


@njit(error_model="numpy")
def room(size):  # type: ignore[no-untyped-def]
    """An empty flat array (size,) that begins where a line of the cache does: no vector straddles two."""
    wide = np.empty(size + 8)
    shift = (-(wide.ctypes.data >> 3)) & 7
    return wide[shift : shift + size]
