"""Hamilton's filter and smoother on a regular grid, the series cut into pieces run side by side.

With the regime law a (a row vector), a_t = (a_{t-1} P) diag(e_t). A piece multiplies
its matrices P diag(e_t) without knowing where it starts; the K by K products then give
the law at every join exactly. A second run goes back, block by block, and sums what the
gradient needs. The regime of greatest variance is put first and densities taken relative
to its own; products are rescaled by powers of two at every block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from basismodels.likelihood.bundles import (
    add_product,
    after_one,
    columns,
    largest,
    load_bundle,
    one_first,
    pieces_for,
    powers,
    repeat,
    spread_bundle,
    square_of,
    store_bundle,
    store_rows,
    summed,
    times,
)
from basismodels.likelihood.hamilton_head import LN2, exchange, head_filter, head_sums, interleave, room
from basismodels.likelihood.hamilton_sums import BLOCK, piece_sums
from basismodels.likelihood.lane_bits import any_bit, apart, exponent, inverse_power, unlike
from basismodels.likelihood.lanes import fill, spread, store

LEAST_ROWS = 512
# to the power of a block's length this must not underflow
LEAST_P = 1e-18


@njit(error_model="numpy")
def _residual(tt, kk, ww, coef, k, before, now):  # type: ignore[no-untyped-def]
    """Residuals of regime k at several times, scaled so that a density is 2^-(e^2)."""
    K = len(kk)
    e = add_product(repeat(tt, spread(ww, coef, 2 * K + k)), repeat(tt, spread(ww, coef, K + k)), before)
    return add_product(e, repeat(tt, spread(ww, coef, k)), now)


@njit(error_model="numpy")
def _densities(tt, kk, ww, coef, b, from_y, to_e):  # type: ignore[no-untyped-def]
    """Densities relative to the first regime's at as many times as `tt` is long; returns the sum of its exponents."""
    K, W = len(kk), len(ww)
    before, now = load_bundle(tt, ww, b, from_y), load_bundle(tt, ww, b, from_y + W)
    first = _residual(tt, kk, ww, coef, 0, before, now)
    first = first * first
    for k in range(1, K):
        e = _residual(tt, kk, ww, coef, k, before, now)
        store_rows(powers(first - e * e), b, to_e + (k - 1) * W, (K - 1) * W)
    return summed(first)


@njit(error_model="numpy")
def _products(kk, square, ww, coef, y, begin, length, b, at):  # type: ignore[no-untyped-def]
    """Matrix product of each piece into the first rows of `b`, then its exponent and the first regime's.

    The first piece begins with y[begin]. With `at.product` keeps the pieces side by side, every density, and
    the product where each block begins; without, a block of the pieces at a time, which stays in the nearest cache.
    A density so far above the first regime's that a product overflows leaves the product infinite for good.
    """
    K, W = len(kk), len(ww)
    p, product = one_first(square, ww, coef, 3 * K), spread_bundle(square, ww, coef, 3 * K + K * K)
    firsts, exponents = fill(ww, 0.0), fill(ww, 0.0)
    here = at.product
    rows, data = at.e, at.y
    if at.product > 0:
        interleave(ww, y, begin, length, length, b, at.y)
    for first in range(0, length, BLOCK):
        count = min(BLOCK, length - first)
        size = largest(product)
        exponents = exponents + exponent(size)
        product = product * repeat(square, inverse_power(size))
        if at.product > 0:
            store_bundle(product, b, here)
            here += K * K * W
            rows, data = at.e + first * (K - 1) * W, at.y + first * W
        else:
            interleave(ww, y, begin + first, length, count, b, at.y)
        together = count - count % 4
        for t in range(0, together, 4):
            firsts = firsts + _densities(
                (0, 0, 0, 0), kk, ww, coef, b, data + t * W, rows + t * (K - 1) * W
            )
        for t in range(together, count):
            firsts = firsts + _densities((0,), kk, ww, coef, b, data + t * W, rows + t * (K - 1) * W)
        for t in range(count):
            density = after_one(load_bundle(kk[1:], ww, b, rows + t * (K - 1) * W))
            product = times(product, columns(p, density))
    store_bundle(product, b, 0)
    store(exponents, b, K * K * W)
    store(firsts, b, (K * K + 1) * W)


