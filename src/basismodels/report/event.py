"""The regime-free event with its limits: outside the band, and no return to it within the horizon."""

from __future__ import annotations

import numpy as np
import pandas as pd

from basismodels.estimands.event import Event
from basismodels.estimands.passage import convergence_probability
from basismodels.results import Fit

NAME = "probability_no_return"


def no_return(
    fit: Fit,
    event: Event,
    *,
    level: float = 0.95,
    draws: int = 200,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """P(outside the band and not back within the horizon | data to the row), by time; NaN where operational.

    Columns probability_no_return, _lower and _upper, as `convergence_probability` gives them.
    """
    made = convergence_probability(fit, event.horizon, event.band, event.target, draws=draws, level=level, rng=rng)
    return made[[NAME, f"{NAME}_lower", f"{NAME}_upper"]]
