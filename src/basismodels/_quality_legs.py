"""Is a leg alive? What its price, its volume and the other leg say, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from basismodels._windows import WINDOW, after, around, beyond, change, flags, runs, typical, undone
from basismodels.series import BasisSeries

_SILENT = 0.02  # of the usual volume nearby
_ALIVE = 0.1
_RHYTHM = 0.02  # what happens in more rows than this is how the market trades, not an outage
_LAG = 20.0  # usual changes of the basis
_MOVED = 8.0
_STILL = 8.0
_LAG_SHARE = 0.75  # of the usual share of the two volumes


@dataclass(frozen=True)
class Leg:
    """One price and, where known, its volume, each (n,); NaN where missing."""

    name: str
    price: np.ndarray
    volume: np.ndarray | None

    @cached_property
    def known(self) -> np.ndarray:
        """True where there is a price, (n,)."""
        return np.asarray(np.isfinite(self.price))

    @cached_property
    def numeraire(self) -> bool:
        """True for a price that never changes: a unit of account, not a stale leg."""
        prices = self.price[self.known]
        return bool(len(prices)) and bool((prices == prices[0]).all())

    @cached_property
    def unchanged(self) -> np.ndarray:
        """True where the price is that of the row before, (n,)."""
        return np.asarray(np.r_[False, self.price[1:] == self.price[:-1]])

    @cached_property
    def moves(self) -> np.ndarray:
        """Log price changes in bps, (n,), NaN at the first row and beside missing prices."""
        return 1e4 * change(np.log(self.price))

    @cached_property
    def life(self) -> np.ndarray:
        """True from the first price to the last, (n,)."""
        begun = np.logical_or.accumulate(self.known)
        return np.asarray(begun & np.logical_or.accumulate(self.known[::-1])[::-1])

    def busy(self, rows: np.ndarray) -> np.ndarray:
        """Volume against the median of the rows nearby that have any, (k,), NaN where unknown."""
        if self.volume is None:
            return np.full(len(rows), np.nan)
        traded = np.where(self.volume > 0, self.volume, np.nan)
        return np.asarray(self.volume[rows] / around(traded, rows))

    def alive(self, rows: np.ndarray) -> np.ndarray:
        """True where the leg is seen to trade, (k,)."""
        if self.numeraire:
            return np.asarray(self.known[rows])
        busy = self.busy(rows)
        return np.asarray(self.known[rows] & np.where(np.isnan(busy), ~self.unchanged[rows], busy >= _ALIVE))

    def silent(self) -> np.ndarray:
        """Positions of rows with a price and next to no volume."""
        if self.volume is None:
            return np.zeros(0, dtype=np.intp)
        from scipy.ndimage import maximum_filter1d

        highest = maximum_filter1d(np.nan_to_num(self.volume), WINDOW, mode="constant")
        rows = np.flatnonzero(self.known & (self.volume < _SILENT * highest))
        return np.asarray(rows[self.busy(rows) < _SILENT])


def legs_of(data: BasisSeries) -> tuple[Leg, Leg] | None:
    """Perp and reference with their volumes, None where only the basis is known."""
    if not {"perp", "reference"} <= set(data.covariates.columns):
        return None
    return _leg(data, "perp"), _leg(data, "reference")


def _leg(data: BasisSeries, role: str) -> Leg:
    columns = data.covariates
    name = str(data.provenance.get(role, role))
    volume = next((f"volume_{n}" for n in (name, role) if f"volume_{n}" in columns.columns), None)
    amounts = None if volume is None else columns[volume].to_numpy(dtype=np.float64)
    return Leg(name, columns[role].to_numpy(dtype=np.float64), amounts)


def dead(leg: Leg, other: Leg, gap: np.ndarray) -> np.ndarray:
    """True where a leg does not trade while the other does, (n,): price lost, volume gone, or frozen.

    `gap`: changes of the basis, (n,) bps. What happens all the time (a thin
    market, sparse prices) is no outage; a price that never changes is a numeraire.
    """
    if leg.numeraire:
        return np.zeros(len(gap), dtype=bool)
    lost = _unless_usual(~leg.known & leg.life & other.known)
    rows = leg.silent()
    silent = _unless_usual(flags(rows[other.alive(rows)], len(gap)))
    return np.asarray(lost | silent | _frozen(leg, other, lost, typical(gap)))


def _unless_usual(flagged: np.ndarray) -> np.ndarray:
    usual = len(runs(flagged)) > _RHYTHM * len(flagged)
    return np.zeros_like(flagged) if usual else flagged


def _frozen(leg: Leg, other: Leg, lost: np.ndarray, scale: float) -> np.ndarray:
    """True where a price stands still for rows on end while the other moves, (n,).

    It does if the basis left by 8 of its typical changes (`scale`, times the
    square root of the rows) and was back when the price moved again. Without
    volume, also a price unchanged up to a loss.
    """
    flagged = np.zeros(len(lost), dtype=bool)
    for first, last in runs(leg.unchanged):
        before_loss = leg.volume is None and bool(lost[last + 1 : last + 2].any())
        if before_loss or (last > first and _stood_still(leg, other, first, last, scale)):
            flagged[first : last + 1] = True
    return flagged


def _stood_still(leg: Leg, other: Leg, first: int, last: int, scale: float) -> bool:
    """Did the basis leave while the price stood still, from `first` to `last`, and return when it moved?"""
    basis = 1e4 * np.log(leg.price[first - 1 : last + 2] / other.price[first - 1 : last + 2])
    away = np.abs(basis - basis[0])
    rows = last - first + 1
    far = np.nan_to_num(away[: rows + 1]).max()
    returned = last + 1 < len(leg.price) and away[-1] < 0.5 * far
    still_out = last + 1 == len(leg.price) and rows > 2
    return bool(far > _STILL * scale * np.sqrt(rows) and (returned or still_out))


def last_traded(leg: Leg, gone: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """The row before each stretch without trade, (n,): its price is from before its close.

    A stretch that begins with a little volume already holds that row. Without
    volume the row must show it: the basis moved by 8 of its usual changes.
    """
    begins = np.array([first for first, _ in runs(gone) if first > 0], dtype=np.intp)
    begins = begins[leg.known[begins - 1]]
    if leg.volume is None:
        return flags(np.intersect1d(begins - 1, beyond(gap, _MOVED)), len(gone))
    partial = leg.known[begins] & (leg.volume[begins] > 0)
    return flags(begins[~partial] - 1, len(gone))


def lagging(leg: Leg, other: Leg, gap: np.ndarray) -> np.ndarray:
    """True where one leg hardly moved in a row in which the other did, and followed in the next, (n,).

    The basis leaves by 20 of its usual changes and is back one row later, by
    the doing of the leg that stood still; where volumes are known its share
    of them must have dropped, else it must have stood stiller.
    """
    rows = beyond(gap, _LAG)
    if leg.numeraire or other.numeraire:
        rows = rows[:0]
    rows = rows[undone(gap, rows)]
    moved, followed = other.moves[rows], after(leg.moves, rows)
    share = _share(leg, other, rows)
    still = np.abs(leg.moves[rows]) < np.where(np.isnan(share), 0.05, 0.15) * np.abs(moved)
    quiet = np.isnan(share) | (share < _LAG_SHARE)
    return flags(rows[still & quiet & (followed * np.sign(moved) > 0.5 * np.abs(moved))], len(gap))


def _share(leg: Leg, other: Leg, rows: np.ndarray) -> np.ndarray:
    """Volume of a leg over that of the other, against the usual ratio nearby, (k,), NaN where unknown."""
    if leg.volume is None or other.volume is None or not len(rows):
        return np.full(len(rows), np.nan)
    both = (leg.volume > 0) & (other.volume > 0)
    ratio = np.divide(leg.volume, other.volume, out=np.full(len(both), np.nan), where=both)
    return np.asarray(ratio[rows] / around(ratio, rows))
