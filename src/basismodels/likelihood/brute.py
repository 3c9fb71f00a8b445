"""Sum over every history of regimes, for short series: what the filters are tested against.

Given a history, the observations are jointly Gaussian. Each is written as a linear
combination of independent standard shocks (the start, the steps, the noise), and its
density is taken from the dense covariance. No recursion is shared with a filter.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.kim import Start, Steps

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_MOST_HISTORIES = 2_000_000


class Histories(NamedTuple):
    """Every history of (regime, part of the noise), (h, n) each, and its log prior probability (h,)."""

    regime: NDArray[np.int64]
    part: NDArray[np.int64]
    log_prior: Array


class Exact(NamedTuple):
    """Log likelihood; given all of y: regime probabilities p (n, K), mean (n, 2) and var (n, 3) of (x, l)."""

    value: float
    p: Array
    mean: Array
    var: Array


def histories(row: Rows, steps: Steps, start: Start) -> Histories:
    """All histories over the rows; ValueError above two million."""
    n, k, parts = len(row), steps.phi.shape[1], steps.share.shape[1]
    if (k * parts) ** n > _MOST_HISTORIES:
        raise ValueError(f"{k * parts}^{n} histories are too many to sum over")
    both = np.array(list(itertools.product(range(k * parts), repeat=n)), dtype=np.int64)
    regime, part = both // parts, both % parts
    with np.errstate(divide="ignore"):
        log_prior = np.log(start.p)[regime[:, 0]] + np.log(steps.share[row, part]).sum(axis=1)
        log_prior += np.log(steps.p[row[1:], regime[:, :-1], regime[:, 1:]]).sum(axis=1)
    return Histories(regime, part, log_prior)


class _Linear(NamedTuple):
    """x, l, y as constant (h, n) plus coefficients (h, n, z) of independent standard shocks."""

    x0: Array
    l0: Array
    y0: Array
    x: Array
    l: Array
    y: Array


def _linear(y: Array, row: Rows, steps: Steps, start: Start, made: Histories) -> _Linear:
    """The model as a linear map of 2 + 3 n shocks: start, then reversion, slow level, noise of each row."""
    h, n = made.regime.shape
    x0, l0, y0 = np.zeros((h, n)), np.zeros((h, n)), np.zeros((h, n))
    x, l, seen = np.zeros((h, n, 2 + 3 * n)), np.zeros((h, n, 2 + 3 * n)), np.zeros((h, n, 2 + 3 * n))
    for i in range(n):
        r, k = row[i], made.regime[:, i]
        noise = np.sqrt(steps.tau2[r, k, made.part[:, i]])
        if i == 0:
            _first(y[0], start, k, noise, x0, l0, x, l)
        else:
            x0[:, i] = steps.phi[r, k] * x0[:, i - 1] + steps.c[r, k]
            l0[:, i] = steps.rho[r] * l0[:, i - 1]
            x[:, i] = steps.phi[r, k][:, None] * x[:, i - 1]
            l[:, i] = steps.rho[r] * l[:, i - 1]
            x[:, i, 2 + 3 * i] += np.sqrt(steps.v[r, k])
            l[:, i, 3 + 3 * i] += np.sqrt(steps.w[r])
        y0[:, i] = x0[:, i] + l0[:, i]
        seen[:, i] = x[:, i] + l[:, i]
        seen[:, i, 4 + 3 * i] += noise
    return _Linear(x0, l0, y0, x, l, seen)


def _first(
    y0: float, start: Start, k: NDArray[np.int64], noise: Array, x0: Array, l0: Array, x: Array, l: Array
) -> None:
    """State at the first row: shock 0 moves l, shock 1 what is left of x; diffuse: x = y - l - noise."""
    diffuse = (start.diffuse[k] > 0) & np.isfinite(y0)
    vx, vxl, vl = start.var[k].T
    sd_l = np.sqrt(vl)
    slope = np.divide(vxl, sd_l, out=np.zeros_like(sd_l), where=sd_l > 0)
    l0[:, 0] = start.mean[k, 1]
    x0[:, 0] = np.where(diffuse, y0 - l0[:, 0], start.mean[k, 0])
    l[:, 0, 0] = sd_l
    x[:, 0, 0] = np.where(diffuse, -sd_l, slope)
    x[:, 0, 1] = np.where(diffuse, 0.0, np.sqrt(np.maximum(vx - slope**2, 0.0)))
    x[:, 0, 4] = np.where(diffuse, -noise, 0.0)


def exact(y: Array, row: Rows, steps: Steps, start: Start) -> Exact:
    """Likelihood and smoother by summing over every history; y (n,) in bps, NaN where missing.

    Row `row[0]` must be a step of length zero. Errors: ValueError above two million histories.
    """
    made = histories(row, steps, start)
    line = _linear(y, row, steps, start, made)
    diffuse = bool(start.diffuse[0] > 0) and bool(np.isfinite(y[0]))
    rows = np.flatnonzero(np.isfinite(y))
    rows = rows[1:] if diffuse else rows
    log_joint = made.log_prior + (start.flat if diffuse else 0.0)
    a = line.y[:, rows]
    cov = a @ np.swapaxes(a, 1, 2)
    gap = y[rows] - line.y0[:, rows]
    solved = np.linalg.solve(cov, gap[:, :, None])[:, :, 0] if len(rows) else gap
    log_joint = log_joint - 0.5 * (
        np.linalg.slogdet(cov)[1] + (gap * solved).sum(axis=1) + len(rows) * np.log(2.0 * np.pi)
    )
    top = log_joint.max()
    weight = np.exp(log_joint - top)
    value = float(top + np.log(weight.sum()))
    weight = np.asarray(weight / weight.sum())
    p = np.stack(
        [(weight[:, None] * (made.regime == k)).sum(axis=0) for k in range(steps.phi.shape[1])], axis=1
    )
    return Exact(value, p, *_states(line, a, cov, np.asarray(solved), weight))


def _states(line: _Linear, a: Array, cov: Array, solved: Array, weight: Array) -> tuple[Array, Array]:
    """Moments of (x, l) given all of y, over all histories."""
    cross = [part @ np.swapaxes(a, 1, 2) for part in (line.x, line.l)]
    x = line.x0 + np.einsum("hij,hj->hi", cross[0], solved)
    l = line.l0 + np.einsum("hij,hj->hi", cross[1], solved)
    mean = np.stack([weight @ x, weight @ l], axis=1)
    pairs = (
        ((line.x, cross[0], x, 0), (line.x, cross[0], x, 0)),
        ((line.x, cross[0], x, 0), (line.l, cross[1], l, 1)),
        ((line.l, cross[1], l, 1), (line.l, cross[1], l, 1)),
    )
    var = []
    for (f, fc, fm, i), (g, gc, gm, j) in pairs:
        known = np.einsum("hij,hij->hi", fc, np.swapaxes(np.linalg.solve(cov, np.swapaxes(gc, 1, 2)), 1, 2))
        within = np.einsum("hij,hij->hi", f, g) - known
        var.append(weight @ (within + (fm - mean[:, i]) * (gm - mean[:, j])))
    return mean, np.stack(var, axis=1)


def loglik(y: Array, row: Rows, steps: Steps, start: Start) -> float:
    """Log likelihood of y (n,) in bps by summing over every history."""
    return exact(y, row, steps, start).value
