"""BTC, ETH, XRP on Binance and BTC, ETH on Hyperliquid at once: shrinkage and joint failure.

Needs the hourly files in BASISMODELS_DATA (default ../shared/data); writes benchmarks/results/panel.csv (each unit's
pooled coefficients alone and in the panel), panel_joint.csv (joint failure) and build/shrinkage.svg. All over the last
quarter of 2024, where the files of Binance end. Hyperliquid's own spot begins in February 2025: its perpetuals stand
against Binance's spot, so that their basis holds the price of USDT as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd

import basismodels as bm

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
UNITS = {  # files of the perpetual and of the spot price
    "Binance BTC": ("binance_btcusdt_1h",) * 2, "Binance ETH": ("binance_ethusdt_1h",) * 2,
    "Binance XRP": ("binance_xrpusdt_1h",) * 2, "Hyperliquid BTC": ("hyperliquid_btc_1h", "binance_btcusdt_1h"),
    "Hyperliquid ETH": ("hyperliquid_eth_1h", "binance_ethusdt_1h"),
}  # fmt: skip
SPAN = {"start": "2024-10-01", "end": "2024-12-30"}
MODEL = bm.Switching(bm.OU() + bm.Noise(), regimes=2)
HORIZON, BANDS = 8.0, (2.0, 5.0)


def main() -> int:
    """Samples the panel and writes both tables and the picture."""
    missing = sorted({n for names in UNITS.values() for n in names if not (DATA / f"{n}.parquet").exists()})
    if missing:
        print(f"no {', '.join(missing)}: BASISMODELS_DATA (default ../shared/data) lacks them", file=sys.stderr)
        return 3
    panel = {unit: series(*names) for unit, names in UNITS.items()}
    found = bm.sample_panel(MODEL, panel, rng=1, draws=400, tune=400, chains=4, starts=8, target_accept=0.95)
    results = ROOT / "benchmarks" / "results"
    found.shrinkage().to_csv(results / "panel.csv", index=False, float_format="%.4g")
    joint(found).to_csv(results / "panel_joint.csv", index=False, float_format="%.4g")
    for unit, one in found.items():
        print(unit, *(d for d in one.diagnostics if d.code in ("rhat", "ess", "divergences", "labels")), sep="\n  ")
    picture(found)
    print(f"{found.seconds:.0f} s")
    return 0


def series(perp: str, spot: str) -> bm.BasisSeries:
    """A perpetual against a spot price, of one file or of two."""
    own, reference = (pd.read_parquet(DATA / f"{name}.parquet")[SPAN["start"] : SPAN["end"]] for name in (perp, spot))
    return bm.BasisSeries.from_prices(reference["spot"], own["perp"], funding=own["funding_rate"].dropna())


def joint(found: bm.PanelFit) -> pd.DataFrame:
    """Joint failure in numbers: band (bps), quantity, value, lower, upper."""
    lines: list[dict[str, object]] = []
    for band in BANDS:
        made = bm.joint_failure(found, horizon=HORIZON, band=band, target=0, draws=100, rng=1)
        for one in [*(made.share_of_time(k) for k in range(1, len(UNITS) + 1)), made.effective()]:
            lines.append({"quantity": one.component, "value": one.value, "lower": one.lower, "upper": one.upper})
        for held, row in made.spreading().iterrows():
            lines += [{"quantity": f"{held}: {name}", "value": value} for name, value in row.items()]
        for line in lines:
            line.setdefault("band", band)
    return pd.DataFrame(lines)[["band", "quantity", "value", "lower", "upper"]]


def picture(found: bm.PanelFit) -> None:
    """Shrinkage of the speed of the calmer regime."""
    from basismodels.report import canvas, figures

    (ROOT / "build").mkdir(exist_ok=True)
    with canvas.look():
        figures.shrinkage(found, name="kappa[0]").figure.savefig(ROOT / "build" / "shrinkage.svg")


if __name__ == "__main__":
    sys.exit(main())
