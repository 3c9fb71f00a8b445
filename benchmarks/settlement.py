"""Does the perpetual go ex-funding on Binance: what part of a payment the basis jumps by, BTC, ETH and XRP, 2024.

Needs binance_{btc,eth,xrp}usdt_1h.parquet in BASISMODELS_DATA (default ../shared/data); writes
benchmarks/results/settlement.csv, one row a symbol and model: the coefficient of funding_paid with its 95% profile
interval; the same with a jump at every payment whatever its size (empty where that fit is not to be trusted); the
coefficient of payments moved by half an interval, where none falls due; twice the gain in log likelihood over no
jump and over one for one.

    python benchmarks/settlement.py
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
TABLE = ROOT / "benchmarks" / "results" / "settlement.csv"
SYMBOLS = ("BTC", "ETH", "XRP")
STARTS = 6
NAME = "jump:funding_paid"


def series(symbol: str) -> bm.BasisSeries:
    """Hourly series of a symbol under its rule, with the payments moved by half an interval as a column `late`."""
    data = bm.read(DATA / f"binance_{symbol.lower()}usdt_1h.parquet", start="2024-01-01", end="2024-12-31")
    made = bm.funding.attach(data, bm.funding.rule("binance", f"{symbol}USDT", at="2024-06-01"))
    late = np.roll(made.covariates["funding_paid"].to_numpy(), 4)
    late[:4] = 0.0
    return replace(made, covariates=made.covariates.assign(late=late))


def fitted(jump: str | float, data: bm.BasisSeries, regimes: int) -> bm.Fit:
    """The two-factor model with a jump, in so many regimes."""
    model = bm.OU() + bm.SlowOU() + bm.Noise() + bm.Settlement(jump=jump)
    return bm.fit(bm.Switching(model, regimes=regimes) if regimes > 1 else model, data, starts=STARTS)


def row(symbol: str, data: bm.BasisSeries, regimes: int) -> dict[str, object]:
    """Coefficient, its interval, and the same with the clock held and on payments that are none."""
    fit, none, one = (fitted(jump, data, regimes) for jump in ("0 + funding_paid", 0, 1))
    clock = fitted("0 + funding_paid + settled_just_now", data, regimes)
    late = fitted("0 + late", data, regimes)
    limits = bm.conf_int(fit, method="profile").loc[NAME]
    held, held_se = (clock.params[NAME], clock.bse[NAME]) if clock.ok else (np.nan, np.nan)
    return {
        "symbol": symbol, "model": "two-factor" if regimes == 1 else f"{regimes} regimes", "nobs": fit.nobs,
        "jump": fit.params[NAME], "lower": limits["lower"], "upper": limits["upper"],
        "clock_held": held, "clock_held_se": held_se,
        "four_hours_late": late.params["jump:late"], "four_hours_late_se": late.bse["jump:late"],
        "gain": 2.0 * (fit.llf - none.llf), "short_of_one": 2.0 * (fit.llf - one.llf),
        "ok": fit.ok and none.ok and one.ok and late.ok,
    }  # fmt: skip


def main() -> int:
    """Writes the table; 1 where the data are absent."""
    if not (DATA / "binance_btcusdt_1h.parquet").exists():
        print("no hourly files: BASISMODELS_DATA (default ../shared/data) does not hold them", file=sys.stderr)
        return 1
    rows = []
    for symbol in SYMBOLS:
        data = series(symbol)
        rows += [row(symbol, data, regimes) for regimes in (1, 2)]
        print(pd.DataFrame(rows).iloc[-2:].to_string(index=False), flush=True)
    pd.DataFrame(rows).round(6).to_csv(TABLE, index=False, lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
