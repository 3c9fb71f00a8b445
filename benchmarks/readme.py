"""Fills the README's tables from committed results, so that no figure there is typed by hand.

A table stands between `<!-- table:NAME -->` and `<!-- /table -->`; its figures are those of NAME.csv in
benchmarks/results, tests/slow or paper/tables. `<!-- table:NAME columns=a,b where=c:x,d:y -->` keeps columns a and b of
the rows with x in column c and y in column d; `!x` keeps the others. `wide=c:d:e:f` makes a column of each value of
c that holds d and, in brackets, its limits e and f; the rows are then those of `columns`.
`python benchmarks/readme.py` writes the README, with `--check` it only says whether it would change.
"""

from __future__ import annotations

import csv
import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = (ROOT / "benchmarks" / "results", ROOT / "tests" / "slow", ROOT / "paper" / "tables")

_NOTHING = 1e-12

_TABLE = re.compile(
    r"(?P<open><!-- table:(?P<name>[\w-]+)(?: columns=(?P<columns>\S+))?(?: where=(?P<where>\S+))?"
    r"(?: wide=(?P<wide>\S+))? -->\n)"
    r".*?(?P<close><!-- /table -->)",
    re.DOTALL,
)


def filled(text: str, folders: tuple[Path, ...] = RESULTS) -> str:
    """The text with every table written anew; FileNotFoundError, KeyError where the results lack one."""

    def write(found: re.Match[str]) -> str:
        rows = [row for row in _rows(found["name"], folders) if _kept(row, found["where"])]
        columns = found["columns"].split(",") if found["columns"] else list(rows[0])
        if found["wide"]:
            rows, columns = widened(rows, columns, *found["wide"].split(":"))
        return found["open"] + markdown(rows, columns) + found["close"]

    return _TABLE.sub(write, text)


def widened(
    rows: list[dict[str, str]], columns: list[str], by: str, value: str, *limits: str
) -> tuple[list[dict[str, str]], list[str]]:
    """One row for each combination of `columns`, with a column for each value of `by`; what is absent stays empty."""
    names = list(dict.fromkeys(row[by] for row in rows))
    made: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        one = made.setdefault(key, dict.fromkeys(names, "") | dict(zip(columns, key, strict=True)))
        around = f" ({' to '.join(shown(row[c]) for c in limits)})" if limits and row[value] else ""
        one[row[by]] = shown(row[value]) + around
    return list(made.values()), [*columns, *names]


def markdown(rows: list[dict[str, str]], columns: list[str]) -> str:
    """A table in Markdown; underscores of a heading become spaces."""
    lines = [[column.replace("_", " ") for column in columns], ["---"] * len(columns)]
    lines += [[shown(row[column]) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown(cell: str) -> str:
    """A number with the digits a reader needs, infinity in words; any other text as it is."""
    try:
        value = float(cell)
    except ValueError:
        return cell.replace("|", "\\|")
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if abs(value) < _NOTHING:
        return "0"
    if value.is_integer() and "." not in cell:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _kept(row: dict[str, str], where: str | None) -> bool:
    pairs = (pair.split(":") for pair in where.split(",")) if where else ()
    return all((row[column] == value.lstrip("!")) != value.startswith("!") for column, value in pairs)


def _rows(name: str, folders: tuple[Path, ...]) -> list[dict[str, str]]:
    for folder in folders:
        if (file := folder / f"{name}.csv").exists():
            with file.open(newline="") as lines:
                return list(csv.DictReader(lines))
    raise FileNotFoundError(f"no {name}.csv in {', '.join(folder.name for folder in folders)}")


def main(arguments: list[str]) -> int:
    """Writes README.md, or with --check returns 1 where it differs from the results."""
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = filled(before)
    if "--check" in arguments:
        return int(before != after)
    readme.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
