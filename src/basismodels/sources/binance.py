"""Spot and perpetual prices and settled funding from Binance's public archive.

Months come as one file each; a month that is not published yet is put together from its days. Funding is published by
the month only. Facts of the archive: github.com/binance/binance-public-data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from basismodels.errors import DataError, ModelError
from basismodels.sources import _vision
from basismodels.sources._archive import Archive, Fetched, only_member
from basismodels.sources._gather import Gathered, Tell, span_of, tidy

BASE = "https://data.binance.vision/data"
SYMBOL = re.compile(r"[A-Z0-9_]{2,30}")
INTERVALS = {
    "1m": "1min", "3m": "3min", "5m": "5min", "15m": "15min", "30m": "30min",
    "1h": "1h", "2h": "2h", "4h": "4h", "6h": "6h", "8h": "8h", "12h": "12h", "1d": "1D",
}  # fmt: skip
_PERP = "futures/um"


@dataclass(frozen=True)
class _Kind:
    """One kind of bars: its folder in the archive, and the columns its close and volume become."""

    folder: str
    close: str
    volume: str | None = None
    needed: bool = False


KINDS = (
    _Kind(f"{_PERP}|klines", "perp", "volume_perp", needed=True),
    _Kind("spot|klines", "spot", "volume_spot"),
    _Kind(f"{_PERP}|indexPriceKlines", "index"),
    _Kind(f"{_PERP}|markPriceKlines", "mark"),
    _Kind(f"{_PERP}|premiumIndexKlines", "premium"),
)


def fetch_binance(
    symbol: str,
    start: str,
    end: str,
    *,
    interval: str = "1h",
    cache: str | Path,
    base: str = BASE,
    wait: float = 1.0,
    tell: Tell = lambda done, total: None,
) -> Gathered:
    """Bars and funding of a USD-margined perpetual and of its spot market, `start` to `end`, both included.

    Columns by bar close (UTC): perp, spot, index, mark and premium (closes), volume_perp, volume_spot, funding_rate
    (decimal per interval, at its stamp) and interval_hours. `start`, `end`: months or days; `cache`: folder that keeps
    the files; `base`: another address of the archive. Errors: ModelError for a bad symbol, interval or span,
    DataError where a file cannot be had or used.
    """
    if not SYMBOL.fullmatch(symbol):
        raise ModelError(f"{symbol!r} is no symbol of Binance", remedy="such as BTCUSDT")
    if interval not in INTERVALS:
        raise ModelError(f"interval must be one of {', '.join(INTERVALS)}, got {interval!r}")
    first, last = span_of(start, end)
    step = pd.Timedelta(INTERVALS[interval])
    archive = Archive(base.rstrip("/"), Path(cache), wait)
    months = pd.period_range(first.tz_localize(None), last.tz_localize(None) - pd.Timedelta("1us"), freq="M")
    plan = _Plan(archive, symbol, interval, step, first, last, [], [], _counted(tell, (len(KINDS) + 1) * len(months)))
    parts = [_bars(plan, kind, months) for kind in KINDS]
    parts.append(_funding(plan, months))
    frame = tidy([part for part in parts if part is not None], first + step, last)
    facts = {"venue": "binance", "symbol": symbol, "interval": interval, "base": archive.base}
    return Gathered(frame, step, first, last, facts, tuple(plan.files), tuple(plan.absent))


@dataclass(frozen=True)
class _Plan:
    """What one download is of, and what it has found so far: files, and paths that are not published."""

    archive: Archive
    symbol: str
    interval: str
    step: pd.Timedelta
    first: pd.Timestamp
    last: pd.Timestamp
    files: list[Fetched]
    absent: list[str]
    done: Callable[[], None]

    def read(self, path: str, stem: str) -> bytes | None:
        """The CSV in one file of the archive, None where it is not published."""
        found = self.archive.fetch(f"{path}/{stem}.zip")
        if found is None:
            return None
        self.files.append(found)
        return only_member(found.path, stem)


def _counted(tell: Tell, total: int) -> Callable[[], None]:
    count = 0

    def done() -> None:
        nonlocal count
        count += 1
        tell(count, total)

    return done


def _bars(plan: _Plan, kind: _Kind, months: pd.PeriodIndex) -> pd.DataFrame | None:
    """Bars of one kind; None where the archive has none and they can be done without."""
    parts = []
    for month in months:
        parts += list(_month(plan, kind.folder, month))
        plan.done()
    if not parts:
        if kind.needed:
            raise DataError(
                f"the archive has no bars of {plan.symbol} from {months[0]} to {months[-1]}",
                remedy="another symbol or span; a month is published some days after it ends",
            )
        return None
    frame = pd.concat(parts)
    names = {"close": kind.close} | ({"volume": kind.volume} if kind.volume else {})
    return frame[list(names)].rename(columns=names)


def _month(plan: _Plan, folder: str, month: pd.Period) -> Iterator[pd.DataFrame]:
    """The month's file, else those of its days that are asked for and have begun."""
    root, _, kind = folder.partition("|")
    place, stem = f"{kind}/{plan.symbol}/{plan.interval}", f"{plan.symbol}-{plan.interval}"
    content = plan.read(f"{root}/monthly/{place}", f"{stem}-{month}")
    if content is not None:
        yield _vision.bars(content, f"{kind} {stem}-{month}", plan.step)
        return
    plan.absent.append(f"{root}/monthly/{place}/{stem}-{month}")
    begin, end = plan.first.tz_localize(None), plan.last.tz_localize(None) - pd.Timedelta("1us")
    for day in pd.period_range(max(month.start_time, begin), min(month.end_time, end), freq="D"):
        content = plan.read(f"{root}/daily/{place}", f"{stem}-{day}")
        if content is None:
            plan.absent.append(f"{root}/daily/{place}/{stem}-{day}")
        else:
            yield _vision.bars(content, f"{kind} {stem}-{day}", plan.step)


def _funding(plan: _Plan, months: pd.PeriodIndex) -> pd.DataFrame | None:
    parts = []
    for month in months:
        stem = f"{plan.symbol}-fundingRate-{month}"
        content = plan.read(f"{_PERP}/monthly/fundingRate/{plan.symbol}", stem)
        if content is None:
            plan.absent.append(f"{_PERP}/monthly/fundingRate/{plan.symbol}/{stem}")
        else:
            parts.append(_vision.funding(content, stem))
        plan.done()
    return pd.concat(parts) if parts else None
