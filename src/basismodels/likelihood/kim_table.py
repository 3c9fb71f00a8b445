"""Step coefficients to the flat table the compiled filter reads, and records back to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


def lanes_for(regimes: int) -> int:
    """Vector lanes that hold `regimes` regimes: the next power of two."""
    return 1 << (regimes - 1).bit_length()


@njit(error_model="numpy")
def _from(t, j, deep, regimes):  # type: ignore[no-untyped-def]
    """Regime just before the newest one of history t, j the one then forgotten."""
    return j if deep == 1 else (t % deep) // (deep // regimes)


@njit(cache=True, error_model="numpy", nogil=True)
def _pack(width, deep, phi, c, v, tau2, share, rho, w, p, out):  # type: ignore[no-untyped-def]
    """Rows of the table; lanes beyond the histories have variance 1 and weight 0."""
    m, regimes = phi.shape
    parts = tau2.shape[2]
    for r in range(m):
        table = out[r]
        for t in range(width):
            held = t < regimes * deep
            k = t // deep if held else 0
            table[t] = phi[r, k] if held else 0.0
            table[width + t] = c[r, k] if held else 0.0
            table[2 * width + t] = v[r, k] if held else 1.0
            table[3 * width + t] = rho[r]
            table[4 * width + t] = w[r]
            for n in range(parts):
                table[(5 + n) * width + t] = tau2[r, k, n] if held else 0.0
                table[(5 + parts + n) * width + t] = share[r, n] if held else 0.0
            for j in range(regimes):
                table[(5 + 2 * parts + j) * width + t] = p[r, _from(t, j, deep, regimes), k] if held else 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def _unpack_bars(width, deep, bars, share, p, phi, c, v, tau2, g_share, rho, w, g_p):  # type: ignore[no-untyped-def]
    m, regimes = phi.shape
    parts = tau2.shape[2]
    for r in range(m):
        table = bars[r]
        for t in range(width):
            rho[r] += table[3 * width + t]
            w[r] += table[4 * width + t]
        for t in range(regimes * deep):
            k = t // deep
            phi[r, k] += table[t]
            c[r, k] += table[width + t]
            v[r, k] += table[2 * width + t]
            for n in range(parts):
                tau2[r, k, n] += table[(5 + n) * width + t]
                if share[r, n] > 0.0:
                    g_share[r, n] += table[(5 + parts + n) * width + t] / share[r, n]
            for j in range(regimes):
                i = _from(t, j, deep, regimes)
                if p[r, i, k] > 0.0:
                    g_p[r, i, k] += table[(5 + 2 * parts + j) * width + t] / p[r, i, k]


def table_of(steps: Any, width: int, deep: int) -> Array:
    """Flat table of the steps; a row is 5 + 2 R + K vectors of `width` lanes."""
    regimes, parts = steps.tau2.shape[1:]
    out = np.empty((len(steps.phi), (5 + 2 * parts + regimes) * width))
    _pack(width, deep, *(np.ascontiguousarray(part) for part in steps), out)
    return out.ravel()


def bars_of(bars: Array, width: int, deep: int, steps: Any) -> Any:
    """Derivatives in the flat table to derivatives in the steps, of the same record type."""
    out = type(steps)(*(np.zeros(part.shape) for part in steps))
    share, p = np.ascontiguousarray(steps.share), np.ascontiguousarray(steps.p)
    _unpack_bars(width, deep, bars.reshape(len(steps.phi), -1), share, p, *out)
    return out


def _alike(regimes: int, deep: int) -> NDArray[np.int64]:
    """Places of the histories that have been in one regime throughout, (K,)."""
    return np.arange(regimes, dtype=np.int64) * ((regimes * deep - 1) // max(regimes - 1, 1))


def start_record(start: Any, width: int, deep: int) -> Array:
    """The start as a record of six rows of lanes, flat; a start of K regimes never switched before."""
    out = np.zeros((6, width))
    rows = np.array([start.p, *start.mean.T, *start.var.T])
    regimes = len(start.diffuse)
    if len(start.p) == regimes and deep > 1:
        out[1:, : regimes * deep] = np.repeat(rows[1:], deep, axis=1)
        out[0, _alike(regimes, deep)] = start.p
    else:
        out[:, : len(start.p)] = rows
    return out.ravel()


def start_bars_of(record: Array, width: int, deep: int, start: Any) -> Any:
    """An adjoint record to derivatives in the start, of the same record type."""
    places = _alike(len(start.p), deep)
    rows = record.reshape(6, width)[:, places]
    p = np.divide(rows[0], start.p, out=np.zeros(len(start.p)), where=start.p > 0)
    mean, var = np.ascontiguousarray(rows[1:3].T), np.ascontiguousarray(rows[3:].T)
    return type(start)(p, mean, var, start.diffuse, start.flat)


@njit(cache=True, error_model="numpy", nogil=True)
def unpack(s, width, deep, slow, p, mean, var):  # type: ignore[no-untyped-def]
    """Records after the first to p (n, K), mean (n, K, 2), var (n, K, 3); histories are merged by newest regime."""
    for i in range(p.shape[0]):
        at = (i + 1) * 6 * width
        for k in range(p.shape[1]):
            weight, x, l, a, c, d = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(k * deep, (k + 1) * deep):
                weight += s[at + t]
            for t in range(k * deep, (k + 1) * deep):
                q = 1.0 if deep == 1 else s[at + t] / max(weight, 1e-290)
                x += q * s[at + width + t]
                l += q * s[at + 2 * width + t] if slow else 0.0
            for t in range(k * deep, (k + 1) * deep):
                q = 1.0 if deep == 1 else s[at + t] / max(weight, 1e-290)
                ex = s[at + width + t] - x
                a += q * (s[at + 3 * width + t] + ex * ex)
                if slow:
                    el = s[at + 2 * width + t] - l
                    c += q * (s[at + 4 * width + t] + ex * el)
                    d += q * (s[at + 5 * width + t] + el * el)
            p[i, k] = weight
            mean[i, k, 0], mean[i, k, 1] = x, l
            var[i, k, 0], var[i, k, 1], var[i, k, 2] = a, c, d
