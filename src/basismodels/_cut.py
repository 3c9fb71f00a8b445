"""Cutting a span out of a series without losing the funding in force at its first row."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from basismodels._assemble import iso
from basismodels._finding import Finding
from basismodels.errors import DataError

_DAY = pd.Timedelta(days=1)
_TICK = pd.Timedelta(microseconds=1)


def rows_between(time: pd.DatetimeIndex, start: Any, end: Any) -> np.ndarray:
    """True for the rows from start to end, both inclusive, (n,); raises, naming the span, on none."""
    first, last = _bound(start, "start"), _bound(end, "end")
    keep = np.ones(len(time), dtype=bool)
    if first is not None:
        keep &= np.asarray(time >= first)
    if last is not None:
        keep &= np.asarray(time <= last)
    if not keep.any():
        asked = f"{start or 'the beginning'} to {end or 'the end'}"
        held = f"{iso(time[0])} to {iso(time[-1])}"
        raise DataError(f"no row from {asked}: the data span {held}", remedy=f'start="{time[0].date()}"')
    return keep


def _bound(value: Any, name: str) -> pd.Timestamp | None:
    """The instant a bound stands for: without a zone it is UTC, a date-only end is its last microsecond."""
    if value is None:
        return None
    stamp = _stamp(value)
    if stamp is None:
        raise DataError(f"{name} is no date: {value!r}", remedy=f'{name}="2024-01-31"')
    stamp = stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
    return stamp + _DAY - _TICK if name == "end" and _date_only(value) else stamp


def _stamp(value: Any) -> pd.Timestamp | None:
    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError):
        return None
    return None if pd.isna(stamp) else stamp


def _date_only(value: Any) -> bool:
    if isinstance(value, str):
        return ":" not in value and "T" not in value.upper()
    return isinstance(value, date) and not isinstance(value, datetime)


def short(time: pd.DatetimeIndex, start: Any, end: Any) -> list[str]:
    """A warning for each side on which a day or more was asked for that the data do not hold."""
    first, last = _bound(start, "start"), _bound(end, "end")
    notes = []
    if first is not None and first + _DAY <= time[0]:
        notes.append(f"the data begin at {iso(time[0])}, after the start asked for")
    if last is not None and last - _DAY >= time[-1]:
        notes.append(f"the data end at {iso(time[-1])}, before the end asked for")
    return notes


def in_force_within(settled: pd.DataFrame | None, time: pd.DatetimeIndex) -> pd.DataFrame | None:
    """Settlements of a span and the one in force at its first row; None where there is none."""
    if settled is None:
        return None
    first = max(int(settled.index.searchsorted(time[0], side="right")) - 1, 0)
    kept = settled.iloc[first:].loc[: time[-1]]
    return kept if len(kept) else None


def clip(finding: Finding, time: pd.DatetimeIndex) -> Finding | None:
    """The part of a finding inside a span, None where there is none."""
    start, end = max(finding.start, time[0]), min(finding.end, time[-1])
    if start > end:
        return None
    if start == finding.start and end == finding.end:
        return finding
    inside = int(((time >= start) & (time <= end)).sum())
    return replace(finding, start=start, end=end, rows=inside)
