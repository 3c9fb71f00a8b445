"""Does the half-life depend on how often the basis is looked at? A right model says no."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import BasismodelsError, ModelError
from basismodels.estimands.convergence import half_life
from basismodels.inference.mle import fit as fit_model
from basismodels.model import Component, Model, as_model
from basismodels.presets import parse_model
from basismodels.series import BasisSeries


def sampling_check(
    model: str | Component | Model,
    data: BasisSeries,
    every: Sequence[str] = ("1h", "2h", "4h", "8h"),
    *,
    level: float = 0.95,
    starts: int = 8,
    rng: int | None = None,
) -> pd.DataFrame:
    """Half-lives of one model fitted to the same series at several spacings, a row a spacing and component.

    `every`: spacings as pandas writes them; the last price at or before each stamp on that grid is taken, if it
    is no older than one spacing, not a mean, which would bias the speed. Columns hours (the spacing), nobs,
    component, regime, value, lower, upper (h, Wald), ok. Spacings finer than the data's are left out. Errors:
    ModelError where none is left.
    """
    made = parse_model(model) if isinstance(model, str) else as_model(model)
    finest = float(np.median(np.diff(data.hours)))
    wanted = [step for step in every if pd.Timedelta(step) / pd.Timedelta("1h") >= finest * (1 - 1e-9)]
    if not wanted:
        raise ModelError(f"every spacing asked for is finer than the data's {finest:g} h", remedy='every=("8h", "24h")')
    rows = [row for step in wanted for row in _rows(made, thinned(data, step), step, level, starts, rng)]
    return pd.DataFrame(rows)


def thinned(data: BasisSeries, every: str) -> BasisSeries:
    """The last price at or before each whole multiple of `every` since midnight UTC, at its own stamp.

    A multiple without a price since the one before has none.
    """
    keep = _last_before(data, every)
    beside = data.covariates.iloc[keep] if len(data.covariates.columns) else None
    made = BasisSeries.from_basis(data.time[keep], data.basis[keep], covariates=beside)
    return made.with_mask(data.mask[keep]).with_provenance(**dict(data.provenance))


def _last_before(data: BasisSeries, every: str) -> NDArray[np.int64]:
    """Position of the last row of each step of the grid that has ended, an observed one where there is any."""
    rows = pd.DataFrame({"end": data.time.ceil(every), "seen": data.observed, "row": np.arange(data.n)})
    rows = rows[rows["end"] <= data.time[-1]].sort_values(["end", "seen", "row"])
    return rows.groupby("end")["row"].last().to_numpy(dtype=np.int64)


def _rows(
    model: Model, data: BasisSeries, every: str, level: float, starts: int, rng: int | None
) -> list[dict[str, object]]:
    hours = float(pd.Timedelta(every) / pd.Timedelta("1h"))
    try:
        fit = fit_model(model, data, starts=starts, rng=rng)
        with np.errstate(over="ignore", invalid="ignore"):  # limits of a speed that is not determined
            found = half_life(fit, level=level, method="wald")
    except (BasismodelsError, np.linalg.LinAlgError):
        return []
    return [
        {"every": every, "hours": hours, "nobs": fit.nobs, "component": one.component, "regime": one.regime,
         "value": one.value, "lower": one.lower, "upper": one.upper, "ok": fit.ok}
        for one in found
    ]  # fmt: skip
