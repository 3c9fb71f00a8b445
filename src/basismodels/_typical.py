"""The parameters at one point of the covariates: their medians, or values that are asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError, real
from basismodels.likelihood import predictors
from basismodels.likelihood.predictors import Natural
from basismodels.model import Design, design_again
from basismodels.problem import Problem

Array = NDArray[np.float64]


def typical(problem: Problem, x: Array, at: Mapping[str, float] | None = None) -> Natural:
    """Parameters on their natural scale, each array with a first axis of one.

    Every formula is read at the medians over the rows of its columns, or at the covariates `at`, the others
    at their medians. No payment is made, and the chain has forgotten its start. ModelError for an unknown covariate.
    """
    if at is not None:
        _check(problem, at)
    layout = problem.layout
    rows = {name: row_of(problem, name, at)[None, :] for name in layout.design if name != "jump"}
    places = {name: places for name, places in layout.places.items() if name in rows and name != "chain_start"}
    one = layout._replace(dt=np.ones(1), row=np.zeros(1, dtype=np.int64), design=rows, places=places)
    return predictors.natural(one, x)


def row_of(problem: Problem, name: str, at: Mapping[str, float] | None = None) -> Array:
    """Columns of one parameter's formula, (q,), at the medians over the rows or at covariates `at`."""
    made = problem.designs.get(name)
    if at is None or made is None or made.spec is None:
        steps = problem.layout.design[name]
        same = bool((steps == steps[0]).all())
        return np.asarray(steps[0] if same else np.median(steps[problem.layout.row], axis=0))
    return _asked(problem, made, at)


def _check(problem: Problem, at: Mapping[str, float]) -> None:
    """ModelError unless `at` gives numbers for columns of the data."""
    if not isinstance(at, Mapping):
        raise ModelError(f"at must map columns to numbers, got {at!r}", remedy='at={"funding": 1.0}')
    columns = problem.data.frame().columns
    unknown = [name for name in at if name not in columns]
    if unknown:
        raise ModelError(f"at= names columns the data lack; they have {', '.join(map(str, columns))}", rows=unknown)
    for name, value in at.items():
        real(value, f"at[{name!r}]")


def _asked(problem: Problem, made: Design, at: Mapping[str, float]) -> Array:
    frame = problem.data.frame()
    medians, row = frame.median(numeric_only=True), frame.iloc[[-1]].copy()
    for column in row.columns:
        row[column] = at.get(str(column), medians.get(column, np.nan))
    return np.asarray(design_again(made, row)[0])
