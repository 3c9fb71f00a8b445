"""Exact filter of a switching Ornstein-Uhlenbeck process seen without noise (Hamilton 1989).

Given the regime k at a step's end, y_i = phi_k y_{i-1} + c_k + Normal(0, v_k). The
gradient is Fisher's identity: smoothed weights times the gradient of each density.
Step coefficients and start as in `kim`; no observation may be missing. With `nu` (K,)
the shocks after the first observation are Student's t with scale sqrt(v_k) and nu_k
degrees of freedom. A regular grid takes `hamilton_lanes`, any other `hamilton_plain`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import hamilton_lanes as lanes
from basismodels.likelihood import hamilton_plain as plain
from basismodels.likelihood.kim import Filtered, Start, Steps

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_NONE = np.empty(0)


def _tuple(k: int) -> tuple[int, ...]:
    return (0,) * k


def _tails(nu: Array | None) -> tuple[Any, Array]:
    return ((), _NONE) if nu is None else ((0,), np.ascontiguousarray(nu, dtype=np.float64))


def _regular(y: Array, row: Rows, steps: Steps, start: Start, out: Array) -> float:
    """Log likelihood by the pieces of a regular grid, NaN where they do not serve; sums in `out` if not empty."""
    phi, c, v, _, _, _, _, p = steps
    law, mean, var, diffuse, flat = start
    k = len(law)
    if k == 1:
        return math.nan
    value: float = lanes.regular(
        _tuple(k), y, row, phi, c, v, p, law, mean, var, diffuse, float(flat), len(out) > 0, out
    )
    return value


def _run(
    y: Array, row: Rows, steps: Steps, start: Start, nu: Array | None = None
) -> tuple[float, Array, Array]:
    """Log likelihood, filtered probabilities (n, K), one-step log densities (n,)."""
    kk = _tuple(steps.phi.shape[1])
    tails, freedom = _tails(nu)
    dens = np.empty((len(y), len(kk)))
    plain.log_densities(
        kk, tails, y, row, steps.phi, steps.c, steps.v, freedom,
        start.mean, start.var, start.diffuse, float(start.flat), dens,
    )  # fmt: skip
    p, log_density = np.empty_like(dens), np.empty(len(y))
    value = plain.forward(kk, dens, row, steps.p, start.p, p, log_density)
    return float(value), p, log_density


def loglik(y: Array, row: Rows, steps: Steps, start: Start, nu: Array | None = None) -> float:
    """Log likelihood of y (n,) in bps, none missing."""
    value = _regular(y, row, steps, start, _NONE) if nu is None else math.nan
    return value if math.isfinite(value) else _run(y, row, steps, start, nu)[0]


def smooth(filtered: Array, row: Rows, p: Array) -> tuple[Array, Array]:
    """Smoothed probabilities (n, K) and expected transitions per distinct step (m, K, K)."""
    out, pairs = np.empty_like(filtered), np.zeros_like(p)
    plain.smooth(_tuple(filtered.shape[1]), filtered, row, p, out, pairs)
    return out, pairs


def loglik_grad(y: Array, row: Rows, steps: Steps, start: Start) -> tuple[float, Steps, Start]:
    """Log likelihood and its derivatives with respect to every coefficient and the start."""
    k = steps.phi.shape[1]
    out = np.zeros(k * (k + 4))
    value = _regular(y, row, steps, start, out)
    if not math.isfinite(value):
        return loglik_grad_student(y, row, steps, start, None)[:3]
    g = Steps(*(np.zeros(part.shape) for part in steps))
    law, mean, var = np.zeros(k), np.zeros((k, 2)), np.zeros((k, 3))
    lanes.bars(
        out, row[1], y[0], steps.v, steps.p, start.p, start.mean, start.var, start.diffuse,
        g.phi, g.c, g.v, g.p, law, mean, var,
    )  # fmt: skip
    return value, g, Start(law, mean, var, start.diffuse, start.flat)


def loglik_grad_student(
    y: Array, row: Rows, steps: Steps, start: Start, nu: Array | None
) -> tuple[float, Steps, Start, Array]:
    """As `loglik_grad`, on the plain path, and the derivative with respect to `nu` (K,)."""
    value, filtered, _ = _run(y, row, steps, start, nu)
    weights, pairs = smooth(filtered, row, steps.p)
    bars = Steps(*(np.zeros(part.shape) for part in steps))
    tails, freedom = _tails(nu)
    g_nu = np.zeros(filtered.shape[1])
    plain.collect(
        _tuple(filtered.shape[1]), tails, y, row, weights, steps.phi, steps.c, steps.v, freedom,
        bars.phi, bars.c, bars.v, g_nu,
    )  # fmt: skip
    np.divide(pairs, steps.p, out=bars.p, where=steps.p > 0)
    return value, bars, _start_bars(y[0], weights[0], start), g_nu


def _start_bars(y0: float, weight: Array, start: Start) -> Start:
    proper = weight * (1.0 - start.diffuse)
    var = np.where(start.diffuse > 0, 1.0, start.var[:, 0])
    e = y0 - start.mean[:, 0]
    mean_bar, var_bar = np.zeros_like(start.mean), np.zeros_like(start.var)
    mean_bar[:, 0] = proper * e / var
    var_bar[:, 0] = 0.5 * proper * (e * e / var - 1.0) / var
    p_bar = np.divide(weight, start.p, out=np.zeros_like(weight), where=start.p > 0)
    return Start(p_bar, mean_bar, var_bar, start.diffuse, start.flat)


def filter(y: Array, row: Rows, steps: Steps, start: Start, nu: Array | None = None) -> Filtered:
    """Filtered probabilities and one-step log densities; the state is the observation itself."""
    _, p, log_density = _run(y, row, steps, start, nu)
    mean, var = np.zeros((*p.shape, 2)), np.zeros((*p.shape, 3))
    mean[:, :, 0] = y[:, None]
    return Filtered(p, mean, var, log_density)


def pointwise(y: Array, row: Rows, steps: Steps, start: Start, nu: Array | None = None) -> Array:
    """One-step-ahead log density of each observation (n,)."""
    return _run(y, row, steps, start, nu)[2]
