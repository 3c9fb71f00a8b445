"""Forecasts from a rolling origin on hourly BTC and ETH: every preset and baseline, on equal terms.

Fitted to all of the past, first to 2020-2022, then again each month; each hour of 2023-2024 is scored one
hour ahead with the parameters of the last refit. The columns of the funding presets are made by the rule of June 2021.
Needs binance_btcusdt_1h.parquet and binance_ethusdt_1h.parquet in BASISMODELS_DATA (default ../shared/data). Writes
benchmarks/results/rolling_origin.csv (a row a symbol and model) and rolling_origin_refits.csv (a row a
refit); `--months N` stops after so many months, `--symbols BTC` takes one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import pandas as pd

import basismodels as bm

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results"
TRAIN_END = "2022-12-31"
COLUMNS = (
    "symbol", "model", "rows", "log_score", "se", "difference", "dm_t", "gw_p", "in_set", "weight", "crps", "brier",
    "coverage", "width", "pit_distance", "dm_t_markov", "seconds",
)  # fmt: skip


def scored(symbol: str, months: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of one symbol and its refits."""
    end = pd.Timestamp("2023-01-01") + pd.DateOffset(months=months) - pd.Timedelta("1h")
    data = bm.read(DATA / f"binance_{symbol.lower()}usdt_1h.parquet", start="2020-01-01", end=str(end))
    data = bm.funding.attach(data, bm.funding.rule("binance", f"{symbol}USDT", at="2021-06-01"))
    found = bm.rolling_origin(None, data, train_end=TRAIN_END, refit="MS", rng=0, progress=said(symbol))
    table = found.table("ou")
    markov = found.log_score["markov-regression"]
    table["dm_t_markov"] = [
        bm.dm_test(found.log_score[name], markov).statistic if name != "markov-regression" else float("nan")
        for name in table.index
    ]
    table["seconds"] = found.refits.groupby("model")["seconds"].sum()
    table["rows"] = table.attrs["rows"]
    refits = found.refits.assign(symbol=symbol)
    return table.reset_index().assign(symbol=symbol)[list(COLUMNS)], refits


def said(symbol: str):  # type: ignore[no-untyped-def]
    """Says how far it is, once a month of data."""
    began = time.perf_counter()

    def tell(done: int, total: int) -> None:
        if done % 28 == 0 or done == total:
            print(f"{symbol} {done}/{total} after {time.perf_counter() - began:.0f} s", flush=True)

    return tell


def main() -> int:
    """Scores the symbols asked for; a symbol's rows replace those of an earlier run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--symbols", default="BTC,ETH")
    args = parser.parse_args()
    for symbol in args.symbols.split(","):
        file = DATA / f"binance_{symbol.lower()}usdt_1h.parquet"
        if not file.exists():
            print(f"no {file.name}: BASISMODELS_DATA (default ../shared/data) has no such file", file=sys.stderr)
            return 3
        for name, rows in zip(("rolling_origin", "rolling_origin_refits"), scored(symbol, args.months), strict=True):
            merged(RESULTS / f"{name}.csv", rows)
    return 0


def merged(path: Path, rows: pd.DataFrame) -> None:
    """Writes the rows beside those of other symbols."""
    if path.exists():
        kept = pd.read_csv(path)
        rows = pd.concat([kept[~kept["symbol"].isin(rows["symbol"])], rows])
    rows.sort_values("symbol", kind="stable").to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    sys.exit(main())
