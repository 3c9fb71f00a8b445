"""Failure of many markets together: how many fail at once, and what spreading a position over them buys.

Each joint draw of a panel gives each unit's failure regimes and, by a backward pass through its filter, one path of
its regimes (Kim & Nelson 1999). Paths meet at common stamps; a common state with two values is then fitted to
the number that fail together. It does not feed back on the units' own draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.event import HORIZON, THRESHOLD, Event, event_of
from basismodels.estimands.failure import failing
from basismodels.inference.draws import draws_of
from basismodels.inference.tasks import generator_of
from basismodels.likelihood import assemble
from basismodels.problem import Problem
from basismodels.results import Estimate, Fit, checked_fit

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class JointFailure:
    """How units fail together, over the stamps they share.

    paths (m, n, U): whether each unit fails at each stamp under each joint draw; units (U,); common (m, n): posterior
    probability of the common state of failure under each draw.
    """

    paths: Flags
    units: tuple[str, ...]
    time: pd.DatetimeIndex
    common: Array
    level: float

    def at_least(self, k: int) -> pd.DataFrame:
        """P(at least k units fail) by time: columns probability and common (the common state of failure)."""
        self._checked(k)
        found = (self.paths.sum(axis=2) >= k).mean(axis=0)
        return pd.DataFrame({"probability": found, "common": self.common.mean(axis=0)}, index=self.time)

    def share_of_time(self, k: int) -> Estimate:
        """Share of the time at least k units fail together."""
        self._checked(k)
        return self._estimate((self.paths.sum(axis=2) >= k).mean(axis=1), "share", f"at least {k} fail")

    def effective(self) -> Estimate:
        """Effective number of independent units: the one whose mean fraction failing would vary as much.

        p (1 - p) over the variance in time of the fraction failing, p its mean; units that always move together
        count as one; NaN draws, in which nothing ever fails, are left out.
        """
        return self._estimate(_effective(self.paths), "units", "effective units")

    def spreading(self) -> pd.DataFrame:
        """What holding one over U of a position in each unit buys against the whole in one: rows one unit, spread.

        Columns stuck (mean fraction of the position in a failing unit), sd (of that fraction over time),
        half (share of time at least half is stuck), all (share of time everything is); medians over draws.
        """
        fraction = self.paths.mean(axis=2)
        alone = self.paths.mean(axis=1)
        single = np.array(
            [alone.mean(axis=1), np.sqrt(alone * (1.0 - alone)).mean(axis=1), alone.mean(axis=1), alone.mean(axis=1)]
        )
        half, whole = (fraction >= 0.5).mean(axis=1), (fraction >= 1.0).mean(axis=1)
        spread = np.array([fraction.mean(axis=1), fraction.std(axis=1), half, whole])
        rows = {"one unit": np.median(single, axis=1), "spread": np.median(spread, axis=1)}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["stuck", "sd", "half", "all"])

    def _checked(self, k: int) -> None:
        if not 1 <= k <= len(self.units):
            raise ModelError(f"k must lie between 1 and {len(self.units)}, got {k!r}")

    def _estimate(self, values: Array, unit: str, component: str) -> Estimate:
        kept = values[np.isfinite(values)]
        if not len(kept):
            return Estimate(np.nan, np.nan, np.nan, unit, self.level, "no failure in any draw", component)
        tail = 0.5 * (1.0 - self.level)
        low, middle, high = (float(v) for v in np.quantile(kept, [tail, 0.5, 1.0 - tail]))
        return Estimate(middle, low, high, unit, self.level, "posterior", component)


def joint_failure(
    panel: Mapping[str, Fit],
    horizon: float = HORIZON,
    band: float | None = None,
    *,
    target: float | None = None,
    threshold: float = THRESHOLD,
    level: float = 0.95,
    draws: int = 100,
    rng: np.random.Generator | int | None = None,
) -> JointFailure:
    """How the units of a panel fail together, from joint draws; failure as in `bm.failure_probability`.

    `band` and `target` (bps) follow from each unit's own funding rule where they are not given.
    Errors: ModelError for fits without draws, unequal numbers of them, one regime, or no common stamp.
    """
    generator = generator_of(rng)
    _require(panel)
    events = [event_of(one.data, horizon, band, target, threshold) for one in panel.values()]
    times = [one.problem.time for one in panel.values()]
    time = times[0]
    for other in times[1:]:
        time = time.intersection(other)
    if len(time) < 2:
        raise ModelError("the units share no stamps", remedy="cut them to one span: data.cut(start, end)")
    total = len(next(iter(panel.values())).draws)  # type: ignore[arg-type]
    chosen = np.sort(generator.choice(total, min(draws, total), replace=False))
    found = []
    for one, event in zip(panel.values(), events, strict=True):
        rows = one.problem.time.get_indexer(time)
        every = np.asarray(draws_of(one, total))
        found.append(np.array([_fails(one.problem, every[i], event, generator)[rows] for i in chosen]))
    paths = np.stack(found, axis=2)
    common = np.array([_common(path.sum(axis=1), paths.shape[2]) for path in paths])
    return JointFailure(paths, tuple(panel), pd.DatetimeIndex(time), common, level)


def _require(panel: Mapping[str, Fit]) -> None:
    for one in panel.values():
        checked_fit(one)
    if len(panel) < 2:
        raise ModelError("joint failure takes at least two units")
    lengths = {0 if one.draws is None else len(one.draws) for one in panel.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise ModelError("every unit needs equally many joint draws", remedy="bm.sample_panel(model, panel)")
    if any(one.problem.layout.regimes == 1 for one in panel.values()):
        raise ModelError("joint failure needs regimes", remedy="bm.Switching(bm.OU() + bm.Noise())")


def _fails(problem: Problem, x: Array, event: Event, rng: np.random.Generator) -> Flags:
    """Whether the unit fails at each row under one draw: one path of its regimes, and which of them fail."""
    chosen = failing(problem, x, event, coarse=True).failing
    return np.asarray(chosen[regime_path(problem, x, rng)[problem.place]])


def regime_path(problem: Problem, x: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """One path of the regimes (n,) given the data, backwards through the filtered probabilities."""
    steps, _ = assemble.coefficients(problem.layout, x)
    p = problem.engine.filter(problem.layout, x).p
    u = rng.random(len(p))
    path = np.empty(len(p), dtype=np.int64)
    weights = p[-1]
    for i in range(len(p) - 1, -1, -1):
        if i < len(p) - 1:
            weights = p[i] * steps.p[problem.layout.row[i + 1]][:, path[i + 1]]
        path[i] = min(int(np.searchsorted(np.cumsum(weights), u[i] * weights.sum())), p.shape[1] - 1)
    return path


def _effective(paths: Flags) -> Array:
    """p (1 - p) / Var(fraction failing), one number a draw."""
    fraction = paths.mean(axis=2)
    p = fraction.mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = (paths.mean(axis=1) * (1.0 - paths.mean(axis=1))).mean(axis=1)
        found = own / fraction.var(axis=1)
    return np.where((p > 0) & (fraction.var(axis=1) > 0), found, np.nan)


def _common(count: NDArray[np.int64], units: int, rounds: int = 15) -> Array:
    """Smoothed probability of the common state that makes failures frequent: a two-state chain, fitted by EM.

    Given the state the count is binomial (Baum, Petrie, Soules & Weiss 1970).
    """
    from scipy.stats import binom

    top = count.max()
    if top == 0:
        return np.zeros(len(count))
    share, p = np.array([0.05, max(0.6, top / units * 0.8)]), np.array([[0.99, 0.01], [0.05, 0.95]])
    weights = np.zeros((len(count), 2))
    for _ in range(rounds):
        density = np.array([binom.pmf(np.arange(units + 1), units, one) for one in share])[:, count].T
        weights, pairs = _two_states(density, p)
        share = np.clip((weights * count[:, None]).sum(axis=0) / (units * weights.sum(axis=0) + 1e-12), 1e-4, 1 - 1e-4)
        held = pairs + np.array([[9.0, 0.1], [0.5, 9.0]])
        p = held / held.sum(axis=1, keepdims=True)
    return np.asarray(weights[:, int(np.argmax(share))])


def _two_states(density: Array, p: Array) -> tuple[Array, Array]:
    """Smoothed probabilities (n, 2) and expected transitions (2, 2) of a chain with given densities."""
    from basismodels.likelihood import hamilton_plain as plain

    row = np.zeros(len(density), dtype=np.int64)
    filtered, smoothed, pairs = np.empty_like(density), np.empty_like(density), np.zeros((1, 2, 2))
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(density, 1e-300))
    plain.forward((0, 0), logs, row, p[None], np.array([0.9, 0.1]), filtered, np.empty(len(density)))
    plain.smooth((0, 0), filtered, row, p[None], smoothed, pairs)
    return smoothed, pairs[0]
