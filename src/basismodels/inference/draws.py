"""Draws of the free vector that stand for the uncertainty of a fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.results import Fit

Array = NDArray[np.float64]


def draws_of(fit: Fit, m: int = 500, rng: np.random.Generator | int | None = None) -> Array:
    """Draws (m, p) in the free space: the fit's own, else normal around the maximum.

    Errors: ModelError where the information is not positive definite or an estimate is at
    its bound, since no normal law describes that; `bm.bootstrap(fit)` does.
    """
    generator = np.random.default_rng(0 if rng is None else rng)
    if fit.draws is not None:
        if len(fit.draws) <= m:
            return fit.draws
        return fit.draws[np.sort(generator.choice(len(fit.draws), m, replace=False))]
    if not np.all(np.isfinite(fit.cov)):
        stuck = [name for name, v in zip(fit.names, np.diag(fit.cov), strict=True) if not np.isfinite(v)]
        raise ModelError(
            "no normal draws: an estimate is at its bound or the information is not positive definite",
            rows=stuck,
            remedy="bm.bootstrap(fit, draws=200), then use its result in place of the fit",
        )
    root = np.linalg.cholesky(fit.cov + 0.0)
    return np.asarray(fit.x + generator.standard_normal((m, len(fit.x))) @ root.T)


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
