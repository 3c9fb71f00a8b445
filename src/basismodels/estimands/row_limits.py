"""Limits of a figure by time that carry the uncertainty of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError
from basismodels.estimands.state import state_of
from basismodels.inference.draws import draws_of
from basismodels.inference.intervals import checked_level
from basismodels.inference.tasks import generator_of
from basismodels.likelihood.passage_mean import State
from basismodels.results import Fit

Array = NDArray[np.float64]
Seed = np.random.Generator | int | None


def with_limits(
    frame: pd.DataFrame, name: str, fit: Fit, path: Callable[[Array, State], Array], level: float, draws: int, rng: Seed
) -> pd.DataFrame:
    """The frame with columns `name`_lower and `name`_upper: quantiles over draws of the parameters, row by row.

    `path`: the figure (n,) under a free vector, from the state filtered under it; a draw under which it is not finite
    is left out. Where a fit has no draws the limits are NaN and attrs["note"] says why; attrs["draws"] counts them.
    """
    checked_level(level)
    try:
        points = draws_of(fit, draws, generator_of(rng))
    except ModelError as error:
        frame.attrs["note"] = error.what
        return frame.assign(**{f"{name}_lower": np.nan, f"{name}_upper": np.nan})
    problem = fit.problem

    def one(x: Array) -> Array | None:
        try:
            found = path(x, state_of(problem, problem.engine.filter(problem.layout, x)))
        except (ModelError, np.linalg.LinAlgError):
            return None
        return None if np.isnan(found).any() else found

    with ThreadPoolExecutor(max_workers=2) as pool:
        paths = np.reshape([p for p in pool.map(one, points) if p is not None], (-1, len(frame)))
    lower, upper = draw_limits(np.where(problem.seen[problem.first :], paths, np.nan), level)
    frame.attrs["draws"] = len(paths)
    return frame.assign(**{f"{name}_lower": lower, f"{name}_upper": upper})
