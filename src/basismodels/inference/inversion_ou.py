"""Test inversion for the speed of a plain Ornstein-Uhlenbeck process.

A value kappa0 belongs to the interval where the signed likelihood root r(kappa0) lies between
quantiles of its own null distribution on the data's time grid (Andrews 1993; Hansen 1999). That
distribution depends on kappa0 times the span and on the pattern of the steps alone, so one table a
grid, cached, serves every series and level.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import ou
from basismodels.likelihood.ou_table import signed_roots

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]

PATHS = 12288
_MOST_STEPS = 512
_MOST_KINDS = 8
_FINE = 0.1
_SEED = 20090101
_REACHES = (-12.0, -8.0, -5.0, -3.0, -1.5, -0.7, 0.0, 0.5, 1.0, 2.0, 3.5, 6.0, 10.0, 18.0, 32.0, 51.0)
_STEPWISE = (0.2, 0.4, 0.8, 1.5, 2.2, 3.0, 4.0, 6.0, 9.0)


@dataclass(frozen=True)
class Inversion:
    """Limits of one coefficient with their Monte Carlo errors, and its median-unbiased estimate, in its own unit."""

    lower: float
    upper: float
    median: float
    level: float
    error_lower: float
    error_upper: float


@dataclass(frozen=True, eq=False)
class Table:
    """Null distribution of the root: reach (g,) = kappa times the span on a thinned grid, roots (g, paths) sorted.

    thin, full: span over the median step, of the thinned grid and of the data's own.
    """

    reach: Array
    roots: Array
    thin: float
    full: float

    def quantile(self, p: float) -> Curve:
        """Quantile of the root at probability p as a function of kappa times the span."""
        return _quantile(self, p)

    def mean(self) -> Curve:
        """Mean of the root as a function of kappa times the span."""
        return _mean(self)

    def sd(self) -> Curve:
        """Standard deviation of the root as a function of kappa times the span."""
        return _sd(self)

    def curve(self, values: Array, limit: float) -> Curve:
        """Through values at each reach, drawn to the normal law's as the record grows."""
        from scipy.interpolate import PchipInterpolator

        curve = PchipInterpolator(np.arcsinh(self.reach), values - limit)

        def at(reach: Array) -> Array:
            place, shrink = self._place(np.asarray(reach, dtype=float))
            return np.asarray(limit + shrink * curve(np.arcsinh(np.clip(place, self.reach[0], self.reach[-1]))))

        return at

    def level(self, p: float) -> Array:
        """Quantile at each reach, linear between order statistics."""
        rank = p * (self.roots.shape[1] - 1)
        low = min(int(rank), self.roots.shape[1] - 2)
        return np.asarray(self.roots[:, low] + (rank - low) * (self.roots[:, low + 1] - self.roots[:, low]))

    def _place(self, reach: Array) -> tuple[Array, Array]:
        """Where a reach of the full grid stands in the table, and by what its distance from normality shrinks.

        Thinning is harmless while a step is short against 1 / kappa. Beyond that the table's record is
        the shorter one, and the distance falls as one over the square root of its length.
        """
        edge, ratio = _FINE * self.thin, self.thin / self.full
        between = np.maximum(reach, edge)
        place = np.where(reach <= edge, reach, np.maximum(edge, reach * ratio))
        return place, np.where(reach <= edge, 1.0, np.sqrt(np.maximum(edge / between, ratio)))


@lru_cache(maxsize=256)
def _quantile(table: Table, p: float) -> Curve:
    from scipy.stats import norm

    return table.curve(table.level(p), float(norm.ppf(p)))


@lru_cache(maxsize=16)
def _mean(table: Table) -> Curve:
    return table.curve(table.roots.mean(axis=1), 0.0)


@lru_cache(maxsize=16)
def _sd(table: Table) -> Curve:
    return table.curve(table.roots.std(axis=1), 1.0)


def table_of(dt: Array) -> Table:
    """The table of a time grid with steps dt (n,) in hours."""
    step = np.round(dt / dt.sum(), 12)
    if np.ptp(step) < 1e-9 * step[0]:
        step = np.full(len(dt), 1.0 / len(dt))
    thin = few_kinds(thinned(step))
    return _table(thin.tobytes(), 1.0 / float(np.median(step)))


@lru_cache(maxsize=16)
def _table(steps: bytes, full: float) -> Table:
    return Table(*_simulated(steps), 1.0 / float(np.median(np.frombuffer(steps))), full)


