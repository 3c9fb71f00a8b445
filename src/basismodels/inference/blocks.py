"""Series made of blocks of a fit's own innovations: a bootstrap that does not take the law of the shocks on trust."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.sandwich import interval_of
from basismodels.likelihood import assemble
from basismodels.likelihood.innovations import innovations, rebuilt
from basismodels.results import Fit

Array = NDArray[np.float64]


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
    phi, c, v, tau2 = (np.ascontiguousarray(part.reshape(len(layout.dt))) for part in steps[:4])
    moves = layout.row, phi, c
    z, root, gain = innovations(
        layout.y, *moves, v, tau2, steps.rho, steps.w, start.mean[0], start.var[0], start.diffuse[0] > 0
    )
    seen = np.flatnonzero(np.isfinite(z))
    values = (z[seen] - z[seen].mean()) / z[seen].std()
    group = interval_of(fit, hours)[seen]
    edges = np.r_[np.flatnonzero(np.r_[True, np.diff(group) != 0]), len(seen)]

    def make(rng: np.random.Generator) -> Array:
        drawn = np.full(len(z), np.nan)
        drawn[seen] = values[_rows_of_blocks(edges, rng)]
        return np.asarray(rebuilt(drawn, root, gain, layout.y[0], *moves, steps.rho, start.mean[0]))

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
