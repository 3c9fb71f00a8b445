"""A rule for data that name none, found where a formula asks for it and said aloud."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.funding.checks import stale
from basismodels.funding.covariates import COVARIATES, attach, rule_of
from basismodels.funding.mechanism import Rule
from basismodels.funding.registry import rule

if TYPE_CHECKING:
    import pandas as pd

    from basismodels.model import Design
    from basismodels.series import BasisSeries

_FEW_SPELLS = 3


def guessed(data: BasisSeries, at: pd.Timestamp | None = None) -> tuple[Rule, str]:
    """A rule for a series that names none, and the words that say how it was found.

    Venue and symbol from the name of the file (`binance_btcusdt_1h`), else Binance's rule of BTCUSDT,
    which most venues share but for the cap; as in force `at` a time, default that of the last row, where what is
    simulated begins. Intervals come from the settlements.
    """
    when = data.time[-1] if at is None else at
    stem = re.split(r"[/\\\\]", str(data.provenance.get("source", "")))[-1].lower().split(".")[0]
    words: list[str] = [*stem.split("_"), ""]
    venue, symbol = words[0], words[1]
    try:
        found, how = rule(venue, symbol or "BTCUSDT", when), f"guessed from the file name {stem}"
    except ModelError:
        found, how = rule("binance", "BTCUSDT", when), "taken because none was named"
    low, high = (1e4 * edge for edge in found.deadband)
    return found, (
        f"funding rule: {found.venue} {found.symbol}, {how} (deadband {low:g} to {high:g} bps); "
        "name yours by bm.funding.attach(data, bm.funding.rule(venue, symbol, at=...))"
    )


def completed(data: BasisSeries, formulas: Iterable[object]) -> tuple[BasisSeries, tuple[str, ...]]:
    """The series with funding's covariates where a formula asks for one it lacks, and what was done, in words.

    Errors: DataError where a formula asks for one and all settlements are older than ten of their intervals.
    """
    words = {word for formula in formulas if isinstance(formula, str) for word in re.findall(r"\w+", formula)}
    asked = words & COVARIATES.keys()
    if not asked or rule_of(data) is not None:
        return data, ()
    if not asked - set(data.frame().columns):
        return data.with_warnings(*stale(data)), ()
    found, said = guessed(data)
    return attach(data, found), (said,)


def used(data: BasisSeries) -> tuple[str, ...]:
    """Which attached rule made the columns, in words; nothing without one."""
    found = rule_of(data)
    return () if found is None else (f"funding rule: {found.venue} {found.symbol}".rstrip(),)


# relative: a rate that never changes differs from itself by its last digit once it is in bps
_STILL = 1e-9


def without_constant(designs: dict[str, Design], first: int) -> tuple[dict[str, Design], tuple[str, ...]]:
    """Designs without columns of funding that cannot tell a slope over the rows in use, and which those were.

    A column that never moves tells none, and a flag that rises fewer than three times none of a change of regime.
    """
    out, notes = {}, []
    for name, made in designs.items():
        mute = {c for i, c in enumerate(made.columns) if c in COVARIATES and _mute(made.values[first:, i], name == "q")}
        out[name] = made.without(mute) if mute and len(mute) < len(made.columns) else made
        notes += [f"{c} does not move, or too seldom, over these data: {name} is without it" for c in sorted(mute)]
    return out, tuple(notes)


def _mute(values: NDArray[np.float64], transitions: bool) -> bool:
    flag = bool(np.isin(values, (0.0, 1.0)).all())
    still = not np.ptp(values) > _STILL * np.abs(values).max()
    return still or (transitions and flag and int((np.diff(values) > 0).sum()) < _FEW_SPELLS)
