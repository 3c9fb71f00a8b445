"""Fills the tables of paper.md with numbers made by the package, and checks the paper's form.

`python paper/build.py` writes paper/tables/*.csv and the tables between their markers;
`python paper/build.py --check` changes nothing and fails on a wrong form. Real data are
found through BASISMODELS_DATA (default ../shared/data); without them the committed tables stay.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pandas as pd

import basismodels as bm

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("BASISMODELS_DATA", HERE.parents[1] / "shared" / "data"))
HEADINGS = (
    "Summary", "Statement of need", "State of the field", "Software design", "Research impact statement",
    "AI usage disclosure", "Acknowledgements", "References",
)  # fmt: skip
MODELS = ("ou", "ou-noise", "two-factor", "switching-ou", "switching-two-factor")


def btc2024() -> pd.DataFrame:
    """Log likelihood and half-lives of each model on hourly Binance BTC of 2024."""
    data = bm.read(DATA / "binance_btcusdt_1h.parquet", start="2024-01-01", end="2024-12-31")
    rows = []
    for name in MODELS:
        fit = bm.fit(bm.preset(name), data)
        for part in bm.half_life(fit, method="wald"):
            where = part.component if part.regime is None else f"{part.component}, regime {part.regime}"
            rows.append(
                {
                    "model": name,
                    "log likelihood": f"{fit.llf:.1f}",
                    "component": where,
                    "half-life (h)": f"{part.value:.3g}",
                    "95% interval": f"{part.lower:.3g} to {part.upper:.3g}",
                    "method": part.method,
                }
            )
    return pd.DataFrame(rows)


TABLES = {"btc2024": (btc2024, "Made by `python paper/build.py` from `binance_btcusdt_1h`, 2024.")}


def markdown(frame: pd.DataFrame, caption: str) -> str:
    """A table in pipes under its caption."""
    head = "| " + " | ".join(frame.columns) + " |\n|" + "---|" * len(frame.columns)
    body = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False))
    return f"{caption}\n\n{head}\n{body}"


def filled(text: str, name: str, table: str) -> str:
    """The text with one table between its markers."""
    pattern = re.compile(rf"(<!-- table:{name} -->).*?(<!-- /table -->)", re.DOTALL)
    return pattern.sub(lambda m: f"{m[1]}\n{table}\n{m[2]}", text)


def faults(text: str) -> list[str]:
    """What is wrong with the form: headings, length, keys absent from the bibliography or unused."""
    found = [f"no heading {h!r}" for h in HEADINGS if not re.search(rf"^# {re.escape(h)}$", text, re.MULTILINE)]
    body = re.sub(r"<!-- table.*?<!-- /table -->", "", text.split("---", 2)[2], flags=re.DOTALL)
    words = len(re.findall(r"\b[\w'-]+\b", body))
    if not 750 <= words <= 1750:
        found.append(f"{words} words; the format asks for 750 to 1750")
    keys = set(re.findall(r"@([a-z]+\d{4})", text))
    known = set(re.findall(r"^@\w+\{([^,]+),", (HERE / "paper.bib").read_text(), re.MULTILINE))
    found += [f"@{key} is not in paper.bib" for key in sorted(keys - known)]
    found += [f"{key} in paper.bib is not cited" for key in sorted(known - keys)]
    return found


def main() -> int:
    """Build or check; returns the exit code."""
    text = (HERE / "paper.md").read_text()
    wrong = faults(text)
    if "--check" not in sys.argv:
        for name, (make, caption) in TABLES.items():
            path = HERE / "tables" / f"{name}.csv"
            if DATA.exists():
                path.parent.mkdir(exist_ok=True)
                make().to_csv(path, index=False)
            text = filled(text, name, markdown(pd.read_csv(path, dtype=str), caption))
        (HERE / "paper.md").write_text(text)
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
