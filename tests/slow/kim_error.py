"""How far moment matching is off, over a grid of settings: writes kim_error.csv beside this file.

For each setting, series of a thousand hours are simulated from the model and measured
at the true parameters, against a particle filter whose own error is small beside what it measures:

- error: log likelihood by Kim's filter less the particle one, nats per 1,000 hours, and its standard error;
- probability_mean, probability_max: half the summed absolute difference of the filtered
  regime probabilities, mean over hours and largest;
- shift_NAME: by how much the estimates move. The exact score has mean zero, so the mean of Kim's
  score at the truth, times the inverse of its covariance, is the first-order displacement
  of the estimate; in standard deviations of the estimate from a thousand hours, known to +-shift_se.

    python tests/slow/kim_error.py [--out FILE] [--series 20] [--scores 2000] [--only NAME ...]

Data the model did not make are where matching errs most. The rows "with outliers" add
five tau to one hour in fifty; "as observed" takes hourly Binance BTC of 2024 at the model's optimum
there (through BASISMODELS_DATA, default ../shared/data; left out where absent). Neither has a true
parameter, and so no shift.

A row already in the file is not computed again.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import dataclass
from os import environ
from pathlib import Path

import numpy as np
import pandas as pd

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.inference.simulate import simulate_path
from basismodels.likelihood import assemble, particles, predictors
from basismodels.problem import Problem, bind
from basismodels.series import BasisSeries
from basismodels.sources.files import read

HOURS = 1000
DEPTHS = (1, 2, 3)
COLUMNS = (
    "setting", "regimes", "slow", "noise", "stay", "source", "depth", "hours", "series", "scores", "error", "error_se",
    "probability_mean", "probability_max", "shift_kappa_0", "shift_kappa_last", "shift_sigma_0", "shift_sigma_last",
    "shift_tau_0", "shift_tau_last", "shift_se", "shift_largest", "shift_at", "seconds",
)  # fmt: skip
SPEED = {2: (0.05, 0.3), 3: (0.05, 0.2, 0.5)}
VOLATILITY = {2: (0.6, 2.4), 3: (0.5, 1.5, 4.0)}
BTC = (
    Path(environ.get("BASISMODELS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "binance_btcusdt_1h.parquet"
)
MODEL = Switching(OU() + SlowOU() + Noise(), 2)
# the optimum of the two-regime two-factor model on hourly Binance BTC, 2024
MARKET = {
    "kappa": (0.4995, 0.2091), "theta": -0.1826, "sigma": (0.6242, 3.1859), "tau": (0.7484, 1.6426),
    "slow.kappa": 0.001212, "slow.sigma": 0.2494, "q[0->1]": 0.006152, "q[1->0]": 0.1079,
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One row: regimes, a slow level or not, tau over sigma, mean hours in every regime but the first."""

    name: str
    regimes: int
    slow: bool
    noise: float
    stay: float
    source: str = "simulated"

    def problem(self, depth: int) -> Problem:
        """The model bound to a thousand hours, or to the observed ones."""
        if self.source == "observed":
            return bind(MODEL, read(BTC, start="2024-01-01", end="2024-12-31"), depth=depth)
        parts = OU() + Noise() if not self.slow else OU() + SlowOU() + Noise()
        time_index = pd.date_range("2024-01-01", periods=HOURS, freq="h", tz="UTC")
        data = BasisSeries.from_basis(time_index, np.random.default_rng(0).normal(size=HOURS))
        return bind(Switching(parts, self.regimes), data, depth=depth)

    def truth(self, problem: Problem) -> np.ndarray:
        """Free vector of the setting's parameters."""
        values = MARKET if self.name.startswith("btc 2024") else self._grid_values()
        named = []
        for c in problem.spec.coefficients:
            value = values.get(c.name, values.get(c.param))
            named.append(value[int(c.regime)] if isinstance(value, tuple) else value)
        return problem.spec.to_free(np.array(named, dtype=float))

    def _grid_values(self) -> dict[str, object]:
        k = self.regimes
        tau = tuple(self.noise * s for s in VOLATILITY[k])
        out: dict[str, object] = {
            "kappa": SPEED[k], "theta": 0.0, "sigma": VOLATILITY[k], "tau": tau,
            "slow.kappa": 0.003, "slow.sigma": 0.25,
        }  # fmt: skip
        for j in range(k):
            for i in range(k):
                out[f"q[{j}->{i}]"] = 1.0 / (self.stay * (2.0 if j == 0 else 1.0) * (k - 1))
        return out


def settings() -> list[Setting]:
    """The grid."""
    made = [
        Setting(f"K=2 {'two-factor' if slow else 'one-factor'}, noise {noise:g}, stay {stay:g} h", 2, slow, noise, stay)
        for slow in (False, True)
        for noise in (0.3, 1.0)
        for stay in (5.0, 50.0)
    ]
    made += [Setting(f"K=3 two-factor, noise {noise:g}, stay 50 h", 3, True, noise, 50.0) for noise in (0.3, 1.0)]
    for source, name in (("simulated", ""), ("outliers", ", with outliers"), ("observed", ", as observed")):
        made.append(Setting(f"btc 2024{name}", 2, True, float("nan"), 9.3, source))
    return [s for s in made if s.source != "observed" or BTC.exists()]


