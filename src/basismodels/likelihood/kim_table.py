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


@njit(cache=True, error_model="numpy", nogil=True)
def _pack(width, phi, c, v, tau2, share, rho, w, p, out):  # type: ignore[no-untyped-def]
    """Rows of the table; lanes beyond K have variance 1 and weight 0."""
    m, regimes = phi.shape
    parts = tau2.shape[2]
    for r in range(m):
        table = out[r]
        for k in range(width):
            held = k < regimes
            table[k] = phi[r, k] if held else 0.0
            table[width + k] = c[r, k] if held else 0.0
            table[2 * width + k] = v[r, k] if held else 1.0
            table[3 * width + k] = rho[r]
            table[4 * width + k] = w[r]
            for n in range(parts):
                table[(5 + n) * width + k] = tau2[r, k, n] if held else 0.0
                table[(5 + parts + n) * width + k] = share[r, n] if held else 0.0
            for j in range(regimes):
                table[(5 + 2 * parts + j) * width + k] = p[r, j, k] if held else 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def _unpack_bars(width, bars, share, p, phi, c, v, tau2, g_share, rho, w, g_p):  # type: ignore[no-untyped-def]
    m, regimes = phi.shape
    parts = tau2.shape[2]
    for r in range(m):
        table = bars[r]
        for k in range(width):
            rho[r] += table[3 * width + k]
            w[r] += table[4 * width + k]
        for k in range(regimes):
            phi[r, k] = table[k]
            c[r, k] = table[width + k]
            v[r, k] = table[2 * width + k]
            for n in range(parts):
                tau2[r, k, n] = table[(5 + n) * width + k]
                if share[r, n] > 0.0:
                    g_share[r, n] += table[(5 + parts + n) * width + k] / share[r, n]
            for j in range(regimes):
                if p[r, j, k] > 0.0:
                    g_p[r, j, k] = table[(5 + 2 * parts + j) * width + k] / p[r, j, k]


def table_of(steps: Any, width: int) -> Array:
    """Flat table of the steps; a row is 5 + 2 R + K vectors of `width` lanes."""
    regimes, parts = steps.tau2.shape[1:]
    out = np.empty((len(steps.phi), (5 + 2 * parts + regimes) * width))
    _pack(width, *(np.ascontiguousarray(part) for part in steps), out)
    return out.ravel()


def bars_of(bars: Array, width: int, steps: Any) -> Any:
    """Derivatives in the flat table to derivatives in the steps, of the same record type."""
    out = type(steps)(*(np.zeros(part.shape) for part in steps))
    share, p = np.ascontiguousarray(steps.share), np.ascontiguousarray(steps.p)
    _unpack_bars(width, bars.reshape(len(steps.phi), -1), share, p, *out)
    return out


def start_record(start: Any, width: int) -> Array:
    """The start as a record of six rows of lanes, flat."""
    out = np.zeros((6, width))
    out[:, : len(start.p)] = [start.p, *start.mean.T, *start.var.T]
    return out.ravel()


def start_bars_of(record: Array, width: int, start: Any) -> Any:
    """An adjoint record to derivatives in the start, of the same record type."""
    rows = record.reshape(6, width)[:, : len(start.p)]
    p = np.divide(rows[0], start.p, out=np.zeros(len(start.p)), where=start.p > 0)
    mean, var = np.ascontiguousarray(rows[1:3].T), np.ascontiguousarray(rows[3:].T)
    return type(start)(p, mean, var, start.diffuse, start.flat)


@njit(cache=True, error_model="numpy", nogil=True)
def unpack(s, width, slow, p, mean, var):  # type: ignore[no-untyped-def]
    """Records after the first to p (n, K), mean (n, K, 2), var (n, K, 3)."""
    for i in range(p.shape[0]):
        at = (i + 1) * 6 * width
        for k in range(p.shape[1]):
            p[i, k] = s[at + k]
            mean[i, k, 0] = s[at + width + k]
            var[i, k, 0] = s[at + 3 * width + k]
            mean[i, k, 1] = s[at + 2 * width + k] if slow else 0.0
            var[i, k, 1] = s[at + 4 * width + k] if slow else 0.0
            var[i, k, 2] = s[at + 5 * width + k] if slow else 0.0
