"""Predictive laws: one mixture of Gaussians a row, and one step of a switching linear model ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.likelihood.kim import Steps

Array = NDArray[np.float64]
_HALVINGS = 50


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians a row: weights (n, M), mean (n, M) and sd (n, M) in bps.

    nu: degrees of freedom (M,) where the parts are Student's t of these standard deviations instead.
    """

    weights: Array
    mean: Array
    sd: Array
    nu: Array | None = None

    def _tails(self) -> Any:
        """The parts as frozen t laws."""
        from scipy.stats import t

        assert self.nu is not None
        return t(self.nu, self.mean, self.sd * np.sqrt((self.nu - 2.0) / self.nu))

    def log_density(self, values: Array) -> Array:
        """Log density in nats of one value (bps) a row, (n,); NaN where the value is."""
        from scipy.special import logsumexp
        from scipy.stats import norm

        at = np.asarray(values, dtype=float)[:, None]
        parts = norm.logpdf(at, self.mean, self.sd) if self.nu is None else self._tails().logpdf(at)
        return np.asarray(logsumexp(parts, axis=1, b=self.weights))

    def cdf(self, value: float | Array) -> Array:
        """P(basis <= value) a row, (n,); one value in bps for all, or one a row."""
        from scipy.stats import norm

        at = np.reshape(value, (-1, 1))
        below = norm.cdf((at - self.mean) / self.sd) if self.nu is None else self._tails().cdf(at)
        return np.asarray((self.weights * below).sum(axis=1))

    def crps(self, values: Array) -> Array:
        """Continuous ranked probability score in bps of one value a row, (n,) (Gneiting & Raftery 2007)."""
        import scoringrules

        if self.nu is not None:
            raise ModelError("the ranked probability score is made for Gaussian parts, not for Student's t")
        scored = scoringrules.crps_mixnorm(
            np.asarray(values, dtype=float), self.mean, self.sd, self.weights, backend="numpy"
        )
        return np.asarray(scored, dtype=float)

    def quantile(self, p: float) -> Array:
        """One quantile a row in bps, by bisection, (n,)."""
        if not 0.0 < p < 1.0:
            raise ModelError(f"a quantile's probability lies between 0 and 1, got {p!r}")
        if self.nu is not None:
            raise ModelError("quantiles are made for Gaussian parts, not for Student's t", remedy="cdf(value)")
        low, high = (self.mean - 12.0 * self.sd).min(axis=1), (self.mean + 12.0 * self.sd).max(axis=1)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = self.cdf(middle) < p
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))

    def moments(self) -> tuple[Array, Array]:
        """Mean and standard deviation a row in bps, (n,) each."""
        mean = (self.weights * self.mean).sum(axis=1)
        spread = (self.weights * (self.sd**2 + (self.mean - mean[:, None]) ** 2)).sum(axis=1)
        return mean, np.sqrt(spread)


class Law(NamedTuple):
    """Law of the state a row: p (n, K); mean (n, K, 2) and var (n, K, 3) of (x, l), bps and bps^2."""

    p: Array
    mean: Array
    var: Array


class Branches(NamedTuple):
    """One Gaussian per pair of regimes, from j to k: weights, means and variances of (x, l), each (n, K, K)."""

    p: Array
    x: Array
    l: Array
    a: Array
    b: Array
    d: Array


def rows_of(steps: Steps, row: NDArray[np.int64]) -> Steps:
    """The coefficients that lead to each row, (n, ...)."""
    return Steps(*(part[row] for part in steps))


def branches(law: Law, s: Steps) -> Branches:
    """The state one step on, before regimes are merged; `s` holds one step a row."""
    p, m, v = law
    phi, rho, joint = s.phi[:, None, :], s.rho[:, None, None], p[:, :, None] * s.p
    return Branches(
        p=joint,
        x=m[:, :, :1] * phi + s.c[:, None, :],
        l=np.broadcast_to(rho * m[:, :, 1:], joint.shape),
        a=phi**2 * v[:, :, :1] + s.v[:, None, :],
        b=phi * rho * v[:, :, 1:2],
        d=np.broadcast_to(rho**2 * v[:, :, 2:] + s.w[:, None, None], joint.shape),
    )


def merged(parts: Branches) -> Law:
    """One Gaussian a regime with the moments of all paths into it."""
    ahead = parts.p.sum(axis=1)
    back = parts.p / np.maximum(ahead, 1e-300)[:, None, :]
    mx, ml = (back * parts.x).sum(axis=1), (back * parts.l).sum(axis=1)
    ex, el = parts.x - mx[:, None, :], parts.l - ml[:, None, :]
    spread = (parts.a + ex**2, parts.b + ex * el, parts.d + el**2)
    return Law(ahead, np.stack([mx, ml], axis=2), np.stack([(back * one).sum(axis=1) for one in spread], axis=2))


def observed(parts: Branches, s: Steps) -> Mixture:
    """Mixture of the observed basis: one Gaussian per pair of regimes and part of the noise."""
    n = len(parts.p)
    weights = parts.p[:, :, :, None] * s.share[:, None, None, :]
    mean = np.broadcast_to((parts.x + parts.l)[:, :, :, None], weights.shape)
    spread = (parts.a + 2.0 * parts.b + parts.d)[:, :, :, None] + s.tau2[:, None, :, :]
    return Mixture(weights.reshape(n, -1), mean.reshape(n, -1), np.sqrt(spread).reshape(n, -1))
