"""The recorded formats of Binance's public archive: bars and settled funding, with a header or without one."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from basismodels.errors import DataError

BARS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
NEEDED = {"open_time", "close", "volume", *FUNDING}
_FIRST = pd.Timestamp("2017-01-01", tz="UTC")


def bars(content: bytes, name: str, step: pd.Timedelta) -> pd.DataFrame:
    """close and volume by bar close (UTC), strictly increasing; `step` is the bar's length."""
    table = _table(content, name, BARS)
    opened = stamps(table["open_time"], name)
    frame = pd.DataFrame({"close": _numbers(table["close"], name), "volume": _numbers(table["volume"], name)})
    return _ordered(frame.set_axis((opened + step).as_unit("us"), axis=0), name)


def funding(content: bytes, name: str) -> pd.DataFrame:
    """funding_rate (decimal per interval) and interval_hours by settlement stamp, to the minute."""
    table = _table(content, name, FUNDING)
    settled = stamps(table["calc_time"], name).floor("min")
    rate, hours = _numbers(table["last_funding_rate"], name), _numbers(table["funding_interval_hours"], name)
    if not np.all((hours > 0) & (hours <= 24)):
        raise DataError(f"{name}: a funding interval is not between 0 and 24 hours", rows=list(np.unique(hours)[:3]))
    return _ordered(pd.DataFrame({"funding_rate": rate, "interval_hours": hours}).set_axis(settled, axis=0), name)


def _table(content: bytes, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """The CSV as text columns by name; DataError where it is no such table."""
    if not content.strip():
        raise DataError(f"{name} is empty")
    bare = content.lstrip()[:1].isdigit()
    try:
        table = pd.read_csv(io.BytesIO(content), header=None if bare else 0, dtype=str)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{name} is no CSV: {' '.join(str(error).split())[:120]}") from error
    if bare:
        if table.shape[1] != len(columns):
            raise DataError(f"{name} has {table.shape[1]} columns and no header; expected {len(columns)}")
        return table.set_axis(list(columns), axis=1)
    absent = [column for column in columns if column in NEEDED and column not in table.columns]
    if absent:
        raise DataError(
            f"{name} has no column {', '.join(absent)}: its columns are {', '.join(map(str, table.columns[:12]))}",
            remedy="the archive's format changed; please report it",
        )
    return table


def stamps(column: pd.Series[str], name: str) -> pd.DatetimeIndex:
    """Stamps from milliseconds, or microseconds as in spot files from 2025, told by the number of digits."""
    values = _numbers(column, name)
    unit = "us" if len(values) and values.min() >= 1e14 else "ms"
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values) or len({len(str(v)) for v in (whole.min(), whole.max())}) > 1:
        raise DataError(f"{name}: stamps are not all in one unit", rows=list(column[:2]))
    made = pd.DatetimeIndex(pd.to_datetime(whole, unit=unit, utc=True)).as_unit("us")  # type: ignore[call-overload]
    last = pd.Timestamp.now(tz="UTC") + pd.Timedelta("1D")
    if made.min() < _FIRST or made.max() > last:
        raise DataError(f"{name}: stamps from {made.min()} to {made.max()} cannot be", rows=list(column[:2]))
    return made


def _numbers(column: pd.Series[str], name: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if not np.all(np.isfinite(values)):
        bad = column[~np.isfinite(values)]
        raise DataError(f"{name}: {column.name} is not a number", rows=[f"row {bad.index[0]}: {bad.iloc[0]!r}"])
    return values


def _ordered(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """By time, rows given twice word for word kept once; DataError where they disagree."""
    frame = frame.rename_axis("time")
    frame = frame[~(frame.index.duplicated() & frame.reset_index().duplicated().to_numpy())].sort_index()
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        raise DataError(f"{name}: two rows of one time disagree", rows=list(twice[:3]))
    return frame
