"""What can be wrong with posterior draws, named."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from basismodels.problem import Problem
from basismodels.results import Diagnostic

Array = NDArray[np.float64]
LARGEST_RHAT = 1.01
LEAST_ESS = 400.0
LEAST_BFMI = 0.3
LEAST_OVERLAP = 0.7
_LOOKED_AT = 40


def diagnose_draws(problem: Problem, draws: Array, stats: Mapping[str, Array], centre: Array) -> list[Diagnostic]:
    """Everything to know about draws (chains, draws, p): convergence, the sampler's own complaints, labels."""
    found = [*_convergence(problem, draws), *_sampler(stats)]
    if problem.layout.regimes > 1:
        found.append(_labels(problem, draws.reshape(-1, draws.shape[2]), centre))
    return found


def rhat(draws: Array) -> Array:
    """Rank-normalised split R-hat of each coordinate, (p,) (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021)."""
    from arviz_stats.base import array_stats

    return np.array([array_stats.rhat(draws[:, :, i]) for i in range(draws.shape[2])])


def ess(draws: Array, method: str = "bulk") -> Array:
    """Effective sample size of each coordinate, (p,); "bulk" or "tail"."""
    from arviz_stats.base import array_stats

    more = {"prob": (0.05, 0.95)} if method == "tail" else {}
    return np.array([array_stats.ess(draws[:, :, i], method=method, **more) for i in range(draws.shape[2])])


def bfmi(energy: Array) -> Array:
    """Energy Bayesian fraction of missing information of each chain (Betancourt 2016)."""
    return np.asarray(np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1))


def _convergence(problem: Problem, draws: Array) -> list[Diagnostic]:
    names = problem.spec.names
    worst = rhat(draws) if len(draws) > 1 else np.ones(len(names))
    bulk, tail = ess(draws), ess(draws, "tail")
    least = np.minimum(bulk, tail)
    said = []
    i, j = int(np.nanargmax(worst)), int(np.nanargmin(least))
    bad = not worst[i] <= LARGEST_RHAT
    text = f"the largest R-hat is {worst[i]:.3f} ({names[i]})"
    said.append(Diagnostic("rhat", text + (": the chains do not agree; raise tune= and draws=" if bad else ""), bad))
    few = not least[j] >= LEAST_ESS
    text = f"the least effective sample size is {least[j]:.0f} ({names[j]})"
    said.append(Diagnostic("ess", text + (f": under {LEAST_ESS:.0f}; raise draws=" if few else ""), few))
    return said


def _sampler(stats: Mapping[str, Array]) -> list[Diagnostic]:
    said = []
    if "diverging" in stats:
        count, size = int(np.sum(stats["diverging"])), np.size(stats["diverging"])
        if count:
            text = f"{count:,} of {size:,} draws diverged: a corner of the posterior is missed; raise target_accept="
            said.append(Diagnostic("divergences", text, fatal=count > 0.01 * size))
    if "energy" in stats:
        least = float(bfmi(np.asarray(stats["energy"], dtype=float)).min())
        if least < LEAST_BFMI:
            text = f"the least E-BFMI is {least:.2f}: the sampler cannot reach the tails"
            said.append(Diagnostic("bfmi", text, fatal=True))
    return said


def _labels(problem: Problem, flat: Array, centre: Array) -> Diagnostic:
    share = label_overlap(problem, flat, centre)
    text = f"the regimes of a draw overlap those of the estimate by {share:.0%}"
    if share < LEAST_OVERLAP:
        return Diagnostic("labels", text + ": the labels do not mean one thing throughout", fatal=True)
    return Diagnostic("labels", text)


def label_overlap(problem: Problem, flat: Array, centre: Array) -> float:
    """Mean over draws of the smoothed probability that a draw and the estimate name the same regime."""
    picked = flat[np.linspace(0, len(flat) - 1, min(_LOOKED_AT, len(flat))).astype(int)]
    mine = problem.engine.smooth(problem.layout, centre).p
    shares = [float(np.minimum(mine, problem.engine.smooth(problem.layout, x).p).sum(axis=1).mean()) for x in picked]
    return float(np.nanmean(shares))
