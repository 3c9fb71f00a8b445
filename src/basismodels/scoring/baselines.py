"""Plain forecasts every model has to beat, each fitted to the past and scored as a predictive density.

A baseline is a function from past values and a horizon to a `Baseline`; a new one is named once, in BASELINES.
Values are in bps by row, NaN where unobserved; `horizon` counts rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import DataError
from basismodels.estimands.event import Event
from basismodels.estimands.mixture import Mixture
from basismodels.scoring.events import failures
from basismodels.scoring.forward import seen_values, values_of
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Predict = Callable[[Array, NDArray[np.int64]], Mixture]
_GROUPS = 80
_EDGES = (1.0, 1.5, 2.0, 3.0, 5.0)
_LEAST = 50


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    predict: from values up to and including the targets (n,), and the rows of targets, their laws given
    the values at least `horizon` rows before; failing: shares of failures by distance from the target.
    """

    predict: Predict
    failing: tuple[float, ...] = ()


def last_known(y: Array, rows: NDArray[np.int64], horizon: int) -> tuple[Array, NDArray[np.int64]]:
    """Last observed value at least `horizon` rows before each row, and how many rows before it stands."""
    at = np.where(np.isfinite(y), np.arange(len(y)), -1)
    at = np.maximum.accumulate(at)[np.maximum(rows - horizon, 0)]
    return np.where(at >= 0, y[np.maximum(at, 0)], np.nan), rows - at


def autoregression(y: Array, horizon: int = 1) -> Baseline:
    """AR(1) by ordinary least squares on neighbouring rows; several rows ahead by iteration."""
    before, now = _pairs(y, 1)
    slope, constant = np.polyfit(before, now, 1)
    variance = float(np.var(now - constant - slope * before))

    def predict(values: Array, rows: NDArray[np.int64]) -> Mixture:
        last, gap = last_known(values, rows, horizon)
        powers = slope ** np.arange(int(gap.max()) + 1)
        level = np.concatenate([[0.0], np.cumsum(powers)])[gap]
        spread = np.concatenate([[0.0], np.cumsum(powers**2)])[gap]
        return _gaussian(constant * level + powers[gap] * last, np.sqrt(variance * spread))

    return Baseline(predict)


def heterogeneous(y: Array, horizon: int = 1) -> Baseline:
    """HAR (Corsi 2009): regression on the last value and the means of the last 24 and 168 rows, directly ahead."""
    features = _har(y)
    x, target = features[:-horizon], y[horizon:]
    known = np.isfinite(x).all(axis=1) & np.isfinite(target)
    _enough(known.sum())
    beta = np.linalg.lstsq(x[known], target[known], rcond=None)[0]
    sd = float(np.std(target[known] - x[known] @ beta))

    def predict(values: Array, rows: NDArray[np.int64]) -> Mixture:
        mean = _har(values)[rows - horizon] @ beta
        return _gaussian(mean, np.full(len(rows), sd))

    return Baseline(predict)


def _har(y: Array) -> Array:
    """Constant, last known value, means over 24 and 168 rows, (n, 4)."""
    import pandas as pd

    series = pd.Series(y)
    day, week = (series.rolling(n, min_periods=1).mean() for n in (24, 168))
    return np.column_stack([np.ones(len(y)), series.ffill(), day.ffill(), week.ffill()])


def historical(y: Array, horizon: int = 1) -> Baseline:
    """The last value plus a change drawn from those of the past: their distribution, in eighty parts."""
    before, now = _pairs(y, horizon)
    groups = np.array_split(np.sort(now - before), _GROUPS)
    centre = np.array([group.mean() for group in groups])
    spread = np.array([np.ptp(group) for group in groups])
    width = np.maximum(spread / np.sqrt(12.0), 0.02 * float(np.std(now - before)))
    share = np.array([len(group) for group in groups]) / len(now)

    def predict(values: Array, rows: NDArray[np.int64]) -> Mixture:
        last, gap = last_known(values, rows, horizon)
        scale = np.sqrt(gap / horizon)[:, None]
        return Mixture(np.tile(share, (len(rows), 1)), last[:, None] + scale * centre, scale * width)

    return Baseline(predict)


BASELINES: dict[str, Callable[[Array, int], Baseline]] = {
    "ar1": autoregression,
    "har": heterogeneous,
    "historical": historical,
}


def failure_shares(data: BasisSeries, event: Event) -> tuple[float, ...]:
    """How often a row failed in the past, by how far out it was: the band, 1.5, 2, 3 and 5 times it."""
    values = values_of(data)
    failed = failures(values, event).to_numpy()
    group = _group(seen_values(data), event)
    pairs = ((failed[(group == k) & np.isfinite(failed)]) for k in range(len(_EDGES) + 1))
    return tuple(float((part.sum() + 0.5) / (len(part) + 1.0)) if k else 0.0 for k, part in enumerate(pairs))


def failure_by_share(shares: tuple[float, ...], y: Array, event: Event) -> Array:
    """Probability of failure at each row by the shares of the past, (n,)."""
    return np.asarray(np.where(np.isnan(y), np.nan, np.array(shares)[_group(y, event)]))


def _group(y: Array, event: Event) -> NDArray[np.int64]:
    return np.searchsorted(event.band * np.array(_EDGES), np.nan_to_num(np.abs(y - event.target)))


def _gaussian(mean: Array, sd: Array) -> Mixture:
    return Mixture(np.ones((len(mean), 1)), mean[:, None], sd[:, None])


def _pairs(y: Array, horizon: int) -> tuple[Array, Array]:
    both = np.isfinite(y[:-horizon]) & np.isfinite(y[horizon:])
    _enough(both.sum())
    return y[:-horizon][both], y[horizon:][both]


def _enough(count: int) -> None:
    if count < _LEAST:
        raise DataError(f"{count} usable rows, a baseline takes {_LEAST}", remedy="a later train_end=")
