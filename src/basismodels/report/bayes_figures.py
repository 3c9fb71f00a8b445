"""Pictures of posterior fits: what the prior says of data, shrinkage in a panel, ranks of a calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from basismodels.errors import ModelError
from basismodels.inference.panel import PanelFit
from basismodels.inference.simulate import simulate_path
from basismodels.report import canvas
from basismodels.report.thin import thin
from basismodels.results import Fit
from basismodels.scoring.calibration import SBC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PATHS = 200
# so many times beyond the limits of the panel an estimate is shown at the edge
_FAR = 5.0


def prior_predictive(fit: Fit, ax: Axes | None = None, *, draws: int = _PATHS, rng: int = 0) -> Axes:
    """The basis seen, over the middle half and 90% of series simulated under the prior, about the data's level.

    Errors: ModelError for a fit without prior draws.
    """
    if "prior_draws" not in fit.facts:
        raise ModelError("the fit carries no draws from a prior", remedy="bm.sample(model, data)")
    ax = canvas.new_axes(ax)
    generator, problem = np.random.default_rng(rng), fit.problem
    chosen = fit.facts["prior_draws"][:draws]
    with np.errstate(all="ignore"):
        paths = np.array([simulate_path(problem, x, generator).y[problem.place] for x in chosen])
    paths = np.where(np.isfinite(paths), paths, np.nan)
    time = canvas.days(problem.time)
    for low, high, alpha in ((5, 95, 0.25), (25, 75, 0.4)):
        lower, upper = np.nanpercentile(paths, [low, high], axis=0)
        ax.fill_between(time, lower, upper, color=canvas.CALM, alpha=alpha, linewidth=0)
    seen = np.where(problem.seen, fit.data.basis, np.nan)[problem.first :]
    ax.plot(*thin(time, seen), color=canvas.LINE, linewidth=0.7)
    reach = np.concatenate([np.nanpercentile(paths, [5, 95]), seen])
    span = 1.1 * float(np.nanmax(np.abs(reach - problem.layout.centre)))
    ax.set_ylim(problem.layout.centre - span, problem.layout.centre + span)
    ax.set_title("Basis, bps (blue), and what the prior expects: middle half and 90% of its series", loc="left")
    canvas.time_axis(ax, problem.time)
    return ax


def shrinkage(panel: PanelFit, ax: Axes | None = None, *, name: str | None = None) -> Axes:
    """One coefficient of every unit, alone (circles) and in the panel (points with 95% limits), on a log axis.

    A unit whose own estimate lies far out stands at the edge as a triangle that points there.
    """
    table = panel.shrinkage()
    shown = name or str(table["name"].iloc[0])
    if shown not in set(table["name"]):
        raise ModelError(f"{shown!r} is not pooled; there are {', '.join(table['name'].unique())}")
    rows = table[table["name"] == shown]
    ax = canvas.new_axes(ax, width=5.0, height=0.6 + 0.35 * len(rows))
    place = np.arange(len(rows))[::-1]
    ax.hlines(place, rows["lower"], rows["upper"], color=canvas.LINE, linewidth=1.2)
    ax.plot(rows["panel"], place, "o", color=canvas.LINE, markersize=4)
    edges = rows["lower"].min() / _FAR, rows["upper"].max() * _FAR
    alone = rows["alone"].clip(*edges).to_numpy()
    for sign, marker in ((0, "o"), (-1, "<"), (1, ">")):
        own = np.sign(rows["alone"].to_numpy() - alone) == sign
        ax.plot(alone[own], place[own], marker, color=canvas.FAIL, markersize=5, markerfacecolor="none", linestyle="")
    centre = float(np.exp(panel.pooled[(shown, "mu")].median()))
    ax.axvline(centre, color=canvas.FAINT, linewidth=0.8)
    ax.set_xscale("log")
    fit = next(iter(panel.values()))
    ax.set_xlabel(fit.units[fit.problem.spec.position(shown)])
    ax.set_yticks(place, rows["unit"])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_title(f"{shown}: alone (red), drawn towards the panel's centre (blue)", loc="left")
    return ax


def ranks(found: SBC, ax: Axes | None = None, *, level: float = 0.95) -> Axes:
    """Distribution of the ranks less a uniform one, a line a quantity, and the simultaneous band of right ranks."""
    ax = canvas.new_axes(ax, width=5.0, height=2.8)
    table, verdict = found.ecdf(level), found.table()["p_holm"]
    ax.fill_between(table.index, table["lower"], table["upper"], color=canvas.CALM, alpha=0.35, linewidth=0, step="mid")
    for name in found.ranks:
        bad = verdict[str(name)] < 1.0 - level
        ax.plot(table.index, table[name], color=canvas.FAIL if bad else canvas.LINE, linewidth=1.2 if bad else 0.7)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("relative rank of the truth")
    ax.set_title(f"{found.model}: {len(found.ranks)} simulations, band {level:.0%}", loc="left")
    return ax
