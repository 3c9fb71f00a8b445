"""Tests of equal accuracy between two series of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError
from basismodels.scoring.long_run import bandwidth, degrees, long_run_covariance

Array = NDArray[np.float64]
_LEAST = 20


@dataclass(frozen=True)
class ScoreTest:
    """A test between two series of scores.

    difference: mean of first minus second; se: its standard error; statistic and its p value;
    n observations; lags of the long-run variance; distribution the p value rests on.
    """

    name: str
    difference: float
    se: float
    statistic: float
    p: float
    n: int
    lags: int
    distribution: str

    def __str__(self) -> str:
        return (
            f"{self.name}: mean difference {self.difference:.4g} (se {self.se:.2g}, {self.n:,} rows, "
            f"{self.lags} lags), statistic {self.statistic:.3g}, p = {self.p:.3g} by {self.distribution}"
        )


def dm_test(first: Any, second: Any, horizon: int = 1, *, lags: int | None = None) -> ScoreTest:
    """Equal mean scores (Diebold & Mariano 1995); positive where the first scores higher.

    `first`, `second`: scores by time, NaN rows are dropped in pairs; `horizon`: steps ahead they were
    made for; `lags` of the long-run variance, default 1.3 sqrt(n) (Lazarus et al. 2018), whose error the p
    value allows for by Student's t. Errors: DataError for fewer than 20 common rows.
    """
    from scipy.stats import t

    d = differences(first, second)
    lags = bandwidth(len(d), horizon) if lags is None else lags
    se = float(np.sqrt(long_run_covariance(d[:, None], lags)[0, 0] / len(d)))
    mean, df = float(d.mean()), degrees(len(d), lags)
    statistic = mean / se if se > 0 else 0.0
    p = float(2.0 * t.sf(abs(statistic), df))
    return ScoreTest("Diebold-Mariano", mean, se, statistic, p, len(d), lags, f"t({df:.0f})")


def gw_test(first: Any, second: Any, horizon: int = 1) -> ScoreTest:
    """Equal scores given what was known: is the difference predictable by its own past? (Giacomini & White 2006).

    Instruments are a constant and the difference `horizon` rows before; `difference` and `se` as in `dm_test`.
    Errors: DataError for fewer than 20 common rows.
    """
    from scipy.stats import chi2

    d = differences(first, second)
    scale = float(d.std()) or 1.0
    known = np.column_stack([np.ones(len(d) - horizon), d[:-horizon] / scale])
    moments = known * (d[horizon:, None] / scale)
    mean = moments.mean(axis=0)
    from statsmodels.stats.sandwich_covariance import S_hac_simple

    spread = np.asarray(S_hac_simple(moments, nlags=horizon - 1)) / len(moments)
    statistic = float(len(moments) * mean @ np.linalg.pinv(spread) @ mean)
    plain = dm_test(first, second, horizon)
    return ScoreTest(
        "Giacomini-White", plain.difference, plain.se, statistic, float(chi2.sf(statistic, 2)), len(d), horizon - 1,
        "chi2(2)",
    )  # fmt: skip


def differences(first: Any, second: Any) -> Array:
    """First minus second where both are known, (n,); aligned by time where both have an index."""
    if isinstance(first, pd.Series) and isinstance(second, pd.Series):
        first, second = first.align(second, join="inner")
    d = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    d = np.asarray(d[np.isfinite(d)], dtype=np.float64)
    if len(d) < _LEAST:
        raise DataError(f"{len(d)} rows are scored in both series, a test takes {_LEAST}")
    return d
