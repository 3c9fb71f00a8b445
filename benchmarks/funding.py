"""Is funding a driver or a proxy on Binance, and how does the speed move with it: BTC, ETH and XRP, 2020 to 2024.

Needs binance_{btc,eth,xrp}usdt_1h.parquet in BASISMODELS_DATA (default ../shared/data); writes to
benchmarks/results: funding_tests.csv, every test with its size, calibrated p and power; funding_slopes.csv, every
slope of the likelihood ratios with its standard error; funding_verdicts.csv, one row a symbol and effect;
funding_speed.csv, kappa over funding pressure with its 95% band; and draws build/funding_speed.png. A symbol already
in the tables is not computed again.

    python benchmarks/funding.py --replications 40
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.estimands.funding_diagnostic import FundingDiagnostic, prepared
from basismodels.estimands.funding_states import bound_like, models, reached, start_of
from basismodels.estimands.funding_verdict import STATES, Evidence, verdict_of

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results"
SYMBOLS = ("BTC", "ETH", "XRP")
SPAN = ("2020-01-01", "2024-12-31")
POINTS = 31


def series(symbol: str) -> bm.BasisSeries:
    """The hourly series of a symbol under the rules of its days."""
    data = bm.read(DATA / f"binance_{symbol.lower()}usdt_1h.parquet", start=SPAN[0], end=SPAN[1])
    return prepared(data, bm.funding.rule("binance", f"{symbol}USDT", at=SPAN[1]))[0]


def verdicts(symbol: str, found: FundingDiagnostic) -> list[dict[str, str]]:
    """One row an effect: statistics in the order of their strictness, and the verdict."""
    rows = []
    for effect, verdict in found.verdicts.items():
        own = found.frame[found.frame["effect"] == effect].set_index("test")
        fakes = found.placebos[found.placebos["effect"] == effect].set_index("placebo")
        fake = fakes[fakes.index.str.startswith("state space")].iloc[0]
        rows.append(
            {
                "symbol": symbol,
                "effect": effect,
                "naive_t": _shown(own, "naive"),
                "controlled_t": _shown(own, "controlled"),
                "state_space_LR": _shown(own, STATES[0]),
                "premium_held": _shown(own, STATES[1]),
                "and_the_false_clock": _shown(own, STATES[2]),
                "false_clock_instead": f"{fake['t']:.1f}",
                "slopes": "; ".join(_slopes(found, effect, test) for test in STATES),
                "verdict": verdict,
            }
        )
    return rows


def _slopes(found: FundingDiagnostic, effect: str, test: str) -> str:
    """The slopes of a test, a regime each; those more than two standard errors from zero with a dagger."""
    own = found.slopes[(found.slopes["effect"] == effect) & (found.slopes["test"] == test)]
    return ", ".join(f"{r.estimate:.2g}" + "†" * (abs(r.estimate) > 1.96 * r.se) for r in own.itertuples())


def _shown(own: pd.DataFrame, test: str) -> str:
    """A statistic with its p, calibrated where simulated, and the size of the nominal test."""
    if test not in own.index:
        return "-"
    row = own.loc[test]
    calibrated = np.isfinite(row["p_calibrated"])
    p = row["p_calibrated"] if calibrated else row["p"]
    said = "< 0.001" if p < 0.001 else f"{p:.3f}"
    text = f"{row['statistic']:.1f} (p {said}"
    return text + (f"; rejects {row['size']:.0%} without an effect)" if calibrated else ")")


def curve(symbol: str, data: bm.BasisSeries) -> pd.DataFrame:
    """kappa over funding pressure in each of two regimes whose volatilities may move with it too."""
    start = start_of(data, 2)
    fit = reached(bound_like(models("speed", "funding_pressure", (), start.model)[1], data, start), start, {})
    top = float(np.nanquantile(data.frame()["funding_pressure"], 0.99))
    frame = bm.speed_curve(fit, "funding_pressure", np.linspace(0.0, top, POINTS))
    return frame.reset_index().assign(symbol=symbol)


def reworded() -> None:
    """The verdicts once more from the tables, without computing anything else."""
    tests, table = pd.read_csv(RESULTS / "funding_tests.csv"), pd.read_csv(RESULTS / "funding_verdicts.csv")
    slopes = pd.read_csv(RESULTS / "funding_slopes.csv")
    for i, row in table.iterrows():
        fake = pd.DataFrame(
            [{"effect": row["effect"], "placebo": "state space, false clock", "t": row["false_clock_instead"]}]
        )
        own, added = (frame[frame["symbol"] == row["symbol"]] for frame in (tests, slopes))
        table.loc[i, "verdict"] = verdict_of(Evidence(row["effect"], own, added, fake, pd.DataFrame(), ""))
    table.to_csv(RESULTS / "funding_verdicts.csv", index=False, lineterminator="\n")


def draw(table: pd.DataFrame, target: Path) -> None:
    """The picture of every symbol's curve, a panel a regime."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from basismodels.report import canvas, figures

    with canvas.look():
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, 2)
        for regime, (ax, name) in enumerate(zip(panels, ("calm", "volatile"), strict=True)):
            own = table[table["regime"] == regime]
            lines = {str(s): part.set_index("funding_pressure") for s, part in own.groupby("symbol", sort=False)}
            figures.speed_curve(lines, ax, unit="bps per 8 h from the interest")
            ax.axhline(0.0, color=canvas.FAINT, linewidth=0.5)
            ax.set_title(f"Speed of reversion, 1/h, {name} regime, with its 95% band", loc="left")
        target.parent.mkdir(exist_ok=True)
        figure.savefig(target, dpi=160, facecolor="white")


def _append(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    path = RESULTS / f"{name}.csv"
    known = pd.read_csv(path, dtype=str) if path.exists() else pd.DataFrame({"symbol": []})
    known = known[~known["symbol"].isin(rows["symbol"])]
    out = pd.concat([known, rows.astype(str)], ignore_index=True)
    out["_order"] = out["symbol"].map({s: i for i, s in enumerate(SYMBOLS)})
    out = out.sort_values("_order", kind="stable").drop(columns="_order")
    out.to_csv(path, index=False, lineterminator="\n")
    return out


def done(name: str) -> set[str]:
    """Symbols a table holds."""
    path = RESULTS / f"{name}.csv"
    return set(pd.read_csv(path)["symbol"]) if path.exists() else set()


def main() -> int:
    """Writes the tables and the picture; 1 where the data are absent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=40)
    parser.add_argument("--again", action="store_true", help="compute every symbol anew")
    asked = parser.parse_args()
    if not (DATA / "binance_btcusdt_1h.parquet").exists():
        print("no hourly files: BASISMODELS_DATA (default ../shared/data) does not hold them", file=sys.stderr)
        return 1
    for symbol in SYMBOLS:
        data = series(symbol)
        if asked.again or symbol not in done("funding_speed"):
            _append("funding_speed", curve(symbol, data).round(6))
        if asked.again or symbol not in done("funding_verdicts"):
            found = bm.funding_diagnostic(data, replications=asked.replications, rng=1)
            print(found.text, flush=True)
            _append("funding_tests", found.frame.assign(symbol=symbol).round(6))
            _append("funding_slopes", found.slopes.assign(symbol=symbol).round(6))
            _append("funding_verdicts", pd.DataFrame(verdicts(symbol, found)))
    reworded()
    draw(pd.read_csv(RESULTS / "funding_speed.csv"), ROOT / "build" / "funding_speed.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
