"""The log likelihood of a fit by particles, beside the filter's own where that one is approximate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from basismodels.errors import ModelError
from basismodels.likelihood import assemble, particles
from basismodels.results import Fit


@dataclass(frozen=True)
class ParticleLoglik:
    """Log likelihood by particles at a fit's estimate.

    value: nats; se: its Monte Carlo standard error, zero where the engine is exact;
    kim: the engine's own value; error: by how much that one overstates, kim - value.
    """

    value: float
    se: float
    kim: float

    @property
    def error(self) -> float:
        return self.kim - self.value

    def __str__(self) -> str:
        if self.se == 0.0:
            return f"log likelihood {self.value:.3f}, exact"
        return (
            f"log likelihood {self.value:.2f} by particles (standard error {self.se:.2f}); "
            f"moment matching gives {self.kim:.2f}, {self.error:+.2f} off"
        )


def particle_loglik(
    fit: Fit,
    *,
    particles: int = 500,
    replicates: int = 8,
    rng: np.random.Generator | int | None = None,
) -> ParticleLoglik:
    """Log likelihood at the estimate by a Rao-Blackwellised particle filter (Fearnhead & Clifford 2003).

    `particles` a replicate, `replicates` independent ones; `rng`: a seed, a fixed one by default.
    An exact engine's own value is handed back as it is. Errors: ModelError.
    """
    if particles < 1 or replicates < 2:
        raise ModelError(f"it takes at least 1 particle and 2 replicates, got {particles} and {replicates}")
    problem = fit.problem
    own = problem.engine.loglik(problem.layout, fit.x)
    if problem.engine.exact:
        return ParticleLoglik(own, 0.0, own)
    value, se = _estimate(fit, particles, replicates, 0 if rng is None else rng)
    return ParticleLoglik(value, se, own)


def _estimate(fit: Fit, size: int, replicates: int, rng: np.random.Generator | int) -> tuple[float, float]:
    layout = fit.problem.layout
    steps, start = assemble.coefficients(layout, fit.x)
    made = particles.run(layout.y, layout.row, steps, start, particles=size, replicates=replicates, rng=rng, threads=2)
    if not math.isfinite(made.value):
        raise ModelError("the particle filter met an observation that no regime can have made")
    return made.value, made.se
