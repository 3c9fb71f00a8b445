"""What a download gathered: one table, its gaps, a manifest beside it; written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from basismodels._assemble import iso
from basismodels._atomic import atomic
from basismodels.errors import DataError, ModelError
from basismodels.sources._archive import Fetched, digest_of
from basismodels.sources._lacks import (
    COUNTED,
    PRICES,
    closes,
    found,
    missing_bars,
    missing_settlements,
    narrower,
    unpublished,
)

Tell = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Gathered:
    """A table by bar close, its bars' length, the span asked, what it is of, its files, and what is not published."""

    frame: pd.DataFrame
    step: pd.Timedelta
    first: pd.Timestamp
    last: pd.Timestamp
    facts: dict[str, str]
    files: tuple[Fetched, ...] = ()
    absent: tuple[str, ...] = ()

    def closes(self) -> pd.DatetimeIndex:
        """Every bar close of the span asked."""
        return closes(self.frame, self.first, self.last, self.step)

    def gaps(self) -> pd.DataFrame:
        """Missing bars of each price found: column, first and last one missing, how many; and funding stamps left out.

        Over the whole span asked, so that what begins late or ends early is a gap too.
        """
        grid = self.closes()
        begin = grid[0] if len(grid) else self.last
        rows = missing_bars(self.frame, grid) + missing_settlements(self.frame, begin, self.last, self.step)
        return pd.DataFrame(rows, columns=["column", "start", "end", "rows"])

    def never_found(self) -> list[str]:
        """Prices, and the funding rate, of which there is not one value."""
        wanted = (*PRICES, "funding_rate")
        return [name for name in wanted if name not in found(self.frame, wanted)]

    def lacks(self) -> list[str]:
        """What the gaps do not show, a line each: columns never found, and months that are not published."""
        never = self.never_found()
        prices = [name for name in never if name != "funding_rate"]
        said = [f"never found: {', '.join(prices)}"] if prices else []
        said += ["no funding rates"] if "funding_rate" in never else []
        return said + unpublished(self.absent)

    def share_missing(self) -> float:
        """Greatest share of the bars of the span asked that any price found, but the premium, lacks."""
        gaps = self.gaps()
        lost = gaps[gaps["column"].isin(COUNTED)].groupby("column")["rows"].sum()
        return float(lost.max() / len(self.closes())) if len(lost) else 0.0

    def write(self, out: str | Path, tolerance: float, mark: bool) -> Path:
        """Writes the table (Parquet, or CSV by its name) and a manifest beside it.

        Where more than `tolerance` of the bars of a price are missing, or the perpetual or its reference price
        altogether, DataError unless `mark`, which writes every bar of the span asked and a column `gap` with 1 at
        every row of a missing price.
        """
        frame = self.frame
        if not 0.0 <= tolerance <= 1.0:
            raise ModelError(f"tolerance must lie between 0 and 1, got {tolerance!r}", remedy="tolerance=0.01")
        if mark:
            prices = found(frame, COUNTED)
            frame = _regular(frame, self.closes())
            frame["gap"] = frame[prices].isna().any(axis=1).astype(float)
        else:
            self._check(tolerance)
        target = Path(out)
        write_table(frame, target)
        with atomic(target.with_name(target.name + ".manifest.json")) as name:
            Path(name).write_text(json.dumps(self.manifest(target, frame), indent=2) + "\n", encoding="utf-8")
        return target

    def _check(self, tolerance: float) -> None:
        """DataError where there is no basis in the table, or too little of a price."""
        never = self.never_found()
        if "perp" in never or {"spot", "index"} <= set(never):
            lost = "price of the perpetual" if "perp" in never else "reference price: neither spot nor index"
            raise DataError(
                f"no {lost} was found between {self.first} and {self.last}",
                remedy="another symbol or span; or --mark, which writes what there is all the same",
            )
        share = self.share_missing()
        if share <= tolerance:
            return
        gaps = self.gaps().sort_values("rows", ascending=False)
        gaps = gaps[gaps["column"].isin(COUNTED)]
        ends = narrower(gaps, self.closes(), self.step)
        raise DataError(
            f"{share:.2%} of the bars are missing, more than the tolerance of {tolerance:.2%}",
            rows=[f"{g.column} {g.start} to {g.end} ({g.rows})" for g in gaps.itertuples()],
            remedy="--mark writes them all the same, with a column that marks them; or raise --tolerance"
            + (f"; or ask for what is there, {ends}" if ends else ""),
        )

    def manifest(self, target: Path, written: pd.DataFrame) -> dict[str, Any]:
        """What the table written is of, its digest, gaps, and each file with address, SHA-256, size and date."""
        from basismodels import __version__

        gaps = self.gaps()
        return {
            **self.facts,
            "basismodels": __version__,
            "asked": [iso(self.first), iso(self.last)],
            "rows": len(written),
            "start": iso(written.index[0]),
            "end": iso(written.index[-1]),
            "columns": list(written.columns),
            "sha256": digest_of(target),
            "share_missing": self.share_missing(),
            "gaps": [
                [str(column), iso(pd.Timestamp(start)), iso(pd.Timestamp(end)), int(count)]
                for column, start, end, count in gaps.itertuples(index=False, name=None)
            ],
            "never_found": self.never_found(),
            "not_published": list(self.absent),
            "files": [
                {"url": f.url, "sha256": f.sha256, "bytes": f.bytes, "modified": f.modified}
                for f in sorted(self.files, key=lambda f: f.url)
            ],
        }


def _regular(frame: pd.DataFrame, grid: pd.DatetimeIndex) -> pd.DataFrame:
    whole: pd.DataFrame = frame.reindex(frame.index.union(grid.as_unit("us")))
    whole.index.name = "time"
    return whole


def span_of(start: str, end: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First instant of `start` and last of `end`, months or days in UTC, or now if that is earlier.

    Errors: ModelError where they are none.
    """
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
    now = pd.Timestamp.now(tz="UTC")
    if begin > now:
        raise ModelError(f"{start} has not begun")
    return begin.as_unit("us"), min(stop, now).as_unit("us")


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
