"""The chain in continuous time and its matrices per step, one into the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.likelihood.transition import chain_step

Array = NDArray[np.float64]


def transition_matrix(rates: Array, hours: float) -> Array:
    """Transition matrix (K, K), rows from and columns to, over a step of `hours`; `rates` in 1/h."""
    return np.asarray(chain_step(np.asarray(rates, dtype=float)[None], np.array([float(hours)]))[0])


def rates_from_matrix(p: Array, hours: float) -> Array:
    """Generator Q (K, K) in 1/h with expm(Q hours) = P, by the principal matrix logarithm.

    Errors: ModelError where P comes from no chain in continuous time
    (Israel, Rosenthal & Wei 2001): a negative rate or a complex logarithm.
    """
    from scipy.linalg import logm

    q = logm(np.asarray(p, dtype=float))
    if np.iscomplexobj(q) and np.abs(q.imag).max() > 1e-10:
        raise ModelError("the transition matrix has no real logarithm: no chain in continuous time gives it")
    rates = np.real(q) / hours
    off = rates - np.diag(np.diag(rates))
    if off.min() < -1e-10:
        raise ModelError("the transition matrix is not embeddable: a rate would be negative")
    return np.asarray(rates)