@njit(error_model="numpy")
def _join(kk, ww, law, gradient, b, at):  # type: ignore[no-untyped-def]
    """Laws where the pieces begin; returns the log likelihood.

    With `gradient` also likelihoods of what follows where they end, and `law` (K,) before the first piece is
    replaced by the likelihood of all that follows it.
    """
    K, W = len(kk), len(ww)
    value = 0.0
    now = law.copy()
    for lane in range(W):
        norm = 0.0
        for k in range(K):
            b[at.left + k * W + lane] = law[k]
            now[k] = 0.0
            for j in range(K):
                now[k] += law[j] * b[(j * K + k) * W + lane]
            norm += now[k]
        for k in range(K):
            law[k] = now[k] / norm
        value += math.log(norm) + (b[K * K * W + lane] - b[(K * K + 1) * W + lane]) * LN2
    if not gradient:
        return value
    for k in range(K):
        law[k] = 1.0
    for back in range(W):
        lane = W - 1 - back
        norm = 0.0
        for j in range(K):
            b[at.right + j * W + lane] = law[j]
        for j in range(K):
            now[j] = 0.0
            for k in range(K):
                now[j] += b[(j * K + k) * W + lane] * law[k]
            norm += now[j]
        for j in range(K):
            law[j] = now[j] / norm
    return value


@njit(error_model="numpy")
def _is_regular(ww, row):  # type: ignore[no-untyped-def]
    """Whether all steps but the first are the same one, and worth cutting."""
    n, W = row.shape[0], len(ww)
    if n < LEAST_ROWS:
        return False
    # the first and the last window overlap their neighbours, so that the others begin with a line of the cache
    different = unlike(unlike(fill(ww, 0.0), row, 1, row[1]), row, n - W, row[1])
    for i in range(1 + (-((row.ctypes.data >> 3) + 1) & 7), n - W, W):
        different = unlike(different, row, i, row[1])
    return not any_bit(different)


class Places(NamedTuple):
    """Where in the work array stand: laws at the pieces' beginnings, what follows their ends, data, ..."""

    left: int
    right: int
    y: int
    laws: int
    product: int
    e: int
    size: int


