"""Is a leg alive? What its price, its volume and the other leg say, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from basismodels.series import BasisSeries

WINDOW = 49  # rows, centred: two days of hours
_SILENT = 0.02  # of the usual volume nearby
_ALIVE = 0.1
_RHYTHM = 0.02  # what happens in more rows than this is how the market trades, not an outage
_LAG_SCALES = 20.0
_MOVED = 8.0  # usual changes of the basis
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
        return change(1e4 * np.log(self.price))

    @cached_property
    def busy(self) -> np.ndarray:
        """Volume against the median of the rows around, (n,), NaN where unknown."""
        if self.volume is None:
            return np.full(len(self.price), np.nan)
        return np.asarray(self.volume / around(np.where(self.volume > 0, self.volume, np.nan)))

    @cached_property
    def alive(self) -> np.ndarray:
        """True where the leg is seen to trade, (n,)."""
        if self.numeraire:
            return self.known
        trading = np.where(np.isnan(self.busy), ~self.unchanged, self.busy >= _ALIVE)
        return np.asarray(self.known & trading)

    @cached_property
    def life(self) -> np.ndarray:
        """True from the first price to the last, (n,)."""
        begun = np.logical_or.accumulate(self.known)
        return np.asarray(begun & np.logical_or.accumulate(self.known[::-1])[::-1])


def change(values: np.ndarray) -> np.ndarray:
    """Change from the row before, (n,), NaN at the first."""
    return np.asarray(np.r_[np.nan, np.diff(values)])


def after(values: np.ndarray) -> np.ndarray:
    """What the next row holds, (n,), NaN at the last."""
    return np.asarray(np.r_[values[1:], np.nan])


def usual(changes: np.ndarray) -> np.ndarray:
    """Robust sd of changes around each row, (n,), at least half of what is usual overall, zeros apart."""
    return np.fmax(1.4826 * around(np.abs(changes)), 0.5 * typical(changes))


def typical(changes: np.ndarray) -> float:
    """Robust sd of changes over the whole series, zeros apart; inf where nothing changes."""
    size = np.abs(changes)
    moved = size[size > 0]
    return 1.4826 * float(np.median(moved)) if len(moved) else np.inf


def around(values: np.ndarray) -> np.ndarray:
    """Median over the rows around, (n,), missing values skipped."""
    rolling = pd.Series(values).rolling(WINDOW, center=True, min_periods=5)
    return np.asarray(rolling.median(), dtype=np.float64)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last position of each contiguous run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def legs_of(data: BasisSeries) -> tuple[Leg, Leg] | None:
    """Perp and reference with their volumes, None where only the basis is known."""
    columns = data.covariates
    if not {"perp", "reference"} <= set(columns.columns):
        return None
    perp, reference = (_leg(data, role) for role in ("perp", "reference"))
    return perp, reference


def _leg(data: BasisSeries, role: str) -> Leg:
    columns = data.covariates
    name = str(data.provenance.get(role, role))
    volume = next((f"volume_{n}" for n in (name, role) if f"volume_{n}" in columns.columns), None)
    amounts = None if volume is None else columns[volume].to_numpy(dtype=np.float64)
    return Leg(name, columns[role].to_numpy(dtype=np.float64), amounts)


def dead(leg: Leg, other: Leg) -> np.ndarray:
    """True where a leg does not trade while the other does, (n,): price lost, volume gone, or frozen.

    What happens all the time (a thin market, sparse prices) is no outage; a
    price that never changes is a numeraire.
    """
    if leg.numeraire:
        return np.zeros(len(leg.price), dtype=bool)
    lost = _unless_usual(~leg.known & leg.life & other.known)
    silent = _unless_usual(leg.known & (leg.busy < _SILENT) & other.alive)
    return np.asarray(lost | silent | _frozen(leg, other, lost))


def _unless_usual(flags: np.ndarray) -> np.ndarray:
    usual = len(runs(flags)) > _RHYTHM * len(flags)
    return np.zeros_like(flags) if usual else flags


def _frozen(leg: Leg, other: Leg, lost: np.ndarray) -> np.ndarray:
    """True where a price stands still for rows on end while the other moves, (n,).

    It does if the basis left by 8 of its usual changes (times the square root
    of the rows) and was back when the price moved again. Without volume, also
    a price unchanged up to a loss.
    """
    flags = np.zeros(len(lost), dtype=bool)
    scale = typical(leg.moves - other.moves)
    for first, last in runs(leg.unchanged):
        before_loss = leg.volume is None and bool(lost[last + 1 : last + 2].any())
        if before_loss or (last > first and _stood_still(leg, other, first, last, scale)):
            flags[first : last + 1] = True
    return flags


def _stood_still(leg: Leg, other: Leg, first: int, last: int, scale: float) -> bool:
    """Did the basis leave while the price stood still, from `first` to `last`, and return when it moved?"""
    basis = 1e4 * np.log(leg.price[first - 1 : last + 2] / other.price[first - 1 : last + 2])
    away = np.abs(basis - basis[0])
    rows = last - first + 1
    far = np.nan_to_num(away[: rows + 1]).max()
    returned = last + 1 < len(leg.price) and away[-1] < 0.5 * far
    still_out = last + 1 == len(leg.price) and rows > 2
    return bool(far > _STILL * scale * np.sqrt(rows) and (returned or still_out))


def last_traded(leg: Leg, other: Leg, gone: np.ndarray) -> np.ndarray:
    """The row before each stretch without trade, (n,): its price is from before its close.

    A stretch that begins with a little volume already holds that row. Without
    volume the row must show it: the basis moved by 8 of its usual changes.
    """
    flags = np.zeros(len(gone), dtype=bool)
    gap = leg.moves - other.moves
    moved = np.abs(gap) > _MOVED * usual(gap)
    for first, _ in runs(gone):
        if first == 0 or not leg.known[first - 1]:
            continue
        if leg.volume is None:
            flags[first - 1] = moved[first - 1]
        else:
            flags[first - 1] = not (leg.known[first] and leg.volume[first] > 0)
    return flags


def lagging(leg: Leg, other: Leg) -> np.ndarray:
    """True where one leg hardly moved in a row in which the other did, and followed in the next, (n,).

    The basis leaves by 20 of its usual changes and is back one row later, by
    the doing of the leg that stood still; where volumes are known its share
    of them must have dropped, else it must have stood stiller.
    """
    if leg.numeraire or other.numeraire:
        return np.zeros(len(leg.price), dtype=bool)
    gap = leg.moves - other.moves
    back = np.abs(gap + after(gap)) < 0.25 * np.abs(gap)
    followed = after(leg.moves) * np.sign(other.moves) > 0.5 * np.abs(other.moves)
    share = _share(leg, other)
    still = np.abs(leg.moves) < np.where(np.isnan(share), 0.05, 0.15) * np.abs(other.moves)
    quiet = np.isnan(share) | (share < _LAG_SHARE)
    return np.asarray((np.abs(gap) > _LAG_SCALES * usual(gap)) & back & followed & still & quiet)


def _share(leg: Leg, other: Leg) -> np.ndarray:
    """Volume of a leg over that of the other, against the usual ratio around, (n,), NaN where unknown."""
    if leg.volume is None or other.volume is None:
        return np.full(len(leg.price), np.nan)
    both = (leg.volume > 0) & (other.volume > 0)
    ratio = np.divide(leg.volume, other.volume, out=np.full(len(both), np.nan), where=both)
    return np.asarray(ratio / around(ratio))
