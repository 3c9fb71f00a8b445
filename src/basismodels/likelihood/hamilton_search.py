"""EM steps and preconditioned BFGS for `hamilton_fit`.

The free vector holds phi, c, log v (K each), then for each row of P the logits of
leaving against staying, K - 1 a row.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from basismodels.likelihood.hamilton_lanes import run
from basismodels.likelihood.hamilton_starts import LEAST_V, MOST_LOGIT

_MOST = 200
_DECREMENT = 1e-9


@njit(error_model="numpy")
def sizes(kk):  # type: ignore[no-untyped-def]
    """Lengths of the free vector and of the kernel's sums."""
    K = len(kk)
    return K * (K + 2), K * (K + 6)


@njit(cache=True, error_model="numpy", nogil=True)
def natural_of(kk, x):  # type: ignore[no-untyped-def]
    """phi, c, v (K,) and p (K, K) from the free vector."""
    K = len(kk)
    p = np.empty((K, K))
    for j in range(K):
        norm = 1.0
        for k in range(K):
            p[j, k] = 1.0 if k == j else math.exp(x[3 * K + j * (K - 1) + k - (k > j)])
        for k in range(K):
            norm += p[j, k] if k != j else 0.0
        for k in range(K):
            p[j, k] /= norm
    return x[:K].copy(), x[K : 2 * K].copy(), np.exp(x[2 * K : 3 * K]), p


