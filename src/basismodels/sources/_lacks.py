"""What a download lacks of the span asked: bars, settlements, whole columns, and files that are not published."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from basismodels._settlements import intervals

PRICES = ("perp", "spot", "index", "mark", "premium")
COUNTED = ("perp", "spot", "index", "mark")
Hole = tuple[str, pd.Timestamp, pd.Timestamp, int]
_FILE = re.compile(r"(.+)/(monthly|daily)/([^/]+)/.*-(\d{4}-\d{2}(?:-\d{2})?)")
_SHOWN = 3


def found(frame: pd.DataFrame, names: Iterable[str] = PRICES) -> list[str]:
    """Those of the named columns that hold a value at all."""
    return [name for name in names if name in frame.columns and frame[name].notna().any()]


def closes(frame: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp, step: pd.Timedelta) -> pd.DatetimeIndex:
    """Every bar close from first to last, in step with the bars found."""
    bars = frame.index[frame[found(frame)].notna().any(axis=1)]
    begin = first + step
    return pd.date_range(begin + (bars[0] - begin) % step if len(bars) else begin, last, freq=step)


def missing_bars(frame: pd.DataFrame, grid: pd.DatetimeIndex) -> list[Hole]:
    """Holes of each price found at all, on the closes of the whole span: column, first and last missing, how many."""
    rows: list[Hole] = []
    for column in found(frame):
        lost = ~frame[column].reindex(grid).notna().to_numpy()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
        rows += [(column, grid[a], grid[b - 1], int(b - a)) for a, b in edges.reshape(-1, 2)]
    return rows


def missing_settlements(
    frame: pd.DataFrame, begin: pd.Timestamp, last: pd.Timestamp, step: pd.Timedelta
) -> list[Hole]:
    """Holes between settlements and at both ends: the stamps around them, and how many are missing.

    Between two: a spacing longer than the interval of either, given or told by the spacings around. At an end: no
    settlement within the longest interval of the first close, `begin`, less a bar, or of `last`.
    """
    if not found(frame, ("funding_rate",)):
        return []
    settled = pd.DatetimeIndex(frame["funding_rate"].dropna().index)
    given = frame["interval_hours"].reindex(settled).to_numpy() if "interval_hours" in frame else None
    own = intervals(settled) if given is None else given
    hours = _hours(settled[1:] - settled[:-1])
    usual = np.maximum(own[1:], own[:-1])
    rows = [
        ("funding_rate", settled[i], settled[i + 1], round(float(hours[i] / usual[i])) - 1)
        for i in np.flatnonzero(hours > 1.5 * usual).tolist()
    ]
    edge = begin - min(step, pd.Timedelta(hours=own[0]))  # a stamp before the first close is cut off
    before = _beyond(float(_hours(settled[0] - edge)), own[0], own.max())
    after = _beyond(float(_hours(last - settled[-1])), own[-1], own.max())
    head: list[Hole] = [("funding_rate", begin, settled[0], before)] if before else []
    tail: list[Hole] = [("funding_rate", settled[-1], last, after)] if after else []
    return [*head, *rows, *tail]


def _beyond(hours: float, interval: float, longest: float) -> int:
    """Settlements missing in so many hours next to an end; stamps may be off by a tenth of an interval."""
    return max(math.ceil(hours / interval - 0.1) - 1, 0) if hours > 1.1 * longest else 0


def _hours(spacing: pd.Timedelta | pd.TimedeltaIndex) -> np.ndarray:
    return np.asarray(spacing / np.timedelta64(1, "h"), dtype=float)


def narrower(gaps: pd.DataFrame, grid: pd.DatetimeIndex, step: pd.Timedelta) -> str:
    """Start and end, in whole days, of what is left without the holes at the ends of a price; empty if none is."""
    prices = gaps[gaps["column"].isin(COUNTED)]
    late = prices.loc[prices["start"] == grid[0], "end"].max()
    early = prices.loc[prices["end"] == grid[-1], "start"].min()
    # the last close missing at the start is the time at which the first bar found opens
    begin = (grid[0] - step).floor("D") if pd.isna(late) else late.ceil("D")
    end = (grid[-1] - step).floor("D") if pd.isna(early) else (early - step).floor("D") - pd.Timedelta("1D")
    said = [] if pd.isna(late) else [f"--start {begin:%Y-%m-%d}"]
    said += [] if pd.isna(early) else [f"--end {end:%Y-%m-%d}"]
    return " ".join(said) if begin <= end else ""


def unpublished(paths: Iterable[str]) -> list[str]:
    """A line for each kind of file: the months that are not published, and which of their days are not either."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        match = _FILE.fullmatch(path)
        if match:
            kinds.setdefault(f"{match[1]} {match[3]}", {"monthly": [], "daily": []})[match[2]].append(match[4])
    return [f"not published: {kind}: {_spans(of['monthly'], of['daily'], kind)}" for kind, of in kinds.items()]


def _spans(months: list[str], days: list[str], kind: str) -> str:
    said = f"{'month' if len(months) == 1 else 'months'} {_ranges(months, 'M')}"
    if days:
        return f"{said}; of its days {_ranges(days, 'D')}" if len(months) == 1 else f"{said}; days {_ranges(days, 'D')}"
    return said if kind.endswith("fundingRate") else f"{said}, put together from days"


def _ranges(names: list[str], freq: str) -> str:
    """Months or days as ranges of those that follow one another, the first few of them."""
    number = pd.PeriodIndex(sorted(names), freq=freq).asi8
    parts = np.split(np.asarray(sorted(names)), np.flatnonzero(np.diff(number) != 1) + 1)
    said = [part[0] if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts]
    more = f" and {len(said) - _SHOWN} more spans" if len(said) > _SHOWN else ""
    return ", ".join(said[:_SHOWN]) + more