def draw(setting: Setting, problem: Problem, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One series of the setting."""
    if setting.source == "observed":
        return problem.layout.y
    path = simulate_path(problem, x, rng)
    if setting.source == "simulated":
        return path.y
    tau = np.sqrt(predictors.natural(problem.layout, x).tau2[0, path.regime])
    hit = rng.random(HOURS) < 0.02
    return path.y + np.where(hit, 5.0 * tau * rng.choice([-1.0, 1.0], HOURS), 0.0)


def likelihood_error(
    setting: Setting, problem: Problem, x: np.ndarray, count: int, rng: np.random.Generator
) -> dict[str, float]:
    """Error in log likelihood and in filtered probabilities, mean over `count` series."""
    steps, start = assemble.coefficients(problem.layout, x)
    errors, noise, mean, worst = [], [], [], []
    for _ in range(count):
        y = draw(setting, problem, x, rng)
        filtered = problem.engine.filter(problem.layout._replace(y=y), x)
        made = particles.run(y, problem.layout.row, steps, start, particles=500, replicates=4, rng=rng, threads=2)
        errors.append(float(np.nansum(filtered.log_density)) - made.value)
        noise.append(made.se)
        distance = 0.5 * np.abs(filtered.p - made.p).sum(axis=1)
        mean.append(distance.mean())
        worst.append(distance.max())
    per = 1000.0 / len(problem.layout.y)
    se = float(np.std(errors, ddof=1) / np.sqrt(count)) if count > 1 else noise[0]
    return {
        "error": per * float(np.mean(errors)), "error_se": per * se,
        "probability_mean": float(np.mean(mean)), "probability_max": float(np.max(worst)),
    }  # fmt: skip


def estimate_shift(problem: Problem, x: np.ndarray, count: int, rng: np.random.Generator) -> dict[str, float | str]:
    """First-order displacement of every estimate in its standard deviations, the largest named."""
    scores = np.empty((count, len(x)))
    for i in range(count):
        layout = problem.layout._replace(y=simulate_path(problem, x, rng).y)
        scores[i] = problem.engine.loglik_grad(layout, x)[1]
    covariance = np.linalg.inv(np.cov(scores.T))
    shift = covariance @ scores.mean(axis=0) / np.sqrt(np.diag(covariance))
    names = problem.spec.names
    last = problem.layout.regimes - 1
    wanted = [f"{p}[{k}]" for p in ("kappa", "sigma", "tau") for k in (0, last)]
    out: dict[str, float | str] = {
        "shift_" + n.replace(f"[{last}]", "_last").replace("[0]", "_0"): float(shift[names.index(n)]) for n in wanted
    }
    at = int(np.argmax(np.abs(shift)))
    return {**out, "shift_se": 1.0 / np.sqrt(count), "shift_largest": float(shift[at]), "shift_at": names[at]}


def row_of(setting: Setting, depth: int, series: int, scores: int) -> dict[str, object]:
    """One row of the table."""
    began = time.perf_counter()
    problem = setting.problem(depth)
    x = setting.truth(problem)
    rng = np.random.default_rng(1)
    row: dict[str, object] = {
        "setting": setting.name, "regimes": setting.regimes, "slow": int(setting.slow), "noise": setting.noise,
        "stay": setting.stay, "source": setting.source, "depth": depth, "hours": len(problem.layout.y),
        "series": 1 if setting.source == "observed" else series, "scores": scores,
    }  # fmt: skip
    row |= likelihood_error(setting, problem, x, int(row["series"]), rng)
    if setting.source == "simulated":
        row |= estimate_shift(problem, x, scores, rng)
    rounded = {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in row.items()}
    return {**rounded, "seconds": round(time.perf_counter() - began, 1)}


def done(out: Path) -> set[tuple[str, str]]:
    """Settings and depths already in the file."""
    if not out.exists():
        return set()
    with out.open(newline="", encoding="utf-8") as file:
        return {(row["setting"], row["depth"]) for row in csv.DictReader(file)}


def main(arguments: list[str] | None = None) -> int:
    """Computes the rows that are not there yet."""
    parser = argparse.ArgumentParser(description="Kim's error over a grid of settings")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("kim_error.csv"))
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--scores", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=None)
    given = parser.parse_args(arguments)
    known = done(given.out)
    jobs = [(setting, depth) for depth in DEPTHS for setting in settings() if depth < 3 or setting.regimes == 2]
    for setting, depth in jobs:
        if (setting.name, str(depth)) in known or (given.only is not None and setting.name not in given.only):
            continue
        row = row_of(setting, depth, given.series, given.scores)
        fresh = not given.out.exists()
        with given.out.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="nan")
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(f"{setting.name}, depth {depth}: error {row['error']} nats per 1,000 h, {row['seconds']} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
