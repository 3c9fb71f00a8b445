"""Are the parameters of switching models recovered: writes recovery.csv.

Settings: K = 2, 3; n = 2,000 and 8,760 hours; with noise and without. For each, series are simulated at fixed
parameters and fitted from them. One row a parameter: its bias in standard deviations of the estimate, on the
free scale (logs of sigma, tau and rates), with its standard error; kappa_T, kappa times the hours in the
regime, for the speeds; and for the setting the share of hours put in the wrong regime by the fitted filter and by the
filter at the true parameters.

    python tests/slow/recovery.py [--series 200] [--minutes 60]
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.inference.bootstrap import with_series
from basismodels.inference.mle import covariance, observed_information
from basismodels.inference.simulate import free_vector, simulate_path
from basismodels.inference.starts import bounds, scales
from basismodels.inference.warm import curvature, warm_fit
from basismodels.problem import Problem, bind

OUT = Path(__file__).with_suffix(".csv")
COLUMNS = (
    "regimes", "noise", "n", "series", "parameter", "truth", "kappa_T", "bias_sd", "bias_se", "sd", "error",
    "error_true", "seconds",
)  # fmt: skip
KAPPA = {2: (0.1, 0.3), 3: (0.1, 0.3, 0.6)}
SIGMA = {2: (1.0, 3.0), 3: (1.0, 3.0, 9.0)}
STAY = {2: (120.0, 40.0), 3: (120.0, 60.0, 30.0)}


def setting(regimes: int, noise: bool, n: int) -> tuple[Problem, dict[str, float]]:
    """A model bound to `n` hours, and its true parameters."""
    parts = bm.OU() + bm.Noise() if noise else bm.OU()
    truth = {"theta": 0.0}
    for k in range(regimes):
        truth |= {f"kappa[{k}]": KAPPA[regimes][k], f"sigma[{k}]": SIGMA[regimes][k]}
        if noise:
            truth[f"tau[{k}]"] = 0.5 * SIGMA[regimes][k]
        for j in range(regimes):
            if j != k:
                truth[f"q[{k}->{j}]"] = 1.0 / (STAY[regimes][k] * (regimes - 1))
    times = pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")
    data = bm.simulate(bm.Switching(parts, regimes), truth, times, rng=0)
    return bind(bm.Switching(parts, regimes), data), truth


def rows_of(regimes: int, noise: bool, n: int, series: int) -> list[dict[str, object]]:
    """One row a parameter."""
    began = time.perf_counter()
    problem, truth = setting(regimes, noise, n)
    x = free_vector(problem, truth)
    box = bounds(problem, scales(problem))
    cov = covariance(observed_information(problem, x), x, box)
    inverse = curvature(problem, x, cov)
    found, wrong, wrong_true, share = [], [], [], np.zeros(regimes)
    for seed in np.random.SeedSequence([regimes, int(noise), n]).spawn(series):
        path = simulate_path(problem, x, np.random.default_rng(seed))
        one = with_series(problem, path.y)
        made = warm_fit(one, x, box, inverse)
        found.append(made.x)
        share += np.bincount(path.regime, minlength=regimes) / (n * series)
        wrong.append(np.mean(one.engine.filter(one.layout, made.x).p.argmax(axis=1) != path.regime))
        wrong_true.append(np.mean(one.engine.filter(one.layout, x).p.argmax(axis=1) != path.regime))
    estimates = np.array(found)
    sd = estimates.std(axis=0, ddof=1)
    seconds = round(time.perf_counter() - began, 1)
    return [
        {
            "regimes": regimes, "noise": int(noise), "n": n, "series": series, "parameter": name,
            "truth": truth[name], "kappa_T": _reach(name, truth, share, n), "bias_sd": b / s,
            "bias_se": 1 / math.sqrt(series), "sd": s, "error": float(np.mean(wrong)),
            "error_true": float(np.mean(wrong_true)), "seconds": seconds,
        }
        for name, b, s in zip(problem.spec.names, estimates.mean(axis=0) - x, sd, strict=True)
    ]  # fmt: skip


def _reach(name: str, truth: dict[str, float], share: np.ndarray, n: int) -> float:
    """kappa times the hours spent in the regime, for a speed."""
    return truth[name] * share[int(name[6])] * n if name.startswith("kappa[") else math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description="Recovery of the parameters of switching models")
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    known = set()
    if given.out.exists():
        with given.out.open(newline="", encoding="utf-8") as file:
            known = {(row["regimes"], row["noise"], row["n"]) for row in csv.DictReader(file)}
    deadline = time.monotonic() + 60 * given.minutes
    for job in ((k, noise, n) for n in (2000, 8760) for k in (2, 3) for noise in (False, True)):
        if tuple(str(int(part)) for part in job) in known or time.monotonic() > deadline:
            continue
        rows = rows_of(*job, given.series)
        fresh = not given.out.exists()
        with given.out.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
        judged = [r for r in rows if not math.isnan(float(r["kappa_T"])) and float(r["kappa_T"]) >= 20]
        worst = max(judged, key=lambda r: abs(float(r["bias_sd"])), default=None)
        print(job, rows[0]["seconds"], "s; worst speed:", worst and (worst["parameter"], worst["bias_sd"]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
