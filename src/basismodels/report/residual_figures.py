"""Pictures of residuals and of forecast scores: plain functions from records to axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from basismodels.report import canvas
from basismodels.report.thin import thin
from basismodels.scoring.residuals import Residuals
from basismodels.scoring.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 20
_COLORS = (canvas.LINE, canvas.FAIL, canvas.LEVEL, "#4c7a5a", "#6b5b8c", canvas.FAINT)


def pit(found: Residuals, ax: Axes | None = None) -> Axes:
    """Histogram of the probability integral transform with the 95% band of a right model."""
    return pit_histogram(found.frame["pit"].to_numpy(), ax)


def pit_histogram(values: np.ndarray, ax: Axes | None = None, title: str = "") -> Axes:
    """Histogram of values that are uniform under a right forecast, one the expected height."""
    ax = canvas.new_axes(ax, width=4.0)
    height, edges = np.histogram(values, bins=_BINS, range=(0.0, 1.0))
    n = max(len(values), 1)
    half = 1.96 * np.sqrt(_BINS * (1.0 - 1.0 / _BINS) / n)
    ax.axhspan(1.0 - half, 1.0 + half, color=canvas.CALM, alpha=0.35, linewidth=0)
    ax.stairs(height * _BINS / n, edges, color=canvas.LINE, linewidth=1.0)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, None)
    ax.set_title(title or "Where values fell in their forecasts (flat: right)", loc="left")
    ax.set_xlabel("probability below the value")
    return ax


def autocorrelation(found: Residuals, ax: Axes | None = None) -> Axes:
    """Autocorrelation of residuals and of their squares by lag, with the 95% band of none."""
    ax = canvas.new_axes(ax, width=4.0)
    table = found.autocorrelation
    half = 1.96 / np.sqrt(len(found.frame))
    ax.axhspan(-half, half, color=canvas.CALM, alpha=0.35, linewidth=0)
    ax.axhline(0.0, color=canvas.FAINT, linewidth=0.5)
    ax.plot(table.index, table["residual"], color=canvas.LINE, marker="o", markersize=2.5)
    ax.plot(table.index, table["square"], color=canvas.FAIL, marker="o", markersize=2.5)
    ax.set_title("Autocorrelation of residuals (blue) and of squares (red)", loc="left")
    ax.set_xlabel("lag, rows")
    return ax


def seasons(found: Residuals, ax: Axes | None = None, *, by: str = "hour") -> Axes:
    """Mean (blue, with 95% limits) and standard deviation (red) of residuals; `by` "hour" or "settlement"."""
    ax = canvas.new_axes(ax, width=4.0)
    table = found.by_settlement if by == "settlement" and found.by_settlement is not None else found.by_hour
    x = table.index.to_numpy(dtype=float)
    look: dict[str, Any] = {"fmt": "o", "markersize": 2.5, "linewidth": 0.8}
    ax.axhline(0.0, color=canvas.FAINT, linewidth=0.5)
    ax.axhline(1.0, color=canvas.FAINT, linewidth=0.5, linestyle=(0, (2, 3)))
    ax.errorbar(x, table["mean"], 1.96 * table["mean_se"], color=canvas.LINE, **look)
    ax.errorbar(x, table["sd"], 1.96 * table["sd_se"], color=canvas.FAIL, **look)
    ax.set_title("Mean (blue) and sd (red) of residuals", loc="left")
    ax.set_xlabel("hour of day, UTC" if table is found.by_hour else "hours since settlement")
    return ax


def signature(table: pd.DataFrame, ax: Axes | None = None, *, components: Sequence[str] = ("total",)) -> Axes:
    """Half-life against the spacing it was estimated at, with limits; a right model gives a level line.

    `table`: of `bm.sampling_check`; `components` drawn, one colour each.
    """
    ax = canvas.new_axes(ax, width=4.0)
    shown = table[table["component"].isin(components)]
    names = shown["component"] + shown["regime"].map(lambda k: "" if pd.isna(k) else f", regime {k:.0f}")
    groups = list(shown.groupby(names, sort=False))
    for color, (name, part) in zip(_COLORS, groups, strict=False):
        values = part[["value", "lower", "upper"]].replace(np.inf, np.nan)
        ax.plot(part["hours"], values["value"], color=color, marker="o", markersize=3, label=str(name))
        ends = values["upper"].fillna(1e9), values["lower"].fillna(0.0)
        ax.vlines(part["hours"], ends[1], ends[0], color=color, linewidth=0.8)
    finite = shown[["value", "lower", "upper"]].to_numpy(dtype=float)
    finite = finite[np.isfinite(finite) & (finite > 0)]
    ax.set_xscale("log")
    ax.set_yscale("log")
    if len(finite):
        ax.set_ylim(finite.min() / 1.5, min(finite.max() * 1.5, 1e6))
    ax.yaxis.set_major_formatter("{x:g}")
    spacings = sorted(set(shown["hours"]))
    ax.set_xticks(spacings, [f"{h * 60:g} min" if h < 1 else f"{h:g} h" for h in spacings])
    ax.minorticks_off()
    if len(groups) > 1:
        ax.legend(frameon=False, fontsize=7)
    ax.set_title("Half-life in hours by spacing of the data (level: right)", loc="left")
    return ax


def score_race(scores: Scores, reference: str, models: Sequence[str], ax: Axes | None = None) -> Axes:
    """Cumulative log score over that of a reference model, nats: rising means better."""
    ax = canvas.new_axes(ax)
    time = pd.DatetimeIndex(scores.common.index)
    for color, name in zip(_COLORS, models, strict=False):
        gain = (scores.common[name] - scores.common[reference]).cumsum()
        ax.plot(*thin(canvas.days(time), gain.to_numpy()), color=color, label=name)
    ax.axhline(0.0, color=canvas.FAINT, linewidth=0.5)
    ax.set_title(f"Log score gained over {reference}, nats, summed over time", loc="left")
    ax.legend(frameon=False, fontsize=7)
    canvas.time_axis(ax, time)
    return ax
