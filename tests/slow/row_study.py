"""Studies made of independent series, one row of a CSV file each: they resume where they stopped."""

from __future__ import annotations

import csv
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

Row = dict[str, object]
_BATCH = 16


def seed_of(name: str, number: int) -> np.random.SeedSequence:
    """The seed of one series, whatever was run before it."""
    return np.random.SeedSequence([zlib.crc32(name.encode()), number])


def rows_of(
    path: Path,
    columns: Sequence[str],
    makers: Mapping[str, Callable[[np.random.SeedSequence], Row]],
    count: int,
    minutes: float,
    jobs: int = 1,
) -> bool:
    """Appends the rows that are not in the file yet, round by round over the settings; False where time ran out."""
    known, deadline = done(path), time.monotonic() + 60.0 * minutes
    left = [(name, n) for n in range(count) for name in makers if (name, str(n)) not in known]
    batch = 1 if jobs == 1 else _BATCH
    for i in range(0, len(left), batch):
        if time.monotonic() > deadline:
            return False
        now = left[i : i + batch]
        made = Parallel(n_jobs=jobs)(delayed(makers[name])(seed_of(name, n)) for name, n in now)
        for (name, n), row in zip(now, made, strict=True):
            _append(path, columns, {"setting": name, "series": n, **row})
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
