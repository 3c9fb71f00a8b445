"""Every number in the article's text, by name, read from the committed tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "benchmarks" / "results", ROOT / "tests" / "slow", ROOT / "paper" / "tables")
_MARKETS = {
    "btc": "Binance BTC, 2024", "xrp": "Binance XRP, 2024", "gbtc": "GBTC to its value, daily",
    "hl": "Hyperliquid BTC, 2025",
}  # fmt: skip
_PARTS = {
    "ou": ("ou", "total"), "noise": ("ou-noise", "total"), "fast": ("two-factor", "reversion"),
    "slow": ("two-factor", "slow"),
}  # fmt: skip
NAIVE = ("level naive", "speed naive")


def table(name: str) -> pd.DataFrame:
    """A committed table by name; FileNotFoundError where there is none."""
    for folder in FOLDERS:
        if (folder / f"{name}.csv").exists():
            return pd.read_csv(folder / f"{name}.csv")
    raise FileNotFoundError(f"no {name}.csv in {', '.join(folder.name for folder in FOLDERS)}")


def numbers() -> dict[str, str]:
    """All macros of the article."""
    return {**_markets(), **_signature(), **_coverage(), **_kim(), **_forecasts(), **_events(), **_funding()}


def digits(value: float) -> str:
    """Three digits, thousands separated, infinity in words."""
    if pd.isna(value):
        return "not known"
    if value in (float("inf"), float("-inf")):
        return "infinity"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _markets() -> dict[str, str]:
    rows = table("markets").set_index(["market", "model", "component"])
    found = {}
    for key, market in _MARKETS.items():
        for short, (model, part) in _PARTS.items():
            row = rows.loc[(market, model, part)]
            found[f"{key}_{short}"] = digits(row["half_life"])
            found[f"{key}_{short}_low"], found[f"{key}_{short}_high"] = digits(row["lower"]), digits(row["upper"])
    logliks = rows["loglik"].xs("Binance BTC, 2024").groupby(level=0).first()
    found["btc_noise_gain"] = digits(logliks["ou-noise"] - logliks["ou"])
    found["btc_slow_gain"] = digits(logliks["two-factor"] - logliks["ou-noise"])
    found["gbtc_ou_days"] = digits(rows.loc[("GBTC to its value, daily", "ou", "total"), "half_life"] / 24.0)
    found["gbtc_ou_days_high"] = digits(rows.loc[("GBTC to its value, daily", "ou", "total"), "upper"] / 24.0)
    found["n_markets"] = str(rows.index.get_level_values("market").nunique())
    return found


def _signature() -> dict[str, str]:
    rows = table("signature").query("component == 'reversion'").set_index(["model", "every"])
    found = {f"sig_{m}_{e}": digits(rows.loc[(name, e), "value"])
             for m, name in (("ou", "ou"), ("noise", "ou-noise"), ("two", "two-factor"))
             for e in ("5min", "15min", "1h", "8h")}  # fmt: skip
    plain = rows.xs("ou")["value"]
    return {**found, "sig_ou_factor": digits(plain["8h"] / plain["5min"])}


def _coverage() -> dict[str, str]:
    rows = table("coverage")
    cells = {"cov_cells": str(len(rows)), "cov_done": str(int((rows["status"] == "done").sum()))}
    rows = rows[(rows["status"] == "done") & (rows["model"] == "ou")]
    ends = rows.groupby("method")["coverage"].agg(["min", "max"])
    found = {f"cov_{method}_{end}": f"{100 * ends.loc[method, end]:.0f}%" for method in ends.index for end in ends}
    return {**found, **cells, "cov_series": f"{int(rows['replications'].min()):,}"}


def _kim() -> dict[str, str]:
    rows = table("kim_error")
    real = rows[rows["setting"].str.contains("as observed")].set_index("depth")["error"]
    simulated = rows[rows["source"] == "simulated"]["error"].abs().max()
    return {
        "kim_simulated": digits(simulated),
        **{f"kim_real_{depth}": digits(real[depth]) for depth in (1, 3) if depth in real.index},
    }


def _forecasts() -> dict[str, str]:
    scores = table("rolling_origin")
    gain = scores[scores["symbol"] == "BTC"].set_index("model")["difference"]
    found = {
        "scored_once": _scored_once(scores),
        "btc_rates_gain": digits(gain["funding-switching"] - gain["switching-two-factor"]),
    }
    for symbol, rows in scores.groupby("symbol"):
        key, best = str(symbol).lower(), rows.loc[rows["log_score"].idxmax()]
        found |= {
            f"{key}_best": str(best["model"]), f"{key}_rows": f"{best['rows']:,}",
            f"{key}_gain": digits(best["difference"]), f"{key}_t": digits(best["dm_t"]),
            f"{key}_t_markov": digits(best["dm_t_markov"]), f"{key}_coverage": f"{100 * best['coverage']:.1f}%",
            f"{key}_width": digits(best["width"]),
            f"{key}_ou_width": digits(rows.set_index("model").loc["ou", "width"]),
            f"{key}_set": ", ".join(f"`{name}`" for name in rows.loc[rows["in_set"], "model"]),
            f"{key}_two_gain": digits(rows.set_index("model").loc["two-factor", "difference"]),
            f"{key}_noswitch_t": digits(rows.set_index("model").loc["switching-ou", "dm_t_markov"]),
            f"{key}_history_gain": digits(rows.set_index("model").loc["historical", "difference"]),
        }  # fmt: skip
    return found


def _scored_once(scores: pd.DataFrame) -> str:
    """Models scored on one symbol only, as the end of a sentence; empty where there are none."""
    told = scores.groupby("model")["symbol"].unique()
    alone = [f"`{model}` on {symbols[0]} only" for model, symbols in told.items() if len(symbols) == 1]
    return f" ({', '.join(alone)})" if alone else ""


def _events() -> dict[str, str]:
    rows = table("events")
    failures, controls = rows[rows["kind"] == "failure"], rows[rows["kind"] == "control"]
    both = failures.dropna(subset=["alarm_model", "alarm_basis"])
    return {
        "ev_failures": str(len(failures)), "ev_controls": str(len(controls)),
        "ev_model": str(int(failures["alarm_model"].notna().sum())),
        "ev_basis": str(int(failures["alarm_basis"].notna().sum())),
        "ev_false_model": str(int(controls["alarm_model"].notna().sum())),
        "ev_false_basis": str(int(controls["alarm_basis"].notna().sum())),
        "ev_lag": digits(-float(both["lead_hours"].median())),
        "ev_half": str(int((failures["during"] > 0.5).sum())),
        "ev_half_control": str(int((controls["during"] > 0.5).sum())),
    }  # fmt: skip


def _funding() -> dict[str, str]:
    rules, placebo = table("funding_rules"), table("placebo")
    btc = rules[rules["symbol"] == "BTCUSDT"].iloc[0]
    size = placebo[(placebo["kind"] == "size") & placebo["market"].isin(["ou-noise", "two-factor"])]
    naive = size[size["test"].isin(NAIVE)]
    held = size[size["test"].str.endswith("controlled") & ~size["test"].str.contains("state")]
    return {
        "fund_symbols": str(len(rules)), "fund_btc_interest": f"{100 * btc['at_interest']:.0f}%",
        "fund_interest_low": f"{100 * rules['at_interest'].min():.0f}%",
        "fund_interest_high": f"{100 * rules['at_interest'].max():.0f}%",
        "fund_outside": f"{int(rules['outside'].sum()):,}",
        "fund_naive_low": f"{100 * naive['share'].min():.0f}%", "fund_naive_high": f"{100 * naive['share'].max():.0f}%",
        "fund_held_low": f"{100 * held['share'].min():.0f}%", "fund_held_high": f"{100 * held['share'].max():.0f}%",
        "fund_series": " to ".join(dict.fromkeys(str(int(naive["series"].agg(end))) for end in ("min", "max"))),
    }  # fmt: skip
