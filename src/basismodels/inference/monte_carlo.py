"""The p-value of a statistic whose law is simulated, with its own limits."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError

Array = NDArray[np.float64]


class PValue(NamedTuple):
    """p: share of simulated statistics as large, the observed one counted; lower, upper: 95% limits of that share."""

    p: float
    lower: float
    upper: float


def p_value(statistic: float, simulated: Array) -> tuple[PValue, Array]:
    """p-value with the limits of the number of draws (Clopper & Pearson 1934), and the statistics in use.

    Simulated statistics (draws,) that are not finite are left out. Errors: ModelError where none is left.
    """
    from statsmodels.stats.proportion import proportion_confint

    usable = simulated[np.isfinite(simulated)]
    if not len(usable) or not math.isfinite(statistic):
        raise ModelError("no simulated series could be fitted: the null's estimate is not one to simulate from")
    above = int((usable >= statistic).sum())
    lower, upper = proportion_confint(above, len(usable), method="beta")
    return PValue((above + 1) / (len(usable) + 1), float(lower), float(upper)), usable
