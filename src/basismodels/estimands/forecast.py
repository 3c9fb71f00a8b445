"""Density forecast of the basis and of the regimes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError, real
from basismodels.estimands.ahead import steps_ahead
from basismodels.estimands.mixture import Law, Mixture, branches, merged, observed
from basismodels.problem import pieces_of, spacing_of
from basismodels.results import Fit

Array = NDArray[np.float64]
_MOST_STEPS = 10_000


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

    @property
    def law(self) -> Mixture:
        """The mixtures, one a step ahead."""
        return Mixture(self.weights, self.mean, self.sd)

    def quantile(self, probabilities: tuple[float, ...] = (0.025, 0.25, 0.5, 0.75, 0.975)) -> pd.DataFrame:
        """Quantiles of the basis in bps, one row an hour ahead."""
        columns = {p: self.law.quantile(p) for p in probabilities}
        return pd.DataFrame(columns, index=pd.Index(self.hours, name="hours_ahead"))

    def cdf(self, value: float | Array) -> Array:
        """P(basis <= value) at each step ahead, (h,); one value in bps, or one a step."""
        return self.law.cdf(value)

    def log_density(self, values: Array) -> Array:
        """Log density in nats of one value (bps) per step ahead, (h,)."""
        return self.law.log_density(values)

    def summary_frame(self) -> pd.DataFrame:
        """Mean, standard deviation and central 95% interval in bps by hours ahead."""
        mean, sd = self.law.moments()
        limits = self.quantile((0.025, 0.975))
        return pd.DataFrame(
            {"mean": mean, "sd": sd, "lower": limits.iloc[:, 0], "upper": limits.iloc[:, 1]},
            index=limits.index,
        )


def forecast(fit: Fit, horizon: float = 24.0) -> Forecast:
    """Density of the observed basis and of the regimes from the last row, step by step to `horizon` hours.

    Steps have the data's median spacing, covariates stay at their last values and
    parameters at the estimate; of the jumps of `Settlement` only the one at the last row is known.
    Exact for one regime; with regimes the mixture keeps one Gaussian a regime, with the moments of all
    paths into it.
    """
    layout = fit.problem.layout
    spacing = spacing_of(fit.problem)
    count = int(np.ceil(real(horizon, "horizon", above=0.0, remedy="horizon=24, in hours") / spacing - 1e-9))
    if not 1 <= count <= _MOST_STEPS:
        raise ModelError(f"a horizon of {horizon:g} h is {count:,} steps of {spacing:g} h, not 1 to {_MOST_STEPS:,}")
    pieces = pieces_of(fit.problem, spacing)
    step, later = (steps_ahead(fit.problem, fit.x, spacing / pieces, later=which) for which in (False, True))
    found = fit.filtered
    law = Law(found.p[-1:], found.mean[-1:], found.var[-1:])
    steps: list[Mixture] = []
    for piece in range(1, count * pieces + 1):
        parts = branches(law, step)
        if piece % pieces == 0:
            steps.append(observed(parts, step))
        law, step = merged(parts), later
    hours = spacing * np.arange(1, count + 1, dtype=np.float64)
    share = np.concatenate([one.weights for one in steps])
    regimes = share.reshape(count, layout.regimes, layout.regimes, -1).sum(axis=(1, 3))
    frame = pd.DataFrame(regimes, index=pd.Index(hours, name="hours_ahead"))
    mean, sd = np.concatenate([one.mean for one in steps]), np.concatenate([one.sd for one in steps])
    return Forecast(hours, share, mean, sd, frame)
