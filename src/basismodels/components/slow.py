"""A slowly wandering level: dl = -kappa_slow l dt + sigma_slow dB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from basismodels.model import Component, Formula
from basismodels.params import SLOW_KAPPA, SLOW_SIGMA, Param


@dataclass(frozen=True, repr=False)
class SlowOU(Component):
    """Slow level around which the basis reverts, an OU process with mean zero.

    kappa (1/h) and sigma (bps/sqrt(h)) take a formula or a fixed number.
    """

    kappa: Formula = "1"
    sigma: Formula = "1"

    params: ClassVar[dict[str, Param]] = {"kappa": SLOW_KAPPA, "sigma": SLOW_SIGMA}
