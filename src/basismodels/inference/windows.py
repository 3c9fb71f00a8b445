"""Fits of many windows of one series: which windows, and the three ways of fitting them.

A plain OU goes by running sums, two regimes of a bare OU on a regular grid by compiled climbs, any other model by
climbs around its engine. Each window begins at its predecessor's maximum; a block of windows begins anew, so that the
result does not depend on how blocks are shared out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.mle import at_bound, fit_problem, is_plain_ou
from basismodels.inference.starts import bounds, scales
from basismodels.inference.tasks import packed
from basismodels.inference.warm import Warm, curvature, warm_fit, window_layout
from basismodels.likelihood import hamilton_fit, hamilton_ou, ou_rolling, predictors, stationary
from basismodels.likelihood.hamilton_layout import places, regular
from basismodels.likelihood.predictors import Layout
from basismodels.problem import Problem

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_MOST = 10_000_000
_BLOCK = 96
_ANCHOR = 24
_TURNOVER = 0.1
_FEW = 10.0
_LEAST_ROWS = 40
_STARTS = 12
_PLAIN_BLOCK = 5_000
_EXTRA = 3  # log likelihood, observations, ok


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of a bound series: their ends, and the internal rows from `first` to `after` (exclusive) of each."""

    ends: pd.DatetimeIndex
    first: Rows
    after: Rows


def windows_of(problem: Problem, window: pd.Timedelta, step: pd.Timedelta) -> Windows:
    """Windows (end - window, end], the first complete one and then one every step; ModelError where none fits."""
    time = problem.time
    if not (window > pd.Timedelta(0) and step > pd.Timedelta(0)):
        raise ModelError(f"window and step must be positive, got {window} and {step}", remedy='window="30D", step="1D"')
    gap = pd.Timedelta(round(3600 * float(np.median(np.diff(problem.data.hours)))), unit="s")
    if (time[-1] - time[0]) / step > _MOST:
        raise ModelError(f"steps of {step} make more than {_MOST:,} windows", remedy='step="1D"')
    ends = pd.date_range(time[0] + window - gap, time[-1], freq=step)
    if not len(ends):
        raise ModelError(f"the data span {time[-1] - time[0]}, less than one window of {window}")
    seen = np.flatnonzero(np.isfinite(problem.layout.y[problem.place]))
    a = np.searchsorted(time[seen], ends - window, side="right")
    b = np.searchsorted(time[seen], ends, side="right")
    rows = np.concatenate([problem.place[seen], [len(problem.layout.y)]])
    first, last = rows[a], rows[np.maximum(b - 1, 0)]
    return Windows(ends, first, np.where(b > a, last + 1, first).astype(np.int64))


def window_problem(problem: Problem, first: int, after: int) -> Problem:
    """A bound model over some of its internal rows, as if they were the whole series."""
    layout = window_layout(problem.layout, first, after)
    inside = (problem.place >= first) & (problem.place < after)
    rows = np.flatnonzero(inside)
    data = replace(problem.data, warnings=())
    return replace(
        problem, data=data, layout=layout, place=problem.place[inside] - first,
        first=problem.first + int(rows[0]), notes=(),
    )  # fmt: skip


def block_size(problem: Problem) -> int:
    """How many windows one task fits."""
    return _PLAIN_BLOCK if _by_sums(problem) else _BLOCK


def fit_block(problem: Problem, starts: int, whole: Array | None, job: tuple[Rows, Rows]) -> bytes:
    """Free vector, log likelihood, observations and ok of each window of a block, (m, p + 3).

    `whole`: free vector of the whole series, as `whole_fit` gives it.
    """
    first, after = job
    if _by_sums(problem):
        return packed(_plain(problem, first, after))
    seen = np.concatenate([[0], np.cumsum(np.isfinite(problem.layout.y))])
    counts = seen[after] - seen[first]
    enough = counts >= len(problem.spec) + 2
    out = np.full((len(first), len(problem.spec) + _EXTRA), np.nan)
    out[:, -2], out[:, -1] = counts, 0.0
    near = whole is not None and int(np.diff(first).max(initial=0)) <= _TURNOVER * np.median(after - first)
    if enough.any() and whole is not None and near and counts[enough].min() >= _LEAST_ROWS:
        out[enough] = _compiled(problem, first[enough], after[enough], whole)
    elif enough.any():
        out[enough] = _climbs(problem, first[enough], after[enough], starts)
    return packed(out)


def whole_fit(problem: Problem, starts: int) -> Array | None:
    """Free vector of the whole series where windows are climbed in compiled code, which begins there too; else None."""
    if places(problem.layout, problem.engine.name == "hamilton") is None:
        return None
    return fit_problem(problem, starts=starts).x


def _by_sums(problem: Problem) -> bool:
    if not is_plain_ou(problem):
        return False
    return len(np.unique(np.round(_observed_steps(problem)[1], 9))) <= ou_rolling.MOST_KINDS


def _observed_steps(problem: Problem) -> tuple[NDArray[np.bool_], Array]:
    seen = np.isfinite(problem.layout.y)
    hours = np.cumsum(problem.layout.dt[problem.layout.row])
    return seen, np.diff(hours[seen])