@njit(error_model="numpy")
def solve(a, b):  # type: ignore[no-untyped-def]
    """Solution of a small linear system by elimination with pivots; `a` and `b` are overwritten."""
    n = b.shape[0]
    for i in range(n):
        pivot = i
        for r in range(i + 1, n):
            if abs(a[r, i]) > abs(a[pivot, i]):
                pivot = r
        if pivot != i:
            for k in range(n):
                a[i, k], a[pivot, k] = a[pivot, k], a[i, k]
            b[i], b[pivot] = b[pivot], b[i]
        for r in range(i + 1, n):
            f = a[r, i] / a[i, i]
            for k in range(i, n):
                a[r, k] -= f * a[i, k]
            b[r] -= f * b[i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    return b


@njit(error_model="numpy")
def _balance(kk, p):  # type: ignore[no-untyped-def]
    """I - P transposed, its last row replaced by ones: the system of the stationary law."""
    K = len(kk)
    a = np.empty((K, K))
    for i in range(K):
        for j in range(K):
            a[i, j] = 1.0 if i == K - 1 else (i == j) - p[j, i]
    return a


@njit(error_model="numpy")
def stationary_law(kk, p):  # type: ignore[no-untyped-def]
    """Stationary law (K,) of the chain."""
    b = np.zeros(len(kk))
    b[-1] = 1.0
    return solve(_balance(kk, p), b)


@njit(error_model="numpy")
def _evaluate(kk, square, ww, z, x, b, out):  # type: ignore[no-untyped-def]
    """Log likelihood at a free vector; fills the kernel's sums; returns the natural values too."""
    phi, c, v, p = natural_of(kk, x)
    law = stationary_law(kk, p)
    out[:] = 0.0
    value = run(kk, square, ww, (0,), z, phi, c, v, p, law.copy(), np.zeros(len(kk)), True, b, out)
    return value, v, p, law


@njit(error_model="numpy")
def _clip(kk, x):  # type: ignore[no-untyped-def]
    K = len(kk)
    for i in range(2 * K, 3 * K):
        x[i] = min(max(x[i], math.log(LEAST_V)), 10.0)
    for i in range(3 * K, x.shape[0]):
        x[i] = min(max(x[i], -MOST_LOGIT), MOST_LOGIT)


@njit(error_model="numpy")
def em_step(kk, square, ww, z, x, b, out):  # type: ignore[no-untyped-def]
    """One EM step in place, the stationary start left aside; returns the log likelihood before it."""
    K = len(kk)
    value, v, p, _ = _evaluate(kk, square, ww, z, x, b, out)
    if not math.isfinite(value):
        return -math.inf
    for k in range(K):
        weight = 0.0
        for j in range(K):
            weight += p[j, k] * out[3 * K + j * K + k]
        cross, plain, squares = out[k], out[K + k], out[2 * K + k]
        second, level = out[4 * K + K * K + k], out[5 * K + K * K + k]
        det = second * weight - level * level
        if weight > 3.0 and det > 0.0:
            d_phi, d_c = (cross * weight - plain * level) / det, (plain * second - cross * level) / det
            x[k] += d_phi
            x[K + k] += d_c
            x[2 * K + k] = math.log(max((squares - d_phi * cross - d_c * plain) / weight, LEAST_V))
    for j in range(K):
        stay = p[j, j] * out[3 * K + j * K + j]
        for k in range(K):
            if k != j:
                leave = p[j, k] * out[3 * K + j * K + k]
                x[3 * K + j * (K - 1) + k - (k > j)] = math.log(max(leave, 1e-6) / max(stay, 1e-6))
    _clip(kk, x)
    return value


@njit(error_model="numpy")
def _gradient(kk, v, p, law, out, g):  # type: ignore[no-untyped-def]
    """Gradient in the free vector from the kernel's sums, the stationary start included."""
    K = len(kk)
    first = 3 * K + K * K
    bar = np.empty(K)
    for k in range(K):
        bar[k] = out[first + k] / law[k]
    adjoint = solve(_balance(kk, p).T.copy(), bar)
    adjoint[-1] = 0.0
    for k in range(K):
        weight = 0.0
        for j in range(K):
            weight += p[j, k] * out[3 * K + j * K + k]
        g[k], g[K + k] = out[k] / v[k], out[K + k] / v[k]
        g[2 * K + k] = 0.5 * (out[2 * K + k] / v[k] - weight)
    for j in range(K):
        mean = 0.0
        for k in range(K):
            mean += p[j, k] * (out[3 * K + j * K + k] + law[j] * adjoint[k])
        for k in range(K):
            if k != j:
                bar_p = out[3 * K + j * K + k] + law[j] * adjoint[k]
                g[3 * K + j * (K - 1) + k - (k > j)] = p[j, k] * (bar_p - mean)


@njit(error_model="numpy")
def _precondition(kk, v, p, out, h):  # type: ignore[no-untyped-def]
    """Inverse of the information the complete data would hold, (size, size)."""
    K = len(kk)
    h[:] = 0.0
    for k in range(K):
        weight = 0.0
        for j in range(K):
            weight += p[j, k] * out[3 * K + j * K + k]
        weight = max(weight, 1.0)
        second, level = out[4 * K + K * K + k], out[5 * K + K * K + k]
        det = max(second * weight - level * level, 1e-10 * weight * weight)
        h[k, k], h[K + k, K + k] = v[k] * weight / det, v[k] * second / det
        h[k, K + k] = h[K + k, k] = -v[k] * level / det
        h[2 * K + k, 2 * K + k] = 2.0 / weight
    for j in range(K):
        count = 0.0
        for k in range(K):
            count += p[j, k] * out[3 * K + j * K + k]
        count = max(count, 1.0)
        # inverse of count (diag(p) - p p') without the diagonal's own logit
        for a in range(K - 1):
            for k in range(K - 1):
                at = 3 * K + j * (K - 1)
                own = 1.0 / max(p[j, a + (a >= j)], 1.0 / count) if a == k else 0.0
                h[at + a, at + k] = (own + 1.0 / max(p[j, j], 1.0 / count)) / count


@njit(error_model="numpy")
def _update(h, s, r):  # type: ignore[no-untyped-def]
    """BFGS update of the inverse Hessian by a step s and the gradient's change r."""
    sr = np.dot(s, r)
    if sr <= 1e-14:
        return
    hr = np.dot(h, r)
    factor = (1.0 + np.dot(r, hr) / sr) / sr
    n = s.shape[0]
    for i in range(n):
        for k in range(n):
            h[i, k] += factor * s[i] * s[k] - (hr[i] * s[k] + s[i] * hr[k]) / sr


@njit(error_model="numpy")
def ascend(kk, square, ww, z, x, b, out):  # type: ignore[no-untyped-def]
    """BFGS from x in place to a Newton decrement under 1e-9; returns log likelihood and kernel calls."""
    n = x.shape[0]
    g, new_g, h = np.empty(n), np.empty(n), np.empty((n, n))
    value, v, p, law = _evaluate(kk, square, ww, z, x, b, out)
    calls = 1
    if not math.isfinite(value):
        return -math.inf, calls
    _gradient(kk, v, p, law, out, g)
    _precondition(kk, v, p, out, h)
    step = 1.0
    while calls < _MOST:
        d = np.dot(h, g)
        gain = np.dot(g, d)
        if not gain > _DECREMENT:
            break
        step = min(1.0, 3.0 / max(np.abs(d).max(), 1e-300))
        while calls < _MOST:
            new = x + step * d
            _clip(kk, new)
            new_value, v, p, law = _evaluate(kk, square, ww, z, new, b, out)
            calls += 1
            if new_value >= value + 1e-4 * step * gain or step < 1e-8:
                break
            step *= 0.3
        if not new_value >= value:
            break
        _gradient(kk, v, p, law, out, new_g)
        _update(h, new - x, g - new_g)
        x[:] = new
        g[:] = new_g
        value = new_value
    return value, calls
