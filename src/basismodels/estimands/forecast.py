"""Density forecast of the basis and of the regimes."""

from __future__ import annotations

from dataclasses import dataclass

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
        rows = [[self._one(i, p) for p in probabilities] for i in range(len(self.hours))]
        return pd.DataFrame(rows, index=pd.Index(self.hours, name="hours_ahead"), columns=list(probabilities))

    def _one(self, i: int, p: float) -> float:
        from scipy.optimize import brentq

        if not 0.0 < p < 1.0:
            raise ModelError(f"a quantile's probability lies between 0 and 1, got {p!r}")
        low = float((self.mean[i] - 12.0 * self.sd[i]).min())
        high = float((self.mean[i] + 12.0 * self.sd[i]).max())
        return float(brentq(lambda v: float(self.cdf(v)[i]) - p, low, high, xtol=1e-10))

    def cdf(self, value: float) -> Array:
        """P(basis <= value) at each step ahead, (h,)."""
        from scipy.stats import norm

        return np.asarray((self.weights * norm.cdf((value - self.mean) / self.sd)).sum(axis=1))

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
        p, m, v = _advance(p, m, v, step)
        for parts, value in zip((weights, means, sds), _observed(p, m, v, step), strict=True):
            parts.append(value)
    hours = spacing * np.arange(1, count + 1, dtype=np.float64)
    share = np.array(weights)
    regimes = share.reshape(count, layout.regimes, -1).sum(axis=2)
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


def _advance(p: Array, m: Array, v: Array, s: Steps) -> tuple[Array, Array, Array]:
    """One step of the mixture: weights (K,), means (K, 2), variances (K, 3)."""
    joint = p[:, None] * s.p[0]
    ahead = joint.sum(axis=0)
    back = joint / np.maximum(ahead, 1e-300)
    phi, rho = s.phi[0], s.rho[0]
    x = m[:, 0][:, None] * phi + s.c[0]
    l = np.broadcast_to((rho * m[:, 1])[:, None], x.shape)
    a = phi**2 * v[:, 0][:, None] + s.v[0]
    b = phi * rho * v[:, 1][:, None]
    d = np.broadcast_to((rho**2 * v[:, 2])[:, None], x.shape) + s.w[0]
    mx, ml = (back * x).sum(axis=0), (back * l).sum(axis=0)
    ex, el = x - mx, l - ml
    var = [(back * part).sum(axis=0) for part in (a + ex**2, b + ex * el, d + el**2)]
    return ahead, np.stack([mx, ml], axis=1), np.stack(var, axis=1)


def _observed(p: Array, m: Array, v: Array, s: Steps) -> tuple[Array, Array, Array]:
    """Mixture of the observed basis: one part per regime and part of the noise."""
    spread = v[:, 0] + 2.0 * v[:, 1] + v[:, 2]
    weights = p[:, None] * s.share[0]
    mean = np.broadcast_to(m.sum(axis=1)[:, None], weights.shape)
    return weights.ravel(), mean.ravel(), np.sqrt(spread[:, None] + s.tau2[0]).ravel()
