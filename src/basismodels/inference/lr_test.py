"""Bootstrap likelihood-ratio test of one model within another.

One regime more, equal speeds across regimes, no effect of funding on speed: under the first two the statistic has no
chi-square law, since parameters of the larger model are not identified under the smaller one (Hansen 1992); its law
is simulated at the smaller model's estimate instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError, whole
from basismodels.inference.bootstrap import simulator, with_series
from basismodels.inference.mle import optima_of
from basismodels.inference.monte_carlo import p_value
from basismodels.inference.starts import bounds, scales
from basismodels.inference.tasks import chunks, key_of, packed, run_tasks, seed_of, unpacked
from basismodels.inference.warm import curvature, warm_fit
from basismodels.problem import Problem
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
_CHUNK = 5
_SLACK = 1.0


@dataclass(frozen=True, eq=False)
class LikelihoodRatio:
    """A test of `null` within `alternative` (their expressions).

    statistic: twice the gain in log likelihood; p: share of simulated statistics as large, the observed one
    counted; p_lower, p_upper: 95% limits of p from the number of draws (Clopper & Pearson 1934);
    simulated (draws,): statistics under the null.
    """

    null: str
    alternative: str
    statistic: float
    p: float
    p_lower: float
    p_upper: float
    simulated: Array

    def __str__(self) -> str:
        return (
            f"{self.null} against {self.alternative}: likelihood ratio {self.statistic:.2f}, "
            f"p = {self.p:.3f} ({self.p_lower:.3f} to {self.p_upper:.3f} from {len(self.simulated)} draws)"
        )


def likelihood_ratio_test(
    null: Fit,
    alternative: Fit,
    *,
    draws: int = 199,
    starts: int = 8,
    rng: np.random.Generator | int | None = None,
    checkpoint: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LikelihoodRatio:
    """Test a fit against a fit of a larger model to the same data (parametric bootstrap; McLachlan 1987).

    `draws` series are simulated at the null's estimate; each is fitted by the null from that estimate and by the
    alternative from `starts` points, as the observed series is. Where moments are matched both likelihoods are
    overstated, in the simulated series as in the observed one. `checkpoint`: folder from which a killed run goes on.
    Errors: ModelError where the fits are of other data, or the alternative has no more parameters or does not
    reach the null's likelihood.
    """
    _check(null, alternative, starts)
    jobs = chunks(draws, _CHUNK)
    seed = seed_of(rng)
    statistic = 2.0 * (_alternative_llf(alternative.problem, starts, np.random.SeedSequence(seed)) - null.llf)
    if statistic < -_SLACK:
        raise ModelError(
            f"the alternative stays {-0.5 * statistic:.3g} nats below the null: it does not contain it",
            remedy="name models of which the larger can be the smaller, or raise starts=",
        )
    work = partial(_statistics, null.problem, null.x, null.cov, alternative.problem, starts, seed)
    layout = null.problem.layout
    key = key_of("lr", repr(null.model), repr(alternative.model), null.x, layout.y, layout.dt, starts, seed)
    made = run_tasks(
        work, jobs, title="likelihood ratio", key=key, n_jobs=n_jobs, checkpoint=checkpoint, progress=progress
    )
    simulated = np.concatenate([unpacked(part) for part in made])
    judged, usable = p_value(max(statistic, 0.0), simulated)
    return LikelihoodRatio(repr(null.model), repr(alternative.model), max(statistic, 0.0), *judged, usable)


def _check(null: Fit, alternative: Fit, starts: int) -> None:
    for one in (null, alternative):
        checked_fit(one)
    whole(starts, "starts")
    if null.data.fingerprint != alternative.data.fingerprint or null.nobs != alternative.nobs:
        raise ModelError("the two fits are of other data", remedy="fit both models to one series, with one initial=")
    if len(alternative.x) <= len(null.x):
        raise ModelError(
            f"the alternative has {len(alternative.x)} parameters and the null {len(null.x)}: it must have more",
            remedy="likelihood_ratio_test(smaller, larger)",
        )


def _alternative_llf(problem: Problem, starts: int, seed: np.random.SeedSequence) -> float:
    size = scales(problem)
    return max(o.llf for o in optima_of(problem, size, bounds(problem, size), starts, np.random.default_rng(seed)))


def one_statistic(
    null: Problem, x: Array, inverse: Array, alternative: Problem, starts: int, seed: int, i: int
) -> float:
    """Statistic of simulated series i."""
    draw, search = np.random.SeedSequence(seed, spawn_key=(i,)).spawn(2)
    y = simulator(null, x)(np.random.default_rng(draw))
    small = with_series(null, y)
    size = scales(small)
    fitted = warm_fit(small, x, bounds(small, size), inverse).llf
    rows = np.full(len(alternative.layout.y), np.nan)
    rows[alternative.place] = y[null.place]
    return max(2.0 * (_alternative_llf(with_series(alternative, rows), starts, search) - fitted), 0.0)


def _statistics(
    null: Problem, x: Array, cov: Array, alternative: Problem, starts: int, seed: int, job: tuple[int, int]
) -> bytes:
    first, count = job
    inverse = curvature(null, x, cov)
    rows = [one_statistic(null, x, inverse, alternative, starts, seed, i) for i in range(first, first + count)]
    return packed(np.array(rows))
