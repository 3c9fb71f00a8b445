"""A quick look whether one regime is enough, without a fit of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.mle import is_plain_ou
from basismodels.inference.monte_carlo import p_value
from basismodels.inference.tasks import chunks, packed, run_tasks, seed_of, unpacked
from basismodels.likelihood import screen
from basismodels.results import Fit

Array = NDArray[np.float64]
_CHUNK = 50
_REACH = 0.7
_CORRELATIONS = np.linspace(-_REACH, _REACH, 15)
_NAMES = ("theta", "kappa", "sigma")
_SPHERE = 150
_CIRCLE = 24


@dataclass(frozen=True, eq=False)
class SwitchingScreen:
    """A test of one regime of an Ornstein-Uhlenbeck process against a chain that moves `varies`.

    statistic: its supremum; correlation: of the chain from one row to the next, where that is reached; p: share of
    simulated statistics as large, the observed one counted; p_lower, p_upper: 95% limits of p from the number of draws
    (Clopper & Pearson 1934); simulated (draws,): statistics of one regime.
    """

    varies: tuple[str, ...]
    statistic: float
    correlation: float
    p: float
    p_lower: float
    p_upper: float
    simulated: Array

    def __str__(self) -> str:
        said = "one regime is not enough" if self.p <= 0.05 else "nothing speaks against one regime"
        return (
            f"switching of {', '.join(self.varies)}: statistic {self.statistic:.2f}, p = {self.p:.3f} "
            f"({self.p_lower:.3f} to {self.p_upper:.3f} from {len(self.simulated)} draws): {said}"
        )


def switching_screen(
    fit: Fit,
    varies: str | Sequence[str] = ("kappa", "sigma"),
    *,
    draws: int = 499,
    rng: np.random.Generator | int | None = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SwitchingScreen:
    """Test a fit of `bm.OU()` against switching of some of its parameters (Carrasco, Hu & Ploberger 2014).

    The statistic needs derivatives at the one-regime estimate alone: its supremum is taken over the chain's correlation
    from row to row in [-0.7, 0.7] and over the direction in which the parameters `varies` ("theta", "kappa", "sigma")
    move. Its law is simulated at the estimate. Rejection does not say that regimes are what is missing: noise, a slow
    level and fat tails move the statistic too, so that models with them are refused.
    Errors: ModelError for another model than OU(), uneven times or missing rows.
    """
    jobs = chunks(draws, _CHUNK)
    y, weight, names = _series(fit), *_directions(varies)
    observed, where = screen.greatest(y, _CORRELATIONS, weight)
    work = partial(_simulated, y, weight, seed_of(rng))
    made = run_tasks(work, jobs, title="switching screen", n_jobs=n_jobs, progress=progress)
    judged, usable = p_value(observed, np.concatenate([unpacked(part) for part in made]))
    return SwitchingScreen(names, observed, where, *judged, usable)


def _series(fit: Fit) -> Array:
    """The observations of a plain OU on an even grid; ModelError for anything else."""
    remedy = "bm.likelihood_ratio_test(fit, bm.fit(bm.Switching(model, regimes=2), data))"
    if not is_plain_ou(fit.problem):
        raise ModelError(f"the screen serves OU() alone, got {fit.model!r}", remedy=remedy)
    layout = fit.problem.layout
    steps = layout.dt[layout.row[1:]]
    if not np.isfinite(layout.y).all() or np.ptp(steps) > 1e-9 * steps.max():
        raise ModelError("the screen needs evenly spaced rows without a missing one", remedy=remedy)
    return np.ascontiguousarray(layout.y)


def _directions(varies: str | Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    names = (varies,) if isinstance(varies, str) else tuple(varies)
    if not names or len(set(names)) < len(names) or set(names) - set(_NAMES):
        known = ", ".join(_NAMES)
        raise ModelError(f"varies must be some of {known}, got {varies!r}", remedy='varies=("kappa", "sigma")')
    made = {1: _line, 2: _half_circle, 3: _half_sphere}[len(names)]()
    out = np.zeros((len(made), len(_NAMES)))
    out[:, [_NAMES.index(name) for name in names]] = made
    return screen.weights(out), names


def _line() -> Array:
    return np.ones((1, 1))


def _half_circle() -> Array:
    angle = np.pi * np.arange(_CIRCLE) / _CIRCLE
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _half_sphere() -> Array:
    """Directions spread evenly over a half of the sphere, by the golden angle."""
    height = (np.arange(_SPHERE) + 0.5) / _SPHERE
    angle = np.pi * (3.0 - math.sqrt(5.0)) * np.arange(_SPHERE)
    radius = np.sqrt(1.0 - height**2)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), height])


def _simulated(y: Array, weight: Array, seed: int, job: tuple[int, int]) -> bytes:
    """Statistics of series of one regime with the estimates of y."""
    first, count = job
    c, phi, v, middle = screen.fitted(y, np.empty(len(y) - 1), np.empty(len(y) - 1))
    out = np.empty(count)
    for i in range(count):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(first + i,)))
        out[i] = screen.greatest(_path(c, min(phi, 1.0), v, middle, y, rng), _CORRELATIONS, weight)[0]
    return packed(out)


def _path(c: float, phi: float, v: float, middle: float, y: Array, rng: np.random.Generator) -> Array:
    """An AR(1) path from the first observation."""
    from scipy.signal import lfilter

    shocks = math.sqrt(v) * rng.standard_normal(len(y) - 1) + c - phi * middle
    path, _ = lfilter([1.0], [1.0, -phi], shocks, zi=np.array([phi * y[0]]))
    return np.concatenate([y[:1], path])
