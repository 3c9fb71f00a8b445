"""What counts as failure: the level, the band around it and the horizon, from the funding rule where one is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from basismodels.errors import real, share
from basismodels.funding.covariates import rule_of
from basismodels.problem import Problem
from basismodels.series import BasisSeries

THRESHOLD = 0.5
HORIZON = 24.0
COST = 10.0


@dataclass(frozen=True)
class Event:
    """What counts as failure: horizon (h), band half-width and target (bps), p*, and the rule that gave them or ""."""

    horizon: float
    band: float
    target: float = 0.0
    threshold: float = THRESHOLD
    rule: str = ""

    def facts(self) -> dict[str, Any]:
        """What was used, as a frame's attrs hold it."""
        return {"horizon": self.horizon, "band": self.band, "target": self.target, "rule": self.rule}

    def __str__(self) -> str:
        middle = f"{self.target:g} ± " if self.target else "±"
        return f"{middle}{self.band:g} bps within {self.horizon:g} h"


def event_of(
    data: BasisSeries,
    horizon: float = HORIZON,
    band: float | None = None,
    target: float | None = None,
    threshold: float = THRESHOLD,
) -> Event:
    """The event for a series; what is not given follows from its funding rule, attached or guessed for a formula.

    `target`, bps: default the rule's interest, 0 without a rule. `band`, half-width in bps: default a cost of 10 and
    the rule's damper, 10 without a rule. `horizon`, hours: default 24, which is three settlements of 8 h.
    Errors: ModelError.
    """
    check_event(horizon, band, target, threshold)
    rule = rule_of(data) if band is None or target is None else None
    if band is None:
        band = COST + (1e4 * rule.damper if rule is not None else 0.0)
    if target is None:
        target = 1e4 * rule.interest if rule is not None else 0.0
    name = "" if rule is None else f"{rule.venue} {rule.symbol}".strip()
    return Event(float(horizon), float(band), float(target), float(threshold), name)


def check_event(
    horizon: float, band: float | None = None, target: float | None = None, threshold: float = THRESHOLD
) -> None:
    """ModelError unless horizon and band are positive, the target finite, the threshold above 0 and at most 1."""
    real(horizon, "horizon", above=0.0, remedy="horizon=24, in hours")
    if band is not None:
        real(band, "band", above=0.0, remedy="band=10, the half-width in bps")
    if target is not None:
        real(target, "target", remedy="target=0, in bps")
    share(threshold, "threshold", remedy="threshold=0.5")


def reported(frame: pd.DataFrame, problem: Problem, event: Event, *, flagged: bool = True) -> pd.DataFrame:
    """A frame by time with what was used in its attrs; masked and missing rows are operational, their figures NaN.

    attrs["operational"]: number of such rows; `flagged`: a column operational beside.
    """
    out = ~problem.seen[problem.first :]
    made = frame.copy()
    made.loc[out] = np.nan
    if flagged:
        made["operational"] = out
    made.attrs |= event.facts() | {"operational": int(out.sum())}
    return made
