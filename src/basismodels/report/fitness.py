"""How well the chosen model describes the data: residuals, and its half-life at several spacings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from basismodels.errors import DataError
from basismodels.results import Fit
from basismodels.scoring.residuals import Residuals, residuals
from basismodels.scoring.sampling import sampling_check

_MULTIPLES = (1, 2, 4, 8)
_LEAST = 300


@dataclass(frozen=True, eq=False)
class Fitness:
    """Residual diagnostics, and the table of `sampling_check`, empty where the series is too short to thin."""

    residuals: Residuals
    sampling: pd.DataFrame


def fitness(fit: Fit, level: float, rng: np.random.Generator | int | None) -> Fitness | None:
    """Diagnostics of one fit; None where it has too few residuals."""
    try:
        found = residuals(fit)
    except DataError:
        return None
    return Fitness(found, _sampling(fit, level, rng if isinstance(rng, int) else None))


def _sampling(fit: Fit, level: float, rng: int | None) -> pd.DataFrame:
    """Spacings twice, four and eight times the data's, as far as 300 observations are left and stamps allow."""
    minutes = round(60.0 * float(np.median(np.diff(fit.data.hours))))
    if minutes < 1 or 1440 % minutes:
        return pd.DataFrame()
    every = [f"{minutes * k}min" for k in _MULTIPLES if fit.nobs / k >= _LEAST and 1440 % (minutes * k) == 0]
    if len(every) < 2:
        return pd.DataFrame()
    return sampling_check(fit.model, fit.data, every, level=level, starts=4, rng=rng)
