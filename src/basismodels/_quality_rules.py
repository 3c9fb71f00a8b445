"""What can be wrong with a basis series, one rule a function: each returns findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from basismodels._finding import Finding
from basismodels._quality_legs import Leg, dead, lagging, last_traded
from basismodels._windows import beyond, change, flags, runs, undone, usual
from basismodels.series import BasisSeries

_LISTING = pd.Timedelta(days=3)
_SETTLED = pd.Timedelta(days=10)  # a listing is judged only with this much data after it
_MONTH = pd.Timedelta(days=30)
_FIRST_TRADES = 0.01  # of the later volume, in the first row of a new market
_COMMON = 0.01
_JUMP = 12.0  # usual changes of the basis
_FAR = 50.0


def found(
    kind: str, data: BasisSeries, flags: np.ndarray, note: str, *, masked: bool = True
) -> list[Finding]:
    """One finding for each contiguous run of flags, (n,)."""
    time = data.time
    return [Finding(kind, time[a], time[b], b - a + 1, masked, note) for a, b in runs(flags)]


def gaps(data: BasisSeries) -> list[Finding]:
    """Rows absent against the series' own rhythm: weekends that recur are no gaps."""
    if data.n < 3:
        return []
    spacing = data.time[1:] - data.time[:-1]
    step = pd.Timedelta(np.median(spacing.asi8), unit=spacing.unit)
    multiple = np.rint(np.asarray(spacing / step)).astype(int)
    sizes, counts = np.unique(multiple, return_counts=True)
    widest = int(sizes[counts >= max(_COMMON * len(multiple), 2)].max(initial=1))
    limit = widest if widest == 1 else 1.5 * widest
    return [
        Finding("gap", data.time[i] + step, data.time[i + 1] - step, int(multiple[i]) - 1, True, "no rows")
        for i in np.flatnonzero(multiple > limit).tolist()
    ]


def missing(data: BasisSeries, legs: Sequence[Leg]) -> list[Finding]:
    """Rows without a basis, by the leg that is missing."""
    if not legs:
        return found("missing", data, np.isnan(data.basis), "no basis")
    perp, reference = legs
    both = ~perp.known & ~reference.known
    return [
        *found("missing", data, both, "neither price"),
        *found("missing", data, ~perp.known & ~both, f"no {perp.name} price"),
        *found("missing", data, ~reference.known & ~both, f"no {reference.name} price"),
    ]


def listing(data: BasisSeries, legs: Sequence[Leg]) -> np.ndarray:
    """True for the first three days of a new market, (n,).

    A market is new when a leg's first row holds a trade, but under 1% of the
    volume usual in the month after: a file cut out of a market's life begins
    with ordinary volume. Without volume nothing is claimed.
    """
    if not np.isfinite(data.basis).any() or not any(_new(data, leg) for leg in legs):
        return np.zeros(data.n, dtype=bool)
    opened = data.time[np.isfinite(data.basis)][0]
    return np.asarray((data.time >= opened) & (data.time < opened + _LISTING))


def _new(data: BasisSeries, leg: Leg) -> bool:
    if leg.volume is None:
        return False
    first = int(np.isfinite(data.basis).argmax())
    age = data.time - data.time[first]
    later = leg.volume[(age >= _LISTING) & (age < _MONTH)]
    if data.time[-1] - data.time[first] < _SETTLED or not np.isfinite(later).any():
        return False
    return bool(0 < leg.volume[first] < _FIRST_TRADES * np.nanmedian(later))


def silences(data: BasisSeries, legs: Sequence[Leg], new: np.ndarray) -> tuple[list[Finding], list[Finding]]:
    """Outages (a leg silent while the other trades) and stale prices (kept from before), first days apart."""
    outages: list[Finding] = []
    stale: list[Finding] = []
    gap = change(data.basis)
    for leg, other in zip(legs, legs[::-1], strict=True):
        gone = dead(leg, other, gap) & ~new
        last = last_traded(leg, gone, gap) & ~new
        kept = (gone & leg.known) | last | (lagging(leg, other, gap) & ~new)
        outages += found("outage", data, gone | last, f"{leg.name} silent while {other.name} trades")
        stale += found("stale", data, kept, f"{leg.name} price from before")
    return outages, stale


def jumps(data: BasisSeries, legs: Sequence[Leg], apart: np.ndarray) -> list[Finding]:
    """Lone prints: the basis leaves and is back one row later while nothing else happens.

    A real gap moves both legs or lasts, and comes with volume; it is not
    reported. A lone print is masked only where it is far out and both volumes
    are known and ordinary.
    """
    gap = change(data.basis)
    rows = beyond(gap, _JUMP if legs else _FAR)
    rows = rows[undone(gap, rows) & ~apart[rows]]
    if not legs:
        note = "one row away and back; the prices are not known"
        return found("jump", data, flags(rows, data.n), note, masked=False)
    findings: list[Finding] = []
    for leg, other in zip(legs, legs[::-1], strict=True):
        lone = rows[_alone(leg, other, gap, rows)]
        far = np.abs(gap[lone]) > _FAR * usual(gap, lone)
        sure = far & (leg.busy(lone) < 2) & (other.busy(lone) < 2)
        note = f"{leg.name} alone away and back in one row"
        findings += found("jump", data, flags(lone[sure], data.n), note + ", volume ordinary")
        findings += found("jump", data, flags(lone[~sure], data.n), note, masked=False)
    return findings


def _alone(leg: Leg, other: Leg, gap: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """True where one leg makes the move and takes it back, the other moving as usual in both rows, (k,)."""
    if other.numeraire:
        return np.zeros(len(rows), dtype=bool)  # it cannot say that nothing else happened
    mover = np.abs(leg.moves[rows]) > 0.75 * np.abs(gap[rows])
    return np.asarray(mover & undone(leg.moves, rows) & _ordinary(other, rows) & _ordinary(other, rows + 1))


def _ordinary(leg: Leg, rows: np.ndarray) -> np.ndarray:
    """True where a leg moves within two of its usual moves, (k,)."""
    inside = rows.clip(max=len(leg.moves) - 1)
    return np.asarray(np.abs(leg.moves[inside]) < 2 * usual(leg.moves, inside))


def interval_changes(data: BasisSeries) -> list[Finding]:
    """Settlements from which the funding interval is another."""
    if data.settlements is None:
        return []
    hours = data.settlements["interval_hours"].to_numpy()
    findings = []
    for stamp, before, here in zip(data.settlements.index[1:], hours[:-1], hours[1:], strict=True):
        if here == before:
            continue
        note = f"{before:g} h before, {here:g} h from here"
        findings.append(Finding("funding_interval_change", stamp, stamp, 1, False, note))
    return findings


def units(data: BasisSeries) -> list[Finding]:
    """The doubts about units recorded on the series, over the whole of it."""
    notes = [w.removeprefix("units: ") for w in data.warnings if w.startswith("units: ")]
    return [Finding("units", data.time[0], data.time[-1], data.n, False, note) for note in notes]
