"""Weights of a pool of predictive densities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from basismodels.errors import DataError

_STEPS = 5000


def stacking_weights(log_density: pd.DataFrame) -> pd.Series[float]:
    """Weights of the linear pool with the highest mean log score (Hall & Mitchell 2007; Yao et al. 2018).

    `log_density`: time by model, nats; rows with a missing one are dropped. Found by expectation
    maximisation, whose every step raises the score. Errors: DataError without a common row.
    """
    table = log_density.dropna()
    if table.empty:
        raise DataError("no row is scored by every model")
    values = table.to_numpy(dtype=float)
    density = np.exp(values - values.max(axis=1, keepdims=True))
    weights = np.full(density.shape[1], 1.0 / density.shape[1])
    for _ in range(_STEPS):
        ahead = (density * weights / (density @ weights)[:, None]).mean(axis=0)
        if np.abs(ahead - weights).max() < 1e-9:
            break
        weights = ahead
    return pd.Series(weights, index=table.columns, name="weight")
