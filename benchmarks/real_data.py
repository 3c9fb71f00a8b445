"""What real data say: the registered models on hourly Binance BTC of 2024.

Needs binance_btcusdt_1h.parquet in BASISMODELS_DATA (default ../shared/data); writes
benchmarks/results/btc_2024.csv: log likelihoods in nats, half-lives in hours with 95% limits, one
per regime. The likelihood of regimes with noise is an approximation that overstates: beside it stands
a particle filter's value at the same estimate, which is the one to compare.
"""

from __future__ import annotations

import csv
import math
import os
import sys
from pathlib import Path

import basismodels as bm
from basismodels.inference.particle import particle_loglik
from basismodels.presets import parse_model
from basismodels.results import Estimate, Fit

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
RESULT = ROOT / "benchmarks" / "results" / "btc_2024.csv"
MODELS = (
    "random-walk",
    "ou",
    "ou-noise",
    "two-factor",
    "switching-ou",
    "Switching(OU() + Noise(), regimes=2)",
    "switching-two-factor",
)


def row(name: str, fit: Fit) -> dict[str, str]:
    """One line of the table."""
    exact = particle_loglik(fit)
    found = bm.half_life(fit)
    return {
        "model": f"`{name}`",
        "log likelihood": f"{fit.llf:,.1f}",
        "by particles": f"{exact.value:,.1f} ± {exact.se:.2g}" if exact.se else "the same",
        "half-life (h)": shown(found, "total"),
        "reversion, by regime (h)": shown(found, "reversion"),
        "slow level (h)": shown(found, "slow"),
        "trusted": "yes" if fit.ok else "no",
    }


def shown(found: tuple[Estimate, ...], component: str) -> str:
    """The estimates of one component, by regime."""
    return " / ".join(interval(one) for one in found if one.component == component) or "-"


def interval(one: Estimate) -> str:
    """Value and limits; a fixed speed has none."""
    value, lower, upper = map(digits, (one.value, one.lower, one.upper))
    return value if one.method == "fixed" else f"{value} ({lower} to {upper})"


def digits(hours: float) -> str:
    """Three digits, whole hours from a hundred on, infinity in words."""
    if math.isnan(hours):
        return "-"
    if math.isinf(hours):
        return "infinite"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def main() -> int:
    """Fits every model and writes the table, row by row."""
    file = DATA / "binance_btcusdt_1h.parquet"
    if not file.exists():
        print(f"no {file.name}: BASISMODELS_DATA (default ../shared/data) has no such file", file=sys.stderr)
        return 3
    data = bm.read(file, start="2024-01-01", end="2024-12-31")
    RESULT.parent.mkdir(exist_ok=True)
    with RESULT.open("w", newline="") as out:
        table: csv.DictWriter[str] | None = None
        for name in MODELS:
            made = row(name, bm.fit(parse_model(name), data))
            if table is None:
                table = csv.DictWriter(out, list(made))
                table.writeheader()
            table.writerow(made)
            print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
