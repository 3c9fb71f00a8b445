"""Series made of blocks of a fit's own innovations: a bootstrap that does not take the law of the shocks on trust."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.sandwich import interval_of
from basismodels.likelihood import assemble
from basismodels.likelihood.innovations import rebuilt
from basismodels.problem import Problem
from basismodels.results import Fit

Array = NDArray[np.float64]


class Innovations(NamedTuple):
    """One-step errors of one regime: z (n,) standardised, root (n,) their standard deviations, gain (n, 2).

    z and root are NaN where the basis is missing, and at a diffuse start; the gain is zero there.
    """

    z: Array
    root: Array
    gain: Array


def innovations(problem: Problem, x: Array) -> Innovations:
    """Innovations of a problem of one regime at a free vector (p,), from the filtered moments of the row before."""
    layout, r = problem.layout, problem.layout.row
    steps, start = assemble.coefficients(layout, x)
    law = problem.engine.filter(layout, x)
    mean, var = law.mean[:, 0], law.var[:, 0]
    phi, rho = steps.phi[r, 0], steps.rho[r]
    ahead = np.column_stack([phi[1:] * mean[:-1, 0] + steps.c[r[1:], 0], rho[1:] * mean[:-1, 1]])
    moves = np.column_stack([phi**2, phi * rho, rho**2])[1:]
    shocks = np.column_stack([steps.v[r, 0], np.zeros(len(r)), steps.w[r]])[1:]
    ahead = np.concatenate([start.mean[:1], ahead])
    a, b, d = np.concatenate([start.var[:1], moves * var[:-1] + shocks]).T
    f = a + 2.0 * b + d + steps.tau2[r, 0, 0]
    known = np.isfinite(layout.y)
    known[0] &= start.diffuse[0] == 0
    root = np.where(known, np.sqrt(f), np.nan)
    gain = np.nan_to_num(np.column_stack([a + b, b + d]) / root[:, None] ** 2)
    return Innovations((layout.y - ahead.sum(axis=1)) / root, root, gain)


def block_simulator(fit: Fit, hours: float | None = None) -> Callable[[np.random.Generator], Array]:
    """What makes series (n,) from blocks of standardised innovations, drawn with replacement (Künsch 1989).

    A block is what falls in one interval of `hours` (default: the data's funding interval, else 8), so that shocks
    which come together stay together, whatever their law. Series are rebuilt by the Kalman filter run backwards
    (Stoffer & Wall 1991), on the data's own grid. Errors: ModelError for several regimes or a mixture of noises.
    """
    problem = fit.problem
    layout = problem.layout
    steps, start = assemble.coefficients(layout, fit.x)
    if layout.regimes > 1 or steps.tau2.shape[2] > 1:
        raise ModelError(
            "blocks of innovations serve models of one regime with Gaussian noise",
            remedy='bm.conf_int(fit, method="sandwich")',
        )
    own = innovations(problem, fit.x)
    phi, c = (np.ascontiguousarray(part[:, 0]) for part in (steps.phi, steps.c))
    seen = np.flatnonzero(np.isfinite(own.z))
    values = (own.z[seen] - own.z[seen].mean()) / own.z[seen].std()
    group = interval_of(fit, hours)[seen]
    edges = np.r_[np.flatnonzero(np.r_[True, np.diff(group) != 0]), len(seen)]

    def make(rng: np.random.Generator) -> Array:
        drawn = np.full(len(own.z), np.nan)
        drawn[seen] = values[_rows_of_blocks(edges, rng)]
        return np.asarray(rebuilt(drawn, own.root, own.gain, layout.y[0], layout.row, phi, c, steps.rho, start.mean[0]))

    return make


def _rows_of_blocks(edges: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows (n,) of whole blocks, drawn until there are n of them; the last one is cut."""
    n, sizes = int(edges[-1]), np.diff(edges)
    chosen = rng.integers(len(sizes), size=len(sizes))
    while sizes[chosen].sum() < n:
        chosen = np.r_[chosen, rng.integers(len(sizes), size=len(sizes))]
    starts = np.repeat(edges[:-1][chosen], sizes[chosen])
    within = np.arange(len(starts)) - np.repeat(np.cumsum(sizes[chosen]) - sizes[chosen], sizes[chosen])
    return np.asarray((starts + within)[:n])
