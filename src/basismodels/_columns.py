"""Columns of a model's formulas over a series, and from which row on they are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError, ModelError
from basismodels.funding.covariates import COVARIATES
from basismodels.model import Design, Model, design
from basismodels.params import INTERCEPT, JUMP
from basismodels.series import BasisSeries

_NEAR = 0.01


def designs_of(model: Model, frame: pd.DataFrame) -> dict[str, Design]:
    """Columns of every formula of a model over a frame; ModelError for one that does not work."""
    made = {name: design(name, formula, frame) for name, formula in model.written().items()}
    if JUMP.name in made and INTERCEPT in made[JUMP.name].columns:
        raise ModelError(
            f"the formula jump={model.written()[JUMP.name]!r} has an intercept: a jump at every step is no settlement",
            remedy='Settlement(jump="0 + funding_paid")',
        )
    if model.regimes > 1:
        made["q"] = design("transition", model.transition, frame)
    return made


def payments_apart(model: Model, data: BasisSeries, designs: dict[str, Design], first: int) -> tuple[str, ...]:
    """What to know of a jump at payments: those that no close meets. ModelError where its columns never move."""
    if JUMP.name not in designs:
        return ()
    made = designs[JUMP.name]
    if isinstance(model.formulas()[JUMP.name], str) and not np.ptp(made.values[first:], axis=0).all():
        raise ModelError(
            f"a column of the jump ({', '.join(made.columns)}) does not move over these data",
            remedy="drop Settlement()",
        )
    if data.settlements is None:
        return ()
    time, stamps = data.time[first:], data.settlements.index
    stamps = stamps[(stamps > time[0]) & (stamps <= time[-1])]
    late = (time[time.searchsorted(stamps)] - stamps) / np.timedelta64(1, "h")
    apart = int(np.sum(np.asarray(late) > _NEAR * np.median(np.diff(data.hours[first:]))))
    if not apart:
        return ()
    return (
        f"{apart} of {len(stamps)} payments fall between closes: the jump is taken at the close after; a row with a "
        "missing basis at each payment puts it in its place",
    )


def seen(data: BasisSeries, mask: bool) -> NDArray[np.bool_]:
    """True for the rows a model may see, (n,): an observed basis, and not masked where masks count."""
    return data.observed if mask else np.isfinite(data.basis)


def first_row(data: BasisSeries, designs: dict[str, Design], mask: bool) -> int:
    """First row with an observed basis from which every covariate is known."""
    usable = seen(data, mask)
    if not usable.any():
        raise DataError("no observation is left: every row is missing or masked", remedy="bm.check(data)")
    known = np.ones(data.n, dtype=bool)
    for made in designs.values():
        known &= np.isfinite(made.values).all(axis=1)
    start = int(np.argmax(known)) if known.any() else data.n
    holes = np.flatnonzero(~known[start:-1]) + start
    if start >= data.n - 1 or len(holes):
        rows = data.time[holes] if len(holes) else data.time[:3]
        columns = [c for d in designs.values() for c in d.columns if c != INTERCEPT]
        funded = [c for c in columns if c in COVARIATES]
        if start >= data.n - 1 and funded:
            raise DataError(
                f"{', '.join(funded)} cannot be made of these data: they need closes within each funding interval",
                remedy="data with several closes between settlements, or a model without columns of funding",
            )
        raise DataError(
            f"a covariate among {', '.join(columns)} is missing inside the series",
            rows=[str(t) for t in rows[:4]],
            remedy="fill it first, e.g. frame[column] = frame[column].ffill()",
        )
    left = np.flatnonzero(usable & (np.arange(data.n) >= start))
    if not len(left):
        raise DataError("no observation is left once the covariates are known")
    return int(left[0])
