"""The report's pictures as SVG text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basismodels.report import canvas, figures
from basismodels.report.analysis import Analysis
from basismodels.report.failure_words import event

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def over_time(a: Analysis) -> str:
    """Basis with regimes, no return, failure regimes where there are any, and funding, on one time axis."""
    fails = a.failing is not None and a.failing.tells
    funded = a.data.settlements is not None
    with canvas.look("over-time"):
        axes = canvas.stack([2.6, 1.25, *[1.25] * fails, *[1.25] * funded])
        _draw(a, axes, fails, funded)
        return canvas.svg(axes[0], "Basis, regimes, failure probability and funding over time", "over-time")


def _draw(a: Analysis, axes: list[Axes], fails: bool, funded: bool) -> None:
    rest = iter(axes)
    _basis(a, next(rest))
    title = f"Probability of {event(a)}, given the data to each row"
    figures.no_return(a.no_return, next(rest), title=title)
    if fails and a.failing is not None:
        figures.failure(a.failing.fit, a.failing.frame, next(rest))
    if funded:
        figures.funding(a.data, next(rest))
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
        ax.xaxis.get_offset_text().set_visible(False)
    canvas.time_axis(axes[-1], a.fit.problem.time)


def _basis(a: Analysis, ax: Axes) -> None:
    """Shading by the model that tells of failure, else by the chosen one."""
    fit = a.failing.fit if a.failing is not None else a.fit
    failing = a.failing.failing if a.failing is not None and a.failing.tells else ()
    figures.basis(fit, ax, failing=failing, band=a.event.band, target=a.event.target)


def half_lives(a: Analysis) -> str:
    """The forest of half-lives."""
    shown = {f"{e.label}{'' if e.ok else ' (not to be trusted)'}": e.half_lives for e in a.entries if e.fit is not None}
    with canvas.look("half-lives"):
        ax = figures.forest(shown)
        return canvas.svg(ax, "Half-lives by model with intervals", "half-lives")


def quality(a: Analysis) -> str:
    """The strip of findings."""
    with canvas.look("quality"):
        return canvas.svg(figures.quality_strip(a.data), "Findings of the data check over time", "quality")


def fitness(a: Analysis) -> str:
    """Residuals of the chosen model: calibration, memory, season, and the half-life by spacing."""
    assert a.fitness is not None
    found, table = a.fitness.residuals, a.fitness.sampling
    with canvas.look("fitness"):
        axes = canvas.grid(2, 2, height=4.4)
        figures.pit(found, axes[0])
        figures.autocorrelation(found, axes[1])
        figures.seasons(found, axes[2], by="settlement" if found.by_settlement is not None else "hour")
        if len(table):
            figures.signature(table, axes[3])
        else:
            figures.seasons(found, axes[3])
        return canvas.svg(axes[0], "Residuals of the chosen model", "fitness")
