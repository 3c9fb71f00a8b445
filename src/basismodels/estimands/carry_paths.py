"""Paths of basis and funding from the last row of a fit, for the profit of a carry trade."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.ahead import closes_ahead, drawn, natural_ahead, steps_ahead
from basismodels.funding.mechanism import Rule
from basismodels.problem import Problem, pieces_of, spacing_of
from basismodels.results import Fit

Array = NDArray[np.float64]
Regimes = NDArray[np.int64]


class Walks(NamedTuple):
    """Basis without noise in bps, first column now, (m, h + 1); regime as each step ends (m, h); by how much the
    basis jumps as a step ends, once what is paid there is paid, bps (m, h); shock of each step, standardised (m, h)."""

    basis: Array
    regime: Regimes
    jump: Array
    shock: Array


class Payments(NamedTuple):
    """Payments to come: the rule, the basis at the rows of the running interval, the step that each payment ends, which
    rows set it (counted from the first of `before`), and the payment already fixed in bps, NaN where none is."""

    rule: Rule
    before: Array
    steps: list[int]
    rows: list[slice]
    fixed: float

    def at(self, basis: Array, step: int) -> Array | None:
        """Paid at the end of a step, bps of notional, on paths (m, h + 1) from now on, (m,); None without a payment."""
        due = range(bisect_left(self.steps, step), bisect_right(self.steps, step))
        return np.asarray(sum(self._one(basis, i) for i in due)) if due else None

    def _one(self, basis: Array, i: int) -> Array:
        lag = 0 if math.isnan(self.fixed) else 1
        if i < lag:
            return np.full(len(basis), self.fixed)
        return np.asarray(1e4 * self.rule.rate(np.expm1(self._interval(basis, self.rows[i - lag]) / 1e4)))

    def _interval(self, basis: Array, rows: slice) -> Array:
        """The rows of one interval: those already seen, then those of the paths."""
        known = len(self.before)
        seen = np.broadcast_to(self.before[rows], (len(basis), len(self.before[rows])))
        walked = basis[:, 1 + max(rows.start - known, 0) : 1 + max(rows.stop - known, 0)]
        return np.concatenate([seen, walked], axis=1)


def payments(fit: Fit, rule: Rule, count: int) -> Payments:
    """Payments within `count` steps of the last row of a fit.

    The premium of an interval is the basis at its rows; that of the running interval begins with the rows
    already seen. Where the rule fixes a payment one interval ahead, the first one follows from the last whole interval.
    """
    now, spacing = fit.data.time[-1], spacing_of(fit.problem)
    ends = closes_ahead(now, spacing, count)
    before = _seen(fit, rule, now)
    steps: list[int] = []
    rows: list[slice] = []
    stamps = rule.interval_ends(now, ends[-1])
    for stamp in stamps[stamps > now]:
        step = int(ends.searchsorted(stamp))
        first = int(ends.searchsorted(stamp - pd.Timedelta(hours=rule.interval_hours), side="right"))
        rows.append(slice(first + len(before) if rows else 0, step + 1 + len(before)))
        steps.append(step)
    fixed = _fixed(fit, rule, now) if rule.timing == "next" else math.nan
    return Payments(rule, before, steps, rows, fixed)


def _fixed(fit: Fit, rule: Rule, now: pd.Timestamp) -> float:
    """The next payment in bps, set by the premium of the interval that has ended; without rows of it, the last rate."""
    past = rule.interval_ends(now - pd.Timedelta(hours=2.0 * rule.interval_hours), now)
    rows = fit.problem.seen & np.asarray(
        (fit.data.time > past[-1] - pd.Timedelta(hours=rule.interval_hours)) & (fit.data.time <= past[-1])
    )
    if rows.any():
        return float(1e4 * rule.rate(np.expm1(np.asarray(fit.data.basis[rows], dtype=float) / 1e4)))
    settled = fit.data.settlements
    return 1e4 * float(settled["rate"].iloc[-1]) if settled is not None and len(settled) else 0.0


def _jump(problem: Problem, x: Array) -> tuple[float, float]:
    """By how much the basis jumps at a payment: bps for each bp paid, and bps for the payment itself."""
    if "jump" not in problem.layout.places:
        return 0.0, 0.0
    values = np.concatenate([x, problem.layout.constants])[problem.layout.places["jump"][:, 0]]
    known = dict(zip(problem.designs["jump"].columns, map(float, values), strict=True))
    odd = [name for name in known if name not in ("funding_paid", "settled_just_now")]
    if odd:
        raise ModelError(
            "a carry trade knows of payments to come, not of other columns of the jump", rows=odd,
            remedy='Settlement(jump="0 + funding_paid")',
        )  # fmt: skip
    return known.get("funding_paid", 0.0), known.get("settled_just_now", 0.0)


def walks(
    problem: Problem, x: Array, count: int, paths: int, rng: np.random.Generator, due: Payments | None = None
) -> Walks:
    """`paths` paths of `count` steps from the filtered law of the last row, a payment there made and jumped at.

    No regime is held for longer than in the fit. `due`: payments to come, at which a model with `Settlement` moves
    the basis.
    """
    law, hours = problem.engine.filter(problem.layout, x), spacing_of(problem)
    pieces = pieces_of(problem, hours)
    steps = steps_ahead(problem, x, hours / pieces, later=True)
    paid_now = natural_ahead(problem, x).jump[0, 0]
    slope, push = _jump(problem, x)
    s = rng.choice(len(law.p[-1]), size=paths, p=law.p[-1] / law.p[-1].sum())
    state = drawn(law.mean[-1][s], law.var[-1][s], rng)
    regime, level = state[:, 0] + paid_now, state[:, 1].copy()
    basis, jump, shock = np.empty((paths, count + 1)), np.zeros((paths, count)), np.empty((paths, count))
    visited = np.empty((paths, count), dtype=np.int64)
    basis[:, 0] = regime + level
    move = np.cumsum(steps.p[0], axis=1)
    for i in range(count):
        moved = spread = np.zeros(paths), np.zeros(paths)
        for _ in range(pieces):
            s = np.minimum((rng.random(paths)[:, None] > move[s]).sum(axis=1), len(move) - 1)
            phi, v = steps.phi[0, s], steps.v[0, s]
            pushed = np.sqrt(v) * rng.standard_normal(paths), np.sqrt(steps.w[0]) * rng.standard_normal(paths)
            regime = phi * regime + steps.c[0, s] + pushed[0]
            level = steps.rho[0] * level + pushed[1]
            moved = phi * moved[0] + pushed[0], steps.rho[0] * moved[1] + pushed[1]
            spread = phi**2 * spread[0] + v, steps.rho[0] ** 2 * spread[1] + steps.w[0]
        basis[:, i + 1], visited[:, i] = regime + level, s
        shock[:, i] = (moved[0] + moved[1]) / np.sqrt(np.maximum(spread[0] + spread[1], 1e-300))
        paid = due.at(basis, i) if due is not None and (slope or push) else None
        if paid is not None:
            jump[:, i] = slope * paid + push
            regime += jump[:, i]
    return Walks(basis, visited, jump, shock)


def funding_paid(basis: Array, due: Payments) -> Array:
    """Funding received by a short perpetual in bps of notional at each step of paths (m, h + 1), (m, h)."""
    out = np.zeros((len(basis), basis.shape[1] - 1))
    for step in set(due.steps):
        out[:, step] = due.at(basis, step)
    return out


def _seen(fit: Fit, rule: Rule, now: pd.Timestamp) -> Array:
    """Basis of the rows of the running interval, oldest first."""
    begun = rule.interval_ends(now - pd.Timedelta(hours=rule.interval_hours), now)
    since = begun[-1] if len(begun) else now
    rows = np.asarray(fit.data.time > since) & fit.problem.seen
    return np.asarray(fit.data.basis[rows], dtype=float)
