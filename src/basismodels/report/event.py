"""The regime-free event with its limits: outside the band, and no return to it within the horizon."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError
from basismodels.estimands import passage
from basismodels.estimands.event import Event
from basismodels.estimands.failure import COARSE
from basismodels.estimands.passage import convergence_probability
from basismodels.estimands.state import state_of
from basismodels.inference.draws import draws_of
from basismodels.results import Fit

Array = NDArray[np.float64]
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

    Columns probability_no_return, _lower and _upper (quantiles over draws of the parameters);
    where a fit has no draws the limits are NaN and attrs["note"] says why.
    """
    frame = convergence_probability(fit, event.horizon, event.band, event.target)[[NAME]].copy()
    try:
        points = draws_of(fit, draws, rng)
    except ModelError as error:
        frame.attrs["note"] = error.what
        return frame.assign(**{f"{NAME}_lower": np.nan, f"{NAME}_upper": np.nan})
    paths = np.reshape(_paths(fit, points, event), (-1, len(frame)))
    lower, upper = draw_limits(np.where(fit.problem.seen[fit.problem.first :], paths, np.nan), level)
    frame.attrs["draws"] = len(paths)
    return frame.assign(**{f"{NAME}_lower": lower, f"{NAME}_upper": upper})


def _paths(fit: Fit, points: Array, event: Event) -> Array:
    """The probability by time under each draw, (draws, n); a draw under which it is not finite is left out."""
    problem = fit.problem

    def one(x: Array) -> Array | None:
        try:
            state = state_of(problem, problem.engine.filter(problem.layout, x))
            path = passage.no_return(problem, x, state, event, **COARSE)
        except (ModelError, np.linalg.LinAlgError):
            return None
        return path if np.isfinite(path).all() else None

    with ThreadPoolExecutor(max_workers=2) as pool:
        return np.array([path for path in pool.map(one, points) if path is not None])
