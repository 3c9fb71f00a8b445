"""A model bound to data: which step leads to which observation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._columns import designs_of, first_row, payments_apart, seen
from basismodels._numbering import level_is_drift, numbering
from basismodels.engine import Engine, choose
from basismodels.errors import BasismodelsError, DataError, ModelError
from basismodels.funding.covariates import COVARIATES
from basismodels.funding.guess import completed, used, without_constant
from basismodels.likelihood.predictors import Layout
from basismodels.model import Component, Design, Model, as_model, designs_again
from basismodels.params import JUMP, Link, Spec
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
_MOST_SPLITS = 20
_LEAST_SPREAD = 1e-100
_DEEPEST = 4


@dataclass(frozen=True, eq=False)
class Problem:
    """A model bound to data.

    layout: the arrays; spec: the free vector; engine: the likelihood; place (n_obs,):
    internal row of each data row from `first` on; mask: whether masked rows are left out; notes: what binding
    did to the data.
    """

    model: Model
    data: BasisSeries
    layout: Layout
    spec: Spec
    engine: Engine
    place: NDArray[np.int64]
    first: int
    initial: str
    designs: dict[str, Design]
    mask: bool = True
    notes: tuple[str, ...] = ()

    @property
    def time(self) -> pd.DatetimeIndex:
        """Stamps of the rows in use, missing ones included."""
        return self.data.time[self.first :]

    @property
    def link(self) -> Link:
        """Link of the speed."""
        return "log" if self.layout.kappa_log else "identity"

    @property
    def seen(self) -> NDArray[np.bool_]:
        """True for the rows of the data that the model may see, (n,)."""
        return seen(self.data, self.mask)

    @property
    def nobs(self) -> int:
        """Number of observations whose density enters the likelihood."""
        count = int(np.isfinite(self.layout.y).sum())
        return count if self.layout.stationary else count - 1

    @property
    def span(self) -> float:
        """Hours from the first to the last row."""
        return float(self.layout.dt[self.layout.row].sum())


@dataclass(frozen=True)
class Grid:
    """Rows of a bound series: y (n,), dt (n,) hours with dt[0] = 0, known (n,): row of the covariates in force.

    first (n,): whether a row ends the first piece of its step, the one that a jump enters.
    """

    y: Array
    dt: Array
    known: NDArray[np.int64]
    first: NDArray[np.bool_]
    place: NDArray[np.int64]
    notes: tuple[str, ...]

    def rows(self, name: str, values: Array) -> Array:
        """Columns (n, q) of one parameter's formula in force at each row, from those at the data's rows."""
        known = values[self.known]
        return np.where(self.first[:, None], known, 0.0) if name == JUMP.name else known


def bind(
    model: Component | Model,
    data: BasisSeries,
    *,
    initial: str = "stationary",
    mask: bool = True,
    kappa_link: Link | None = None,
    depth: int = 1,
    like: Problem | None = None,
) -> Problem:
    """Bind a model to data.

    `initial`: "stationary" or "conditional"; `mask`: leave masked rows out;
    `kappa_link`: "log" (default for one regime) or "identity" (default for several);
    `depth`: over how many of the last regimes moments are kept where they are matched;
    `like`: the same model bound to other data, whose coefficients are to hold here.
    Errors: DataError for too few observations, ModelError for an absent column.
    """
    made = as_model(model)
    if not isinstance(initial, str) or initial not in ("stationary", "conditional"):
        raise ModelError(f'initial must be "stationary" or "conditional", got {initial!r}')
    if not isinstance(depth, int) or depth not in range(1, _DEEPEST + 1):
        raise ModelError(f"depth must be a whole number from 1 to {_DEEPEST}, got {depth!r}")
    link: Link = kappa_link or ("log" if made.regimes == 1 else "identity")
    data, said = completed(data, (*made.written().values(), made.transition))
    frame = data.frame()
    designs = designs_of(made, frame) if like is None else designs_again(like.designs, frame)
    first = first_row(data, designs, mask)
    designs, still = without_constant(designs, first)
    still = (*still, *payments_apart(made, data, designs, first))
    said = (*(said or used(data) if _funded(designs) else ()), *still)
    grid = _grid(made, data, first, mask)
    layout, spec = _layout(made, designs, grid, first, initial == "stationary", link)
    layout = layout._replace(depth=depth)
    _enough(layout, spec)
    notes = (*grid.notes, *said)
    if first:
        notes = (f"the first {first} rows are left out: no basis or no covariate is known there yet", *notes)
    return Problem(made, data, layout, spec, choose(layout), grid.place, first, initial, designs, mask, notes)


def _funded(designs: dict[str, Design]) -> bool:
    """Whether a formula names a column that a funding rule made."""
    return any(name in COVARIATES for made in designs.values() for name in made.columns)


def known_to_all(models: Iterable[Component | Model], data: BasisSeries, *, initial: str = "stationary") -> BasisSeries:
    """The data from the row on where every model knows its covariates, so that all can be fitted to the same rows.

    A model that cannot be bound has no say; its fit tells why.
    """
    problems = []
    for model in models:
        with contextlib.suppress(BasismodelsError):
            problems.append(bind(model, data, initial=initial))
    if len({problem.first for problem in problems}) < 2:
        return data
    late = max(problems, key=lambda problem: problem.first)
    return late.data.cut(start=late.time[0])


def continued(
    problem: Problem, designs: dict[str, Design], last: pd.Timestamp, new: BasisSeries
) -> tuple[Layout, NDArray[np.int64]]:
    """Layout of rows that follow the last one of a problem, and the place of each among the internal rows.

    `designs`: each formula over the last row and the new ones, in that order.
    """
    gaps = (new.time - new.time[0]) / np.timedelta64(1, "h")
    first = (new.time[0] - last) / np.timedelta64(1, "h")
    dt = np.diff(np.concatenate([[-first], np.asarray(gaps, dtype=float)]))
    y = np.where(seen(new, problem.mask), new.basis, np.nan)
    grid = _split(y, dt, np.arange(len(y)), _longest(problem))
    count = len(grid.dt)
    rows = {name: np.ascontiguousarray(grid.rows(name, designs[name].values)) for name in designs}
    layout = problem.layout._replace(
        y=grid.y,
        row=np.arange(count, dtype=np.int64),
        dt=grid.dt,
        design={name: rows.get(name, np.ones((count, 1))) for name in problem.layout.places},
    )
    return layout, grid.place


def spacing_of(problem: Problem) -> float:
    """Median hours from one row of the data in use to the next."""
    stamps = problem.data.time[problem.first :].tz_localize(None).to_numpy()
    return float(np.median(np.diff(stamps) / np.timedelta64(1, "h")))


def pieces_of(problem: Problem, hours: float) -> int:
    """Into how many steps so many hours are cut: no regime is held for longer than in the fit."""
    return max(1, int(np.ceil(hours / _longest(problem) - 1e-9)))


def _longest(problem: Problem) -> float:
    """Longest step in hours over which the regime is held."""
    if problem.model.regimes == 1:
        return np.inf
    return problem.model.max_step if problem.model.max_step is not None else spacing_of(problem)


def _grid(model: Model, data: BasisSeries, first: int, mask: bool) -> Grid:
    """Rows of the bound series; long steps of a switching model are split by missing rows."""
    y = np.where(seen(data, mask), data.basis, np.nan)[first:].astype(float)
    # from the stamps, not from hours since the first: equal steps of minutes must be equal numbers
    # without the zone: with it the stamps are objects, and their differences fifty times slower
    steps = np.diff(data.time[first:].tz_localize(None).to_numpy()) / np.timedelta64(1, "h")
    dt = np.concatenate([[0.0], np.asarray(steps, dtype=float)])
    rows = np.arange(first, data.n)
    before = np.concatenate([[first], rows[:-1]])
    if model.regimes == 1 or len(dt) < 2:
        return Grid(y, dt, before, np.ones(len(y), dtype=bool), np.arange(len(y)), ())
    limit = model.max_step if model.max_step is not None else float(np.median(dt[1:]))
    return _split(y, dt, before, limit)


def _split(y: Array, dt: Array, before: NDArray[np.int64], limit: float) -> Grid:
    """Splits steps longer than `limit` hours by missing rows."""
    pieces = np.maximum(1, np.ceil(dt / limit - 1e-9)).astype(np.int64)
    if pieces.sum() > _MOST_SPLITS * len(dt) + 1000:
        raise ModelError(
            f"steps of at most {limit:g} h would split {len(dt):,} rows into {pieces.sum():,}",
            remedy=f"Switching(..., max_step={float(np.max(dt)) / 4:g})",
        )
    place = np.cumsum(pieces) - 1
    y_all = np.full(int(pieces.sum()), np.nan)
    y_all[place] = y
    first = np.zeros(len(y_all), dtype=bool)
    first[place - pieces + 1] = True
    notes: tuple[str, ...] = ()
    if len(y_all) > len(y):
        notes = (f"{len(y_all) - len(y):,} missing rows inserted: no step is longer than {limit:g} h",)
    return Grid(y_all, np.repeat(dt / pieces, pieces), np.repeat(before, pieces), first, place, notes)


def _layout(
    model: Model, designs: dict[str, Design], grid: Grid, first: int, stationary: bool, link: Link
) -> tuple[Layout, Spec]:
    known = {name: grid.rows(name, made.values) for name, made in designs.items() if made.spec is not None}
    columns = np.ascontiguousarray(np.hstack([grid.dt[:, None], *known.values()]))
    columns[0, 0] = -1.0
    # one column sorts as numbers, several as records, which is slower
    found = np.unique(columns if columns.shape[1] > 1 else columns[:, 0], axis=0, return_inverse=True)
    distinct, row = found[0].reshape(-1, columns.shape[1]), found[1]
    chosen = np.zeros(len(distinct), dtype=np.int64)
    chosen[row.ravel()[::-1]] = np.arange(len(row) - 1, -1, -1)
    spec, index, constants = numbering(model, designs, link)
    design_rows = {
        name: np.ascontiguousarray(known[name][chosen]) if name in known else np.ones((len(chosen), 1))
        for name in index
    }
    known_y = grid.y[np.isfinite(grid.y)]
    layout = Layout(
        y=grid.y,
        row=row.ravel().astype(np.int64),
        dt=np.maximum(distinct[:, 0], 0.0),
        design=design_rows,
        places=index,
        constants=constants,
        regimes=model.regimes,
        kappa_log=link == "log",
        level_is_drift=level_is_drift(model, link),
        stationary=stationary,
        centre=float(np.median(known_y)),
        spread=float(np.std(known_y)),
    )
    return layout, spec


def _enough(layout: Layout, spec: Spec) -> None:
    y = layout.y[np.isfinite(layout.y)]
    if len(y) < len(spec) + 2:
        raise DataError(
            f"{len(y)} observations for {len(spec)} parameters ({', '.join(spec.names)})",
            remedy="use a longer span or a smaller model, e.g. bm.OU()",
        )
    if not layout.spread > 0:
        raise DataError(f"the basis is constant at {y[0]:g} bps: there is nothing to fit")
    if not _LEAST_SPREAD < layout.spread < 1.0 / _LEAST_SPREAD or not np.isfinite(y.max() - y.min()):
        raise DataError(f"the basis has a spread of {layout.spread:g} bps; that cannot be", remedy="check its unit")
