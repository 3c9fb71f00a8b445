"""Studies made of independent series, one row of a CSV file each: they resume where they stopped."""

from __future__ import annotations

import csv
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

Row = dict[str, object]


def seed_of(name: str, number: int) -> np.random.SeedSequence:
    """The seed of one series, whatever was run before it."""
    return np.random.SeedSequence([zlib.crc32(name.encode()), number])


def rows_of(
    path: Path,
    columns: Sequence[str],
    makers: Mapping[str, Callable[[np.random.SeedSequence], Row]],
    count: int,
    minutes: float,
) -> bool:
    """Appends the rows that are not in the file yet, round by round over the settings; False where time ran out."""
    known = done(path)
    deadline = time.monotonic() + 60.0 * minutes
    for number in range(count):
        for name, make in makers.items():
            if (name, str(number)) in known:
                continue
            if time.monotonic() > deadline:
                return False
            _append(path, columns, {"setting": name, "series": number, **make(seed_of(name, number))})
    return True


def done(path: Path) -> set[tuple[str, str]]:
    """Settings and numbers of the series already in the file; half a last line is dropped."""
    if not path.exists():
        return set()
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    return {(row["setting"], row["series"]) for row in csv.DictReader(text.splitlines())}


def publish(path: Path, table: pd.DataFrame) -> None:
    """Prints a summary of the rows in `path`, and writes it beside them as NAME_summary.csv."""
    table.to_csv(path.with_name(f"{path.stem}_summary.csv"), index=False, float_format="%.4g", lineterminator="\n")
    print(table.to_string(index=False))


def _append(path: Path, columns: Sequence[str], row: Row) -> None:
    fresh = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow({key: f"{v:.5g}" if isinstance(v, float) else v for key, v in row.items()})
