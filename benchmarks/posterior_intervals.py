"""Frequentist and posterior 95% intervals of half-lives side by side, on real data.

Needs binance_btcusdt_1h, binance_xrpusdt_1h and gbtc_nav_daily in BASISMODELS_DATA (default ../shared/data);
writes benchmarks/results/posterior_intervals.csv, resuming by row. Frequentist: Wald for regimes, profile
likelihood otherwise (the combined one: normal draws). Posterior: quantiles of the draws of `bm.sample` under
default priors.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

import basismodels as bm
from basismodels.presets import parse_model
from basismodels.results import Estimate

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("BASISMODELS_DATA", HERE.parent.parent / "shared" / "data"))
RESULT = HERE / "results" / "posterior_intervals.csv"
SERIES = {
    "BTC, hourly, 2024": ("binance_btcusdt_1h", "2024-01-01", "2024-12-31"),
    "XRP, hourly, 2024": ("binance_xrpusdt_1h", "2024-01-01", "2024-12-31"),
    "GBTC, daily, 2018 to 2024": ("gbtc_nav_daily", None, None),
}
MODELS = ("ou", "ou-noise", "two-factor")
COLUMNS = (
    "series", "model", "part", "estimate (h)", "frequentist (h)", "method", "posterior median (h)", "posterior (h)",
    "R-hat", "seconds",
)  # fmt: skip


def digits(hours: float) -> str:
    """Three digits, infinity in words."""
    if hours == float("inf"):
        return "infinite"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def limits(one: Estimate) -> str:
    """Both limits."""
    return f"{digits(one.lower)} to {digits(one.upper)}"


def rows(label: str, name: str) -> list[dict[str, str]]:
    """One line a half-life."""
    file, start, end = SERIES[label]
    data = bm.read(DATA / f"{file}.parquet", start=start, end=end)
    model = parse_model(name)
    fit = bm.fit(model, data)
    method = "wald" if fit.model.regimes > 1 else "profile"
    began = time.perf_counter()
    post = bm.sample(model, data, rng=1, draws=750, tune=500, target_accept=0.8)
    took = time.perf_counter() - began
    rhat = next(d.text.split()[4] for d in post.diagnostics if d.code == "rhat")
    return [
        {
            "series": label, "model": f"`{name}`",
            "part": a.component if a.regime is None else f"{a.component} {a.regime}",
            "estimate (h)": digits(a.value), "frequentist (h)": limits(a), "method": a.method,
            "posterior median (h)": digits(b.value), "posterior (h)": limits(b), "R-hat": rhat,
            "seconds": f"{took:.0f}",
        }
        for a, b in zip(bm.half_life(fit, method=method), bm.half_life(post), strict=True)
        if not (a.component == "total" and fit.model.regimes == 1 and "slow.kappa" not in fit.names)
    ]  # fmt: skip


def main() -> int:
    """Appends the rows that are not in the file yet."""
    known: set[tuple[str, str]] = set()
    if RESULT.exists():
        with RESULT.open(newline="", encoding="utf-8") as lines:
            known = {(row["series"], row["model"]) for row in csv.DictReader(lines)}
    for label, (file, _, _) in SERIES.items():
        if not (DATA / f"{file}.parquet").exists():
            print(f"no {file}.parquet: BASISMODELS_DATA (default ../shared/data) has no such file", file=sys.stderr)
            return 3
        for name in MODELS:
            if (label, f"`{name}`") in known:
                continue
            made = rows(label, name)
            fresh = not RESULT.exists()
            with RESULT.open("a", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
                if fresh:
                    writer.writeheader()
                writer.writerows(made)
            print(*made, sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
