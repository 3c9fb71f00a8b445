"""Long-run variance of a score difference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bandwidth(n: int, horizon: int = 1) -> int:
    """Bartlett lags 1.3 sqrt(n), or what overlapping horizons ask for if more (Lazarus et al. 2018)."""
    return max(math.ceil(1.3 * math.sqrt(n)), horizon - 1)


def long_run_covariance(values: Array, lags: int) -> Array:
    """Covariance (q, q) of sqrt(n) times the mean of `values` (n, q), Bartlett weights (Newey & West 1987)."""
    from statsmodels.stats.sandwich_covariance import S_hac_simple

    centred = values - values.mean(axis=0)
    return np.asarray(S_hac_simple(centred, nlags=lags) / len(values))


def degrees(n: int, lags: int) -> float:
    """Degrees of freedom of the Bartlett estimate, n times 3 / 2 over the lags (fixed-b, Kiefer & Vogelsang 2005)."""
    return 1.5 * n / max(lags, 1)
