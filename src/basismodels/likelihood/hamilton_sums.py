"""The second run of `hamilton_lanes`: back through the pieces, block by block, summing over smoothed weights."""

from __future__ import annotations

from numba import njit

from basismodels.likelihood.bundles import (
    add_outer,
    add_product,
    after_one,
    applied,
    columns,
    load_bundle,
    one_first,
    repeat,
    spread_bundle,
    store_bundle,
    summed,
    times,
)
from basismodels.likelihood.lanes import fill, load, total

BLOCK = 16


@njit(error_model="numpy")
def _block_laws(kk, square, ww, p, left, length, b, at, block):  # type: ignore[no-untyped-def]
    """Law after each observation of a block, up to one power of two, into the rows at `at.laws`."""
    K, W = len(kk), len(ww)
    first = block * BLOCK
    law = times(left, load_bundle(square, ww, b, at.product + block * K * K * W))
    store_bundle(law, b, at.laws)
    for t in range(min(BLOCK, length - first)):
        density = after_one(load_bundle(kk[1:], ww, b, at.e + (first + t) * (K - 1) * W))
        law = times(law, columns(p, density))
        store_bundle(law, b, at.laws + (t + 1) * K * W)


@njit(error_model="numpy")
def piece_sums(kk, square, ww, more, coef, phi_c, length, b, at, out):  # type: ignore[no-untyped-def]
    """Adds to `out`: sums of w e y', w e, w e^2 by regime and of transitions over P, w the smoothed weights.

    With `more` also those of w y'^2 and w y', behind the first weights.
    """
    K, W = len(kk), len(ww)
    phi, c = spread_bundle(kk, ww, phi_c, 0), spread_bundle(kk, ww, phi_c, K)
    p = one_first(square, ww, coef, 3 * K)
    zero = repeat(kk, fill(ww, 0.0))
    cross, plain, squares, pairs = zero, zero, zero, repeat(square, fill(ww, 0.0))
    second, level = zero, zero
    follow, left = load_bundle(kk, ww, b, at.right), load_bundle(kk, ww, b, at.left)
    blocks = (length + BLOCK - 1) // BLOCK
    for back in range(blocks):
        block = blocks - 1 - back
        first = block * BLOCK
        count = min(BLOCK, length - first)
        _block_laws(kk, square, ww, p, left, length, b, at, block)
        law = load_bundle(kk, ww, b, at.laws + count * K * W)
        follow = follow * repeat(kk, fill(ww, 1.0) / summed(law * follow))
        for step in range(count):
            t = count - 1 - step
            weight = law * follow
            law = load_bundle(kk, ww, b, at.laws + t * K * W)
            before = repeat(kk, load(ww, b, at.y + (first + t) * W))
            now = load(ww, b, at.y + (first + t + 1) * W)
            e = repeat(kk, now) - add_product(c, phi, before)
            we = weight * e
            plain = plain + we
            cross = add_product(cross, we, before)
            squares = add_product(squares, we, e)
            if len(more) > 0:
                level_part = weight * before
                level = level + level_part
                second = add_product(second, level_part, before)
            ahead = follow * after_one(load_bundle(kk[1:], ww, b, at.e + (first + t) * (K - 1) * W))
            pairs = add_outer(pairs, law, ahead)
            follow = applied(p, ahead)
    store_bundle(cross, b, at.laws)
    store_bundle(plain, b, at.laws + K * W)
    store_bundle(squares, b, at.laws + 2 * K * W)
    store_bundle(pairs, b, at.laws + 3 * K * W)
    for i in range(3 * K + K * K):
        out[i] += total(load(ww, b, at.laws + i * W))
    if len(more) > 0:
        store_bundle(second, b, at.laws)
        store_bundle(level, b, at.laws + K * W)
        for i in range(2 * K):
            out[4 * K + K * K + i] += total(load(ww, b, at.laws + i * W))
