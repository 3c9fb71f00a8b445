"""What can be wrong with a fit, named."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._typical import typical
from basismodels.funding.covariates import COVARIATES
from basismodels.likelihood import predictors
from basismodels.params import INTERCEPT
from basismodels.problem import Problem
from basismodels.results import Diagnostic

Array = NDArray[np.float64]
_FEW = 10.0


def diagnose(
    problem: Problem, x: Array, cov: Array, box: Array, optima: pd.DataFrame
) -> list[Diagnostic]:
    """Everything to know about a fit, the fatal first."""
    found = [
        *_collinear(problem),
        *_information(problem, cov, x, box),
        *_vague(problem, cov),
        *_bounds(problem, x, box),
        *_search(problem, optima),
        *_speeds(problem, x),
        *_regimes(problem, x),
        *_path(problem),
        *[Diagnostic("data", text) for text in (*problem.notes, *problem.data.warnings)],
    ]
    if not problem.engine.exact:
        text = "moments are matched: the log likelihood is rough, mostly too high; bm.particle_loglik(fit) gives it"
        found.append(Diagnostic("kim", text))
    return sorted(found, key=lambda d: not d.fatal)


def _path(problem: Problem) -> list[Diagnostic]:
    """Covariates that follow from the path of the basis, which simulations on this design hold fixed."""
    columns = {c for made in problem.designs.values() for c in made.columns}
    own = sorted(c for c in columns if c in COVARIATES and COVARIATES[c].from_path)
    if not own:
        return []
    text = f"{', '.join(own)} follow from the path of the basis; bootstrap, inversion and simulation hold them as"
    return [Diagnostic("path", f"{text} observed, bm.funding.closed_bootstrap and bm.forecast compute them anew")]


def _collinear(problem: Problem) -> list[Diagnostic]:
    """Columns that are a sum of those before them in their formula, such as one that never varies."""
    found = []
    for param, design in problem.layout.design.items():
        names = problem.designs[param].columns if design.shape[1] > 1 else ()
        scaled = design / np.maximum(np.abs(design).max(axis=0), 1e-300)
        rank = 0
        for j, name in enumerate(names):
            before, rank = rank, int(np.linalg.matrix_rank(scaled[:, : j + 1], tol=1e-9 * np.sqrt(len(design))))
            if rank == before:
                text = f"{name} adds nothing to the formula of {param} over these rows: drop it, or take a longer span"
                found.append(Diagnostic("collinear", text, fatal=True))
    return found


def _information(problem: Problem, cov: Array, x: Array, box: Array) -> list[Diagnostic]:
    inside = ~((x <= box[:, 0]) | (x >= box[:, 1]))
    if not np.isnan(np.diag(cov)).all() or not inside.any():
        return []
    text = "the information matrix is not positive definite: some direction is flat, and no standard error is given"
    return [Diagnostic("flat", text, fatal=True)]


_NEEDED = ("kappa", "sigma", "innovation", "tau", "slow.kappa", "slow.sigma")
_VAGUE = 4.0


def _vague(problem: Problem, cov: Array) -> list[Diagnostic]:
    """Positive parameters whose standard error on the log scale says nothing of their size."""
    found = []
    for i, c in enumerate(problem.spec.coefficients):
        if c.link == "log" and c.column == INTERCEPT and c.param in _NEEDED and cov[i, i] > _VAGUE**2:
            text = f"{c.name} is not determined: its standard error on the log scale is {np.sqrt(cov[i, i]):.3g}"
            found.append(Diagnostic("flat", text, fatal=True))
    return found


def _bounds(problem: Problem, x: Array, box: Array) -> list[Diagnostic]:
    found = []
    closed = _closed_regimes(problem, x, box)
    for i, c in enumerate(problem.spec.coefficients):
        room = 1e-5 * (box[i, 1] - box[i, 0])
        low, high = x[i] <= box[i, 0] + room, x[i] >= box[i, 1] - room
        if not (low or high):
            continue
        meaning = {
            ("tau", True): "the data ask for no measurement noise; drop Noise()",
            ("innovation", True): "a volatility collapses to zero; the likelihood is unbounded there",
            ("sigma", True): "a volatility collapses to zero; the likelihood is unbounded there",
            ("nu", False): "the shocks are as good as Gaussian; drop nu",
            ("nu", True): "the shocks have hardly a variance",
            ("kappa", True): "no reversion can be told from none over this span",
            ("kappa", False): "reversion is complete within one step: its speed cannot be told",
            ("slow.kappa", True): "the slow level does not return within the span",
            ("slow.kappa", False): "the slow level is as fast as one step; drop SlowOU()",
            ("slow.sigma", True): "the data ask for no slow level; drop SlowOU()",
            ("q", True): "a regime is never left, or never entered",
            ("q", False): "regimes change at every step: they describe outliers, not episodes",
        }.get((c.param, bool(low)), "the search wanted to go further")
        if c.param == "q" and c.column != INTERCEPT:
            meaning = "separation: a covariate predicts the switches perfectly"
        side = "lower" if low else "upper"
        fatal = True
        if c.param == "q" and c.column == INTERCEPT and low and not closed:
            meaning, fatal = "this jump is not seen, others serve", False
        text = f"{c.name} is at its {side} bound {c.to_natural(x[i]):.3g}: {meaning}"
        found.append(Diagnostic("boundary", text, fatal=fatal))
    return found


def _closed_regimes(problem: Problem, x: Array, box: Array) -> bool:
    """Whether some regime is never left or never entered: all its rates are at the lower bound."""
    k = problem.layout.regimes
    if k == 1:
        return False
    at_low = x <= box[:, 0] + 1e-5 * (box[:, 1] - box[:, 0])
    index = problem.layout.places["q"][0]
    shut = np.array([[i != j and bool(at_low[index[i, j]]) for j in range(k)] for i in range(k)])
    return bool((shut.sum(axis=1) == k - 1).any() or (shut.sum(axis=0) == k - 1).any())


def _search(problem: Problem, optima: pd.DataFrame) -> list[Diagnostic]:
    found = []
    best = optima.iloc[0]
    if not best["converged"]:
        found.append(Diagnostic("not-converged", "the best start stopped before it converged; raise starts="))
    reached = int((optima["behind"] < 0.05).sum())
    if problem.layout.regimes > 1 and len(optima) > 1:
        fatal = reached < 2 and len(optima) >= 5
        text = f"{reached} of {len(optima)} starts reach the best log likelihood"
        if fatal:
            text += "; the maximum may lie elsewhere: raise starts="
        found.append(Diagnostic("starts", text, fatal=fatal))
    return found


def _speeds(problem: Problem, x: Array) -> list[Diagnostic]:
    """kappa T too small for the level, slow level longer than the span, factors that nearly coincide."""
    nat = typical(problem, x)
    span, names, found = problem.span, problem.spec.names, []
    if problem.layout.regimes == 1 and "theta" in names:
        reach = float(nat.kappa[0, 0]) * span
        if reach < 3.0:
            found.append(Diagnostic("theta", f"kappa times the span is {reach:.2g}: the level theta is not identified"))
    if "slow.kappa" in problem.layout.places:
        slow = float(nat.slow_kappa[0])
        if slow * span < 3.0:
            found.append(
                Diagnostic(
                    "theta",
                    f"the slow level's kappa times the span is {slow * span:.2g}: theta is not identified",
                )
            )
        if problem.layout.regimes == 1 and slow > 0.5 * float(nat.kappa[0, 0]):
            found.append(
                Diagnostic("factors", "the slow level is not much slower than the reversion: the two may be one")
            )
    return found


def _regimes(problem: Problem, x: Array) -> list[Diagnostic]:
    k = problem.layout.regimes
    if k == 1:
        return []
    weights = problem.engine.smooth(problem.layout, x).p.sum(axis=0)
    nat = predictors.natural(problem.layout, x)
    found = [
        Diagnostic(
            "empty",
            f"regime {i} holds {weights[i]:.1f} observations: too few to say anything of it",
            fatal=True,
        )
        for i in range(k)
        if weights[i] < _FEW
    ]
    parts = (nat.kappa, nat.variance, nat.tau2, nat.drift)
    nu = predictors.freedom(problem.layout, x)
    means = np.array([part[problem.layout.row].mean(axis=0) for part in parts] + ([] if nu is None else [nu]))
    for i in range(k):
        for j in range(i + 1, k):
            a, b = means[:, i], means[:, j]
            if np.all(np.abs(a - b) <= 1e-2 * (np.abs(a) + np.abs(b) + 1e-300)):
                found.append(
                    Diagnostic("twins", f"regimes {i} and {j} have the same parameters: one is too many", fatal=True)
                )
    time_in = weights / problem.layout.y.size * problem.span
    for i in range(k):
        if abs(float(means[0, i])) * time_in[i] < 3.0:
            text = f"regime {i}: kappa times the time spent there is under 3, so its speed is barely identified"
            found.append(Diagnostic("theta" if "theta" in problem.model.varies else "speed", text))
    return found + _swapped(problem, typical(problem, x), int(np.argmax(weights)))


def _swapped(problem: Problem, nat: predictors.Natural, usual: int) -> list[Diagnostic]:
    """A slow level that is faster than the reversion of the usual regime: there the two parts have changed names."""
    if "slow.kappa" not in problem.layout.places or nat.slow_kappa[0] <= nat.kappa[0, usual]:
        return []
    text = f"in regime {usual}, the usual one, the slow level is faster than the reversion: read one as the other"
    return [Diagnostic("factors", text)]