@njit(error_model="numpy")
def places(kk, ww, n, gradient):  # type: ignore[no-untyped-def]
    """Places for a series of n observations."""
    K, W = len(kk), len(ww)
    length = (n - 1) // W
    left = (K * K + 2) * W
    right = left + K * W
    y = right + K * W
    laws = y + ((length if gradient else BLOCK) + 1) * W
    if not gradient:
        return Places(left, right, y, laws, 0, laws, laws + BLOCK * (K - 1) * W)
    product = laws + max((BLOCK + 1) * K, 3 * K + K * K) * W
    e = product + (length // BLOCK + 1) * K * K * W
    return Places(left, right, y, laws, product, e, e + length * (K - 1) * W)


@njit(error_model="numpy")
def _coefficients(kk, phi, c, v, p):  # type: ignore[no-untyped-def]
    """Residuals scaled so that a density is 2^-(e^2), and P with columns over the root of the variance.

    Returns both, the unit matrix, phi and c, flat; then P (K, K) again, its first entry one, and
    the logarithm of what a step's density was divided by.
    """
    K = len(kk)
    coef, relative = np.zeros(5 * K + 2 * K * K), np.empty((K, K))
    for k in range(K):
        scale = math.sqrt(0.5 / (v[k] * LN2))
        coef[k] = scale
        coef[K + k] = -scale * phi[k]
        coef[2 * K + k] = -scale * c[k]
        coef[3 * K + K * K + k * K + k] = 1.0
        coef[3 * K + 2 * K * K + k], coef[4 * K + 2 * K * K + k] = phi[k], c[k]
        for j in range(K):
            relative[j, k] = p[j, k] / p[0, 0] * math.sqrt(v[0] / v[k])
            coef[3 * K + j * K + k] = relative[j, k]
    return coef, relative, math.log(p[0, 0]) - 0.5 * math.log(2.0 * math.pi * v[0])


@njit(error_model="numpy")
def run(kk, square, ww, more, y, phi, c, v, p, law, density0, gradient, b, out):  # type: ignore[no-untyped-def]
    """As `regular`, for one step's coefficients, overwritten; `b` is room as `places` asks.

    With `more` sums of w y'^2 and w y' (K each) follow in `out`.
    """
    apart()
    widest = 0
    for k in range(1, len(kk)):
        widest = k if v[k] > v[widest] else widest
    if widest > 0:
        exchange(kk, more, widest, phi, c, v, p, law, density0, out[:0])
    value = _ordered(kk, square, ww, more, y, phi, c, v, p, law, density0, gradient, b, out)
    if widest > 0:
        exchange(kk, more, widest, phi, c, v, p, law, density0, out)
    return value


@njit(error_model="numpy")
def _ordered(kk, square, ww, more, y, phi, c, v, p, law, density0, gradient, b, out):  # type: ignore[no-untyped-def]
    """As `run`, with the regime of greatest variance first."""
    K, W = len(kk), len(ww)
    coef, relative, unit = _coefficients(kk, phi, c, v, p)
    for j in range(K):
        for k in range(K):
            if not p[j, k] > LEAST_P:
                return math.nan
    steps = y.shape[0] - 1
    length = steps // W
    head = steps - length * W
    at = places(kk, ww, y.shape[0], gradient)
    e, laws = np.empty((W, K)), np.empty((W, K))
    value = head_filter(kk, y, head, coef, relative, law, density0, e, laws)
    _products(kk, square, ww, coef, y, head + 1, length, b, at)
    value += _join(kk, ww, law, gradient, b, at) + steps * unit
    if gradient:
        phi_c = coef[3 * K + 2 * K * K :]
        piece_sums(kk, square, ww, more, coef, phi_c, length, b, at, out)
        head_sums(kk, more, y, head, phi_c, relative, law, e, laws, out)
        for j in range(K):
            for k in range(K):
                out[3 * K + j * K + k] *= relative[j, k] / p[j, k]
    return value


@njit(cache=True, error_model="numpy", nogil=True)
def regular(kk, y, row, phi, c, v, p, law0, mean0, var0, diffuse, flat, gradient, out):  # type: ignore[no-untyped-def]
    """Log likelihood where every step but the first is the same; NaN where this method does not serve.

    With `gradient` `out` (K * (K + 4),) receives sums of w e y', w e, w e^2 (K each), of
    transitions over P (K * K), and the first weights (K), w the smoothed weights.
    """
    square, ww = square_of(kk), pieces_for(kk)
    if not _is_regular(ww, row):
        return math.nan
    K, r = len(kk), row[1]
    density0 = np.empty(K)
    for k in range(K):
        density0[k] = flat
        if diffuse[k] == 0.0:
            e = y[0] - mean0[k, 0]
            density0[k] = -0.5 * (math.log(2.0 * math.pi * var0[k, 0]) + e * e / var0[k, 0])
    b = room(places(kk, ww, y.shape[0], gradient).size)
    own = phi[r].copy(), c[r].copy(), v[r].copy(), p[r].copy(), law0.copy()
    return run(kk, square, ww, (), y, *own, density0, gradient, b, out)


@njit(cache=True, error_model="numpy", nogil=True)
def bars(out, r, y0, v, p, law0, mean0, var0, diffuse, g_phi, g_c, g_v, g_p, g_law, g_mean, g_var):  # type: ignore[no-untyped-def]
    """Derivatives in step r and in the start from the sums of `regular`."""
    K = v.shape[1]
    for k in range(K):
        weight = 0.0
        for j in range(K):
            g_p[r, j, k] = out[3 * K + j * K + k]
            weight += p[r, j, k] * g_p[r, j, k]
        g_phi[r, k] = out[k] / v[r, k]
        g_c[r, k] = out[K + k] / v[r, k]
        g_v[r, k] = 0.5 * (out[2 * K + k] / v[r, k] - weight) / v[r, k]
        first = out[3 * K + K * K + k]
        if law0[k] > 0.0:
            g_law[k] = first / law0[k]
        if diffuse[k] == 0.0:
            e = (y0 - mean0[k, 0]) / var0[k, 0]
            g_mean[k, 0] = first * e
            g_var[k, 0] = 0.5 * first * (e * e - 1.0 / var0[k, 0])
