"""The closed loop against real funding, and what other rules would do, by the model.

Needs binance_{btc,eth,xrp}usdt_1h.parquet in BASISMODELS_DATA (default ../shared/data); writes to benchmarks/results:
closed_loop.csv, shares of settlements at interest and at the cap and the spread of rates, real ones and the central
95% of simulated markets at the fit; counterfactual.csv, half-life, time outside the band and failure of BTC 2024
under other rules, with 95% limits over parameter draws.

    python benchmarks/closed_loop.py --simulations 200 --draws 60
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.estimands.funding_diagnostic import prepared
from basismodels.funding import PremiumLink, Rule
from basismodels.inference.closed_loop import even_grid, loop, machine_of

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results"
MARKETS = (("BTC", "2024"), ("ETH", "2024"), ("XRP", "2024"), ("BTC", "2021"))
BAND = 10.0


def fitted(symbol: str, year: str) -> tuple[bm.Fit, Rule, PremiumLink]:
    """The loop's model on a year of hours (a level that moves with funding, a slow one, noise), and the link."""
    data = bm.read(DATA / f"binance_{symbol.lower()}usdt_1h.parquet", start=f"{year}-01-01", end=f"{year}-12-31")
    rule = bm.funding.rule("binance", f"{symbol}USDT", at=f"{year}-06-01")
    made = prepared(data, rule)[0]
    model = bm.OU(theta="1 + funding_gap") + bm.SlowOU() + bm.Noise()
    return bm.fit(model, made, starts=6), rule, bm.funding.premium_link(made, rule)


def facts(rate: np.ndarray, rule: Rule) -> dict[str, float]:
    """What is compared of settled rates."""
    return {
        "share_at_interest": float(rule.at_interest(rate).mean()),
        "share_at_cap": float(rule.at_cap(rate).mean()),
        "sd_bps": float(1e4 * rate.std()),
    }


def compared(symbol: str, year: str, simulations: int) -> list[dict[str, str]]:
    """Real and simulated facts of a year, one row each."""
    fit, rule, link = fitted(symbol, year)
    assert fit.data.settlements is not None
    real = facts(fit.data.settlements["rate"].to_numpy(), rule)
    machine, grid, rng = machine_of(fit), even_grid(fit.data), np.random.default_rng(1)
    walked = pd.DataFrame([facts(loop(machine, rule, grid, rng, link).rate, rule) for _ in range(simulations)])
    rows = []
    for name, value in real.items():
        low, middle, high = walked[name].quantile([0.025, 0.5, 0.975])
        rows.append(
            {
                "market": f"{symbol} {year}",
                "fact": name,
                "real": f"{value:.4f}",
                "simulated": f"{middle:.4f}",
                "low": f"{low:.4f}",
                "high": f"{high:.4f}",
                "within": "yes" if low <= value <= high else "no",
            }
        )
    return rows


def rules(rule: Rule) -> dict[str, Rule]:
    """The rule as it is and changed one term at a time."""
    from dataclasses import replace

    return {
        "as it is": rule,
        "hourly, an eighth each": replace(rule, interval_hours=1.0, premium_hours=8.0, cap=rule.cap / 8.0),
        "hourly, a whole premium each": replace(rule, interval_hours=1.0),
        "every 4 h, a whole premium each": replace(rule, interval_hours=4.0),
        "cap of 0.05%": replace(rule, cap=5e-4),
        "no damper": replace(rule, damper=0.0),
        "damper doubled": replace(rule, damper=2.0 * rule.damper),
    }


def main() -> int:
    """Writes both tables; 1 where the data are absent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--draws", type=int, default=60)
    asked = parser.parse_args()
    if not (DATA / "binance_btcusdt_1h.parquet").exists():
        print("no hourly files: BASISMODELS_DATA (default ../shared/data) does not hold them", file=sys.stderr)
        return 1
    rows = [row for symbol, year in MARKETS for row in compared(symbol, year, asked.simulations)]
    pd.DataFrame(rows).to_csv(RESULTS / "closed_loop.csv", index=False, lineterminator="\n")
    fit, rule, link = fitted("BTC", "2024")
    table = bm.funding.counterfactual(fit, rules(rule), draws=asked.draws, band=BAND, link=link, rng=1)
    table.round(5).to_csv(RESULTS / "counterfactual.csv", lineterminator="\n")
    print(pd.DataFrame(rows).to_string(index=False), table.T.to_string(), table.attrs["caution"], sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
