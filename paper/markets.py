"""Half-lives of several markets and at several spacings, for the article's tables.

Needs the real files in BASISMODELS_DATA (default ../shared/data); writes paper/tables/markets.csv (a row
a market and model) and paper/tables/signature.csv (a row a model, spacing and component). A market whose file is
absent keeps its committed rows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
from numbers_of import digits

import basismodels as bm

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("BASISMODELS_DATA", HERE.parents[1] / "shared" / "data"))
TABLES = HERE / "tables"
MODELS = ("ou", "ou-noise", "two-factor")
MARKETS = {
    "Binance BTC, 2024": ("binance_btcusdt_1h", "2024-01-01", "2024-12-31", {}),
    "Binance ETH, 2024": ("binance_ethusdt_1h", "2024-01-01", "2024-12-31", {}),
    "Binance XRP, 2024": ("binance_xrpusdt_1h", "2024-01-01", "2024-12-31", {}),
    "Hyperliquid BTC, 2025": ("hyperliquid_btc_1h", None, None, {}),
    "Hyperliquid ETH, 2025": ("hyperliquid_eth_1h", None, None, {}),
    "BitMEX XBT, 2018-20, 8 h": ("bitmex_xbtusd_8h", None, None, {"reference": "index"}),
    "GBTC to its value, daily": ("gbtc_nav_daily", None, None, {}),
    "USDC to 1, 2022": ("usdcusdt_1h", "2022-01-01", "2022-12-31", {"perp": "spot", "reference": "index"}),
}
SPACINGS = ("5min", "15min", "1h", "4h", "8h")


def market(name: str, method: str | None = None) -> list[dict[str, object]]:
    """One row a model and component; limits by `method`, default test inversion."""
    file, start, end, columns = MARKETS[name]
    data = bm.read(DATA / f"{file}.parquet", start=start, end=end, **columns)
    rows = []
    for model in MODELS:
        fit = bm.fit(bm.preset(model), data)
        for one in bm.half_life(fit, method=method):
            rows.append(
                {"market": name, "nobs": fit.nobs, "model": model, "component": one.component, "half_life": one.value,
                 "lower": one.lower, "upper": one.upper, "loglik": fit.llf, "ok": fit.ok}
            )  # fmt: skip
    return rows


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a market: half-lives with limits as text, a star where the fit is not to be trusted."""
    parts = {
        "OU (h)": ("ou", "total"), "OU + noise (h)": ("ou-noise", "total"),
        "two-factor: reversion (h)": ("two-factor", "reversion"), "slow level (h)": ("two-factor", "slow"),
    }  # fmt: skip
    made = []
    for name, group in rows.groupby("market", sort=False):
        cells = group.set_index(["model", "component"])
        shown = {title: _cell(cells.loc[key]) for title, key in parts.items()}
        made.append({"market": name, "rows": int(group["nobs"].iloc[0]), **shown})
    return pd.DataFrame(made)


def _cell(row: pd.Series[float]) -> str:
    value, low, high = (digits(row[name]) for name in ("half_life", "lower", "upper"))
    return f"{value} ({low} to {high})" + ("" if row["ok"] else " *")


def signature() -> pd.DataFrame:
    """Half-lives of 5-minute BTC thinned to longer and longer spacings."""
    data = bm.read(DATA / "binance_btcusdt_5m.parquet", start="2025-01-01", end="2025-03-31")
    parts = [bm.sampling_check(model, data, SPACINGS, starts=4).assign(model=model) for model in MODELS]
    return pd.concat(parts)


def main() -> int:
    """Writes both tables, as far as the files are there."""
    TABLES.mkdir(exist_ok=True)
    path = TABLES / "markets.csv"
    kept = pd.read_csv(path) if path.exists() else pd.DataFrame()
    for name, (file, *_) in MARKETS.items():
        if not (DATA / f"{file}.parquet").exists():
            print(f"no {file}.parquet in BASISMODELS_DATA: {name} keeps its rows", file=sys.stderr)
            continue
        rows = pd.DataFrame(market(name))
        kept = pd.concat([kept[kept["market"] != name] if len(kept) else kept, rows])
        kept.to_csv(path, index=False, float_format="%.6g")
        wide(kept).to_csv(TABLES / "markets_wide.csv", index=False)
        print(name, flush=True)
    if (DATA / "binance_btcusdt_5m.parquet").exists():
        signature().to_csv(TABLES / "signature.csv", index=False, float_format="%.6g")
    return 0


if __name__ == "__main__":
    sys.exit(main())
