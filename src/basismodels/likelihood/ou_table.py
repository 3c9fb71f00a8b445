"""Null distribution of the signed likelihood root of kappa for a plain Ornstein-Uhlenbeck process.

The root r = sign(k - k0) sqrt(2 (max - profile(k0))) of the likelihood conditional on the first
observation does not depend on level or volatility, so paths with theta = 0 and sigma = 1 serve
all series on one time grid. With innovations e_i = y_i - phi0_i y_{i-1} the residual at another
kappa is e_i + (phi0_i - phi_i) y_{i-1}: five sums per distinct step hold the whole likelihood.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.lanes import fill, fma, load, store
from basismodels.likelihood.transition import decay_ratio

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_LANES = 128
_WIDTH = (0,) * 8
_BELOW, _ABOVE = 20, 28


@njit(cache=True, error_model="numpy", nogil=True)
def _walk(ww, z, row, phi, root, state, acc):  # type: ignore[no-untyped-def]
    """Walks lanes of paths from `state`; adds sums of (b, e, b b, b e, e e) of each distinct step to `acc`.

    z (n lanes), state (lanes,), acc (d 5 lanes), all flat; phi and root (d,).
    """
    width = len(ww)
    lanes = state.shape[0]
    for j in range(0, lanes, width):
        x = load(ww, state, j)
        for i in range(row.shape[0]):
            kind = row[i]
            e = fill(ww, root[kind]) * load(ww, z, i * lanes + j)
            at = kind * 5 * lanes + j
            store(load(ww, acc, at) + x, acc, at)
            store(load(ww, acc, at + lanes) + e, acc, at + lanes)
            store(fma(x, x, load(ww, acc, at + 2 * lanes)), acc, at + 2 * lanes)
            store(fma(x, e, load(ww, acc, at + 3 * lanes)), acc, at + 3 * lanes)
            store(fma(e, e, load(ww, acc, at + 4 * lanes)), acc, at + 4 * lanes)
            x = fma(fill(ww, phi[kind]), x, e)


@njit(cache=True, error_model="numpy", nogil=True)
def _roots_even(sums, n, phi, out):  # type: ignore[no-untyped-def]
    """Signed roots on an even grid, in closed form; phi stays positive."""
    for j in range(out.shape[0]):
        b = sums[0, 0, j] / n
        e = sums[0, 1, j] / n
        bb = sums[0, 2, j] - n * b * b
        be = sums[0, 3, j] - n * b * e
        ee = sums[0, 4, j] - n * e * e
        delta = min(-be / bb, phi)
        ratio = (2.0 * delta * be + delta * delta * bb) / ee
        out[j] = math.copysign(math.sqrt(max(-n * math.log1p(ratio), 0.0)), delta)


@njit(cache=True, error_model="numpy", nogil=True)
def _roots_uneven(sums, count, n, delta, weight, pull, log_g, centre, out):  # type: ignore[no-untyped-def]
    """Signed roots from the profile at m values of kappa (m, d), the best three joined by a parabola."""
    m, d = delta.shape
    value = np.empty(m)
    for j in range(out.shape[0]):
        for g in range(m):
            a = 0.0
            b = 0.0
            c = 0.0
            for k in range(d):
                q = delta[g, k]
                w = weight[g, k]
                h = pull[g, k]
                a += count[k] * h * h * w
                b += h * w * (sums[k, 1, j] + q * sums[k, 0, j])
                c += w * (sums[k, 4, j] + q * (2.0 * sums[k, 3, j] + q * sums[k, 2, j]))
            value[g] = -n * math.log(c - b * b / a) - log_g[g]
        best = int(np.argmax(value))
        top = value[best]
        side = float(best - centre)
        if 0 < best < m - 1:
            left = value[best - 1]
            right = value[best + 1]
            bend = left - 2.0 * top + right
            shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
            top -= 0.25 * (left - right) * shift
            side += shift
        out[j] = math.copysign(math.sqrt(max(top - value[centre], 0.0)), side)


class Node(NamedTuple):
    """One true kappa: phi, sd (d,) of each distinct step, start's sd, profile's grid where steps are uneven."""

    phi: Array
    root: Array
    start: float
    grid: tuple[Array, Array, Array, Array, int] | None


def signed_roots(kappas: Array, dt: Array, paths: int, seed: int) -> Array:
    """Signed roots (g, paths) at each true kappa (g,) in 1/h, at steps dt (n,) in hours.

    kappa > 0 starts from the stationary law, kappa <= 0 at the level: as kappa falls to zero the
    pull kappa (theta - y0), of order sqrt(kappa), vanishes, so one continues the other. Every kappa
    sees the same shocks.
    """
    kinds, row, counts = np.unique(dt, return_inverse=True, return_counts=True)
    rows, count = np.ascontiguousarray(row.ravel(), dtype=np.int64), counts.astype(float)
    nodes = [_node(float(kappa), kinds, count) for kappa in kappas]
    generator = np.random.Generator(np.random.SFC64(seed))
    blocks = -(-paths // _LANES)
    out = np.empty((len(nodes), blocks * _LANES))
    for block in range(blocks):
        z = generator.standard_normal((len(dt) + 1, _LANES))
        for k, node in enumerate(nodes):
            own = out[k, block * _LANES : (block + 1) * _LANES]
            _roots(node, z, rows, count, own)
    return out[:, :paths]


def _roots(node: Node, z: Array, rows: Rows, count: Array, out: Array) -> None:
    acc = np.zeros((len(count), 5, _LANES))
    _walk(_WIDTH, z[1:].reshape(-1), rows, node.phi, node.root, node.start * z[0], acc.reshape(-1))
    if node.grid is None:
        _roots_even(acc, len(rows), node.phi[0], out)
    else:
        _roots_uneven(acc, count, len(rows), *node.grid, out)


def _node(kappa: float, kinds: Array, count: Array) -> Node:
    phi, root = np.exp(-kappa * kinds), np.sqrt(kinds * decay_ratio(2.0 * kappa * kinds))
    grid = _profile_grid(kappa, kinds, count) if len(kinds) > 1 else None
    return Node(phi, root, math.sqrt(0.5 / kappa) if kappa > 0 else 0.0, grid)


def _profile_grid(kappa: float, kinds: Array, count: Array) -> tuple[Array, Array, Array, Array, int]:
    """At values around kappa, denser near it: phi0 - phi, 1/g, h (m, d), sum of log g (m,), and kappa's own place."""
    span = float(kinds @ count)
    reach = kappa * span
    width = math.sqrt(2.0 * reach + 9.0) if reach > 0 else 3.0 * math.exp(0.5 * reach)
    values = kappa + width / span * np.sinh(0.15 * np.arange(-_BELOW, _ABOVE + 1))
    u = np.outer(values, kinds)
    g = kinds * decay_ratio(2.0 * u)
    delta = -np.exp(-kappa * kinds) * np.expm1(-np.outer(values - kappa, kinds))
    return delta, 1.0 / g, kinds * decay_ratio(u), np.log(g) @ count, _BELOW
