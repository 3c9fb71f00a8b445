"""Test inversion for one coefficient: an interval that holds where the likelihood is skewed.

The signed likelihood root of a speed has nearly the same null distribution in every model: that of
the plain Ornstein-Uhlenbeck process at the same speed times time, which `inversion_ou` tabulates.
Where draws are asked for, series simulated at a few values of the coefficient, nuisance parameters at
their restricted estimates, correct its mean and spread (Hansen 1999; DiCiccio & Efron 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.inversion_ou import Curve, Inversion, Table, invert_ou, table_of
from basismodels.inference.mle import is_plain_ou
from basismodels.inference.starts import observed
from basismodels.results import Fit

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_WIDEST = 4.2
_STRIDE = 0.7
_RESAMPLES = 60
_NODES = 5
_FEWEST = 10


class Root(Protocol):
    """The signed root of one speed on one series.

    span: hours that the speed works in; estimate: where the root is zero; positive: whether
    it must stay above zero; highest: the greatest value tried.
    """

    span: float
    estimate: float
    positive: bool
    highest: float

    def root(self, value: float) -> tuple[float, Any]:
        """Root at a value, and the nuisance parameters there."""


class Statistic(Root, Protocol):
    """A root whose law can be simulated."""

    def simulated(self, value: float, nuisance: Any, draws: int, rng: np.random.Generator) -> Array:
        """Roots (draws,) of series simulated at a value."""


@dataclass(frozen=True, eq=False)
class Scan:
    """The root of the data: place (g,) = asinh(value times span) ascending, root (g,), nuisance of each."""

    place: Array
    root: Array
    nuisance: list[Any]


@dataclass(frozen=True, eq=False)
class Null:
    """Null distribution of the root: a table's, moved by shift and stretched by exp(stretch), lines in the place.

    place (g,) and roots (g, draws): the simulated roots that these come from, or none.
    """

    table: Table
    place: Array
    roots: Array
    shift: Array
    stretch: Array

    def quantile(self, p: float, place: Array) -> Array:
        """Quantile of the root at probability p."""
        reach = np.sinh(place)
        mean = self.table.mean()(reach)
        own = self.table.quantile(p)(reach) - mean
        return np.asarray(mean + np.polyval(self.shift, place) + np.exp(np.polyval(self.stretch, place)) * own)

    def resampled(self, rng: np.random.Generator) -> Null:
        """The same from roots drawn with replacement."""
        at = rng.integers(self.roots.shape[1], size=self.roots.shape)
        return corrected(self.table, self.place, np.take_along_axis(self.roots, at, axis=1))


def invert(
    fit: Fit,
    name: str = "kappa",
    level: float = 0.95,
    *,
    draws: int | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Progress | None = None,
) -> Inversion:
    """Interval and median-unbiased estimate of one speed by test inversion, in 1/h.

    `draws`: simulated series at each of five values; default 99 for OU with noise and where the level
    is fixed, 0 for other models, where each is two fits: 0 keeps the plain process's distribution.
    Plain OU has a table of its own and takes none. `rng`: seed. `progress`: called with (done, total) series,
    with 0 first, so that the cost is known. Errors: ModelError for a coefficient that is not a speed.
    """
    if is_plain_ou(fit.problem) and name == "kappa":
        return invert_ou(*observed(fit.problem), level)
    if draws is not None and draws != 0 and draws < _FEWEST:
        raise ModelError(f"draws must be 0 or at least {_FEWEST}, got {draws!r}", remedy="draws=99")
    made = _prepared(fit, name)
    count = made.usual if draws is None else draws
    return _limits(made, made.null(count, rng, progress), level)


def inverted(statistic: Root, level: float, quantile: Callable[[float, list[Any]], Array]) -> Inversion:
    """Interval from any signed root; `quantile`: of its law at a probability, at nuisance parameters (g,)."""
    scan, tail = scanned(statistic), 0.5 * (1.0 - level)

    def end(p: float, last: bool) -> float:
        law = quantile(p, scan.nuisance)
        return _crossing(statistic, scan, lambda place: np.interp(place, scan.place, law), last)

    return Inversion(end(1.0 - tail, False), end(tail, True), end(0.5, False), level, 0.0, 0.0)


class _Prepared:
    """The scan of one coefficient of one fit, its table, and the null distributions made so far."""

    def __init__(self, statistic: Statistic, table: Table, usual: int) -> None:
        self.statistic, self.usual = statistic, usual
        self.plain = Null(table, np.empty(0), np.empty((0, 0)), np.zeros(1), np.zeros(1))
        self.scan = scanned(statistic)
        self.kept: dict[tuple[int, int], Null] = {}

    def null(self, draws: int, rng: np.random.Generator | int | None, progress: Progress | None) -> Null:
        """The null distribution by so many draws, remembered where the seed is a number."""
        if draws == 0:
            return self.plain
        if isinstance(rng, np.random.Generator):
            return self._simulated(draws, rng, progress)
        key = (draws, 0 if rng is None else int(rng))
        if key not in self.kept:
            self.kept[key] = self._simulated(draws, np.random.default_rng(key[1]), progress)
        return self.kept[key]

    def _simulated(self, draws: int, rng: np.random.Generator, progress: Progress | None) -> Null:
        chosen = nodes(self.scan, self.plain)
        if progress is not None:
            progress(0, len(chosen) * draws)
        roots = np.empty((len(chosen), draws))
        for k, i in enumerate(chosen):
            value = float(np.sinh(self.scan.place[i])) / self.statistic.span
            roots[k] = self.statistic.simulated(value, self.scan.nuisance[i], draws, rng)
            if progress is not None:
                progress((k + 1) * draws, len(chosen) * draws)
        return corrected(self.plain.table, self.scan.place[chosen], roots)


_PREPARED: WeakKeyDictionary[Fit, dict[str, _Prepared]] = WeakKeyDictionary()


def _prepared(fit: Fit, name: str) -> _Prepared:
    kept = _PREPARED.setdefault(fit, {})
    if name not in kept:
        kept[name] = _Prepared(*_statistic(fit, name))
    return kept[name]


def _statistic(fit: Fit, name: str) -> tuple[Statistic, Table, int]:
    from basismodels.inference.inversion_noise import NoiseRoot
    from basismodels.inference.inversion_path import PathRoot

    if name not in speeds(fit):
        raise ModelError(f"{name!r} is not a speed to invert; there are {', '.join(speeds(fit)) or 'none'}")
    y, dt = observed(fit.problem)
    if fit.names == ["kappa", "theta", "sigma", "tau"] and not len(fit.problem.layout.constants):
        p = fit.params
        return NoiseRoot(y, dt, float(p["kappa"]), float((p["tau"] / p["sigma"]) ** 2)), table_of(dt), 99
    return PathRoot(fit, name), table_of(dt), 0 if "theta" in fit.names else 99


def speeds(fit: Fit) -> list[str]:
    """Names of the coefficients that are speeds without covariates: kappa, kappa[k], slow.kappa."""
    whole = {n.split(":")[0] for n in fit.names if ":" in n}
    return [n for n in fit.names if n.split("[")[0] in ("kappa", "slow.kappa") and ":" not in n and n not in whole]


def scanned(statistic: Root) -> Scan:
    """The root on both sides of the estimate, in strides that change it by about 0.7, until it is out of reach."""
    middle = statistic.estimate * statistic.span
    points = {math.asinh(middle): statistic.root(statistic.estimate)}
    for side in (-1.0, 1.0):
        edge = statistic.highest * statistic.span if side > 0 else (1e-3 if statistic.positive else -12.0)
        reach, last, pace = middle, 0.0, 1.0
        for _ in range(40):
            ahead = reach + side * pace * _STRIDE * math.sqrt(2.0 * abs(reach) + 4.0)
            reach = min(ahead, edge) if side > 0 else max(ahead, edge, _low(reach, statistic.positive))
            points[math.asinh(reach)] = found = statistic.root(reach / statistic.span)
            if abs(found[0]) > _WIDEST or reach == edge:
                break
            pace *= min(max(_STRIDE / max(abs(found[0] - last), 1e-3), 0.5), 2.0)
            last = found[0]
    place = np.array(sorted(points))
    return Scan(place, np.array([points[c][0] for c in place]), [points[c][1] for c in place])


def _low(reach: float, positive: bool) -> float:
    """The lowest next point: a positive speed falls by a factor, and ends at the edge."""
    if not positive:
        return -math.inf
    return 0.4 * reach if reach > 5e-3 else 1e-3


def nodes(scan: Scan, null: Null, count: int = _NODES) -> NDArray[np.int64]:
    """Which scanned points carry simulations: spread over the interval at 99%, ends included."""
    inside = (scan.root <= null.quantile(0.995, scan.place)) & (scan.root >= null.quantile(0.005, scan.place))
    at = np.flatnonzero(inside) if inside.any() else np.array([int(np.argmin(np.abs(scan.root)))])
    low, high = max(at[0] - 1, 0), min(at[-1] + 1, len(scan.place) - 1)
    return np.unique(np.linspace(low, high, count).round().astype(np.int64))


def corrected(table: Table, place: Array, roots: Array) -> Null:
    """The table with mean and spread of simulated roots (g, draws), smoothed by a line over the places (g,)."""
    reach, bounded = np.sinh(place), np.clip(np.nan_to_num(roots), -6.0, 6.0)
    shift = bounded.mean(axis=1) - table.mean()(reach)
    stretch = np.log(bounded.std(axis=1, ddof=1)) - np.log(table.sd()(reach))
    degree = 1 if len(place) > 2 else 0
    return Null(table, place, roots, np.polyfit(place, shift, degree), np.polyfit(place, stretch, degree))


def _limits(made: _Prepared, null: Null, level: float) -> Inversion:
    tail = 0.5 * (1.0 - level)
    lower, upper = _ends(made, null, tail)
    errors = _errors(made, null, tail) if null.roots.size else (0.0, 0.0)
    return Inversion(lower, upper, _end(made, null, 0.5, False), level, *errors)


def _ends(made: _Prepared, null: Null, tail: float) -> tuple[float, float]:
    return _end(made, null, 1.0 - tail, False), _end(made, null, tail, True)


def _end(made: _Prepared, null: Null, p: float, last: bool) -> float:
    return _crossing(made.statistic, made.scan, lambda place: null.quantile(p, place), last)


def _errors(made: _Prepared, null: Null, tail: float) -> tuple[float, float]:
    """Monte Carlo standard errors of both limits, by resampling the simulated roots; NaN at an infinite one."""
    rng = np.random.default_rng(0)
    found = np.array([_ends(made, null.resampled(rng), tail) for _ in range(_RESAMPLES)])
    low, high = (float(np.std(c)) if np.all(np.isfinite(c)) else math.nan for c in found.T)
    return low, high


def _crossing(statistic: Root, scan: Scan, quantile: Curve, last: bool) -> float:
    """Value where the root falls through a quantile, the first time or the last; else the end of the range."""
    fine = np.linspace(scan.place[0], scan.place[-1], 800)
    gap = _curve(scan)(fine) - quantile(fine)
    above = gap > 0.0
    if last:
        i = len(above) - int(np.argmax(above[::-1])) if above.any() else 0
    else:
        i = int(np.argmin(above)) if not above.all() else len(above)
    if i == len(above):
        return math.inf
    if i == 0:
        return 0.0 if statistic.positive else -math.inf
    place = fine[i - 1] + (fine[i] - fine[i - 1]) * gap[i - 1] / (gap[i - 1] - gap[i])
    return float(np.sinh(place)) / statistic.span


def _curve(scan: Scan) -> Curve:
    from scipy.interpolate import PchipInterpolator

    curve: Curve = PchipInterpolator(scan.place, scan.root)
    return curve
