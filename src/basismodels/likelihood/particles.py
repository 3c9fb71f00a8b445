"""Particle filter of the switching linear Gaussian model, exact as the number of particles grows.

Each particle is one history of regimes with its exact Kalman moments of (x, l)
(Rao-Blackwellised; Doucet, de Freitas, Murphy & Russell 2000). Every particle has all
its K*R children; of these at most N are kept by the optimal resampling of Fearnhead &
Clifford (2003): children heavier than a threshold stay as they are, the others are
drawn, stratum by stratum, and given the threshold as weight. Two particles never share a
history, and children are laid out by their last regimes, so that equal weights cannot
fall in step with the strata. The likelihood (not its logarithm) is unbiased.

Step coefficients and start as in `kim`.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.likelihood.kim import Start, Steps

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Particles(NamedTuple):
    """Particle estimate: log likelihood in nats, its standard error, filtered probabilities p (n, K)."""

    value: float
    se: float
    p: Array


@njit(cache=True, error_model="numpy", nogil=True)
def _at_start(yi, m0, v0, s, flat, t2, state, at):  # type: ignore[no-untyped-def]
    """State of one child at a diffuse start, where x = y - l - e; returns its log density."""
    state[at, 0] = yi - m0[s, 1]
    state[at, 1] = m0[s, 1]
    state[at, 2] = v0[s, 2] + t2
    state[at, 3] = -v0[s, 2]
    state[at, 4] = v0[s, 2]
    return flat


@njit(cache=True, error_model="numpy", nogil=True)
def _child(yi, parents, j, phi, c, v, rho, w, t2, state, at):  # type: ignore[no-untyped-def]
    """Kalman step of one child; returns its log density, zero where y is missing."""
    x = phi * parents[j, 0] + c
    l = rho * parents[j, 1]
    a = phi * phi * parents[j, 2] + v
    b = phi * rho * parents[j, 3]
    d = rho * rho * parents[j, 4] + w
    lp = 0.0
    if not math.isnan(yi):
        gain_x = a + b
        gain_l = b + d
        precision = 1.0 / (gain_x + gain_l + t2)
        e = yi - x - l
        lp = 0.5 * (math.log(precision) - e * e * precision) - _HALF_LOG_2PI
        x += gain_x * precision * e
        l += gain_l * precision * e
        a -= gain_x * precision * gain_x
        b -= gain_x * precision * gain_l
        d -= gain_l * precision * gain_l
    state[at, 0] = x
    state[at, 1] = l
    state[at, 2] = a
    state[at, 3] = b
    state[at, 4] = d
    return lp


@njit(cache=True, error_model="numpy", nogil=True)
def _spread(yi, first, start, steps, r, count, regime, weight, parents, kids, state, lp, base):  # type: ignore[no-untyped-def]
    """All children with positive weight, last regime outermost; returns how many there are."""
    phi, c, v, tau2, share, rho, w, p = steps
    _, m0, v0, diffuse, flat = start
    made = 0
    for k in range(p.shape[1]):
        for n in range(share.shape[1]):
            for j in range(count):
                s = regime[j]
                part = weight[j] * p[r, s, k] * share[r, n]
                if part <= 0.0:
                    continue
                if first and diffuse[s] > 0.0 and not math.isnan(yi):
                    lp[made] = _at_start(yi, m0, v0, s, flat, tau2[r, k, n], state, made)
                else:
                    lp[made] = _child(
                        yi, parents, j, phi[r, k], c[r, k], v[r, k], rho[r], w[r], tau2[r, k, n], state, made
                    )
                kids[made] = k
                base[made] = part
                made += 1
    return made


@njit(cache=True, error_model="numpy", nogil=True)
def _weigh(made, lp, base):  # type: ignore[no-untyped-def]
    """Turns `base` into normalised weights; returns the log of what they summed to."""
    top = -np.inf
    for i in range(made):
        top = max(top, lp[i])
    norm = 0.0
    for i in range(made):
        base[i] *= math.exp(lp[i] - top)
        norm += base[i]
    for i in range(made):
        base[i] /= norm
        if base[i] < 1e-300:
            # too light to be divided by a threshold later
            base[i] = 0.0
    return top + math.log(norm)


@njit(cache=True, error_model="numpy", nogil=True)
def _threshold(weight, made, size):  # type: ignore[no-untyped-def]
    """The c with sum of min(weight / c, 1) equal to `size`: Newton steps in 1/c, which only climb."""
    c = 0.0
    for i in range(made):
        c += weight[i]
    c /= size
    while True:
        above = 0
        below = 0.0
        for i in range(made):
            if weight[i] >= c:
                above += 1
            else:
                below += weight[i]
        if above >= size:
            return c
        ahead = below / (size - above)
        if not ahead < c:
            return c
        c = ahead


@njit(cache=True, error_model="numpy", nogil=True)
def _keep(weight, made, size, rng, chosen, kept):  # type: ignore[no-untyped-def]
    """Indices and new weights of the children that live on; returns how many."""
    if made <= size:
        for i in range(made):
            chosen[i] = i
            kept[i] = weight[i]
        return made
    c = _threshold(weight, made, size)
    live = 0
    passed = 0.0
    stratum = 0
    point = rng.random()
    for i in range(made):
        if weight[i] <= 0.0:
            continue
        if weight[i] >= c and live < size:
            chosen[live] = i
            kept[live] = weight[i]
            live += 1
            continue
        passed += weight[i] / c
        copies = 0
        while point < passed:
            copies += 1
            stratum += 1
            point = stratum + rng.random()
        if copies > 0 and live < size:
            chosen[live] = i
            kept[live] = copies * c
            live += 1
    return live


@njit(cache=True, error_model="numpy", nogil=True)
def _run(y, row, steps, start, size, rng, out):  # type: ignore[no-untyped-def]
    """One replicate: fills filtered probabilities (n, K), returns the log likelihood."""
    K = out.shape[1]
    room = max(size, K) * K * steps[4].shape[1]
    regime = np.empty(max(size, K), np.int64)
    weight = np.empty(max(size, K))
    parents = np.empty((max(size, K), 5))
    kids = np.empty(room, np.int64)
    state = np.empty((room, 5))
    lp = np.empty(room)
    base = np.empty(room)
    chosen = np.empty(max(size, K), np.int64)
    count = K
    for k in range(K):
        regime[k] = k
        weight[k] = start[0][k]
        parents[k, 0], parents[k, 1] = start[1][k, 0], start[1][k, 1]
        parents[k, 2], parents[k, 3], parents[k, 4] = start[2][k, 0], start[2][k, 1], start[2][k, 2]
    total = 0.0
    for i in range(y.shape[0]):
        made = _spread(
            y[i], i == 0, start, steps, row[i], count, regime, weight, parents, kids, state, lp, base
        )
        total += _weigh(made, lp, base)
        out[i] = 0.0
        for a in range(made):
            out[i, kids[a]] += base[a]
        count = _keep(base, made, max(size, K), rng, chosen, weight)
        for a in range(count):
            regime[a] = kids[chosen[a]]
            for d in range(5):
                parents[a, d] = state[chosen[a], d]
        norm = 0.0
        for a in range(count):
            norm += weight[a]
        total += math.log(norm)
        for a in range(count):
            weight[a] /= norm
    return total


def run(
    y: Array,
    row: Rows,
    steps: Steps,
    start: Start,
    *,
    particles: int = 1000,
    replicates: int = 8,
    rng: np.random.Generator | int | None = None,
    threads: int = 1,
) -> Particles:
    """Log likelihood of y (n,) in bps, its standard error over replicates, and regime probabilities.

    The value is the logarithm of the mean likelihood; its error is by the delta method,
    NaN for one replicate. Errors: ValueError.
    """
    if particles < 1 or replicates < 1:
        raise ValueError(f"particles and replicates must be positive, got {particles} and {replicates}")
    streams = np.random.default_rng(rng).spawn(replicates)

    def one(stream: np.random.Generator) -> tuple[float, Array]:
        p = np.empty((len(y), steps.phi.shape[1]))
        return float(_run(y, row, tuple(steps), tuple(start), particles, stream, p)), p

    with ThreadPoolExecutor(max_workers=threads) as pool:
        made = list(pool.map(one, streams))
    values = np.array([value for value, _ in made])
    ratio = np.exp(values - values.max())
    value = float(values.max() + math.log(ratio.mean()))
    se = float(ratio.std(ddof=1) / ratio.mean() / math.sqrt(replicates)) if replicates > 1 else math.nan
    p = np.tensordot(ratio / ratio.sum(), np.stack([part for _, part in made]), axes=1)
    return Particles(value, se, np.asarray(p))


def particle_loglik(
    y: Array,
    row: Rows,
    steps: Steps,
    start: Start,
    *,
    particles: int = 1000,
    replicates: int = 8,
    rng: np.random.Generator | int | None = None,
) -> tuple[float, float]:
    """Log likelihood and its standard error, as `run`."""
    made = run(y, row, steps, start, particles=particles, replicates=replicates, rng=rng)
    return made.value, made.se
