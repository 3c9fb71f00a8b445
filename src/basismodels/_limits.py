"""Limits that draws give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def draw_limits(values: Array, level: float) -> tuple[Array, Array]:
    """Lower and upper limits (...,) over draws (m, ...): order statistics that hold one more draw so often.

    The next draw of the same law falls between the i-th and the j-th smallest of m with probability
    (j - i) / (m + 1); quantiles by interpolation hold it less often (94.0% for 95% of 200 draws).
    NaN is left out, NaN is returned where nothing else is, or no draw at all; infinite draws are kept.
    """
    ordered = np.sort(np.asarray(values, dtype=float), axis=0)
    if not len(ordered):
        ordered = np.full((1, *ordered.shape[1:]), np.nan)
    count = (~np.isnan(ordered)).sum(axis=0)
    tail = 0.5 * (1.0 - level)
    # rounded: 200 * 0.025 must not fall short of five
    low = np.floor(np.round((count + 1) * tail, 9)).astype(np.int64)
    high = np.ceil(np.round((count + 1) * (1.0 - tail), 9)).astype(np.int64)
    found = []
    for rank in (np.maximum(low, 1), np.minimum(high, np.maximum(count, 1))):
        found.append(np.take_along_axis(ordered, np.asarray(rank)[None] - 1, axis=0)[0])
    return found[0], found[1]
