"""The speed of reversion against a covariate, with its band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from basismodels.report import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 10.0
_COLORS = (canvas.LINE, canvas.LEVEL, canvas.FAIL, canvas.CALM)


def speed_curve(curves: pd.DataFrame | Mapping[str, pd.DataFrame], ax: Axes | None = None, *, unit: str = "") -> Axes:
    """kappa in 1/h with its band over a covariate; `curves`: a frame of `bm.speed_curve`, or several by name.

    Regimes of a switching fit are drawn apart. Names stand at the right end of each line; the scale is
    logarithmic where every limit is positive and they span more than a factor of ten.
    """
    ax = canvas.new_axes(ax, height=3.0)
    lines = _lines(curves)
    for i, (name, frame) in enumerate(lines.items()):
        color = _COLORS[i % len(_COLORS)]
        x = frame.index.to_numpy(dtype=float)
        ax.fill_between(x, frame["lower"].to_numpy(), frame["upper"].to_numpy(), color=color, alpha=0.18, linewidth=0)
        ax.plot(x, frame["kappa"].to_numpy(), color=color, linewidth=1.2)
        ax.annotate(name, (x[-1], float(frame["kappa"].iloc[-1])), xytext=(5, 0), textcoords="offset points",
                    color=color, va="center")  # fmt: skip
    first = next(iter(lines.values()))
    low = min(float(frame["lower"].min()) for frame in lines.values())
    if low > 0 and max(float(frame["upper"].max()) for frame in lines.values()) > _WIDE * low:
        ax.set_yscale("log")
    elif low > 0:
        ax.set_ylim(bottom=0.0)
    column = str(first.attrs.get("column", first.index.name or ""))
    ax.set_xlabel(f"{column.replace('_', ' ')}{f', {unit}' if unit else ''}")
    ax.set_title(f"Speed of reversion, 1/h, with its {first.attrs.get('level', 0.95):.0%} band", loc="left")
    ax.margins(x=0.02)
    return ax


def _lines(curves: pd.DataFrame | Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """One frame a line, by the name it is drawn with."""
    named = {"": curves} if isinstance(curves, pd.DataFrame) else dict(curves)
    out: dict[str, pd.DataFrame] = {}
    for name, frame in named.items():
        if frame.index.nlevels == 1:
            out[name] = frame
            continue
        for regime in np.unique(frame.index.get_level_values(0)):
            part = frame.loc[regime]
            part.attrs |= frame.attrs
            out[f"{name} regime {regime}".strip()] = part
    return out
