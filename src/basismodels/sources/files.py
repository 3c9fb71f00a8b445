"""A BasisSeries from a Parquet or CSV file, or from a frame laid out like one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from basismodels import quality
from basismodels._coerce import TIME_NAMES, as_frame, numbers, numeric_columns
from basismodels._finding import Finding
from basismodels._rules import check_filled
from basismodels.errors import DataError
from basismodels.series import BasisSeries, Fact, build
from basismodels.sources._tables import load

SETTLED = "funding_rate"
_FUNDING = (SETTLED, "interval_hours")


def read(
    path: str | Path,
    *,
    start: Any = None,
    end: Any = None,
    perp: str = "perp",
    reference: str | None = None,
    funding: str = SETTLED,
) -> BasisSeries:
    """The basis in a file, the whole of it checked and then cut to start and end.

    Columns: time (UTC, bar close), as a column or the index; `perp` against
    `reference`, by default index where that column exists, else spot; or
    `basis` in bps alone; `funding`, decimal per interval at its stamp;
    any other numeric column is a covariate. A date-only `end` includes that day.
    Raises DataError on a file or a column that cannot be used.
    """
    wanted = {*TIME_NAMES, "basis", "index", "spot", perp, reference or "spot", funding, *_FUNDING}
    raw, stored = load(path, wanted)
    facts: dict[str, Fact] = {"source": str(path), "simulated": stored.get("simulated", "").lower() == "true"}
    return _checked(as_frame(raw), facts, perp, reference, funding).cut(start, end)


def from_frame(
    frame: Any,
    *,
    start: Any = None,
    end: Any = None,
    perp: str = "perp",
    reference: str | None = None,
    funding: str = SETTLED,
    part: bool = False,
) -> BasisSeries:
    """The basis in a pandas, polars or pyarrow frame laid out as `read` says, checked and cut alike.

    `part`: whether these rows continue a longer series, as new ones for `bm.update`; they may then be a
    single one, without a rate, and `bm.check`, which asks for the rows around, is left out.
    """
    return _checked(as_frame(frame), {"source": "frame"}, perp, reference, funding, part).cut(start, end)


def _checked(
    frame: pd.DataFrame,
    facts: Mapping[str, Fact],
    perp: str,
    reference: str | None,
    funding: str,
    part: bool = False,
) -> BasisSeries:
    _columns_distinct(frame)
    if frame.empty:
        raise DataError("no rows", remedy="write or download the data again")
    if funding != SETTLED:
        frame = _settled_as(frame, funding)
    frame, copies = _without_copies(frame)
    data = _series(frame, facts, perp, reference, (*copies, *_other_zone(frame)), part)
    return data if part else data.with_quality(quality.check(data))


def _settled_as(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The frame with its settled rates under the usual name, in place of what stood there."""
    if name not in frame.columns:
        raise DataError(
            f"no column {name} of settled rates: the columns are {', '.join(map(str, frame.columns))}",
            remedy='bm.read(path, funding="YOUR_COLUMN"), or --funding',
        )
    return frame.drop(columns=SETTLED, errors="ignore").rename(columns={name: SETTLED})


def _series(
    frame: pd.DataFrame,
    facts: Mapping[str, Fact],
    perp: str,
    reference: str | None,
    findings: tuple[Finding, ...],
    part: bool = False,
) -> BasisSeries:
    """Columns to their roles: prices before a ready basis, the rest covariates; `part` as in `build`."""
    against = reference or ("index" if "index" in frame.columns else "spot")
    notes = tuple(f"{f.kind}: {f.note}" for f in findings)
    funding = frame[[c for c in _FUNDING if c in frame.columns]] if SETTLED in frame.columns else None
    covariates = numeric_columns(frame.drop(columns=[*_FUNDING, "basis"], errors="ignore"))
    if perp in frame.columns and against in frame.columns:
        legs = {"perp": numbers(frame[perp], perp), "reference": numbers(frame[against], against)}
        facts = {**facts, "perp": perp, "reference": against}
        notes += _hidden(frame, {"perp": perp, "reference": against})
        return build(
            facts=facts, legs=legs, funding=funding, covariates=covariates, findings=findings, warnings=notes, part=part
        )
    if "basis" not in frame.columns or perp != "perp" or reference is not None:
        raise _no_prices(frame, perp, against)
    basis = numbers(frame["basis"], "basis")
    facts = {**facts, "basis": "basis"}
    return build(
        facts=facts, basis=basis, funding=funding, covariates=covariates, findings=findings, warnings=notes, part=part
    )


def _no_prices(frame: pd.DataFrame, perp: str, against: str) -> DataError:
    absent = " and ".join(name for name in (perp, against) if name not in frame.columns)
    columns = ", ".join(map(str, frame.columns))
    return DataError(
        f"no column {absent}, and no basis to stand in: the columns are {columns}",
        remedy='bm.read(path, perp="YOUR_COLUMN", reference="YOUR_COLUMN"), or --perp and --reference',
    )


def _hidden(frame: pd.DataFrame, legs: Mapping[str, str]) -> tuple[str, ...]:
    """A warning for each column that gives up its name to a leg."""
    return tuple(
        f"column {leg} of the file is left out: {column} was named as the {leg} leg"
        for leg, column in legs.items()
        if column != leg and leg in frame.columns
    )


def _columns_distinct(frame: pd.DataFrame) -> None:
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise DataError(
            "columns share a name", rows=list(twice), remedy="df.loc[:, ~df.columns.duplicated()]"
        )


def _without_copies(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Rows given twice word for word are kept once, and reported by run; rows that disagree are refused later."""
    stamped = isinstance(frame.index, pd.DatetimeIndex) and frame.index.tz is not None
    if not stamped or frame.index.is_unique:
        return frame, ()
    check_filled(frame.index)
    twice = np.flatnonzero(frame.index.duplicated(keep=False))
    rows = frame.iloc[twice]
    copies = twice[rows.assign(_stamp=rows.index).duplicated().to_numpy()]
    if not len(copies):
        return frame, ()
    kept = frame.iloc[np.setdiff1d(np.arange(len(frame)), copies)]
    stamps = pd.DatetimeIndex(frame.index).tz_convert("UTC")
    counts = stamps[copies].value_counts().sort_index()
    at = stamps.unique().sort_values().get_indexer(counts.index)
    runs = np.split(np.arange(len(counts)), np.flatnonzero(np.diff(at) != 1) + 1)
    return kept, tuple(_duplicate(counts.iloc[run]) for run in runs)


def _duplicate(counts: pd.Series[int]) -> Finding:
    copies, (first, last) = int(counts.sum()), counts.index[[0, -1]]
    copy = "copy" if copies == 1 else "copies"
    return Finding("duplicate", first, last, copies, False, f"{copies} identical {copy} left out")


def _other_zone(frame: pd.DataFrame) -> tuple[Finding, ...]:
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None or not len(index):
        return ()
    if str(index.tz) in {"UTC", "Etc/UTC", "UTC+00:00", "+00:00", "Zulu", "GMT"}:
        return ()
    stamps = index.tz_convert("UTC")
    note = f"stamps in {index.tz} turned into UTC"
    return (Finding("zone", stamps.min(), stamps.max(), len(index), False, note),)
