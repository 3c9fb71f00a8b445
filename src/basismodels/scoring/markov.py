"""A switching regression of statsmodels, wrapped so that it forecasts with frozen parameters."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.mixture import Mixture
from basismodels.scoring.baselines import Baseline

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def markov_regression(y: Array, horizon: int = 1, start: Array | None = None) -> tuple[Baseline, Array]:
    """`MarkovRegression` in two regimes: constant, slope on the last value and variance switch (Hamilton 1989).

    Fitted from `start` where given; returns the baseline and the parameters.
    Its filter runs over later rows at these; missing rows are passed over. Errors: ModelError for a
    horizon beyond one row, which statsmodels cannot forecast, and where its fit fails.
    """
    if horizon != 1:
        raise ModelError("statsmodels' MarkovRegression cannot forecast more than one row ahead", remedy="horizon=1")
    now, before, _ = _neighbours(y)
    params = _fitted(now, before, start)

    def predict(values: Array, rows: Index) -> Mixture:
        return _ahead(values, rows, params)

    return Baseline(predict), params


def _neighbours(y: Array) -> tuple[Array, Array, Index]:
    """Observed values, the observed value before each, and their rows."""
    seen = np.flatnonzero(np.isfinite(y))
    return y[seen[1:]], y[seen[:-1]], seen[1:]


def _model(now: Array, before: Array) -> Any:
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    return MarkovRegression(now, k_regimes=2, exog=before, switching_variance=True)


def _fitted(now: Array, before: Array, start: Array | None) -> Array:
    """The better of its own search and one from a least-squares start, since the first breaks down on quiet data."""
    made = _model(now, before)
    starts = [start] if start is not None else [None, _least_squares(now, before)]
    found = [one for one in (_one_fit(made, begin) for begin in starts) if one is not None]
    if found:
        return max(found, key=lambda one: one[0])[1]
    if start is None:
        raise ModelError("statsmodels' MarkovRegression cannot be fitted to these data")
    return start


def _one_fit(made: Any, start: Array | None) -> tuple[float, Array] | None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = made.fit(start_params=start, disp=False, cov_type="none")
        except (np.linalg.LinAlgError, RuntimeError, ValueError):
            return None
    params = np.asarray(found.params, dtype=float)
    return (float(found.llf), params) if np.isfinite(found.llf) and np.all(np.isfinite(params)) else None


def _least_squares(now: Array, before: Array) -> Array:
    """Regimes that differ in variance alone: p[0->0], p[1->0], constants, slopes, variances."""
    slope, constant = np.polyfit(before, now, 1)
    variance = float(np.var(now - constant - slope * before))
    return np.array([0.95, 0.1, constant, constant, slope, slope, 0.3 * variance, 3.0 * variance])


def _ahead(values: Array, rows: Index, params: Array) -> Mixture:
    """Predicted regime probabilities and a Gaussian a regime, at the rows wanted; NaN at missing rows."""
    now, before, at = _neighbours(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = _model(now, before)
        weight = np.asarray(made.filter(params).predicted_marginal_probabilities)[: len(now)]
    named = dict(zip(made.param_names, params, strict=True))
    mean = np.column_stack([named[f"const[{k}]"] + named[f"x1[{k}]"] * before for k in (0, 1)])
    sd = np.sqrt([named[f"sigma2[{k}]"] for k in (0, 1)])
    out = Mixture(*(np.full((len(values), 2), np.nan) for _ in range(3)))
    out.weights[at], out.mean[at], out.sd[at] = weight, mean, sd
    return Mixture(out.weights[rows], out.mean[rows], out.sd[rows])
