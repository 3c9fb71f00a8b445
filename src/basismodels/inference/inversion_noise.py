"""The signed root of kappa for one Ornstein-Uhlenbeck process seen through noise, compiled throughout."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import ou_noise
from basismodels.likelihood.transition import decay_ratio

Array = NDArray[np.float64]


class NoiseRoot:
    """Roots of kappa for y (n + 1,) in bps at steps dt (n,) in hours, conditional on the first observation.

    The nuisance is log(tau^2 / sigma^2), with tau^2 / sigma^2 in units of the span.
    """

    positive = False

    def __init__(self, y: Array, dt: Array, kappa: float, lam: float) -> None:
        self.span = float(dt.sum())
        step = np.round(dt / self.span, 12)
        kinds, row = np.unique(step, return_inverse=True)
        self.y, self.row, self.kinds = np.ascontiguousarray(y - np.median(y)), row.ravel().astype(np.int64), kinds
        typical = float(np.median(step))
        self.box = math.log(1e-8 * typical), math.log(1e4)
        self.highest = 25.0 / typical / self.span
        self.top, reach, self.log_lam = self._best(self.y, kappa * self.span, math.log(max(lam / self.span, 1e-300)))
        self.estimate = reach / self.span

    def _best(self, y: Array, reach: float, log_lam: float) -> tuple[float, float, float]:
        """Greatest likelihood, and where, from a first guess."""
        width = 0.5 * math.sqrt(2.0 * abs(reach) + 9.0)
        found = ou_noise.best(reach, width, log_lam, y, self.row, self.kinds, True, *self.box)
        top, where, ratio = ou_noise.best(found[1], -0.3 * width, found[2], y, self.row, self.kinds, True, *self.box)
        return float(top), float(where), float(ratio)

    def root(self, kappa: float) -> tuple[float, float]:
        """Signed root at kappa in 1/h and the nuisance there."""
        top, log_lam = self._at(self.y, kappa, self.log_lam)
        if top > self.top + 1e-3:
            self.top, reach, self.log_lam = self._best(self.y, kappa * self.span, log_lam)
            self.estimate = reach / self.span
        return math.copysign(math.sqrt(max(2.0 * (self.top - top), 0.0)), self.estimate - kappa), log_lam

    def _at(self, y: Array, kappa: float, log_lam: float) -> tuple[float, float]:
        found = ou_noise.best_lam(kappa * self.span, log_lam, y, self.row, self.kinds, True, *self.box)
        return float(found[0]), float(found[1])

    def simulated(self, kappa: float, log_lam: float, draws: int, rng: np.random.Generator) -> Array:
        """Roots (draws,) of series simulated at kappa, stationary where kappa > 0, from the level otherwise."""
        return np.array([self._one(kappa, log_lam, self._path(kappa, log_lam, rng)) for _ in range(draws)])

    def _one(self, kappa: float, log_lam: float, y: Array) -> float:
        null, there = self._at(y, kappa, log_lam)
        top, reach, _ = self._best(y, kappa * self.span, there)
        return math.copysign(math.sqrt(max(2.0 * (top - null), 0.0)), reach - kappa * self.span)

    def _path(self, kappa: float, log_lam: float, rng: np.random.Generator) -> Array:
        reach = kappa * self.span
        phi, root = np.exp(-reach * self.kinds), np.sqrt(self.kinds * decay_ratio(2.0 * reach * self.kinds))
        z = rng.standard_normal((2, len(self.y)))
        out = np.empty(len(self.y))
        first = z[0, 0] * math.sqrt(0.5 / reach) if reach > 0 else 0.0
        ou_noise.walk(first, z[0, 1:], self.row, phi, root, out)
        return np.asarray(out + math.exp(0.5 * log_lam) * z[1])
