"""The models among which the best is, with a given confidence (Hansen, Lunde & Nason 2011)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError
from basismodels.scoring.long_run import bandwidth

Array = NDArray[np.float64]


def confidence_set(
    scores: pd.DataFrame,
    level: float = 0.9,
    *,
    draws: int = 1000,
    block: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """Model confidence set of scores, higher is better: a row a model with its p value and whether it is kept.

    `scores`: time by model, rows with a missing score are dropped. The T-max statistic and a stationary
    bootstrap (Politis & Romano 1994) with mean block 1.3 sqrt(n) rows unless `block` is given. Models that
    are dropped come first, in that order. Errors: DataError for fewer than 20 common rows or one model.
    """
    table = scores.dropna()
    if table.shape[1] < 2 or len(table) < 20:
        raise DataError(f"a confidence set takes two models and 20 common rows, got {table.shape[1]} and {len(table)}")
    losses = -table.to_numpy(dtype=float)
    losses -= losses.mean(axis=1, keepdims=True)
    resampled = _means(losses, draws, block or bandwidth(len(losses)), np.random.default_rng(0 if rng is None else rng))
    order, p = _eliminate(losses.mean(axis=0), resampled)
    index = pd.Index([table.columns[i] for i in order], name="model")
    return pd.DataFrame({"p": p, "kept": p >= 1.0 - level}, index=index)


def _means(losses: Array, draws: int, block: int, rng: np.random.Generator) -> Array:
    """Mean of each column over resampled rows, (draws, m)."""
    n = len(losses)
    sums = np.vstack([np.zeros(losses.shape[1]), np.cumsum(np.vstack([losses, losses]), axis=0)])
    return np.array([_one(sums, n, block, rng) for _ in range(draws)])


def _one(sums: Array, n: int, block: int, rng: np.random.Generator) -> Array:
    """One resample: blocks of geometric length that wrap around, cut where n rows are full."""
    lengths = np.minimum(rng.geometric(1.0 / block, size=2 * n // block + 50), n)
    while lengths.sum() < n:
        lengths = np.concatenate([lengths, np.minimum(rng.geometric(1.0 / block, size=n // block + 50), n)])
    ends = np.minimum(np.cumsum(lengths), n)
    lengths = np.diff(np.concatenate([[0], ends]))
    starts = rng.integers(n, size=len(lengths))
    return np.asarray((sums[starts + lengths] - sums[starts]).sum(axis=0) / n)


def _eliminate(mean: Array, resampled: Array) -> tuple[list[int], Array]:
    """Models in the order they are dropped, and their p values."""
    left = list(range(len(mean)))
    order: list[int] = []
    p: list[float] = []
    while len(left) > 1:
        gap = mean[left] - mean[left].mean()
        noise = resampled[:, left] - resampled[:, left].mean(axis=1, keepdims=True) - gap
        spread = np.maximum(np.sqrt((noise**2).mean(axis=0)), 1e-300)
        share = float(np.mean((noise / spread).max(axis=1) >= (gap / spread).max()))
        p.append(max(share, p[-1] if p else 0.0))
        order.append(left.pop(int(np.argmax(gap / spread))))
    return [*order, left[0]], np.array([*p, 1.0])
