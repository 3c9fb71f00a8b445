"""Half-lives of several models side by side on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from basismodels.report import canvas
from basismodels.report.format import bare_hours
from basismodels.results import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = {
    1 / 60: "1 min", 1 / 6: "10 min", 1.0: "1 h", 10.0: "10 h", 100.0: "100 h", 1e3: "1,000 h", 1e4: "10,000 h",
    1e5: "100,000 h", 1e6: "1,000,000 h",
}  # fmt: skip
_REACH = 30.0


def forest(estimates_by_model: Mapping[str, Sequence[Estimate]], ax: Axes | None = None) -> Axes:
    """Half-lives in hours by model, component and regime, with intervals; an arrow where a limit is infinite.

    A diamond is the combined half-life of a model. Limits beyond thirty times the rest are cut, with an arrow.
    """
    rows = [row for label, found in estimates_by_model.items() for row in _rows(label, found)]
    ax = canvas.new_axes(ax, height=0.6 + 0.2 * max(len(rows), 1))
    low, high = _limits([e for _, e in rows if e is not None])
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    for y, (label, estimate) in enumerate(rows):
        _label(ax, y, label, head=estimate is None)
        if estimate is not None:
            _draw(ax, y, estimate, low, high)
    _finish(ax, len(rows), low, high)
    return ax


def _rows(label: str, found: Sequence[Estimate]) -> list[tuple[str, Estimate | None]]:
    """A heading and one line an estimate; the combined one alone where it is the only one."""
    lone = len(found) == 2 and found[0].value == found[1].value and found[1].regime is None
    shown = found[:1] if lone else found
    return [(label, None), *((part_name(e), e) for e in shown)]


def part_name(estimate: Estimate) -> str:
    """Component and regime in words: "combined", "slow level", "reversion, regime 1"."""
    name = {"total": "combined", "slow": "slow level"}.get(estimate.component, estimate.component)
    return name if estimate.regime is None else f"{name}, regime {estimate.regime}"


def _limits(shown: list[Estimate]) -> tuple[float, float]:
    """Ends of the axis: every finite value, and limits as far as thirty times beyond them."""
    values = [e.value for e in shown if math.isfinite(e.value) and e.value > 0] or [1.0]
    ends = [v for e in shown for v in (e.lower, e.upper) if math.isfinite(v) and v > 0]
    inside = [v for v in ends if min(values) / _REACH <= v <= max(values) * _REACH]
    return min([*values, *inside]) / 1.6, max([*values, *inside]) * 1.8


def _label(ax: Axes, y: int, label: str, head: bool) -> None:
    ax.annotate(
        label, (0.0, y), xycoords=("axes fraction", "data"), xytext=(-122 if head else -112, 0),
        textcoords="offset points", va="center", ha="left", annotation_clip=False,
        fontweight="bold" if head else "normal", fontsize=8.5,
    )  # fmt: skip


def _draw(ax: Axes, y: int, e: Estimate, low: float, high: float) -> None:
    color = {"total": canvas.INK, "slow": canvas.LEVEL}.get(e.component, canvas.LINE)
    if not (math.isnan(e.lower) or math.isnan(e.upper)):
        left, right = max(e.lower, low), min(e.upper, high)
        if left < high:
            ax.plot([left, right], [y, y], color=color, linewidth=1.4, solid_capstyle="butt")
        if e.upper > high:
            _arrow(ax, high, y, color, ">")
        if e.lower < low:
            _arrow(ax, low, y, color, "<")
    marker = "D" if e.component == "total" else "o"
    if math.isfinite(e.value):
        ax.plot([e.value], [y], marker=marker, color=color, markersize=4.5, clip_on=False)
    else:
        _arrow(ax, high, y, color, ">")
    ax.annotate(
        _said(e), (1.0, y), xycoords=("axes fraction", "data"), xytext=(12, 0), textcoords="offset points",
        va="center", ha="left", annotation_clip=False, fontsize=8.0,
    )  # fmt: skip


def _arrow(ax: Axes, x: float, y: int, color: str, marker: str) -> None:
    """An arrow head at the edge of the axis; its gid says which end is beyond it."""
    gid = "beyond-upper" if marker == ">" else "beyond-lower"
    ax.plot([x], [y], marker=marker, color=color, markersize=6.5, clip_on=False, gid=gid)


def _said(e: Estimate) -> str:
    if e.method == "fixed":
        return f"{_hours(e.value)} (fixed)"
    if math.isnan(e.lower) or math.isnan(e.upper):
        return f"{_hours(e.value)} (no interval)"
    return f"{_hours(e.value)} ({_hours(e.lower).removesuffix(' h')} to {_hours(e.upper)})"


def _hours(value: float) -> str:
    return "∞" if math.isinf(value) else bare_hours(value)


def _finish(ax: Axes, rows: int, low: float, high: float) -> None:
    ax.set_ylim(max(rows, 1) - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ticks = {x: label for x, label in _TICKS.items() if low <= x <= high}
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.minorticks_off()
    ax.grid(axis="x", color=canvas.FAINT, alpha=0.3, linewidth=0.5)
    ax.set_axisbelow(True)
