"""Scores of forecasts, by time and model, and the table made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.scoring.confidence_set import confidence_set
from basismodels.scoring.long_run import bandwidth, long_run_covariance
from basismodels.scoring.stacking import stacking_weights
from basismodels.scoring.tests import dm_test, gw_test

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What forecasts were worth; frames by time (rows) and model (columns), NaN where not scored.

    log_score: log density of what happened, nats, higher is better; crps: bps, lower is better;
    pit: probability given to values below what happened; inside: whether the central interval held it;
    width: that interval's, bps; brier: squared error of the failure probability, lower is better;
    failing: that probability; failed: what happened; refits: a row a model and refit; horizon in rows;
    level of the interval.
    """

    log_score: pd.DataFrame
    crps: pd.DataFrame
    pit: pd.DataFrame
    inside: pd.DataFrame
    width: pd.DataFrame
    failing: pd.DataFrame
    failed: pd.Series[float]
    refits: pd.DataFrame
    horizon: int
    level: float

    @property
    def models(self) -> list[str]:
        return [str(name) for name in self.log_score.columns]

    @property
    def brier(self) -> pd.DataFrame:
        """Squared error of the probability of failure (Brier 1950), by time and model."""
        return self.failing.sub(self.failed, axis=0) ** 2

    @property
    def common(self) -> pd.DataFrame:
        """Log scores at the rows every model scores."""
        return self.log_score.dropna()

    def table(self, reference: str | None = None, level: float = 0.9) -> pd.DataFrame:
        """One row a model, best mean log score first, over the rows every model scores.

        log_score and its se; difference from `reference` (default "ou" or the first model) with the
        Diebold-Mariano t and the Giacomini-White p; in_set: in the model confidence set of `level`; weight
        in the best pool; crps (bps), brier, coverage and mean width (bps) of the interval, pit_distance from
        uniform (Kolmogorov). Errors: ModelError for an unknown reference.
        """
        against = reference or ("ou" if "ou" in self.models else self.models[0])
        if against not in self.models:
            raise ModelError(f"no model {against!r} was scored; there are {', '.join(self.models)}")
        rows = self.common.index
        frame = pd.DataFrame([self._row(name, against, rows) for name in self.models])
        frame.index = pd.Index(self.models, name="model")
        if len(self.models) > 1:
            kept = confidence_set(self.common, level)
            frame["in_set"], frame["set_p"] = kept["kept"], kept["p"]
            frame["weight"] = stacking_weights(self.common)
        frame.attrs.update(reference=against, rows=len(rows), horizon=self.horizon, level=self.level)
        return frame.sort_values("log_score", ascending=False, kind="stable")

    def _row(self, name: str, against: str, rows: pd.Index) -> dict[str, float]:
        own = self.log_score.loc[rows, name]
        lags = bandwidth(len(own), self.horizon)
        se = np.sqrt(long_run_covariance(own.to_numpy()[:, None], lags)[0, 0] / len(own))
        same = name == against
        base = self.log_score.loc[rows, against]
        dm = None if same else dm_test(own, base, self.horizon)
        gw = None if same else gw_test(own, base, self.horizon)
        pit = np.sort(self.pit.loc[rows, name].to_numpy())
        return {
            "log_score": float(own.mean()),
            "se": float(se),
            "difference": dm.difference if dm else 0.0,
            "dm_t": dm.statistic if dm else np.nan,
            "gw_p": gw.p if gw else np.nan,
            "crps": float(self.crps.loc[rows, name].mean()),
            "brier": float(self.brier[name].mean()),
            "coverage": float(self.inside.loc[rows, name].mean()),
            "width": float(self.width.loc[rows, name].mean()),
            "pit_distance": float(np.abs(pit - (np.arange(len(pit)) + 0.5) / len(pit)).max()),
        }

    def __repr__(self) -> str:
        span = f"{self.log_score.index[0]} to {self.log_score.index[-1]}"
        return f"<Scores of {', '.join(self.models)}: {len(self.common):,} common rows, {span}>"
