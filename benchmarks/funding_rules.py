"""Settled rates against the rules: how many are the interest alone, how many at the cap, and which lie outside.

Needs binance_funding_many.parquet in BASISMODELS_DATA (default ../shared/data); writes
benchmarks/results/funding_rules.csv, one row a symbol: settlements, share at interest, share at the cap,
smallest and largest rate in bps, caps in bps, how many lie outside the cap, and the days on which they do.
Rates that a venue publishes unchanged after a delisting are left out.

    python benchmarks/funding_rules.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
TARGET = ROOT / "benchmarks" / "results" / "funding_rules.csv"
_ROUNDING = 1e-8


def judged(rates: pd.DataFrame, symbol: str, venue: str = "binance") -> pd.DataFrame:
    """Each settlement (rate decimal, interval_hours) under the rule of its day: at_interest, at_cap, outside, cap."""
    parts = []
    eras = bm.funding.eras(venue, symbol)
    starts = [pd.Timestamp(era.start or "1970-01-01T00:00:00Z") for era in eras]
    for era, start, end in zip(eras, starts, [*starts[1:], pd.Timestamp("2200-01-01", tz="UTC")], strict=True):
        for hours, own in rates.loc[(rates.index >= start) & (rates.index < end)].groupby("interval_hours"):
            found = era.with_interval(float(hours))
            rate = own["funding_rate"].to_numpy()
            parts.append(
                pd.DataFrame(
                    {
                        "at_interest": found.at_interest(rate),
                        "at_cap": np.abs(np.abs(rate) - found.cap) <= _ROUNDING,
                        "outside": np.abs(rate) > found.cap + _ROUNDING,
                        "cap": found.cap,
                        "rate": rate,
                    },
                    index=own.index,
                )
            )
    return pd.concat(parts).sort_index()


def row(symbol: str, rates: pd.DataFrame) -> dict[str, object]:
    """One line of the table."""
    found = judged(rates, symbol)
    days = found.index[found["outside"]].strftime("%Y-%m-%d").unique()
    caps = " ".join(f"{1e4 * cap:g}" for cap in sorted(found["cap"].unique()))
    return {
        "symbol": symbol,
        "settlements": len(found),
        "at_interest": f"{found['at_interest'].mean():.4f}",
        "at_cap": f"{found['at_cap'].mean():.5f}",
        "lowest_bps": f"{1e4 * found['rate'].min():.2f}",
        "highest_bps": f"{1e4 * found['rate'].max():.2f}",
        "caps_bps": caps,
        "outside": int(found["outside"].sum()),
        "days_outside": " ".join(days),
    }


def main() -> int:
    """Writes the table; 1 where the data are absent."""
    file = DATA / "binance_funding_many.parquet"
    if not file.exists():
        print(f"no {file.name}: BASISMODELS_DATA (default ../shared/data) has no such file", file=sys.stderr)
        return 1
    rates = pd.read_parquet(file)
    rates = rates[rates["placeholder"] != 1]
    table = pd.DataFrame([row(str(symbol), own) for symbol, own in rates.groupby("symbol")])
    total = table["settlements"].sum()
    table.to_csv(TARGET, index=False, lineterminator="\n")
    share = (table["at_interest"].astype(float) * table["settlements"]).sum() / total
    outside = table["outside"].sum()
    print(f"{total:,} settlements of {len(table)} symbols: {share:.1%} at interest, {outside} outside the cap")
    return 0


if __name__ == "__main__":
    sys.exit(main())
