"""What a fit says of rows as they arrive: filter and failure probability, at a constant cost a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.estimands.failure import Event, failing
from basismodels.estimands.passage import check_band, outside
from basismodels.estimands.state import of_moments
from basismodels.inference.online import Online, at_end, update
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]


@dataclass
class Live:
    """A fit followed over new rows: the filter after the newest one, and the regimes that fail, decided at the fit.

    Only the newest state is kept, so that memory does not grow.
    """

    now: Online
    event: Event
    chosen: NDArray[np.bool_]

    @classmethod
    def of(cls, fit: Fit, horizon: float = 24.0, band: float = 10.0, target: float = 0.0) -> Live:
        """Follow a fit; `horizon` (h), `band` and `target` (bps) as in `bm.failure_probability`."""
        check_band(horizon, band)
        event = Event(horizon, band, target)
        return cls(at_end(fit), event, failing(fit.problem, fit.x, event).failing)

    def add(self, rows: BasisSeries) -> Iterator[dict[str, Any]]:
        """One record a row: time, basis (bps), regimes (filtered probabilities), failure (probability that a failure
        regime holds), no_return (that the basis is out of the band and not back within the horizon) and log_density.

        Errors: DataError where the rows do not follow the last ones.
        """
        self.now = update(self.now, rows)
        p = self.now.filtered.p
        failure, lost = p[:, self.chosen].sum(axis=1), self._no_return()
        for i, stamp in enumerate(rows.time):
            yield {
                "time": stamp,
                "basis": float(rows.basis[i]),
                "regimes": [float(v) for v in p[i]],
                "failure": float(failure[i]),
                "no_return": float(lost[i]),
                "log_density": float(self.now.filtered.log_density[i]),
            }

    def _no_return(self) -> Array:
        found, fit = self.now.filtered, self.now.fit
        state = of_moments(found.p, found.mean, found.var)
        event = self.event
        lost = outside(fit.problem, fit.x, state, horizon=event.horizon, band=event.band, target=event.target)
        return np.asarray(np.clip((state.weights * lost).sum(axis=1), 0.0, 1.0))
