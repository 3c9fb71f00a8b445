"""Returns of spot on simulated paths of the basis: blocks of past returns, tied to the shocks of the basis.

In each regime the normal score of a past return is split into the part that follows the standardised one-step
innovation of the basis in the same step and a rest,

    score of return = rho * score of innovation + rest.

A simulated return has the score rho * (shock of the path) + rest, with rests drawn in blocks of a day (Künsch 1989),
and is the past return of that rank. So the basis keeps the law of the model, spot its past returns and their bursts,
and the two move together as they did (a Gaussian copula within a step). Where the basis is seen with noise, rho is
that of the shock of the state: the innovation's times the ratio of their standard deviations, at most one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import DataError
from basismodels.estimands.carry_paths import Walks
from basismodels.estimands.mixture import Law, branches, merged, rows_of
from basismodels.likelihood import assemble
from basismodels.results import Fit

Array = NDArray[np.float64]
_BLOCK = 24.0
_LEAST = 30


class Tie(NamedTuple):
    """One regime's past returns: rho; pool: their steps; rest (n,) of their scores, NaN at steps outside the pool;
    score and move: normal scores and returns in bps, rising."""

    rho: float
    pool: NDArray[np.int64]
    rest: Array
    score: Array
    move: Array


class Spot(NamedTuple):
    """Past returns of spot: the smoothed regime of each step (n,), -1 where no return is known, and a tie a regime."""

    label: NDArray[np.int64]
    ties: list[Tie]


def past_spot(fit: Fit) -> Spot:
    """Past returns of spot of a fit and how they went with the basis. Errors: DataError without a reference price."""
    price = fit.data.covariates.get("reference")
    if price is None:
        raise DataError("margin needs the reference price", remedy="BasisSeries.from_prices(spot, perp)")
    moves = 1e4 * np.diff(np.log(price.to_numpy(dtype=float)[fit.problem.first :]))
    label = fit.smoothed.p[fit.problem.place][1:].argmax(axis=1)
    label = np.where(np.isfinite(moves), label, -1)
    if not (label >= 0).any():
        raise DataError("the reference price has no two rows in succession", remedy="bm.check(data)")
    z, wider = _innovations(fit, np.maximum(label, 0))
    return Spot(label, [_tie(label, moves, z, wider, k) for k in range(fit.problem.layout.regimes)])


def _innovations(fit: Fit, label: NDArray[np.int64]) -> tuple[Array, Array]:
    """Standardised one-step innovation of the basis at each data row but the first, given the regime there (n,),
    NaN where the basis is missing; and its standard deviation as a multiple of that of the state's shock (n,)."""
    problem, law = fit.problem, fit.filtered
    steps, _ = assemble.coefficients(problem.layout, fit.x)
    at, pieces = problem.place[1:], np.diff(problem.place)
    own = rows_of(steps, problem.layout.row[at])
    ahead = merged(branches(Law(law.p[at - 1], law.mean[at - 1], law.var[at - 1]), own))
    every = np.arange(len(at))
    noise = (own.share * own.tau2[every, label]).sum(axis=1)
    var = ahead.var[every, label] @ np.array([1.0, 2.0, 1.0]) + noise
    shock = own.v[every, label] * _terms(own.phi[every, label], pieces) + own.w * _terms(own.rho, pieces)
    z = (problem.layout.y[at] - ahead.mean[every, label].sum(axis=1)) / np.sqrt(np.maximum(var, 1e-300))
    return z, np.sqrt(var / np.maximum(shock, 1e-300))


def _terms(ratio: Array, count: NDArray[np.int64]) -> Array:
    """1 + ratio^2 + ratio^4 and so on, of so many terms."""
    square = ratio**2
    flat = np.abs(1.0 - square) < 1e-9
    return np.asarray(np.where(flat, count, (1.0 - square**count) / np.where(flat, 1.0, 1.0 - square)))


def _tie(label: NDArray[np.int64], moves: Array, z: Array, wider: Array, k: int) -> Tie:
    """Returns of regime k, or of all where the data were never in it."""
    pool = np.flatnonzero(label == k)
    pool = pool if len(pool) else np.flatnonzero(label >= 0)
    known = pool[np.isfinite(z[pool])]
    # few steps say nothing of their own about how the two go together
    pairs = known if len(known) >= _LEAST else np.flatnonzero((label >= 0) & np.isfinite(z))
    seen = _together(moves[pairs], z[pairs])
    rho = float(np.clip(seen * np.median(wider[pairs]), -1.0, 1.0)) if seen else 0.0
    score, rest = _scores(moves[pool]), np.full(len(label), np.nan)
    rest[pool] = np.sqrt(1.0 - rho**2) * score  # where no innovation is known
    if len(known) >= _LEAST:
        within = np.isfinite(z[pool])
        left = score[within] - seen * _scores(z[known])
        rest[known] = np.sqrt((1.0 - rho**2) / max(1.0 - seen**2, 1e-12)) * left
    order = np.argsort(score, kind="stable")
    return Tie(rho, pool, rest, score[order], moves[pool][order])


def _scores(values: Array) -> Array:
    """Normal scores of the ranks of values (n,), equal ones alike."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def _together(a: Array, b: Array) -> float:
    """Correlation of the normal scores of two samples; zero where one does not move."""
    a, b = _scores(a), _scores(b)
    size = float(np.sqrt((a @ a) * (b @ b))) if len(a) >= _LEAST else 0.0
    return float(np.clip(a @ b / size, -1.0, 1.0)) if size > 0.0 else 0.0


def spot_moves(spot: Spot, made: Walks, spacing: float, rng: np.random.Generator) -> Array:
    """Log returns of spot in bps by step on walked paths, (m, h).

    A block begins and goes on only where the smoothed regime of the past step is the simulated one.
    """
    label, count = spot.label, made.shock.shape[1]
    out = np.empty((len(made.shock), count))
    at = np.full(len(out), -1)
    for i in range(count):
        s = made.regime[:, i]
        ahead = np.minimum(at + 1, len(label) - 1)
        fresh = (at < 0) | (at + 1 >= len(label)) | (label[ahead] != s) | (rng.random(len(s)) < spacing / _BLOCK)
        place, new = rng.random(len(s)), np.empty(len(s), dtype=np.int64)
        for k, tie in enumerate(spot.ties):
            new[s == k] = tie.pool[(place[s == k] * len(tie.pool)).astype(np.int64)]
        at = np.where(fresh, new, ahead)
        for k, tie in enumerate(spot.ties):
            own = s == k
            out[own, i] = np.interp(tie.rho * made.shock[own, i] + tie.rest[at[own]], tie.score, tie.move)
    return out
