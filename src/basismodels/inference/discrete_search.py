"""Maximum likelihood of a Markov-switching regression from several starts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.discrete import Estimate, Regression, estimate, information, loglik_grad, unit

Array = NDArray[np.float64]
Index = NDArray[np.int64]
_LOGIT = (-40.0, 12.0)


class Best(NamedTuple):
    """Best of several starts: free vector, log likelihood, estimate; optima (starts,) after the first run."""

    x: Array
    llf: float
    estimate: Estimate
    optima: Array


def _bounds(model: Regression) -> Array:
    at, spread = model.places, float(np.var(model.y))
    box = np.tile([-np.inf, np.inf], (at.size + 1, 1))
    box[at.log_v] = [math.log(1e-8 * spread), math.log(1e2 * spread)]
    box[at.logit] = _LOGIT
    box[at.law] = _LOGIT
    return box[:-1]


def _columns(model: Regression) -> Array:
    """Regressors and, with a lag, the observation before; from the second row on."""
    if model.lag == "no":
        return model.z[1:]
    return np.column_stack([model.z[1:], model.y[:-1]])


def _stretches(model: Regression, rng: np.random.Generator) -> list[Index]:
    """For each regime a random stretch of the series: regimes that last."""
    n, q = len(model.y) - 1, _columns(model).shape[1]
    made = []
    for _ in range(model.regimes):
        width = int(rng.integers(min(4 * q + 4, n // 2), max(n // 3, 4 * q + 5)))
        first = int(rng.integers(0, n - width))
        made.append(np.arange(first, first + width))
    return made


def _ranks(model: Regression, rng: np.random.Generator) -> list[Index]:
    """For each regime a band of residuals, by size or by sign, cut at random: regimes that come and go."""
    columns = _columns(model)
    residual = model.y[1:] - columns @ np.linalg.lstsq(columns, model.y[1:], rcond=None)[0]
    order = np.argsort(np.abs(residual) if rng.random() < 0.5 else residual)
    least = min(columns.shape[1] + 3, len(order) // model.regimes)
    cuts = np.sort(rng.integers(0, len(order) - least * model.regimes + 1, model.regimes - 1))
    return [np.asarray(part) for part in np.split(order, cuts + least * np.arange(1, model.regimes))]


def start(model: Regression, rng: np.random.Generator) -> Array:
    """A starting point: least squares on one set of rows per regime, a random chain."""
    at, columns = model.places, _columns(model)
    out = np.zeros(at.size + 1)
    stays = rng.random() < 0.5
    for k, take in enumerate(_stretches(model, rng) if stays else _ranks(model, rng)):
        found = np.linalg.lstsq(columns[take], model.y[1:][take], rcond=None)[0]
        variance = float(np.mean((model.y[1:][take] - columns[take] @ found) ** 2))
        out[at.beta[:, k]] = found[: model.z.shape[1]]
        if model.lag != "no":
            out[at.phi[k]] = found[-1]
        out[at.log_v[k]] = math.log(max(variance, 1e-4 * float(np.var(model.y))))
    out[at.logit] = -rng.uniform(0.0, 4.0, at.logit.shape) if stays else rng.normal(0.0, 1.0, at.logit.shape)
    return out[:-1]


def fit(model: Regression, *, starts: int = 20, rng: np.random.Generator | int | None = 0) -> Best:
    """Maximum likelihood by L-BFGS-B from several starts (Byrd, Lu, Nocedal & Zhu 1995)."""
    made = np.random.default_rng(rng)
    runs = [_descend(model, start(model, made), 200, 1e-10) for _ in range(starts)]
    leaders = sorted(runs, key=lambda run: -run[1])[:3]
    x = max((_descend(model, x, 2000, 1e-13) for x, _ in leaders), key=lambda run: run[1])[0]
    x = _polish(model, x)
    return Best(x, loglik_grad(model, x)[0], estimate(model, x), np.array([value for _, value in runs]))


def _polish(model: Regression, x: Array) -> Array:
    """A few Newton steps, along directions that carry information, each taken only if it leads up."""
    size = unit(model)
    for _ in range(4):
        value, gradient = loglik_grad(model, x)
        scaled = information(model, x) * np.outer(size, size)
        step = np.linalg.pinv(scaled, rcond=1e-7, hermitian=True) @ (gradient * size)
        ahead = np.clip(x + step * size, *_bounds(model).T)
        if not loglik_grad(model, ahead)[0] >= value:
            break
        x = ahead
    return x


def _descend(model: Regression, x0: Array, limit: int, tolerance: float) -> tuple[Array, float]:
    from scipy.optimize import minimize

    size, box = unit(model), _bounds(model)

    def goal(u: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):
            value, gradient = loglik_grad(model, u * size)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return 1e6, np.zeros(len(u))
        return -value / len(model.y), -gradient * size / len(model.y)

    options: dict[str, Any] = {"maxiter": limit, "maxcor": 30, "ftol": tolerance, "gtol": 1e-9}
    x0 = np.clip(x0, *box.T)
    found = minimize(
        goal, x0 / size, jac=True, method="L-BFGS-B", bounds=box / size[:, None], options=options
    )
    return found.x * size, -float(found.fun) * len(model.y)
