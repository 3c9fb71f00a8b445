"""What happened: was the basis outside the band and did it not come back in time?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.estimands.event import Event

Array = NDArray[np.float64]


def failures(values: pd.Series[float], event: Event) -> pd.Series[float]:
    """1 where the basis is out of the band and no later value within the horizon is in it, else 0; (n,).

    `values` by time in bps, NaN where unobserved. NaN where the row is unobserved, or the data end before the
    horizon does. Monitored at the rows, so that a return between two rows is missed.
    """
    time = pd.DatetimeIndex(values.index)
    hours = np.asarray((time - time[0]) / np.timedelta64(1, "h"), dtype=float)
    gap = np.abs(values.to_numpy(dtype=float) - event.target)
    inside = np.flatnonzero(gap <= event.band)
    following = np.searchsorted(inside, np.arange(len(gap)), side="right")
    back = np.full(len(gap), np.inf)
    some = following < len(inside)
    back[some] = hours[inside[following[some]]] - hours[some]
    failed = np.where(gap > event.band, (back > event.horizon).astype(float), 0.0)
    unknown = np.isnan(gap) | (hours + event.horizon > hours[-1] + 1e-9)
    return pd.Series(np.where(unknown, np.nan, failed), index=time, name="failed")
