"""Filter of a switching linear Gaussian model by moment matching (Kim 1994).

State (x, l) with K regimes. One step of regime k from the filtered moments of
regime j at the step before:

    x <- phi_k x + c_k + Normal(0, v_k),   l <- rho l + Normal(0, w),
    y  = x + l + Normal(0, tau2_kr)        with probability share_r,

then the K*K*R Gaussians are merged, regime by regime, to their first two
moments. At depth d moments are kept for every history of the last d regimes, K^d of them,
and a step forgets the oldest. With K = R = 1 nothing is merged and the filter is Kalman's. With
tau2 = 0, no slow level and no missing value it is Hamilton's. The compiled passes are
`kim_forward` and its adjoint `kim_backward`.

Every array of coefficients is a table of distinct steps; `row[i]` says which
one leads to observation i. Row `row[0]` must be a step of length zero. Each number
of regimes, parts of the noise, and presence of a slow level is compiled on its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.kim_backward import backward
from basismodels.likelihood.kim_forward import BRANCH, forward
from basismodels.likelihood.kim_table import bars_of, lanes_for, start_bars_of, start_record, table_of, unpack

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


class Steps(NamedTuple):
    """Step coefficients; m distinct steps, K regimes, R parts of the noise.

    phi, c, v (m, K): reversion, shift in bps, variance in bps^2.
    tau2 (m, K, R): variance of the noise in bps^2; share (m, R): probability of each part.
    rho, w (m,): the slow level's decay and variance (zero without one).
    p (m, K, K): transition matrices, rows from, columns to.
    """

    phi: Array
    c: Array
    v: Array
    tau2: Array
    share: Array
    rho: Array
    w: Array
    p: Array


class Start(NamedTuple):
    """Law of the state at the first observation, before it is seen.

    p (K,): regime probabilities; mean (K, 2) in bps; var (K, 3): variances of x,
    covariance, variance of l, in bps^2; diffuse (K,): 1.0 where x is diffuse,
    then its density is taken as exp(flat) for every value.
    """

    p: Array
    mean: Array
    var: Array
    diffuse: Array
    flat: float


class Filtered(NamedTuple):
    """Filter output: p (n, K); mean (n, K, 2), var (n, K, 3) of (x, l); log_density (n,), NaN if missing."""

    p: Array
    mean: Array
    var: Array
    log_density: Array


class _Work(NamedTuple):
    """What the compiled passes take: widths as tuples, the table of steps, room for branches."""

    widths: tuple[tuple[int, ...], ...]
    lanes: int
    deep: int
    table: Array
    start: Array
    branches: Array


def _prepare(steps: Steps, start: Start, depth: int) -> _Work:
    regimes, parts = steps.tau2.shape[1:]
    deep = int(regimes ** (depth - 1))
    lanes = lanes_for(regimes * deep)
    slow = bool(np.any(steps.rho) or np.any(steps.w))
    widths = tuple((0,) * size for size in (regimes, lanes, deep, parts, int(slow)))
    room = np.zeros((BRANCH * regimes * parts + 6 * (regimes + 1)) * lanes)
    return _Work(widths, lanes, deep, table_of(steps, lanes, deep), start_record(start, lanes, deep), room)


def _run(
    work: _Work, y: Array, row: Rows, start: Start, store: Array, stride: int, log_density: Array
) -> float:
    store[: len(work.start)] = work.start
    return float(
        forward(
            *work.widths, y, row, work.table, start.diffuse, float(start.flat),
            store, stride, work.branches, log_density,
        )
    )  # fmt: skip


def loglik(y: Array, row: Rows, steps: Steps, start: Start, depth: int = 1) -> float:
    """Log likelihood of y (n,) in bps, NaN where missing; moments are kept for each of the last `depth` regimes."""
    work = _prepare(steps, start, depth)
    return _run(work, y, row, start, np.empty(len(work.start)), 0, np.empty(0))


def _records(work: _Work, n: int) -> Array:
    return np.empty((n + 1) * len(work.start))


def filter(y: Array, row: Rows, steps: Steps, start: Start, depth: int = 1) -> Filtered:
    """Filtered regime probabilities and moments, and one-step log densities."""
    return continued(y, row, steps, start, depth)[0]


def continued(y: Array, row: Rows, steps: Steps, start: Start, depth: int = 1) -> tuple[Filtered, Start]:
    """As `filter`, with the last record as the start of what follows: its p has one entry a history."""
    n, k = len(y), steps.phi.shape[1]
    out = Filtered(np.empty((n, k)), np.empty((n, k, 2)), np.empty((n, k, 3)), np.empty(n))
    work = _prepare(steps, start, depth)
    store = _records(work, n)
    _run(work, y, row, start, store, len(work.start), out.log_density)
    slow = len(work.widths[4]) > 0
    unpack(store, work.lanes, work.deep, slow, out.p, out.mean, out.var)
    last = store[-len(work.start) :].reshape(6, work.lanes)[:, : k * work.deep].copy()
    if not slow:
        last[[2, 4, 5]] = 0.0
    return out, Start(last[0], last[1:3].T.copy(), last[3:].T.copy(), np.zeros(k), 0.0)


def loglik_grad(y: Array, row: Rows, steps: Steps, start: Start, depth: int = 1) -> tuple[float, Steps, Start]:
    """Log likelihood and its derivatives with respect to every coefficient and the start.

    Without a slow level (rho = w = 0 throughout) the derivatives in rho and w are left at zero.
    """
    work = _prepare(steps, start, depth)
    store = _records(work, len(y))
    value = _run(work, y, row, start, store, len(work.start), np.empty(0))
    bars = np.zeros_like(work.table)
    backward(*work.widths, y, row, work.table, start.diffuse, float(start.flat), store, work.branches, bars)
    last = work.branches[-len(work.start) :]
    return (
        value,
        bars_of(bars, work.lanes, work.deep, steps),
        start_bars_of(last, work.lanes, work.deep, start),
    )


def pointwise(y: Array, row: Rows, steps: Steps, start: Start, depth: int = 1) -> Array:
    """One-step-ahead log density of each observation (n,), NaN where missing."""
    n = len(y)
    work = _prepare(steps, start, depth)
    log_density = np.empty(n)
    _run(work, y, row, start, np.empty(len(work.start)), 0, log_density)
    return log_density
