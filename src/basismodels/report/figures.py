"""The pictures: plain functions from a fit, a frame or a series to axes.

Each draws into `ax`, or into a figure of its own when there is none; `ax.figure` shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.estimands.state import state_of
from basismodels.report import canvas
from basismodels.report.bayes_figures import prior_predictive, ranks, shrinkage
from basismodels.report.curve import speed_curve
from basismodels.report.forest import forest
from basismodels.report.residual_figures import autocorrelation, pit, pit_histogram, score_race, seasons, signature
from basismodels.report.thin import BUCKETS, bucket_of, envelope, mean_by, reduce, runs, thin
from basismodels.results import Fit
from basismodels.series import BasisSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "autocorrelation", "basis", "failure", "forest", "funding", "no_return", "pit", "pit_histogram", "prior_predictive",
    "quality_strip", "ranks", "score_race", "seasons", "shrinkage", "signature", "speed_curve",
]  # fmt: skip

_SHADES = 4
_MOST = 0.6


def basis(
    fit: Fit, ax: Axes | None = None, *, failing: Sequence[int] = (), band: float | None = None, target: float = 0.0
) -> Axes:
    """Basis in bps over time, its slow level, and the smoothed probability of a regime as shading.

    `failing`: regimes shaded as failure; without any, the most volatile regime is shaded in a
    neutral tint. `band`, `target` bps: drawn as a strip where given. Rows missing or masked are gaps.
    """
    ax = canvas.new_axes(ax)
    time, rows = fit.problem.time, slice(fit.problem.first, None)
    seen = np.where(fit.problem.seen[rows], fit.data.basis[rows], np.nan)
    said = _shade_regimes(fit, ax, failing)
    if band is not None:
        ax.axhspan(target - band, target + band, color=canvas.CALM, alpha=0.25, linewidth=0)
    ax.plot(*thin(canvas.days(time), seen), color=canvas.LINE, linewidth=0.7)
    if "slow.kappa" in fit.model.formulas():
        ax.plot(*thin(canvas.days(time), _slow_level(fit)), color=canvas.LEVEL, linewidth=1.1)
        said += " · ochre: level it reverts to"
    ax.set_title(f"Basis, bps{said}", loc="left")
    canvas.time_axis(ax, time)
    return ax


def _slow_level(fit: Fit) -> NDArray[np.float64]:
    """Smoothed level theta + l in bps at every row, averaged over regimes, (n,)."""
    from basismodels.likelihood import predictors

    state = state_of(fit.problem, fit.smoothed)
    nat = predictors.natural(fit.problem.layout, fit.x)
    theta = nat.theta[fit.problem.layout.row[fit.problem.place]]
    return np.asarray((state.weights * (theta + state.level)).sum(axis=1))


def _shade_regimes(fit: Fit, ax: Axes, failing: Sequence[int]) -> str:
    """Shades, and says in words what was shaded; nothing for one regime."""
    count = fit.problem.layout.regimes
    if count == 1:
        return ""
    chosen = list(failing) or [count - 1]
    weight = fit.smoothed.p[fit.problem.place][:, chosen].sum(axis=1)
    x = canvas.days(fit.problem.time)
    _shade(ax, x, weight, canvas.FAIL if failing else canvas.CALM, extremes=bool(failing))
    regimes = f"regime{'s' * (len(chosen) > 1)} {', '.join(map(str, chosen))}"
    return f" · shaded: {regimes}, {'failing' if failing else 'the most volatile'}"


def _shade(ax: Axes, x: NDArray[np.float64], weight: NDArray[np.float64], color: str, extremes: bool) -> None:
    """Background in steps of darkness by probability; `extremes` takes the highest of each stretch, not its mean."""
    buckets = min(BUCKETS, len(x))
    bucket = bucket_of(x, buckets)
    level = reduce(bucket, weight, buckets, np.fmax) if extremes else mean_by(bucket, weight, buckets)
    edges = np.linspace(x[0], x[-1], buckets + 1)
    tone = np.nan_to_num(np.floor(level * _SHADES + 0.5)).astype(int)
    for step in range(1, _SHADES + 1):
        pieces = [(edges[a], edges[b + 1] - edges[a]) for a, b in runs(tone == step)]
        if pieces:
            alpha = 0.55 * _MOST * step / _SHADES
            ax.broken_barh(pieces, (0, 1), transform=ax.get_xaxis_transform(), color=color, alpha=alpha, linewidth=0)


def failure(fit: Fit, frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Filtered probability that a failure regime holds, with its band; `frame` of `failure_probability`."""
    columns = ("filtered", "filtered_lower", "filtered_upper")
    title = f"Probability of a failure regime, one of {fit.problem.layout.regimes}, given the data to each row"
    return _probability(frame, columns, canvas.FAIL, title, ax)


