"""What a download gathered: one table, its gaps, a manifest beside it; written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from basismodels._assemble import iso
from basismodels._atomic import atomic
from basismodels.errors import DataError, ModelError
from basismodels.sources._archive import Fetched, digest_of

Tell = Callable[[int, int], None]
_PRICES = ("perp", "spot", "index", "mark", "premium")


@dataclass(frozen=True, eq=False)
class Gathered:
    """A table by bar close, the length of its bars, what it is of, its files, and what is not published."""

    frame: pd.DataFrame
    step: pd.Timedelta
    facts: dict[str, str]
    files: tuple[Fetched, ...] = ()
    absent: tuple[str, ...] = ()

    def gaps(self) -> pd.DataFrame:
        """Missing bars of each price: column, first and last one missing, how many; and funding stamps left out."""
        columns = [c for c in _PRICES if c in self.frame.columns]
        bars = self.frame.index[self.frame[columns].notna().any(axis=1)]
        grid = pd.date_range(bars[0], bars[-1], freq=self.step)
        rows = []
        for column in columns:
            lost = ~self.frame[column].reindex(grid).notna().to_numpy()
            edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
            rows += [(column, grid[a], grid[b - 1], int(b - a)) for a, b in edges.reshape(-1, 2)]
        return pd.DataFrame([*rows, *self._settlements()], columns=["column", "start", "end", "rows"])

    def _settlements(self) -> list[tuple[str, pd.Timestamp, pd.Timestamp, int]]:
        """Holes between settlements: a spacing longer than the interval of the one after it and of the one before."""
        if "funding_rate" not in self.frame or not self.frame["funding_rate"].notna().any():
            return []
        settled = pd.DatetimeIndex(self.frame["funding_rate"].dropna().index)
        hours = np.asarray((settled[1:] - settled[:-1]) / np.timedelta64(1, "h"), dtype=float)
        if "interval_hours" in self.frame:
            own = self.frame["interval_hours"].reindex(settled).to_numpy()
            longest = np.maximum(own[1:], own[:-1])
        else:
            longest = np.full(len(hours), np.median(hours) if len(hours) else 8.0)
        late = [int(i) for i in np.flatnonzero(hours > 1.5 * longest)]
        return [("funding_rate", settled[i], settled[i + 1], round(hours[i] / longest[i]) - 1) for i in late]

    def share_missing(self) -> float:
        """Greatest share of bars that any price but the premium lacks."""
        gaps = self.gaps()
        lost = gaps[gaps["column"].isin(("perp", "spot", "index", "mark"))].groupby("column")["rows"].sum()
        return float(lost.max() / len(self.frame)) if len(lost) else 0.0

    def write(self, out: str | Path, tolerance: float, mark: bool) -> Path:
        """Writes the table (Parquet, or CSV by its name) and a manifest beside it.

        Where more than `tolerance` of the bars of a price are missing, DataError unless `mark`, which writes a column
        `gap` with 1 at every row of a missing price.
        """
        frame, share = self.frame, self.share_missing()
        if not 0.0 <= tolerance <= 1.0:
            raise ModelError(f"tolerance must lie between 0 and 1, got {tolerance!r}", remedy="tolerance=0.01")
        if share > tolerance and not mark:
            gaps = self.gaps().sort_values("rows", ascending=False)
            raise DataError(
                f"{share:.2%} of the bars are missing, more than the tolerance of {tolerance:.2%}",
                rows=[f"{g.column} {g.start} to {g.end} ({g.rows})" for g in gaps.itertuples()],
                remedy="--mark writes them all the same, with a column that marks them; or raise --tolerance",
            )
        if mark:
            prices = [c for c in ("perp", "spot", "index", "mark") if c in frame.columns]
            frame = _regular(frame, self.step)
            frame["gap"] = frame[prices].isna().any(axis=1).astype(float)
        target = Path(out)
        write_table(frame, target)
        with atomic(target.with_name(target.name + ".manifest.json")) as name:
            Path(name).write_text(json.dumps(self.manifest(target), indent=2) + "\n", encoding="utf-8")
        return target

    def manifest(self, target: Path) -> dict[str, Any]:
        """What the table is of, its digest, gaps, and each file with address, SHA-256, size and date."""
        from basismodels import __version__

        gaps = self.gaps()
        return {
            **self.facts,
            "basismodels": __version__,
            "rows": len(self.frame),
            "start": iso(self.frame.index[0]),
            "end": iso(self.frame.index[-1]),
            "columns": list(self.frame.columns),
            "sha256": digest_of(target),
            "share_missing": self.share_missing(),
            "gaps": [
                [str(column), iso(pd.Timestamp(start)), iso(pd.Timestamp(end)), int(count)]
                for column, start, end, count in gaps.itertuples(index=False, name=None)
            ],
            "not_published": list(self.absent),
            "files": [
                {"url": f.url, "sha256": f.sha256, "bytes": f.bytes, "modified": f.modified}
                for f in sorted(self.files, key=lambda f: f.url)
            ],
        }


def _regular(frame: pd.DataFrame, step: pd.Timedelta) -> pd.DataFrame:
    grid = pd.date_range(frame.index[0], frame.index[-1], freq=step)
    whole: pd.DataFrame = frame.reindex(frame.index.union(grid))
    whole.index.name = "time"
    return whole


def span_of(start: str, end: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First instant of `start` and last of `end`, months or days in UTC; ModelError where they are none."""
    try:
        first, last = pd.Period(start), pd.Period(end)
    except ValueError as error:
        raise ModelError(f"no span from {start!r} to {end!r}", remedy="--start 2020-01 --end 2024-12") from error
    if not (isinstance(first, pd.Period) and isinstance(last, pd.Period)):
        raise ModelError(f"no span from {start!r} to {end!r}", remedy="--start 2020-01 --end 2024-12")
    if first.freqstr not in ("M", "D") or last.freqstr not in ("M", "D"):
        raise ModelError(f"give months or days, not {start!r} to {end!r}", remedy="--start 2020-01 --end 2024-12-31")
    begin, stop = first.start_time.tz_localize("UTC"), (last + 1).start_time.tz_localize("UTC")
    if not pd.Timestamp("2017-01-01", tz="UTC") <= begin < stop:
        raise ModelError(f"no span from {start} to {end}: it must begin in 2017 or later and end after it begins")
    if begin > pd.Timestamp.now(tz="UTC"):
        raise ModelError(f"{start} has not begun")
    return begin.as_unit("us"), stop.as_unit("us")


def tidy(parts: list[pd.DataFrame], first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    """Parts side by side by time, cut to first and last; DataError where rows of one time disagree or none is left."""
    whole = []
    for part in parts:
        once = part[~(part.index.duplicated() & part.reset_index().duplicated().to_numpy())]
        twice = once.index[once.index.duplicated()]
        if len(twice):
            raise DataError(f"two rows of {', '.join(part.columns)} at one time disagree", rows=list(twice[:3]))
        whole.append(once.sort_index())
    frame = pd.concat(whole, axis=1, sort=True).rename_axis("time")
    cut: pd.DataFrame = frame[(frame.index >= first) & (frame.index <= last)]
    if not len(cut):
        raise DataError(f"no row between {first} and {last}")
    return cut


def write_table(frame: pd.DataFrame, target: Path) -> None:
    """A table to Parquet, or to CSV where the name ends so, whole or not at all."""
    with atomic(target) as name:
        if target.suffix.lower() == ".csv":
            frame.to_csv(name)
        else:
            frame.to_parquet(name)
