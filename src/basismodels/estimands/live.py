"""What a fit says of rows as they arrive: filter and failure probability, at a constant cost a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels._columns import seen
from basismodels.estimands.event import HORIZON, Event, event_of
from basismodels.estimands.failure import failing
from basismodels.estimands.passage import no_return
from basismodels.estimands.state import of_moments
from basismodels.inference.online import Online, at_end, update
from basismodels.results import Fit, checked_fit
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
    def of(cls, fit: Fit, horizon: float = HORIZON, band: float | None = None, target: float | None = None) -> Live:
        """Follow a fit; `horizon` (h), `band` and `target` (bps) as in `bm.failure_probability`, kept in `event`."""
        event = event_of(checked_fit(fit).data, horizon, band, target)
        return cls(at_end(fit), event, failing(fit.problem, fit.x, event).failing)

    def add(self, rows: BasisSeries) -> Iterator[dict[str, Any]]:
        """One record a row: time, basis (bps), regimes (filtered probabilities), failure (probability that a failure
        regime holds), no_return (that the basis is out of the band and not back within the horizon), operational (a
        row missing or masked, at which both are NaN) and log_density.

        Errors: DataError where the rows do not follow the last ones.
        """
        self.now = update(self.now, rows)
        p = self.now.filtered.p
        there = seen(rows, self.now.fit.problem.mask)
        failure = np.where(there, p[:, self.chosen].sum(axis=1), np.nan)
        lost = np.where(there, self._no_return(), np.nan)
        for i, stamp in enumerate(rows.time):
            yield {
                "time": stamp,
                "basis": float(rows.basis[i]),
                "regimes": [float(v) for v in p[i]],
                "failure": float(failure[i]),
                "no_return": float(lost[i]),
                "operational": not there[i],
                "log_density": float(self.now.filtered.log_density[i]),
            }

    def _no_return(self) -> Array:
        found, fit = self.now.filtered, self.now.fit
        state = of_moments(found.p, found.mean, found.var)
        return no_return(fit.problem, fit.x, state, self.event)
