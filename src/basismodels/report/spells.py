"""Stretches of time in which something held, and the longest of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.report.thin import runs
from basismodels.results import Fit

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spell:
    """One unbroken stretch over observed rows; `hours` between its ends, `lowest` and `highest` basis in bps."""

    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    hours: float
    lowest: float
    highest: float


def spells(fit: Fit, flags: NDArray[np.bool_]) -> tuple[Spell, ...]:
    """Stretches where `flags` (n,) hold on the fit's rows; missing and masked rows neither break nor make one."""
    seen = fit.problem.seen[fit.problem.first :]
    time, basis = fit.problem.time[seen], fit.data.basis[fit.problem.first :][seen]
    return tuple(_spell(time, basis, a, b) for a, b in runs(np.asarray(flags)[seen]))


def _spell(time: pd.DatetimeIndex, basis: Array, a: int, b: int) -> Spell:
    length = float((time[b] - time[a]) / np.timedelta64(1, "h"))
    part = basis[a : b + 1]
    return Spell(time[a], time[b], b - a + 1, length, float(part.min()), float(part.max()))


def longest(found: tuple[Spell, ...]) -> Spell | None:
    """The spell with the greatest length, the earliest of equals; None where there is none."""
    return max(found, key=lambda s: (s.hours, s.rows), default=None)


def excursions(fit: Fit, band: float, target: float = 0.0) -> tuple[Spell, ...]:
    """Stretches of observed closes outside the band around `target`, bps: a fact of the data, not of a model."""
    return spells(fit, np.abs(fit.data.basis[fit.problem.first :] - target) > band)


def share_of(fit: Fit, found: tuple[Spell, ...]) -> float:
    """Share of the observed rows that lie in the spells."""
    return sum(s.rows for s in found) / max(int(fit.problem.seen[fit.problem.first :].sum()), 1)
