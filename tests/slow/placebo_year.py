"""Sizes of the likelihood ratios of funding in two regimes over a year: writes placebo_year.csv and its summary.

The market of placebo.py that is named so, without an effect, for 366 days in place of 120: a wild regime that
holds a twentieth of the time is seen for three weeks, not for six days. A column a test: 1 where it rejects at 5%.

    python tests/slow/placebo_year.py [--series 400] [--minutes 60]
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
from placebo import STATES, band, markets, rejections
from row_study import Row, publish, rows_of

OUT = Path(__file__).with_suffix(".csv")
MARKET = "two regimes, BTC 2024"
EFFECTS = ("level", "speed", "transitions")
TESTS = tuple(f"{effect} {test}" for effect in EFFECTS for test in STATES)
YEAR = pd.date_range("2024-01-01 01:00", periods=24 * 366, freq="h", tz="UTC")


def one(seed: np.random.SeedSequence) -> Row:
    """Which tests reject on one series."""
    return {test: int(found) for test, found in rejections(markets()[MARKET], seed, False, EFFECTS, YEAR).items()}


def summary(path: Path = OUT) -> pd.DataFrame:
    """One row a test: series, share rejected and its 95% band."""
    frame, rows = pd.read_csv(path), []
    for test in TESTS:
        n, k = len(frame), int(frame[test].sum())
        low, high = band(k, n)
        rows.append({"test": test, "series": n, "share": k / n, "band_low": low, "band_high": high})
    return pd.DataFrame(rows)


def main() -> int:
    """Runs until done or out of time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default all cores")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    rows_of(given.out, ("setting", "series", *TESTS), {MARKET: one}, given.series, given.minutes, given.jobs)
    publish(given.out, summary(given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
