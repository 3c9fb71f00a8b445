"""Draws of the free vector that stand for the uncertainty of a fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError, whole
from basismodels.inference.tasks import generator_of
from basismodels.results import Fit

Array = NDArray[np.float64]


def draws_of(fit: Fit, m: int = 500, rng: np.random.Generator | int | None = None) -> Array:
    """Draws (m, p) in the free space: the fit's own, else normal around the maximum.

    Errors: ModelError where the information is not positive definite or an estimate is at
    its bound, since no normal law describes that; `bm.bootstrap(fit)` does.
    """
    generator = generator_of(rng)
    m = whole(m, "draws", remedy="draws=200")
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
