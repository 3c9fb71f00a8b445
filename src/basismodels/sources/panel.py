"""Many markets from one long table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from basismodels._coerce import TIME_NAMES, as_frame
from basismodels.errors import DataError
from basismodels.series import BasisSeries, Fact
from basismodels.sources._tables import load
from basismodels.sources.files import _FUNDING, SETTLED, _checked, _columns_distinct

UNIT_COLUMNS = ("unit", "venue", "exchange", "symbol")


@dataclass(frozen=True, eq=False)
class Panel(Mapping[str, BasisSeries]):
    """Series by unit, such as "binance/BTCUSDT", and why units of the table are not among them."""

    series: dict[str, BasisSeries]
    refused: dict[str, str]

    def __getitem__(self, unit: str) -> BasisSeries:
        if unit in self.refused:
            raise DataError(f"{unit} was refused: {self.refused[unit]}")
        if unit not in self.series:
            raise DataError(f"no unit {unit!r} in the panel", remedy=f"one of {', '.join(self.series)}"[:200])
        return self.series[unit]

    def get(self, unit: str, default: Any = None) -> Any:
        """The series of a unit, else `default`."""
        return self.series.get(unit, default)

    def __contains__(self, unit: object) -> bool:
        return unit in self.series

    def __iter__(self) -> Iterator[str]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)

    def frame(self) -> pd.DataFrame:
        """One row a unit: rows, first and last stamp, rows left out of a fit, and, where it was refused, why."""
        rows: dict[str, dict[str, Any]] = {
            unit: {"rows": one.n, "start": one.time[0], "end": one.time[-1], "masked": int(one.mask.sum()), "error": ""}
            for unit, one in self.series.items()
        }
        rows |= {unit: {"rows": 0, "masked": 0, "error": why} for unit, why in self.refused.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("unit").sort_index()

    def __repr__(self) -> str:
        return f"<Panel: {len(self.series)} series, {len(self.refused)} refused>"


def read_panel(
    source: str | Path | Any,
    *,
    start: Any = None,
    end: Any = None,
    perp: str = "perp",
    reference: str | None = None,
    funding: str = SETTLED,
) -> Panel:
    """Many markets in one table in long form, a file or a frame: each unit read, checked and cut as `bm.read` does.

    A unit is named by the columns unit, or venue (or exchange) and symbol; the others are those of `bm.read`. A unit
    that `bm.read` would refuse is named in `.refused` and stops nothing. Raises DataError without such a column, and
    where no unit can be used.
    """
    frame, origin = _table(source, perp, reference, funding)
    _columns_distinct(frame)
    names = [column for column in UNIT_COLUMNS if column in frame.columns]
    if not names:
        raise DataError(
            f"no column says which market a row is of: the columns are {', '.join(map(str, frame.columns))}",
            remedy='add one named "symbol", or bm.read(path) for a single market',
        )
    series, refused = {}, {}
    for unit, rows in frame.groupby(_units(frame, names), sort=True):
        facts: dict[str, Fact] = {"source": origin, "unit": str(unit), "simulated": False}
        try:
            made = _checked(rows.drop(columns=names), facts, perp, reference, funding).cut(start, end)
        except DataError as error:
            refused[str(unit)] = str(error)
        else:
            series[str(unit)] = made
    if not series:
        raise DataError("no unit of the table can be used", rows=[f"{unit}: {why}" for unit, why in refused.items()])
    return Panel(series, refused)


def _table(source: Any, perp: str, reference: str | None, funding: str) -> tuple[pd.DataFrame, str]:
    if not isinstance(source, str | Path):
        return as_frame(source), "frame"
    wanted = {*TIME_NAMES, *UNIT_COLUMNS, "basis", "index", "spot", perp, reference or "spot", funding, *_FUNDING}
    return as_frame(load(source, wanted)[0]), str(source)


def _units(frame: pd.DataFrame, names: list[str]) -> pd.Series[Any]:
    """Name of the unit of each row, its parts joined by a slash; DataError where a part is missing."""
    if frame.empty:
        raise DataError("no rows", remedy="write or download the data again")
    parts = frame["unit"].to_frame() if "unit" in names else frame[names]
    if parts.isna().any(axis=None):
        raise DataError("rows of no market", rows=list(frame.index[parts.isna().any(axis=1)][:3]))
    made = parts.astype(str).agg("/".join, axis=1)
    return pd.Series(made.to_numpy(), index=frame.index)
