"""Are ranks uniform? Simultaneous bands for their distribution (Saeilynoja, Buerkner & Vehtari 2022)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SERIES = 4000


def points(size: int) -> Array:
    """Where the distribution of ranks 0..size, as (rank + 1) / (size + 1), is looked at."""
    return np.arange(1, size + 1) / (size + 1.0)


def counts(ranks: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Number of ranks at or below each of 0..size - 1, (..., size)."""
    return np.asarray((np.asarray(ranks)[..., None, :] <= np.arange(size)[:, None]).sum(axis=-1))


def worst(found: NDArray[np.int64], number: int, size: int) -> Array:
    """Least two-sided binomial tail over all points, of counts (..., size) among `number` ranks."""
    from scipy.stats import binom

    z = points(size)
    below, above = binom.cdf(found, number, z), binom.sf(found - 1, number, z)
    return np.asarray(2.0 * np.minimum(below, above).min(axis=-1))


@lru_cache
def _null(number: int, size: int) -> Array:
    """`worst` of uniform ranks, sorted."""
    rng = np.random.default_rng(20220)
    blocks = [worst(counts(rng.integers(0, size + 1, (50, number)), size), number, size) for _ in range(_SERIES // 50)]
    return np.sort(np.concatenate(blocks))


def p_value(ranks: NDArray[np.int64], size: int) -> float:
    """Probability that uniform ranks stray as far from their law as these, at the point where they stray most."""
    null = _null(len(ranks), size)
    own = float(worst(counts(np.asarray(ranks), size), len(ranks), size))
    return (1.0 + float(np.searchsorted(null, own * (1.0 + 1e-9), side="right"))) / (1.0 + len(null))


def band(number: int, size: int, level: float = 0.95) -> tuple[Array, Array]:
    """Limits (size,) that the distribution of `number` uniform ranks stays within throughout at the level."""
    from scipy.stats import binom

    tail = float(np.quantile(_null(number, size), 1.0 - level))
    z = points(size)
    return binom.ppf(0.5 * tail, number, z) / number, binom.isf(0.5 * tail, number, z) / number


def holm(p: Array) -> Array:
    """P values adjusted for their number (Holm 1979)."""
    order = np.argsort(p)
    raised = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(raised, 1.0)
    return out
