"""Drawing without pyplot: figures, the look they share, and SVG that is the same every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1f2328"
FAINT = "#8b9096"
LINE = "#24507a"
LEVEL = "#b07d18"
FAIL = "#b3261e"
CALM = "#8fa3b5"

_LOOK: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.labelsize": 8.5,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 0.8,
    "lines.solid_joinstyle": "bevel",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "path.simplify": True,
}


@contextmanager
def look(salt: str = "basismodels") -> Iterator[None]:
    """Within it matplotlib draws in the report's look and with fixed identifiers; settings come back after."""
    import matplotlib

    with matplotlib.rc_context({**_stock(), **_LOOK, "svg.hashsalt": salt}):
        yield


def _stock() -> dict[str, Any]:
    """Matplotlib's own defaults, so that a user's style cannot change the picture."""
    import matplotlib

    skip = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}
    return {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in skip}


def new_axes(ax: Axes | None, width: float = 8.0, height: float = 2.4) -> Axes:
    """The axes given, or those of a new figure, inches."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with look():
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure.add_subplot()


def stack(heights: list[float], width: float = 8.0) -> list[Axes]:
    """Axes of one figure under one another on one time axis; to be called within `look`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(h_pad=0.03, hspace=0.02)
    figure = Figure(figsize=(width, sum(heights)), layout=engine)
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return list(grid[:, 0])


def grid(rows: int, columns: int, width: float = 8.0, height: float = 4.0) -> list[Axes]:
    """Axes of one figure in rows and columns; to be called within `look`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return list(figure.subplots(rows, columns, squeeze=False).ravel())


def days(time: pd.DatetimeIndex) -> NDArray[np.float64]:
    """Stamps as matplotlib's days, (n,)."""
    from matplotlib.dates import date2num

    return np.asarray(date2num(time.tz_convert("UTC").tz_localize(None).to_numpy()), dtype=float)


def time_axis(ax: Axes, time: pd.DatetimeIndex) -> None:
    """Dates in UTC along the bottom, from the first stamp to the last."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9, tz="UTC")
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC"))
    x = days(time)
    if x[-1] > x[0]:
        ax.set_xlim(x[0], x[-1])


def svg(axes: Axes, title: str, salt: str) -> str:
    """The figure of some axes as an SVG element for a page: no header, no date, no identifier but those in use."""
    target, figure = io.StringIO(), axes.get_figure(root=True)
    assert figure is not None
    with look(salt):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r' d="([^"]*)"', lambda m: f' d="{_short(m.group(1))}"', text)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _head(title), text, count=1)
    return text.strip()


def _short(path: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"(\.\d{2})\d+", r"\1", path)).strip()


def _head(title: str) -> str:
    from html import escape

    said = escape(title).replace("\\", r"\\")
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return rf'<svg {space} viewBox="\1" role="img" aria-label="{said}"><title>{said}</title>'
