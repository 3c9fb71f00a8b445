"""Means and sds of six small posteriors by other means than NUTS: `python tests/reference/make_posteriors.py`.

Writes posteriors.json, all cases or those named. The proposal is a multivariate t with 5 degrees of freedom about the
posterior mode, then three times about the mean found so far; weights are priors (by scipy) times the engine's
likelihood. Nothing here goes through PyTensor, PyMC or nutpie. "ess" is the effective number of the last 20,000
proposals, from which the Monte Carlo error of each figure follows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, stats

import basismodels as bm
from basismodels.inference.mle import fit_problem
from basismodels.inference.priors import order_weight, priors_of
from basismodels.problem import Problem, bind

FILE = Path(__file__).with_name("posteriors.json")
COUNT, ROUND = 20_000, 4_000
CASES: dict[str, tuple[str, str, str]] = {
    "random-walk": ("random-walk", "2024-01-01", "2024-01-08"),
    "ou": ("ou", "2024-01-01", "2024-01-08"),
    "ou, funding": ('OU(theta="1 + funding")', "2024-03-08", "2024-03-27"),
    "ou-noise": ("ou-noise", "2024-01-01", "2024-01-15"),
    "two-factor": ("two-factor", "2024-01-01", "2024-01-25"),
    "ou, speed by funding": ('OU(kappa="1 + funding")', "2024-03-08", "2024-03-27"),
}


def problem_of(name: str) -> Problem:
    """The bound model of a case."""
    text, start, end = CASES[name]
    return bind(bm.parse_model(text), bm.load_example(start=start, end=end))


def log_prior(problem: Problem, laws: dict[str, Any], x: np.ndarray) -> float:
    """Log density of the default prior over the free vector, up to a constant."""
    natural, total = problem.spec.to_natural(x), 0.0
    for c, free, value in zip(problem.spec.coefficients, x, natural, strict=True):
        family, args = laws[c.name].family, dict(laws[c.name].args)
        if family == "LogNormal":
            total += _normal(free, args["mu"], args["sigma"])
        elif family == "Normal":
            total += _normal(value, args["mu"], args["sigma"])
        else:
            total += stats.exponnorm.logpdf(value, args["nu"] / args["sigma"], args["mu"], args["sigma"])
    return float(total + np.log(order_weight(problem, x[None]))[0])


def _normal(x: float, mean: float, sd: float) -> float:
    return -0.5 * ((x - mean) / sd) ** 2


def reference(problem: Problem) -> dict[str, Any]:
    """Means and sds of the free vector by importance sampling."""
    laws = priors_of(problem)

    def target(x: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = problem.engine.loglik(problem.layout, x) + log_prior(problem, laws, x)
        return value if np.isfinite(value) else -1e12

    start = fit_problem(problem, starts=8).x
    options = {"maxiter": 4000, "xatol": 1e-4}
    found = optimize.minimize(lambda x: -target(x), start, method="Nelder-Mead", options=options)
    mean, cov = found.x, np.linalg.inv(_curvature(target, found.x))
    rng = np.random.default_rng(1)
    for count in (ROUND, ROUND, ROUND, COUNT):
        law = stats.multivariate_t(loc=mean, shape=0.7 * cov, df=5, seed=rng)
        draws = law.rvs(count).reshape(count, -1)
        logs = np.array([target(x) for x in draws]) - law.logpdf(draws).reshape(-1)
        weight = np.exp(logs - logs.max())
        weight /= weight.sum()
        mean = weight @ draws
        cov = (draws - mean).T @ (weight[:, None] * (draws - mean)) + 1e-9 * np.eye(len(mean))
    return {
        "names": problem.spec.names, "mean": list(mean), "sd": list(np.sqrt(weight @ (draws - mean) ** 2)),
        "ess": float(1.0 / np.sum(weight**2)),
    }  # fmt: skip


def _curvature(target: Any, x: np.ndarray) -> np.ndarray:
    """Minus the Hessian by central differences."""
    n, h = len(x), 2e-3
    out, eye = np.empty((n, n)), np.eye(n) * h
    for i in range(n):
        for j in range(n):
            out[i, j] = -(
                target(x + eye[i] + eye[j]) - target(x + eye[i] - eye[j])
                - target(x - eye[i] + eye[j]) + target(x - eye[i] - eye[j])
            ) / (4 * h * h)  # fmt: skip
    values, vectors = np.linalg.eigh(0.5 * (out + out.T))
    return (vectors * np.maximum(values, 0.05)) @ vectors.T


if __name__ == "__main__":
    made = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for case in sys.argv[1:] or CASES:
        made[case] = reference(problem_of(case))
        print(case, f"ess {made[case]['ess']:.0f}", flush=True)
    FILE.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
