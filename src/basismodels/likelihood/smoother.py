"""Smoothed regimes and states from filtered ones (Kim 1994); exact for one regime (Rauch, Tung & Striebel 1965).

For observed series without noise the probabilities are Hamilton's exact smoother.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.kim import Filtered, Steps

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
# squared deviations from a branch's forecast, in its variances, beyond which it is not smoothed: merging
# makes such branches, and where a regime has next to no shocks the recursion would make them grow without bound
FAR = 400.0


class Smoothed(NamedTuple):
    """Smoother output: p (n, K); mean (n, K, 2) and var (n, K, 3) of (x, l) given the regime."""

    p: Array
    mean: Array
    var: Array


@njit(cache=True, error_model="numpy")
def _back_one(a, b, d, pa, pb, pd, phi, rho):  # type: ignore[no-untyped-def]
    """Smoothing gain (2 x 2) V F' P^-1; a dimension without predicted variance has gain zero."""
    fa = phi * a
    fb = rho * b
    ga = phi * b
    gb = rho * d
    if pd <= 1e-14 * pa:
        return fa / pa, 0.0, ga / pa, 0.0
    if pa <= 1e-14 * pd:
        return 0.0, fb / pd, 0.0, gb / pd
    det = pa * pd - pb * pb
    if det <= 1e-11 * pa * pd:
        # one direction u carries the predicted variance u u': its pseudo-inverse
        ua = math.sqrt(pa)
        ud = math.copysign(math.sqrt(pd), pb)
        scale = 1.0 / (pa + pd) ** 2
        along_x = (fa * ua + fb * ud) * scale
        along_l = (ga * ua + gb * ud) * scale
        return along_x * ua, along_x * ud, along_l * ua, along_l * ud
    return (
        (fa * pd - fb * pb) / det,
        (fb * pa - fa * pb) / det,
        (ga * pd - gb * pb) / det,
        (gb * pa - ga * pb) / det,
    )


@njit(cache=True, error_model="numpy", nogil=True)
def _smooth(kk, row, steps, fp, fm, fv, sp, sm, sv):  # type: ignore[no-untyped-def]
    phi, c, v, tau2, share, rho, w, p = steps
    K = len(kk)
    n = fp.shape[0]
    sp[n - 1] = fp[n - 1]
    sm[n - 1] = fm[n - 1]
    sv[n - 1] = fv[n - 1]
    weight = np.empty((K, K))
    mx = np.empty((K, K))
    ml = np.empty((K, K))
    va = np.empty((K, K))
    vb = np.empty((K, K))
    vd = np.empty((K, K))
    for back in range(n - 1):
        i = n - 2 - back
        r = row[i + 1]
        for k in range(K):
            norm = 0.0
            for j in range(K):
                norm += fp[i, j] * p[r, j, k]
            f = phi[r, k]
            ro = rho[r]
            for j in range(K):
                weight[j, k] = sp[i + 1, k] * fp[i, j] * p[r, j, k] / norm if norm > 0.0 else 0.0
                a = fv[i, j, 0]
                b = fv[i, j, 1]
                d = fv[i, j, 2]
                pa = f * f * a + v[r, k]
                pb = f * ro * b
                pd = ro * ro * d + w[r]
                j11, j12, j21, j22 = _back_one(a, b, d, pa, pb, pd, f, ro)
                ex = sm[i + 1, k, 0] - f * fm[i, j, 0] - c[r, k]
                el = sm[i + 1, k, 1] - ro * fm[i, j, 1]
                far = ex * ex + sv[i + 1, k, 0] > FAR * pa
                far = far or el * el + sv[i + 1, k, 2] > FAR * max(pd, 1e-14 * pa)
                if far and K > 1:
                    # the merged moments ahead cannot have come from this branch: its filtered ones stand
                    mx[j, k], ml[j, k] = fm[i, j, 0], fm[i, j, 1]
                    va[j, k], vb[j, k], vd[j, k] = a, b, d
                    continue
                mx[j, k] = fm[i, j, 0] + j11 * ex + j12 * el
                ml[j, k] = fm[i, j, 1] + j21 * ex + j22 * el
                da = sv[i + 1, k, 0] - pa
                db = sv[i + 1, k, 1] - pb
                dd = sv[i + 1, k, 2] - pd
                va[j, k] = max(a + j11 * j11 * da + 2.0 * j11 * j12 * db + j12 * j12 * dd, 0.0)
                vb[j, k] = b + j11 * j21 * da + (j11 * j22 + j12 * j21) * db + j12 * j22 * dd
                vd[j, k] = max(d + j21 * j21 * da + 2.0 * j21 * j22 * db + j22 * j22 * dd, 0.0)
        for j in range(K):
            total = 0.0
            for k in range(K):
                total += weight[j, k]
            sp[i, j] = total
            if total < 1e-290:
                # no weight to share out: the filtered moments stand
                sp[i, j] = 0.0
                sm[i, j] = fm[i, j]
                sv[i, j] = fv[i, j]
                continue
            i_t = 1.0 / total
            x = 0.0
            l = 0.0
            for k in range(K):
                if weight[j, k] > 0.0:  # a branch of no weight may have no finite moments either
                    x += weight[j, k] * i_t * mx[j, k]
                    l += weight[j, k] * i_t * ml[j, k]
            a = 0.0
            b = 0.0
            d = 0.0
            for k in range(K):
                q = weight[j, k] * i_t
                if q <= 0.0:
                    continue
                ex = mx[j, k] - x
                el = ml[j, k] - l
                a += q * (va[j, k] + ex * ex)
                b += q * (vb[j, k] + ex * el)
                d += q * (vd[j, k] + el * el)
            sm[i, j, 0] = x
            sm[i, j, 1] = l
            sv[i, j, 0] = a
            sv[i, j, 1] = b
            sv[i, j, 2] = d


def smooth(filtered: Filtered, row: Rows, steps: Steps) -> Smoothed:
    """Smoothed probabilities and moments by regime, (n, K), (n, K, 2), (n, K, 3)."""
    out = Smoothed(np.empty_like(filtered.p), np.empty_like(filtered.mean), np.empty_like(filtered.var))
    k = filtered.p.shape[1]
    _smooth((0,) * k, row, tuple(steps), filtered.p, filtered.mean, filtered.var, *out)
    return out
