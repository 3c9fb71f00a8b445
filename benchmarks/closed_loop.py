"""The closed loop against real funding, and what other rules would do, by the model.

Needs binance_{btc,eth,xrp}usdt_1h.parquet in BASISMODELS_DATA (default ../shared/data); writes to benchmarks/results:
closed_loop.csv, shares of settlements at interest and at the cap, the spread of rates, and how often the mean premium
of an interval lies within 1.5 bps of an edge of the damper, real ones and the central 95% of markets simulated at
draws of the parameters of a fit of one regime and of two (low, high), and at the estimate alone; counterfactual.csv,
half-life, time outside the band and failure of BTC 2024 under other rules, with 95% limits over parameter draws.

    python benchmarks/closed_loop.py --simulations 400 --draws 60
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.estimands.funding_diagnostic import prepared
from basismodels.funding import PremiumLink, Rule
from basismodels.inference.closed_loop import even_grid, from_problem, loop, settled_pairs
from basismodels.inference.draws import draws_of

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results"
MARKETS = (("BTC", "2024"), ("ETH", "2024"), ("XRP", "2024"), ("BTC", "2021"), ("BTC", "2020"), ("XRP", "2020"))
BAND = 10.0


NEAR = 1.5
MODELS = {
    "one-regime": bm.OU(theta="1 + funding_gap") + bm.SlowOU() + bm.Noise(),
    "two-regimes": bm.Switching(bm.OU() + bm.SlowOU() + bm.Noise(), 2, varies=("kappa", "theta", "sigma", "tau")),
}


def fitted(symbol: str, year: str, model: str = "one-regime") -> tuple[bm.Fit, Rule, PremiumLink]:
    """A model of the loop on a year of hours, and the link."""
    data = bm.read(DATA / f"binance_{symbol.lower()}usdt_1h.parquet", start=f"{year}-01-01", end=f"{year}-12-31")
    rule = bm.funding.rule("binance", f"{symbol}USDT", at=f"{year}-06-01")
    made = prepared(data, rule)[0]
    return bm.fit(MODELS[model], made, starts=10, rng=0), rule, bm.funding.premium_link(made, rule)


def facts(rate: np.ndarray, premium: np.ndarray, rule: Rule) -> dict[str, float]:
    """What is compared of settled rates and of the mean premiums (bps) that set them."""
    low, high = (1e4 * edge for edge in rule.deadband)
    return {
        "share_at_interest": float(rule.at_interest(rate).mean()),
        "share_at_cap": float(rule.at_cap(rate).mean()),
        "sd_bps": float(1e4 * rate.std()),
        "share_near_edges": float((np.minimum(abs(premium - low), abs(premium - high)) < NEAR).mean()),
    }


def compared(symbol: str, year: str, model: str, simulations: int) -> list[dict[str, str]]:
    """Real and simulated facts of a year, one row each."""
    fit, rule, link = fitted(symbol, year, model)
    grid, rng = even_grid(fit.data), np.random.default_rng(1)
    settled = settled_pairs(fit.data, rule)
    rate, closes = settled.rate, settled.premium
    # the venue's premium differs from that of the closes by the link's error, in the simulation too
    real = facts(rate, link.offset + link.slope * closes + link.sd * rng.standard_normal(len(closes)), rule)

    def walked(points: Iterable[np.ndarray]) -> pd.DataFrame:
        walks = (loop(from_problem(fit.problem, x), rule, grid, rng, link) for x in points)
        return pd.DataFrame([facts(walk.rate, walk.premium, rule) for walk in walks])

    there, around = walked([fit.x] * simulations), walked(draws_of(fit, simulations, rng))
    rows = []
    for name, value in real.items():
        low, middle, high = around[name].quantile([0.025, 0.5, 0.975])
        least, most = there[name].quantile([0.025, 0.975])
        rows.append(
            {
                "market": f"{symbol} {year}",
                "model": model,
                "fact": name,
                "real": f"{value:.4f}",
                "simulated": f"{middle:.4f}",
                "low": f"{low:.4f}",
                "high": f"{high:.4f}",
                "within": "yes" if low <= value <= high else "no",
                "low_at_estimate": f"{least:.4f}",
                "high_at_estimate": f"{most:.4f}",
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
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--draws", type=int, default=60)
    asked = parser.parse_args()
    if not (DATA / "binance_btcusdt_1h.parquet").exists():
        print("no hourly files: BASISMODELS_DATA (default ../shared/data) does not hold them", file=sys.stderr)
        return 1
    rows = [row for at in MARKETS for model in MODELS for row in compared(*at, model, asked.simulations)]
    pd.DataFrame(rows).to_csv(RESULTS / "closed_loop.csv", index=False, lineterminator="\n")
    fit, rule, link = fitted("BTC", "2024")
    table = bm.funding.counterfactual(fit, rules(rule), draws=asked.draws, band=BAND, target=0.0, link=link, rng=1)
    table.round(5).to_csv(RESULTS / "counterfactual.csv", lineterminator="\n")
    print(pd.DataFrame(rows).to_string(index=False), table.T.to_string(), table.attrs["caution"], sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
