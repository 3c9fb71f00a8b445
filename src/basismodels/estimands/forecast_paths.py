"""Density forecast where covariates follow from the path: basis, premium and funding step by step on many paths.

At each close every path settles what is due by the rule, has its own columns of funding, and takes its next step
with the parameters they give. What is kept of a step is a mixture of fixed size, so that memory does not grow with
paths times horizon.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.estimands.ahead import drawn
from basismodels.estimands.mixture import Mixture
from basismodels.funding.covariates import rule_of, snapshot
from basismodels.funding.mechanism import Rule
from basismodels.likelihood import assemble
from basismodels.likelihood.kim import Steps
from basismodels.likelihood.predictors import natural
from basismodels.model import designs_again
from basismodels.problem import Problem, pieces_of, spacing_of
from basismodels.results import Fit

Array = NDArray[np.float64]
Columns = Callable[[int], dict[str, Array]]
_KEPT = 256
FLOWS = ("funding_paid", "settled_just_now")


class Ahead(NamedTuple):
    """One step ahead: mixture of the observed basis (1, G) in bps, and probabilities of the regimes (K,)."""

    law: Mixture
    regimes: Array


@dataclass
class Running:
    """Funding on many paths as they are walked: rates (m,) decimal, premiums (m,) in bps.

    rule: with the interval of the data; attached: the rule as it stands beside them; last: paid last; due: fixed for
    the next payment, of a rule that fixes it ahead; mean: premium that set the one in force; rows: closes of the
    running interval with their premium; paid: in the bar that closed, bps.
    """

    rule: Rule
    attached: Rule
    stamp: pd.Timestamp
    last: Array
    due: Array
    mean: Array
    premium: Array
    rows: list[tuple[pd.Timestamp, Array]] = field(default_factory=list)
    paid: float | Array = 0.0

    def close(self, before: pd.Timestamp, now: pd.Timestamp, basis: Array) -> None:
        """A close at which `basis` bps is seen, with the payments since the one before."""
        self.premium, self.paid = 1e4 * np.expm1(basis / 1e4), np.zeros(len(basis))
        self.rows.append((now, self.premium))
        stamps = self.rule.settlements(before, now)
        stamps = stamps[stamps > before]
        if self.rule.timing == "continuous":
            self.last, self.rows = self.rule.rate_of_mean(self.premium / 1e4), []
            self.stamp = stamps[-1] if len(stamps) else self.stamp
            return
        for stamp in stamps:
            self._settle(stamp)

    def _settle(self, stamp: pd.Timestamp) -> None:
        begun = stamp - pd.Timedelta(hours=self.rule.interval_hours)
        own = [premium for time, premium in self.rows if begun < time <= stamp]
        made = self.due  # an interval without a close keeps the rate before
        if own and np.isfinite(own).any():
            self.mean = self.rule.premium_mean(np.stack(own, axis=1))
            made = self.rule.rate_of_mean(self.mean / 1e4)
        self.last, self.due = (self.due, made) if self.rule.timing == "next" else (made, made)
        self.rows = [(time, premium) for time, premium in self.rows if time > stamp]
        self.paid, self.stamp = self.paid + 1e4 * self.last, stamp

    def columns(self, now: pd.Timestamp, bar: float) -> dict[str, Array]:
        """Columns of funding known at a close that ends a bar of so many hours."""
        since = float((now - self.stamp) / np.timedelta64(1, "h"))
        return snapshot(
            self.rule, last=self.last, due=self.due, mean=self.mean, premium=self.premium, since=since, bar=bar,
            paid=self.paid, attached=self.attached,
        )  # fmt: skip


def running(fit: Fit, rule: Rule, paths: int) -> Running:
    """Funding at the last row of a fit, the same on every path; the rule is the one that made its columns."""
    data, now, same = fit.data, fit.data.time[-1], np.ones(paths)
    stamps = rule.settlements(now - pd.Timedelta(hours=rule.settled_every), now)
    stamp = stamps[-1] if len(stamps) else now
    known = data.frame().iloc[-1]
    premium = np.where(data.observed, 1e4 * np.expm1(np.asarray(data.basis, dtype=float) / 1e4), np.nan)
    ended = int(data.time.searchsorted(stamp, side="right"))
    rows = [(at, same * value) for at, value in zip(data.time[ended:], premium[ended:], strict=True)]
    newest = premium[np.isfinite(premium)][-1]
    last, mean = float(known["funding_last"]) * rule.interval_hours / 8e4, float(known["premium_mean"])
    due = float(known["funding_due"]) * rule.interval_hours / 8e4 if rule.timing == "next" else last
    if rule.timing == "next" and not math.isfinite(due):  # the record ends before the payment that is fixed
        begun = int(data.time.searchsorted(stamp - pd.Timedelta(hours=rule.interval_hours), side="right"))
        whole = np.isfinite(premium[begun:ended]).any()
        mean = float(rule.premium_mean(premium[begun:ended])) if whole else mean
        due = float(rule.rate_of_mean(mean / 1e4)) if whole else last
    mean = mean if math.isfinite(mean) else float(newest)
    attached = rule_of(data) or rule
    return Running(rule, attached, stamp, same * last, same * due, same * mean, same * newest, rows)


def walked(fit: Fit, count: int, paths: int, rng: np.random.Generator, funding: Running) -> Iterator[Ahead]:
    """`count` steps from the filtered law of the last row, funding settled on the way."""
    problem, spacing = fit.problem, spacing_of(fit.problem)
    pieces, now = pieces_of(problem, spacing), fit.data.time[-1]
    found, bar = fit.filtered, pd.Timedelta(hours=spacing)
    s = rng.choice(len(found.p[-1]), size=paths, p=found.p[-1] / found.p[-1].sum())
    x, level = drawn(found.mean[-1][s], found.var[-1][s], rng).T
    every, rows = np.arange(paths), rows_like_last(problem, paths)
    columns: dict[str, Array] = {}
    if funding.rule.timing == "next":  # the payment to come is fixed, though the record may end before it
        columns = {name: own for name, own in funding.columns(now, spacing).items() if name not in FLOWS}
    for i in range(count):
        first, later = steps_of_columns(problem, fit.x, rows, columns, spacing / pieces, last=i == 0)
        for piece in range(pieces):
            own = later if piece else first
            if piece == pieces - 1:
                yield _law(own, s, x, level)
            s = _picked(own.p[every, s], rng)
            x = own.phi[every, s] * x + own.c[every, s] + np.sqrt(own.v[every, s]) * rng.standard_normal(paths)
            level = own.rho * level + np.sqrt(own.w) * rng.standard_normal(paths)
        noise = np.sqrt(own.tau2[every, s, _picked(own.share, rng)]) * rng.standard_normal(paths)
        funding.close(now + i * bar, now + (i + 1) * bar, x + level + noise)
        columns = funding.columns(now + (i + 1) * bar, spacing)


def _picked(shares: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """One of k for each row of shares (m, k), (m,)."""
    drawn_at = rng.random(len(shares))[:, None] > np.cumsum(shares, axis=1)
    return np.asarray(np.minimum(drawn_at.sum(axis=1), shares.shape[1] - 1))


def rows_like_last(problem: Problem, paths: int) -> pd.DataFrame:
    """The columns of the data at the last row, once for each path."""
    return problem.data.frame().iloc[np.full(paths, -1)].reset_index(drop=True)


def steps_of_columns(
    problem: Problem, x: Array, rows: pd.DataFrame, columns: dict[str, Array], hours: float, *, last: bool
) -> tuple[Steps, Steps]:
    """Coefficients of the step that leaves a row on each path, and of those after it in the same bar: no jump.

    `rows` with `columns` put in their place; `last`: the row is the last of the data, whose payments are known; at a
    later one only those in `columns`.
    """
    paths = len(rows)
    known = {name: values for name, values in columns.items() if name in rows.columns}
    designs = designs_again(problem.designs, rows.assign(**known))
    if "jump" in designs and not last:
        still = [i for i, column in enumerate(designs["jump"].columns) if column not in known]
        designs["jump"].values[:, still] = 0.0
    fixed = np.ones((paths, 1))
    layout = problem.layout._replace(
        dt=np.full(paths, hours), row=np.arange(paths),
        design={name: designs[name].values if name in designs else fixed for name in problem.layout.places},
    )  # fmt: skip
    both = (layout, assemble.without_jump(layout))
    first, later = (assemble.steps_of(one, natural(one, x)) for one in both)
    return first, later


def _law(own: Steps, s: NDArray[np.int64], x: Array, level: Array) -> Ahead:
    """The observed basis after one step from known states, as a mixture of about `_KEPT` Gaussians with its moments."""
    move = own.p[np.arange(len(s)), s] / len(s)
    mean = own.phi * x[:, None] + own.c + (own.rho * level)[:, None]
    var = own.v + own.w[:, None]
    regimes, parts = move.shape[1], own.share.shape[1]
    room = max(_KEPT // (regimes * parts), 1)
    # a calm regime and a wild one are kept apart, else their sum would lose its peak and its tails
    laws = [
        _kept(move[:, k] * own.share[:, r], mean[:, k], var[:, k] + own.tau2[:, k, r], room)
        for k in range(regimes)
        for r in range(parts)
    ]
    return Ahead(Mixture(*np.concatenate(laws, axis=2)), move.sum(axis=0))


def _kept(weight: Array, mean: Array, var: Array, room: int) -> Array:
    """Neighbours in the mean merged with their moments into `room` Gaussians: weight, mean and sd, (3, 1, room)."""
    order = np.argsort(mean, kind="stable")
    weight, mean, var = weight[order], mean[order], var[order]
    whole = max(float(weight.sum()), 1e-300)
    group = np.minimum((np.cumsum(weight) - 0.5 * weight) / whole * room, room - 1).astype(np.int64)

    def summed(values: Array) -> Array:
        return np.asarray(np.bincount(group, weights=values, minlength=room), dtype=float)

    total = summed(weight)
    there = total > 0
    kept = total[there]
    centre = summed(weight * mean)[there] / kept
    spread = summed(weight * (var + mean**2))[there] / kept - centre**2
    made = np.zeros((3, 1, room))
    made[2] = 1.0
    made[:, 0, : len(kept)] = kept, centre, np.sqrt(np.maximum(spread, 1e-300))
    return made
