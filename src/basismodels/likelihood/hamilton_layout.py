"""Which bound models the compiled climb of `hamilton_ou` serves, and what it reads of their layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import hamilton_ou
from basismodels.likelihood.predictors import Layout

Array = NDArray[np.float64]
Places = NDArray[np.int64]
_LEAST_ROWS = 40


def places(layout: Layout, plain: bool = True) -> Places | None:
    """Where kappa, theta, sigma (two each) and the two rates stand, (8,); None where the compiled climb cannot serve.

    It serves two regimes of a bare OU on a regular grid without a missing value, every formula an intercept.
    """
    names = ("kappa", "theta", "sigma")
    if not plain or layout.regimes != 2 or set(layout.places) != {*names, "q"} or len(layout.y) < _LEAST_ROWS:
        return None
    if len(layout.dt) > 2 or layout.row[0] == layout.row[1] or not np.all(layout.row[1:] == layout.row[1]):
        return None
    if any(len(at) > 1 for at in layout.places.values()):
        return None
    rates = layout.places["q"][0]
    return np.array([*(layout.places[n][0, k] for n in names for k in (0, 1)), rates[0, 1], rates[1, 0]])


def regular(layout: Layout) -> tuple[float, NDArray[np.bool_], float, float]:
    """Step in hours, flags (kappa_log, level_is_drift, stationary), centre, and log density of a diffuse start."""
    flags = np.array([layout.kappa_log, layout.level_is_drift, layout.stationary])
    flat = -float(np.log(10.0 * layout.spread * np.sqrt(2.0 * np.pi)))
    return float(layout.dt[layout.row[1]]), flags, layout.centre, flat


def loglik_grad(layout: Layout, at: Places, x: Array) -> tuple[float, Array]:
    """Log likelihood at a free vector (p,) and its gradient (p,)."""
    dt, flags, centre, flat = regular(layout)
    ext = np.concatenate([x, layout.constants])
    value, slope = hamilton_ou.loglik_grad((0, 0), layout.y, dt, ext, at, flags, centre, flat)
    return float(value), slope[: len(x)]


def climb(layout: Layout, at: Places, x: Array, box: Array, inverse: Array) -> tuple[Array, float, Array, bool, int]:
    """BFGS from x within box (p, 2), from an inverse curvature (p, p), left as it is.

    Returns the free vector, log likelihood, inverse curvature, whether it converged, and kernel calls.
    """
    ext, own = np.concatenate([x, layout.constants]), np.ascontiguousarray(inverse).copy()
    dt, flags, centre, flat = regular(layout)
    y = np.ascontiguousarray(layout.y)
    value, converged, calls = hamilton_ou.climb(
        (0, 0), y, dt, ext, at, flags, centre, flat, np.ascontiguousarray(box), own
    )
    return ext[: len(x)].copy(), float(value), own, bool(converged), int(calls)
