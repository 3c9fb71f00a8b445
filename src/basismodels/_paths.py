"""Paths of every model on the rows of a bound problem: what simulation and predictive draws share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood import assemble, predictors
from basismodels.likelihood.kim import Start, Steps
from basismodels.problem import Problem

Array = NDArray[np.float64]


class Path(NamedTuple):
    """One simulated path on internal rows: y, state x, level l in bps (n,), regime (n,)."""

    y: Array
    x: Array
    level: Array
    regime: NDArray[np.int64]


@njit(cache=True, error_model="numpy", nogil=True)
def _walk(row, phi, c, v, tau2, share, rho, w, p, x, l, s, z, u, y, xs, ls, ss):  # type: ignore[no-untyped-def]
    """Walks the path from state (x, l, s); z (n, 3) normals, u (n, 2) uniforms."""
    K = phi.shape[1]
    for i in range(row.shape[0]):
        r = row[i]
        if K > 1:
            left = u[i, 0]
            before = s
            for k in range(K):
                left -= p[r, before, k]
                s = k
                if left < 0.0:
                    break
        x = phi[r, s] * x + c[r, s] + np.sqrt(v[r, s]) * z[i, 0]
        l = rho[r] * l + np.sqrt(w[r]) * z[i, 1]
        part = 0
        if share.shape[1] > 1 and u[i, 1] < share[r, 1]:
            part = 1
        xs[i] = x
        ls[i] = l
        ss[i] = s
        y[i] = x + l + np.sqrt(tau2[r, s, part]) * z[i, 2]


def simulate_path(problem: Problem, x: Array, rng: np.random.Generator) -> Path:
    """One path of a bound problem at a free vector; a diffuse start begins at `diffuse_levels`."""
    steps, start = assemble.coefficients(problem.layout, x)
    return walk(problem, steps, start, diffuse_levels(problem, x), rng, predictors.freedom(problem.layout, x))


def diffuse_levels(problem: Problem, x: Array) -> Array:
    """Where a diffuse start begins, (K,) bps: at theta, at zero in a regime that does not revert to it."""
    nat = predictors.natural(problem.layout, x)
    kappa, drift = nat.kappa[0], nat.drift[0]
    return np.asarray(np.divide(drift, kappa, out=np.zeros_like(drift), where=kappa > 0))


def walk(
    problem: Problem, steps: Steps, start: Start, theta: Array, rng: np.random.Generator, nu: Array | None
) -> Path:
    """As `simulate_path`, from step coefficients and degrees of freedom of the shocks (K,), None where Gaussian."""
    n = len(problem.layout.row)
    z, u = rng.standard_normal((n, 3)), rng.random((n, 2))
    s = min(int(np.searchsorted(np.cumsum(start.p), rng.random())), len(start.p) - 1)
    proper = start.diffuse[s] == 0
    x0 = start.mean[s, 0] + np.sqrt(start.var[s, 0]) * rng.standard_normal() if proper else theta[s]
    l0 = np.sqrt(start.var[s, 2]) * rng.standard_normal()
    path = Path(np.empty(n), np.empty(n), np.empty(n), np.empty(n, dtype=np.int64))
    _walk(problem.layout.row, *steps, x0, l0, s, z, u, *path)
    if nu is not None:  # the same regimes, with tails of their own
        own = nu[path.regime]
        z[:, 0] *= np.sqrt((own - 2.0) / rng.chisquare(own))
        _walk(problem.layout.row, *steps, x0, l0, s, z, u, *path)
    return path
