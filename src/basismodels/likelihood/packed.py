"""A layout as flat arrays, for code that is compiled from end to end.

What changes with the data (`Data`) stands apart from what the model alone decides (`Shape`), so
that a compiled likelihood serves any series of the same model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.predictors import Layout

Array = NDArray[np.float64]
Index = NDArray[np.int64]

ORDER = (
    "kappa", "theta", "sigma", "tau", "slow.kappa", "slow.sigma", "q", "chain_start", "outlier.share", "outlier.scale",
    "jump",
)  # fmt: skip


class Data(NamedTuple):
    """What a series decides: y (n,), row (n,), dt (m,), design (m, Q), settings (3,).

    `design`: the columns of every formula side by side, in the order of `ORDER`; `settings`: 1.0
    for a stationary start, the data's level and spread in bps.
    """

    y: Array
    row: Index
    dt: Array
    design: Array
    settings: Array


class Shape(NamedTuple):
    """What a model decides.

    table (11, 4): of each parameter of `ORDER` the number of columns (0 where the model lacks it), its
    width, its first column in the design and its first place in `places`; places: where each
    coefficient stands in the free vector followed by `constants`; flags (2,): kappa on the log scale,
    theta carried as a drift; widths: regimes, parts of the noise, slow level (0 or 1), depth.
    """

    table: Index
    places: Index
    constants: Array
    flags: Index
    widths: tuple[int, int, int, int]


def packs(layout: Layout) -> bool:
    """Whether compiled code knows every parameter of a layout."""
    return set(layout.places) <= set(ORDER)


def data_of(layout: Layout) -> Data:
    """The arrays of a layout that change with the data."""
    parts = [layout.design[name] for name in ORDER if name in layout.places]
    settings = np.array([float(layout.stationary), layout.centre, layout.spread])
    return Data(
        np.ascontiguousarray(layout.y, dtype=np.float64), np.ascontiguousarray(layout.row, dtype=np.int64),
        np.ascontiguousarray(layout.dt, dtype=np.float64), np.ascontiguousarray(np.hstack(parts)), settings,
    )  # fmt: skip


def shape_of(layout: Layout) -> Shape:
    """The part of a layout that is the model's."""
    table, places = np.zeros((len(ORDER), 4), dtype=np.int64), []
    column = place = 0
    for i, name in enumerate(ORDER):
        if name not in layout.places:
            continue
        own = layout.places[name].reshape(len(layout.places[name]), -1)
        table[i] = (*own.shape, column, place)
        places.append(own.ravel())
        column, place = column + own.shape[0], place + own.size
    parts = 2 if "outlier.share" in layout.places else 1
    widths = (layout.regimes, parts, int("slow.kappa" in layout.places), layout.depth)
    flags = np.array([layout.kappa_log, layout.level_is_drift], dtype=np.int64)
    constants = np.ascontiguousarray(layout.constants, dtype=np.float64)
    return Shape(table, np.concatenate(places).astype(np.int64), constants, flags, widths)
