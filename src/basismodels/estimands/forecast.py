"""Density forecast of the basis and of the regimes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.likelihood import assemble
from basismodels.likelihood.kim import Steps
from basismodels.results import Fit

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecast:
    """A Gaussian mixture per step ahead, parameters held at the estimate.

    hours (h,); weights (h, M), mean (h, M) and sd (h, M) bps of the observed basis;
    regimes: frame of regime probabilities by hours ahead.
    """

    hours: Array
    weights: Array
    mean: Array
    sd: Array
    regimes: pd.DataFrame

    def quantile(self, probabilities: tuple[float, ...] = (0.025, 0.25, 0.5, 0.75, 0.975)) -> pd.DataFrame:
        """Quantiles of the basis in bps, one row an hour ahead."""
        columns = {p: self._one(p) for p in probabilities}
        return pd.DataFrame(columns, index=pd.Index(self.hours, name="hours_ahead"))

    def _one(self, p: float) -> Array:
        """One quantile at every step ahead, by bisection."""
        if not 0.0 < p < 1.0:
            raise ModelError(f"a quantile's probability lies between 0 and 1, got {p!r}")
        low, high = (self.mean - 12.0 * self.sd).min(axis=1), (self.mean + 12.0 * self.sd).max(axis=1)
        for _ in range(80):
            middle = 0.5 * (low + high)
            below = self.cdf(middle) < p
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))

    def cdf(self, value: float | Array) -> Array:
        """P(basis <= value) at each step ahead, (h,); one value in bps, or one a step."""
        from scipy.stats import norm

        return np.asarray((self.weights * norm.cdf((np.reshape(value, (-1, 1)) - self.mean) / self.sd)).sum(axis=1))

    def log_density(self, values: Array) -> Array:
        """Log density in nats of one value (bps) per step ahead, (h,)."""
        from scipy.special import logsumexp
        from scipy.stats import norm

        parts = norm.logpdf(np.asarray(values, dtype=float)[:, None], self.mean, self.sd)
        return np.asarray(logsumexp(parts, axis=1, b=self.weights))

    def summary_frame(self) -> pd.DataFrame:
        """Mean, standard deviation and central 95% interval in bps by hours ahead."""
        mean = (self.weights * self.mean).sum(axis=1)
        spread = (self.weights * (self.sd**2 + (self.mean - mean[:, None]) ** 2)).sum(axis=1)
        limits = self.quantile((0.025, 0.975))
        return pd.DataFrame(
            {"mean": mean, "sd": np.sqrt(spread), "lower": limits.iloc[:, 0], "upper": limits.iloc[:, 1]},
            index=limits.index,
        )


def forecast(fit: Fit, horizon: float = 24.0) -> Forecast:
    """Density of the observed basis and of the regimes from the last row, step by step to `horizon` hours.

    Steps have the data's median spacing, covariates stay at their last values and
    parameters at the estimate. Exact for one regime; with regimes the mixture keeps one
    Gaussian a regime, with the moments of all paths into it.
    """
    layout = fit.problem.layout
    spacing = float(np.median(layout.dt[layout.row[1:]]))
    count = int(np.ceil(horizon / spacing - 1e-9))
    if not horizon > 0 or count < 1:
        raise ModelError(f"horizon must be a positive number of hours, got {horizon!r}")
    step = _ahead(fit, spacing)
    p, m, v = fit.filtered.p[-1], fit.filtered.mean[-1], fit.filtered.var[-1]
    weights: list[Array] = []
    means: list[Array] = []
    sds: list[Array] = []
    for _ in range(count):
        parts = _parts(p, m, v, step)
        for kept, value in zip((weights, means, sds), _observed(parts, step), strict=True):
            kept.append(value)
        p, m, v = _merged(parts)
    hours = spacing * np.arange(1, count + 1, dtype=np.float64)
    share = np.array(weights)
    regimes = share.reshape(count, layout.regimes, layout.regimes, -1).sum(axis=(1, 3))
    frame = pd.DataFrame(regimes, index=pd.Index(hours, name="hours_ahead"))
    return Forecast(hours, share, np.array(means), np.array(sds), frame)


def _ahead(fit: Fit, spacing: float) -> Steps:
    """Step coefficients of one row ahead: the last row's covariates, the median spacing."""
    layout, last = fit.problem.layout, fit.problem.data.n - 1
    design = {
        name: (fit.problem.designs[name].values[[last]] if name in fit.problem.designs else np.ones((1, 1)))
        for name in layout.places
    }
    ahead = layout._replace(dt=np.array([spacing]), design=design, row=np.zeros(1, dtype=np.int64))
    return assemble.steps_of(ahead, assemble.natural(ahead, fit.x))


class _Parts(NamedTuple):
    """One Gaussian per pair of regimes, from j to k: weights, means and variances of (x, l), all (K, K)."""

    p: Array
    x: Array
    l: Array
    a: Array
    b: Array
    d: Array


def _parts(p: Array, m: Array, v: Array, s: Steps) -> _Parts:
    """The mixture one step on, before it is merged."""
    phi, rho, joint = s.phi[0], s.rho[0], p[:, None] * s.p[0]
    level, wander = (rho * m[:, 1])[:, None], (rho**2 * v[:, 2] + s.w[0])[:, None]
    return _Parts(
        p=joint,
        x=m[:, 0][:, None] * phi + s.c[0],
        l=np.broadcast_to(level, joint.shape),
        a=phi**2 * v[:, 0][:, None] + s.v[0],
        b=phi * rho * v[:, 1][:, None],
        d=np.broadcast_to(wander, joint.shape),
    )


def _merged(parts: _Parts) -> tuple[Array, Array, Array]:
    """Weights (K,), means (K, 2) and variances (K, 3): one Gaussian a regime with the moments of all into it."""
    ahead = parts.p.sum(axis=0)
    back = parts.p / np.maximum(ahead, 1e-300)
    mx, ml = (back * parts.x).sum(axis=0), (back * parts.l).sum(axis=0)
    ex, el = parts.x - mx, parts.l - ml
    spread = (parts.a + ex**2, parts.b + ex * el, parts.d + el**2)
    return ahead, np.stack([mx, ml], axis=1), np.stack([(back * one).sum(axis=0) for one in spread], axis=1)


def _observed(parts: _Parts, s: Steps) -> tuple[Array, Array, Array]:
    """Mixture of the observed basis: one Gaussian per pair of regimes and part of the noise."""
    weights = parts.p[:, :, None] * s.share[0]
    mean = np.broadcast_to((parts.x + parts.l)[:, :, None], weights.shape)
    spread = (parts.a + 2.0 * parts.b + parts.d)[:, :, None] + s.tau2[0]
    return weights.ravel(), mean.ravel(), np.sqrt(spread).ravel()
