"""Settlement: when funding is paid the perpetual goes ex-funding, and the basis jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from basismodels.model import Component, Formula
from basismodels.params import JUMP, Param


@dataclass(frozen=True, repr=False)
class Settlement(Component):
    """The basis moves by jump'z at the start of a step, z as known at its close, and reverts from there.

    Who holds the perpetual through a payment F pays it, so that without arbitrage x(T+) = x(T-) + F, as a share goes
    ex-dividend: the coefficient of `funding_paid` (bps, zero where nothing is paid at a close) is 1 where the basis
    follows one for one and 0 where it does not move. `jump`: a formula without an intercept, such as
    "0 + funding_paid + settled_just_now", bps per unit of each column, the same in every regime; a number fixes the
    coefficient of funding_paid. The clock enters the other formulas: OU(theta="1 + hours_to_settlement").
    """

    jump: Formula = "0 + funding_paid"

    params: ClassVar[dict[str, Param]] = {"jump": JUMP}
