"""Mean reversion: dx = kappa (theta - x) dt + sigma dW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from basismodels.model import Component, Formula
from basismodels.params import KAPPA, SIGMA, THETA, Param


@dataclass(frozen=True, repr=False)
class OU(Component):
    """Ornstein-Uhlenbeck process (Uhlenbeck & Ornstein 1930).

    kappa (1/h), theta (bps) and sigma (bps/sqrt(h)) each take a Wilkinson formula over
    the data's columns, or a number that fixes them; `OU(kappa=0)` is a random walk.
    """

    kappa: Formula = "1"
    theta: Formula = "1"
    sigma: Formula = "1"

    params: ClassVar[dict[str, Param]] = {"kappa": KAPPA, "theta": THETA, "sigma": SIGMA}

    def formulas(self) -> dict[str, Formula]:
        """As declared; a random walk has no level."""
        found = super().formulas()
        if not isinstance(self.kappa, str) and self.kappa == 0:
            found.pop("theta")
        return found
