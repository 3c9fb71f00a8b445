"""The series that given innovations of the Kalman filter make.

State (x, l) and steps as in `kim` with K = 1. Standard deviations of the one-step errors and gains do not depend on the
data, so that the recursion runs backwards as well: from innovations to a series (Stoffer & Wall 1991).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def rebuilt(z, root, gain, y0, row, phi, c, rho, mean):  # type: ignore[no-untyped-def]
    """The series (n,) whose innovations are z (n,), NaN where `root` is; a diffuse first value stays y0.

    root (n,): standard deviations of the one-step errors; gain (n, 2): by how much x and l move with an error.
    """
    n = z.shape[0]
    out = np.full(n, np.nan)
    mx, ml = mean[0], mean[1]
    for i in range(n):
        r = row[i]
        if i > 0:
            mx, ml = phi[r] * mx + c[r], rho[r] * ml
        if math.isnan(root[i]):
            if i == 0:
                out[0], mx = y0, y0 - ml
            continue
        e = root[i] * z[i]
        out[i] = mx + ml + e
        mx, ml = mx + gain[i, 0] * e, ml + gain[i, 1] * e
    return out