def _plain(problem: Problem, first: Rows, after: Rows) -> Array:
    """Windows of a plain OU, from running sums over the rows the block covers."""
    seen, dt = _observed_steps(problem)
    before = np.concatenate([[0], np.cumsum(seen)])
    y, a, b = problem.layout.y[seen], before[first], before[after]
    low, high = int(a.min()), int(b.max())
    made = ou_rolling.maximise(y[low:high], dt[low : high - 1], a - low, b - low, problem.layout.stationary)
    hours = np.concatenate([[0.0], np.cumsum(dt)])
    span = hours[np.maximum(b - 1, a)] - hours[a]
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = made.inside & (made.kappa > 1.001e-3 / span) & (made.information > 1.0 / 16.0)
        free = np.column_stack([np.log(made.kappa), made.drift / made.kappa, 0.5 * np.log(made.variance)])
    counts = b - a
    return np.column_stack([free, made.value, counts, inside & (counts >= 5)])


def _compiled(problem: Problem, first: Rows, after: Rows, whole: Array) -> Array:
    """Windows of two regimes by compiled climbs from the maximum before, the whole series' one, and fresh searches."""
    one = window_problem(problem, int(first[0]), int(after[0]))
    layout, box = one.layout, bounds(one, scales(one))
    at = places(layout)
    assert at is not None
    dt, flags, _, _ = regular(layout)
    start = np.concatenate([np.clip(whole, box[:, 0], box[:, 1]), layout.constants])
    fresh = [problem.layout.y[first[w] : after[w]] for w in range(0, len(first), _ANCHOR)]
    begin = np.array([start, *(_cut(layout, y, at, dt, box, start) for y in fresh)])
    spread = np.array([np.std(problem.layout.y[i:j]) for i, j in zip(first, after, strict=True)])
    p, low = len(box), int(first.min())
    inverse = curvature(one, begin[0, :p], np.full((p, p), np.nan))
    out = np.empty((len(first), p + 2))
    hamilton_ou.roll(
        (0, 0), problem.layout.y[low : int(after.max())], first - low, after - low, dt, begin, _ANCHOR, at, flags,
        layout.centre, -np.log(10.0 * spread * np.sqrt(2.0 * np.pi)), box, inverse, out,
    )  # fmt: skip
    counts = (after - first).astype(float)
    rates = np.exp(np.column_stack([out[:, :p], np.tile(layout.constants, (len(out), 1))])[:, at[6:]])
    held = rates.min(axis=1) / rates.sum(axis=1) * counts
    free = np.array([not at_bound(x, box).any() for x in out[:, :p]])
    return np.column_stack([out[:, :-1], counts, (out[:, -1] == 1.0) & free & (held >= _FEW)])


def _cut(layout: Layout, y: Array, at: Rows, dt: float, box: Array, otherwise: Array) -> Array:
    """Extended vector from the best of a dozen starts of the discrete form, free of the model's constraints.

    Where that form's densities overflow, `otherwise`.
    """
    try:
        found = hamilton_fit.fit(y, 2, _STARTS)
    except ValueError:
        return otherwise
    phi = np.clip(found.phi, 1e-6, 1.0 - 1e-6)
    kappa = -np.log(phi) / dt
    leave = np.clip(np.array([found.p[0, 1], found.p[1, 0]]), 1e-6, 0.49)
    rates = leave / leave.sum() * -np.log1p(-leave.sum()) / dt
    level = found.c / (1.0 - phi)
    if at[2] == at[3]:
        weight = (1.0 - phi) ** 2 / found.v * leave[::-1]
        level[:] = weight @ level / weight.sum()
    volatility = 0.5 * np.log(found.v * 2.0 * kappa / -np.expm1(-2.0 * kappa * dt))
    x = np.concatenate([np.zeros(len(box)), layout.constants])
    natural = np.concatenate(
        [np.log(kappa) if layout.kappa_log else kappa, level * kappa if layout.level_is_drift else level,
         volatility, np.log(rates)]
    )  # fmt: skip
    free = at < len(box)
    x[at[free]] = natural[free]
    x[: len(box)] = np.clip(x[: len(box)], box[:, 0], box[:, 1])
    return x


def _climbs(problem: Problem, first: Rows, after: Rows, starts: int) -> Array:
    """Windows one after the other: each from the maximum before, searched anew where a tenth of the rows is new."""
    rows = []
    x, inverse, since = np.empty(0), np.empty(0), -1
    for i, j in zip(first, after, strict=True):
        one = window_problem(problem, int(i), int(j))
        count = float(np.isfinite(one.layout.y).sum())
        if not one.layout.spread > 0:
            rows.append(np.array([*np.full(len(problem.spec), np.nan), np.nan, count, 0.0]))
            continue
        box = bounds(one, scales(one))
        anew = None
        if since < 0 or i - since > _TURNOVER * (j - i):
            anew, since = fit_problem(one, starts=starts), int(i)
        if anew is not None:
            found = Warm(anew.x, anew.llf, curvature(one, anew.x, anew.cov), bool(anew.optima["converged"].iloc[0]))
        if len(x):
            on = warm_fit(one, x, box, inverse)
            found = on if anew is None or on.llf > found.llf else found
        ok = found.converged and _settled(one, found.x, box, count)
        rows.append(np.array([*found.x, found.llf, count, ok]))
        if np.isfinite(found.llf):
            x, inverse = found.x, found.inverse
    return np.array(rows)


def _settled(problem: Problem, x: Array, box: Array, count: float) -> bool:
    """Whether no coefficient stands at a bound and each regime may expect ten observations."""
    if not np.all(np.isfinite(x)) or at_bound(x, box).any():
        return False
    if problem.layout.regimes == 1:
        return True
    return bool(stationary.law_of(predictors.natural(problem.layout, x)).min() * count >= _FEW)
