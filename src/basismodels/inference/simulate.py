"""Simulation of every model, on any time grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._paths import Path as Path
from basismodels._paths import simulate_path as simulate_path
from basismodels._paths import walk as walk
from basismodels.errors import ModelError, real
from basismodels.model import Component, Model
from basismodels.problem import Problem, bind
from basismodels.series import BasisSeries

Array = NDArray[np.float64]


def simulate(
    model: Component | Model,
    params: Mapping[str, float] | pd.Series[float],
    data_or_times: BasisSeries | pd.DatetimeIndex | Any,
    *,
    initial: str = "stationary",
    rng: np.random.Generator | int | None = None,
) -> BasisSeries:
    """Simulate a model at the times, gaps and covariates of a series, or at given UTC times.

    `params`: values by name as in `fit.params`. The truth comes back as the covariates
    `true_regime`, `true_x` and `true_level` (bps). Errors: ModelError for a missing or unknown name.
    """
    if isinstance(data_or_times, BasisSeries):
        data = data_or_times
    else:
        times = pd.DatetimeIndex(data_or_times)
        data = BasisSeries.from_basis(times, np.arange(len(times)) % 2.0)
    problem = bind(model, data, initial=initial)
    path = simulate_path(problem, free_vector(problem, params), np.random.default_rng(rng))
    return as_series(problem, path, data)


def free_vector(problem: Problem, params: Mapping[str, float] | pd.Series[float]) -> Array:
    """Free vector from values by name; ModelError where names are missing or unknown."""
    if not isinstance(params, Mapping | pd.Series):
        raise ModelError(f"params must be values by name, got {type(params).__name__}", remedy="fit.params")
    values = dict(params)
    missing = [name for name in problem.spec.names if name not in values]
    unknown = [str(name) for name in values if name not in problem.spec.names]
    if missing or unknown:
        raise ModelError(
            f"the model takes {', '.join(problem.spec.names)}", rows=[*missing, *unknown],
            remedy="pass exactly these names, as in fit.params",
        )  # fmt: skip
    return problem.spec.to_free(np.array([real(values[name], name) for name in problem.spec.names]))


def as_series(problem: Problem, path: Path, data: BasisSeries) -> BasisSeries:
    """A path as a series with the truth beside it; rows missing in `data` stay missing."""
    place = problem.place
    seen = np.isfinite(problem.layout.y[place])
    frame = data.covariates.iloc[problem.first :].drop(columns=["perp", "reference"], errors="ignore").copy()
    frame["true_regime"] = path.regime[place].astype(float)
    frame["true_x"], frame["true_level"] = path.x[place], path.level[place]
    made = BasisSeries.from_basis(problem.time, np.where(seen, path.y[place], np.nan), covariates=frame)
    from dataclasses import replace

    facts = {**made.provenance, "source": "simulated", "simulated": True, "model": repr(problem.model)}
    return replace(made, provenance=facts, settlements=data.settlements)
