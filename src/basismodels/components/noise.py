"""Measurement noise: the observed basis is the state plus Normal(0, tau^2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from basismodels.model import Component, Formula
from basismodels.params import OUTLIER_SCALE, OUTLIER_SHARE, TAU, Param


@dataclass(frozen=True, repr=False)
class Noise(Component):
    """Gaussian measurement noise with standard deviation tau (bps).

    `outliers=True` makes it a two-part mixture: with a small probability the
    variance is tau^2 (1 + scale^2).
    """

    tau: Formula = "1"
    outliers: bool = False

    params: ClassVar[dict[str, Param]] = {"tau": TAU}

    def formulas(self) -> dict[str, Formula]:
        """tau, and the two outlier parameters where asked for."""
        found = super().formulas()
        if self.outliers:
            found |= {OUTLIER_SHARE.name: "1", OUTLIER_SCALE.name: "1"}
        return found
