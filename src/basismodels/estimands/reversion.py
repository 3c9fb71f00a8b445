"""Does a regime revert at all: its speed against zero, where the usual laws do not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.event import event_of
from basismodels.estimands.failure import centre_of
from basismodels.inference.inversion import speeds
from basismodels.inference.inversion_path import PathRoot
from basismodels.inference.monte_carlo import p_value
from basismodels.inference.tasks import chunks, key_of, packed, run_tasks, seed_of, unpacked
from basismodels.results import Fit

Array = NDArray[np.float64]
_CHUNK = 5


@dataclass(frozen=True, eq=False)
class ReversionTest:
    """A test of kappa <= 0 against kappa > 0 in one regime.

    name: the speed; estimate 1/h; root: signed root of the likelihood ratio at zero, positive where the estimate is;
    p: share of simulated roots as large, the observed one counted; p_lower, p_upper: 95% limits of p from the number of
    draws (Clopper & Pearson 1934); simulated (draws,): roots where the speed is zero.
    """

    name: str
    estimate: float
    root: float
    p: float
    p_lower: float
    p_upper: float
    simulated: Array

    def __str__(self) -> str:
        said = "reversion is told from none" if self.p <= 0.05 else "no reversion cannot be ruled out"
        return (
            f"{self.name} = {self.estimate:.3g} 1/h against zero or below: signed root {self.root:.2f}, "
            f"p = {self.p:.3f} ({self.p_lower:.3f} to {self.p_upper:.3f} from {len(self.simulated)} draws): {said}"
        )


def reversion_test(
    fit: Fit,
    regime: int | None = None,
    *,
    draws: int = 199,
    rng: np.random.Generator | int | None = None,
    checkpoint: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReversionTest:
    """Test that the speed of a regime is zero or below (Dickey & Fuller 1979, by parametric bootstrap).

    `regime`: default the one nearest to failure, of greatest phi in `bm.failure_regimes` at its default band and
    horizon. `draws` series are simulated with that speed at zero and all else at its restricted estimate; each is
    fitted with and without the restriction from there, as the observed one is. `checkpoint`: folder from which a
    killed run goes on.
    Errors: ModelError where the speed follows covariates or is kept above zero by a slow level.
    """
    jobs = chunks(draws, _CHUNK)
    statistic = PathRoot(fit, _speed(fit, regime))
    if statistic.positive:
        raise ModelError(
            "one reversion beside a slow level stays above zero: its test has no such null",
            remedy="bm.fit(bm.OU() + bm.Noise(), data), or several regimes",
        )
    root, nuisance = statistic.root(0.0)
    seed = seed_of(rng)
    layout = fit.problem.layout
    key = key_of("reversion", repr(fit.model), statistic.coefficient.name, fit.x, layout.y, layout.dt, seed)
    made = run_tasks(
        partial(_roots, statistic, nuisance, seed), jobs, title="reversion", key=key, n_jobs=n_jobs,
        checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    judged, usable = p_value(root, np.concatenate([unpacked(part) for part in made]))
    return ReversionTest(statistic.coefficient.name, statistic.estimate, root, *judged, usable)


def _speed(fit: Fit, regime: int | None) -> str:
    """Name of the speed of a regime; ModelError where it is none to test."""
    count = fit.problem.layout.regimes
    if regime is None:
        regime = int(np.argmax(np.nan_to_num(centre_of(fit, event_of(fit.data)).phi, nan=-1.0))) if count > 1 else 0
    if isinstance(regime, bool) or not isinstance(regime, int) or not 0 <= regime < count:
        raise ModelError(f"regime must be a whole number below {count}, got {regime!r}")
    name = f"kappa[{regime}]" if f"kappa[{regime}]" in fit.names else "kappa"
    if name not in speeds(fit):
        raise ModelError(f"{name} is fixed or follows covariates: it is not one speed", remedy='OU(kappa="1")')
    return name


def _roots(statistic: PathRoot, nuisance: Array, seed: int, job: tuple[int, int]) -> bytes:
    first, count = job
    seeds = [np.random.SeedSequence(seed, spawn_key=(i,)) for i in range(first, first + count)]
    return packed(np.array([statistic.simulated_once(0.0, nuisance, np.random.default_rng(one)) for one in seeds]))
