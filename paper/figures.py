"""The article's figures, drawn from the committed tables into build/figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from numbers_of import table

BLUE, RED, GREY = "#24507a", "#b3261e", "#8fa3b5"
LOOK: dict[str, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "font.size": 8, "axes.titlelocation": "left",
    "svg.hashsalt": "article", "svg.fonttype": "path", "axes.titlesize": 8,
}  # fmt: skip


def draw(folder: Path) -> None:
    """All figures, as SVG, the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(LOOK):
        for made, name in ((signature(), "signature"), (coverage(), "coverage"), (forecasts(), "forecasts")):
            made.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(made)


def signature() -> Any:
    """Half-life of reversion by spacing, three models."""
    rows = table("signature").query("component == 'reversion'")
    fig, axes = plt.subplots(1, 3, figsize=(6.8, 2.3), sharey=True, layout="constrained")
    for ax, model in zip(axes, ("ou", "ou-noise", "two-factor"), strict=True):
        part = rows[(rows["model"] == model) & rows["ok"]]
        error = [part["value"] - part["lower"], part["upper"] - part["value"]]
        ax.errorbar(part["hours"], part["value"], yerr=error, color=BLUE, marker="o", markersize=3, linewidth=1)
        ax.set(xscale="log", yscale="log", title=model)
        ax.set_xticks([1 / 12, 0.25, 1, 4, 8], ["5 min", "15", "1 h", "4 h", "8 h"])
        ax.minorticks_off()
    axes[0].set_ylabel("half-life of reversion, hours")
    return fig


def coverage() -> Any:
    """Coverage of nominal 95% intervals of the speed by speed times span."""
    rows = table("coverage")
    rows = rows[(rows["model"] == "ou") & (rows["status"] == "done")]
    fig, ax = plt.subplots(figsize=(4.2, 2.4), layout="constrained")
    smallest = rows[rows["n"] == rows["n"].min()]
    for color, method in zip((GREY, RED, BLUE), ("wald", "profile", "inversion"), strict=True):
        part = smallest[smallest["method"] == method].sort_values("kappa_T")
        ax.plot(part["kappa_T"], part["coverage"], color=color, marker="o", markersize=3, linewidth=1, label=method)
        ax.fill_between(part["kappa_T"], part["band_low"], part["band_high"], color=color, alpha=0.25, linewidth=0)
    ax.axhline(0.95, color="0.6", linewidth=0.6)
    ax.set(xscale="log", xlabel="speed times span", ylabel="coverage")
    ax.legend(frameon=False)
    return fig


def forecasts() -> Any:
    """Log score over plain OU, both coins."""
    scores = table("rolling_origin")
    fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.6), layout="constrained")
    for ax, (symbol, rows) in zip(axes, scores.groupby("symbol"), strict=True):
        rows = rows.sort_values("difference")
        se = (rows["difference"] / rows["dm_t"]).abs().fillna(0.0)
        colors = [BLUE if kept else GREY for kept in rows["in_set"]]
        ax.barh(rows["model"], rows["difference"], color=colors, xerr=2 * se, error_kw={"linewidth": 0.7})
        ax.set_title(f"{symbol}, nats an hour")
    return fig
