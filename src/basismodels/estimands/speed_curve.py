"""The speed of reversion as a function of one covariate, with its interval."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError
from basismodels.estimands.convergence import to_half_life
from basismodels.inference.intervals import checked_level
from basismodels.model import design_again
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
_POINTS = 41


def speed_curve(
    fit: Fit,
    column: str,
    grid: Sequence[float] | Array | None = None,
    *,
    at: Mapping[str, float] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """kappa over values of one covariate, the others held at `at` (default: their medians).

    `grid`: values of the column, default 41 from its 1st to its 99th percentile. Returns a frame by
    value: kappa, lower, upper (1/h) and half_life, half_life_lower, half_life_upper (h), with a level
    "regime" in the index where kappa switches. Limits are the central `level` of the fit's draws
    where it carries any, else normal on the scale of the link. Errors: ModelError where kappa's
    formula does not name the column, or the fit has neither draws nor standard errors.
    """
    checked_fit(fit)
    checked_level(level)
    made = fit.problem.designs.get("kappa")
    if made is None or not any(column in re.findall(r"\w+", name) for name in made.columns):
        raise ModelError(f"the speed does not depend on {column!r}", remedy=f'bm.OU(kappa="1 + {column}")')
    values = _grid(fit, column) if grid is None else np.asarray(grid, dtype=float)
    rows = design_again(made, _frame(fit, column, values, at or {}))
    places = fit.problem.layout.places["kappa"]
    regimes = 1 if bool((places == places[:, :1]).all()) else fit.problem.layout.regimes
    parts = {k: _curve(fit, rows, places[:, k], values, level) for k in range(regimes)}
    if regimes == 1:
        frame = parts[0].rename_axis(column)
    else:
        frame = pd.concat(parts, names=["regime", column])
    frame.attrs |= {"column": column, "level": level}
    return frame


def _grid(fit: Fit, column: str) -> Array:
    low, high = np.nanquantile(fit.data.frame()[column].to_numpy(dtype=float), [0.01, 0.99])
    return np.linspace(low, high, _POINTS)


def _frame(fit: Fit, column: str, values: Array, at: Mapping[str, float]) -> pd.DataFrame:
    """Rows of covariates: the column over its values, the others held still."""
    known = fit.data.frame()
    absent = [name for name in (column, *at) if name not in known.columns]
    if absent:
        raise ModelError(f"the data have no such column; they have {', '.join(map(str, known.columns))}", rows=absent)
    held = known.median(numeric_only=True).to_dict() | dict(at)
    frame = pd.DataFrame({name: np.full(len(values), value) for name, value in held.items()})
    frame[column] = values
    return frame


def _curve(fit: Fit, rows: Array, places: NDArray[np.int64], values: Array, level: float) -> pd.DataFrame:
    """kappa (1/h) and its limits at rows (m, q) of the design, coefficients at `places` (q,)."""
    middle = rows @ np.concatenate([fit.x, fit.problem.layout.constants])[places]
    lower, upper = _limits(fit, rows, places, middle, level)
    kappa, low, high = (np.exp(v) if fit.problem.layout.kappa_log else v for v in (middle, lower, upper))
    life = {
        "half_life": [to_half_life(k) for k in kappa],
        "half_life_lower": [to_half_life(k) for k in high],
        "half_life_upper": [to_half_life(k) for k in low],
    }
    return pd.DataFrame({"kappa": kappa, "lower": low, "upper": high, **life}, index=values)


def _limits(fit: Fit, rows: Array, places: NDArray[np.int64], middle: Array, level: float) -> tuple[Array, Array]:
    """Limits of the linear predictor, (m,) each."""
    from scipy.stats import norm

    constants = fit.problem.layout.constants
    if fit.draws is not None:
        drawn = np.array([np.concatenate([x, constants])[places] for x in fit.draws])
        return draw_limits(drawn @ rows.T, level)
    free = places < len(fit.x)
    cov = fit.cov[np.ix_(places[free], places[free])]
    if not np.all(np.isfinite(cov)):
        raise ModelError("a coefficient of the speed has no standard error", remedy="bm.bootstrap(fit, draws=200)")
    variance = np.einsum("ij,jk,ik->i", rows[:, free], cov, rows[:, free])
    half = float(norm.ppf(0.5 + 0.5 * level)) * np.sqrt(np.maximum(variance, 0.0))
    return middle - half, middle + half
