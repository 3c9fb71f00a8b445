"""Mean reversion: dx = kappa (theta - x) dt + sigma dW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from basismodels.errors import ModelError
from basismodels.model import Component, Formula
from basismodels.params import INNOVATION, KAPPA, NU, SIGMA, THETA, Param


@dataclass(frozen=True, repr=False)
class OU(Component):
    """Ornstein-Uhlenbeck process (Uhlenbeck & Ornstein 1930).

    kappa (1/h), theta (bps) and sigma (bps/sqrt(h)) each take a Wilkinson formula over
    the data's columns, or a number that fixes them; `OU(kappa=0)` is a random walk.

    innovation (bps): in place of sigma, the standard deviation of the basis one hour ahead given where it stands,
    sigma sqrt((1 - exp(-2 kappa)) / (2 kappa)). Regimes that share it have one variance of an hourly step, as
    Markov-switching regressions do, whatever their speeds; regimes that share sigma do not.

    nu: degrees of freedom of Student's t shocks, "1" or a number above 2; sigma stays their standard deviation. For the
    basis seen without noise or gaps (Hamilton's filter); what looks ahead (forecast, return, carry) takes shocks of the
    same variance as Gaussian. Errors: ModelError where both are given, or nu has a covariate.
    """

    kappa: Formula = "1"
    theta: Formula = "1"
    sigma: Formula = "1"
    innovation: Formula | None = None
    nu: Formula | None = None

    params: ClassVar[dict[str, Param]] = {
        "kappa": KAPPA, "theta": THETA, "sigma": SIGMA, "innovation": INNOVATION, "nu": NU,
    }  # fmt: skip

    def formulas(self) -> dict[str, Formula]:
        """As declared; a random walk has no level; a volatility is given by sigma or by the innovation."""
        found = super().formulas()
        if not isinstance(self.kappa, str) and self.kappa == 0:
            found.pop("theta")
        if self.innovation is not None:
            if self.sigma != "1":
                raise ModelError(
                    "the volatility is given twice, as sigma and as innovation", remedy='OU(innovation="1")'
                )
            found.pop("sigma")
        if isinstance(self.nu, str) and self.nu.strip() != "1":
            raise ModelError(f"nu takes no covariate, got {self.nu!r}", remedy='OU(nu="1")')
        return found