def no_return(frame: pd.DataFrame, ax: Axes | None = None, *, title: str = "") -> Axes:
    """P(outside the band and no return to it within the horizon) by time, with limits where the frame has them.

    Columns probability_no_return and, if present, probability_no_return_lower and _upper.
    """
    name = "probability_no_return"
    said = title or "Probability of no return into the band within the horizon, given the data to each row"
    return _probability(frame, (name, f"{name}_lower", f"{name}_upper"), canvas.FAIL, said, ax)


def _probability(frame: pd.DataFrame, columns: tuple[str, str, str], color: str, title: str, ax: Axes | None) -> Axes:
    ax = canvas.new_axes(ax, height=1.3)
    time = pd.DatetimeIndex(frame.index)
    x, (middle, lower, upper) = canvas.days(time), columns
    if lower in frame and frame[lower].notna().any():
        at, low, high = envelope(x, frame[lower].to_numpy(), frame[upper].to_numpy())
        ax.fill_between(at, low, high, color=color, alpha=0.22, linewidth=0)
    elif "note" in frame.attrs or lower in frame:
        title += "; no limits"
    ax.plot(*thin(x, frame[middle].to_numpy()), color=color)
    ax.axhline(0.5, color=canvas.FAINT, linewidth=0.5, linestyle=(0, (2, 3)))
    ax.set_ylim(-0.03, 1.03)
    ax.set_yticks([0.0, 0.5, 1.0])
    ax.set_title(title, loc="left")
    canvas.time_axis(ax, time)
    return ax


def funding(data: BasisSeries, ax: Axes | None = None) -> Axes:
    """Settled funding in bps per 8 h at its stamps; an empty frame that says so where there is none."""
    ax = canvas.new_axes(ax, height=1.3)
    ax.set_title("Settled funding, bps per 8 h", loc="left")
    if data.settlements is None:
        _say(ax, "no funding in the data")
        ax.set_yticks([])
    else:
        x, y = thin(canvas.days(pd.DatetimeIndex(data.settlements.index)), data.settlements["bps_8h"].to_numpy())
        ax.plot(x, y, color=canvas.INK, linewidth=0.7)
        ax.axhline(0.0, color=canvas.FAINT, linewidth=0.5)
    canvas.time_axis(ax, data.time)
    return ax


def quality_strip(data: BasisSeries, ax: Axes | None = None) -> Axes:
    """Findings over time, one row a kind; dark where the rows are left out of fits, at least a pixel wide."""
    kinds = list(dict.fromkeys(finding.kind for finding in data.findings))
    ax = canvas.new_axes(ax, height=0.5 + 0.22 * max(len(kinds), 1))
    x = canvas.days(data.time)
    least = max(float(x[-1] - x[0]) / 500.0, 1e-9)
    for row, kind in enumerate(kinds):
        found = [f for f in data.findings if f.kind == kind]
        for masked, color in ((False, canvas.CALM), (True, canvas.FAIL)):
            spans = [(f.start, f.end) for f in found if f.masked is masked]
            _marks(ax, spans, row, least, color)
    ax.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    ax.set_ylim(max(len(kinds), 1) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    if not kinds:
        _say(ax, "nothing found")
    canvas.time_axis(ax, data.time)
    return ax


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=canvas.FAINT)


def _marks(ax: Axes, spans: list[tuple[pd.Timestamp, pd.Timestamp]], row: int, least: float, color: str) -> None:
    if not spans:
        return
    start = canvas.days(pd.DatetimeIndex([a for a, _ in spans]))
    end = canvas.days(pd.DatetimeIndex([b for _, b in spans]))
    pieces = [(a, max(b - a, least)) for a, b in zip(start, end, strict=True)]
    ax.broken_barh(pieces, (row - 0.32, 0.64), color=color, linewidth=0)