@lru_cache(maxsize=16)
def _simulated(steps: bytes) -> tuple[Array, Array]:
    dt = np.frombuffer(steps)
    typical = 1.0 / float(np.median(dt))
    reach = np.array([r for r in _REACHES if r < 0.12 * typical] + [u * typical for u in _STEPWISE])
    # far below zero the profile is too sharp for a grid of kappa: even steps stand for uneven ones
    tame = reach >= -3.0
    even = np.full(len(dt), 1.0 / len(dt))
    parts = [signed_roots(reach[~tame], even, PATHS, _SEED), signed_roots(reach[tame], dt, PATHS, _SEED)]
    return reach, np.sort(np.vstack(parts), axis=1)


def thinned(dt: Array, most: int = _MOST_STEPS) -> Array:
    """At most about `most` steps over the same span: stamps left out between, gaps kept."""
    if len(dt) <= most:
        return dt
    if np.ptp(dt) == 0.0:
        return np.full(most, float(dt.sum()) / most)
    time = np.concatenate([[0.0], np.cumsum(dt)])
    width = _room(dt, most)
    keep, last = [0], 0.0
    for i in range(1, len(time)):
        if time[i] - last >= width * (1.0 - 1e-9):
            keep.append(i)
            last = time[i]
    keep[-1] = len(dt)
    return np.diff(time[keep])


def _room(dt: Array, most: int) -> float:
    """Length of step at which `most` steps fill the span once longer gaps are taken out."""
    width = float(dt.sum()) / most
    for _ in range(20):
        long = dt[dt > width]
        width = float(dt.sum() - long.sum()) / max(most - len(long), most // 4)
    return width


def few_kinds(dt: Array, most: int = _MOST_KINDS) -> Array:
    """The same steps with at most `most` different lengths: means of equally filled classes of length."""
    if len(np.unique(dt)) <= most:
        return dt
    rank = np.empty(len(dt), dtype=np.int64)
    rank[np.argsort(dt, kind="stable")] = np.arange(len(dt))
    group = rank * most // len(dt)
    mean = np.bincount(group, dt) / np.bincount(group)
    return np.asarray(mean[group])


class _Roots:
    """The signed root of one series over a scan of kappa, in units of the span."""

    def __init__(self, y: Array, dt: Array) -> None:
        self.span = float(dt.sum())
        self.y, self.step = np.ascontiguousarray(y - np.median(y)), np.ascontiguousarray(dt / self.span)
        self.best = ou.maximise(self.y, self.step, stationary=False, positive=False)
        ends = np.arcsinh([-30.0, 25.0 / float(np.median(self.step))])
        self.scan = np.sinh(np.arange(ends[0], ends[1], 0.2))
        self.values = np.array([self.root(k) for k in self.scan])

    def root(self, reach: float) -> float:
        drop = 2.0 * (self.best.value - ou.profile(reach, self.y, self.step, False).value)
        return math.copysign(math.sqrt(max(drop, 0.0)), self.best.kappa - reach)

    def crossing(self, curve: Curve, last: bool) -> float:
        """kappa in 1/h where the root falls through a curve, the first time or the last; infinite where it does not."""
        from scipy.optimize import brentq

        above = self.values > curve(self.scan)
        if last:
            i = len(above) - int(np.argmax(above[::-1])) if above.any() else 0
        else:
            i = int(np.argmin(above)) if not above.all() else len(above)
        if i in (0, len(above)):
            return math.copysign(math.inf, i - 0.5)

        def gap(reach: float) -> float:
            return self.root(reach) - float(curve(np.array(reach)))

        return float(brentq(gap, self.scan[i - 1], self.scan[i], xtol=1e-10, rtol=1e-10)) / self.span


def invert_ou(y: Array, dt: Array, level: float) -> Inversion:
    """Interval and median-unbiased estimate of kappa in 1/h for y (n,) in bps at steps dt (n - 1,) in hours.

    kappa may be zero or negative: the likelihood is conditional on y[0].
    """
    table, roots = table_of(dt), _Roots(y, dt)
    tail = 0.5 * (1.0 - level)
    noise = math.sqrt(tail * (1.0 - tail) / PATHS)

    def limit(p: float, last: bool) -> float:
        return roots.crossing(table.quantile(min(max(p, 1.0 / PATHS), 1.0 - 1.0 / PATHS)), last)

    def error(p: float, last: bool) -> float:
        ends = limit(p - noise, last), limit(p + noise, last)
        return 0.5 * abs(ends[1] - ends[0]) if all(map(math.isfinite, ends)) else math.nan

    return Inversion(
        limit(1.0 - tail, False), limit(tail, True), limit(0.5, False), level,
        error(1.0 - tail, False), error(tail, True),
    )  # fmt: skip
