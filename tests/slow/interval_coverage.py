"""Coverage of nominal 95% intervals of the speed, cell by cell: `python tests/slow/interval_coverage.py --cells ou`.

A row of coverage_design.csv is a design: model, kappa_T = kappa times the time it works in, n rows,
spacing (even, or irregular: exponential steps drawn once), noise_ratio = tau / (sigma sqrt(step)),
other_T = the other speed times its time (two-factor: the slow level's; switching: the calm regime's),
share = variance share of the fast component, or time share of the regime judged. Each method at each
design is a cell, one row of coverage.csv, written when it is done; unfinished cells say so and are
taken up by the next run. Where every replication would need simulations of its own, one each is
pooled over the replications (warp-speed: Giacomini, Politis & White 2013), and the limits of OU with noise are made
for every hundredth series only, for their width. Two-factor limits are tens of fits each: an interval by profile or
inversion holds the true value where the test there accepts it, so that is what is counted, and limits are made for
every tenth series only, for their width and as a check: where the two disagree in more than one of fifty, the limits
of those series are counted instead. Several runs may share the file.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta, norm

import basismodels as bm
from basismodels.inference.inversion import Null, _statistic, invert
from basismodels.inference.mle import fit_problem
from basismodels.inference.profile import kappa_interval, profile_interval
from basismodels.inference.simulate import free_vector, simulate_path
from basismodels.inference.starts import bounds, scales
from basismodels.inference.studentised import refitted
from basismodels.problem import Problem, bind

HERE = Path(__file__).resolve().parent
DESIGN, RESULTS = HERE / "coverage_design.csv", HERE / "coverage.csv"
KEYS = ("model", "kappa_T", "n", "spacing", "noise_ratio", "other_T", "share")
COLUMNS = (
    *KEYS, "coefficient", "method", "replications", "coverage", "band_low", "band_high",
    "median_width_T", "infinite", "failed", "seconds", "status",
)  # fmt: skip
METHODS = {
    "ou": ("wald", "profile", "inversion"),
    "ou-noise": ("wald", "profile", "inversion-plain", "inversion"),
    "two-factor": ("wald", "profile", "inversion"),
    "switching-ou": ("wald", "bootstrap", "studentised"),
    "switching-ou-noise": ("wald", "bootstrap", "studentised"),
}
LEVEL, TENTH, HUNDREDTH = 0.95, 10, 100
Row = dict[str, str]


@dataclass(frozen=True, eq=False)
class Setting:
    """What is simulated: model, true values, times; coefficient judged, its true value, the time it works in."""

    model: Any
    params: dict[str, float]
    times: pd.DatetimeIndex
    coefficient: str
    truth: float
    span: float


def setting(row: Row) -> Setting:
    """A design row as a model with parameters; one step is one hour, sigma one bp per root hour."""
    n, reach = int(row["n"]), float(row["kappa_T"])
    times = _times(n, row["spacing"])
    span = float((times[-1] - times[0]) / pd.Timedelta("1h"))
    step = span / (n - 1)
    tau = float(row["noise_ratio"] or 0.0) * math.sqrt(step)
    name, kappa = row["model"], reach / span
    if name.startswith("switching"):
        return _switching(times, span, reach, float(row["other_T"]), float(row["share"]), tau)
    if name == "two-factor":
        return _two_factor(times, span, reach, float(row["other_T"]), float(row["share"]), tau)
    params = {"kappa": kappa, "theta": 0.0, "sigma": 1.0}
    model: Any = bm.OU()
    if name == "ou-noise":
        model, params = bm.OU() + bm.Noise(), {**params, "tau": tau}
    return Setting(model, params, times, "kappa", kappa, span)


def _times(n: int, spacing: str) -> pd.DatetimeIndex:
    steps = np.ones(n - 1) if spacing == "even" else np.random.default_rng(7).exponential(size=n - 1).clip(0.02)
    seconds = np.concatenate([[0.0], np.cumsum(steps)]) * 3600.0
    return pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(seconds.round(3), unit="s")


def _two_factor(times: pd.DatetimeIndex, span: float, fast: float, slow: float, share: float, tau: float) -> Setting:
    """Judges the slow speed where `fast` is the larger design figure of 400, the fast one otherwise."""
    kappa, slow_kappa = fast / span, slow / span
    variance = 1.0 / (2.0 * kappa)
    params = {
        "kappa": kappa, "theta": 0.0, "sigma": 1.0, "tau": tau, "slow.kappa": slow_kappa,
        "slow.sigma": math.sqrt(2.0 * slow_kappa * variance * (1.0 - share) / share),
    }  # fmt: skip
    judged = "slow.kappa" if fast >= 400 else "kappa"
    return Setting(bm.OU() + bm.SlowOU() + bm.Noise(), params, times, judged, params[judged], span)


def _switching(times: pd.DatetimeIndex, span: float, reach: float, calm: float, share: float, tau: float) -> Setting:
    """Judges the volatile regime, in which kappa times the time spent there is `reach`."""
    leave = 40.0 / (share * span)
    params = {
        "kappa[0]": calm / ((1.0 - share) * span), "kappa[1]": reach / (share * span), "theta": 0.0,
        "sigma[0]": 1.0, "sigma[1]": 4.0, "q[0->1]": leave * share / (1.0 - share), "q[1->0]": leave,
    }  # fmt: skip
    inner: Any = bm.OU()
    if tau:
        inner, params = bm.OU() + bm.Noise(), {**params, "tau[0]": tau, "tau[1]": 2.0 * tau}
    varies = ("kappa", "sigma", "tau") if tau else ("kappa", "sigma")
    model = bm.Switching(inner, 2, varies=varies)
    return Setting(model, params, times, "kappa[1]", params["kappa[1]"], share * span)


Found = dict[str, tuple[float, ...]]


def replication(at: Setting, name: str, seed: np.random.SeedSequence) -> Found:
    """What each method needs of one simulated series: limits, or an estimate, its error and one simulated pivot."""
    first, second, third = seed.spawn(3)
    if name == "ou":
        fit = fit_problem(_simulated(at, np.random.default_rng(first)))
    else:
        data = bm.simulate(at.model, at.params, at.times, rng=np.random.default_rng(first))
        starts = 5 if name.startswith("switching") else 3
        fit = bm.fit(at.model, data, starts=starts, rng=np.random.default_rng(second))
    wald = fit.conf_int(LEVEL).loc[at.coefficient]
    found: Found = {"wald": (float(wald["lower"]), float(wald["upper"]))}
    if name.startswith("switching"):
        i = fit.problem.spec.position(at.coefficient)
        box = bounds(fit.problem, scales(fit.problem))
        moved, own = (float(part[i]) for part in refitted(fit, box, fit.smoothed.p, third))
        se = math.sqrt(fit.cov[i, i]) if fit.cov[i, i] >= 0 else math.nan
        here = float(fit.x[i])
        return {**found, "bootstrap": (here, se, moved), "studentised": (here, se, moved / own)}
    if name == "two-factor":
        return {**found, **_at_truth(fit, at, limits=int(first.spawn_key[-2]) % TENTH == 0)}
    found["profile"] = kappa_interval(fit) if at.coefficient == "kappa" else profile_interval(fit, at.coefficient)
    if name == "ou-noise":
        plain = invert(fit, at.coefficient, LEVEL, draws=0)
        found["inversion-plain"] = (plain.lower, plain.upper)
        statistic = _statistic(fit, at.coefficient)[0]
        root, nuisance = statistic.root(at.truth)
        drawn = statistic.simulated(at.truth, nuisance, 1, np.random.default_rng(third))[0]
        found["inversion"] = (root, float(drawn))
        return found
    made = invert(fit, at.coefficient, LEVEL)
    found["inversion"] = (made.lower, made.upper)
    return found


def _at_truth(fit: bm.Fit, at: Setting, limits: bool) -> Found:
    """Root at the truth over its limits there, for profile and inversion, and with `limits` the intervals too."""
    statistic, table, _ = _statistic(fit, at.coefficient)
    root = statistic.root(at.truth)[0]
    null = Null(table, np.empty(0), np.empty((0, 0)), np.zeros(1), np.zeros(1))
    place = np.array([math.asinh(at.truth * statistic.span)])
    low, high = (float(null.quantile(p, place)[0]) for p in (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
    z = float(norm.ppf(0.5 + LEVEL / 2))
    blank = (math.nan, math.nan)
    profile, inversion = blank, blank
    if limits:
        profile = profile_interval(fit, at.coefficient, LEVEL)
        made = invert(fit, at.coefficient, LEVEL)
        inversion = (made.lower, made.upper)
    return {
        "profile": (float(-z <= root <= z), *profile), "inversion": (float(low <= root <= high), *inversion),
    }  # fmt: skip


def _simulated(at: Setting, rng: np.random.Generator) -> Problem:
    """The model bound to a simulated series, without the cost of a new data record."""
    problem = _bound(at)
    y = simulate_path(problem, free_vector(problem, at.params), rng).y
    layout = problem.layout._replace(y=y, centre=float(np.median(y)), spread=float(np.std(y)))
    return replace(problem, layout=layout)


@lru_cache(maxsize=1)
def _bound(at: Setting) -> Problem:
    return bind(at.model, bm.BasisSeries.from_basis(at.times, np.arange(len(at.times)) % 2.0))


def judged(method: str, name: str, at: Setting, rows: np.ndarray) -> dict[str, float]:
    """Coverage, median width and failures of one method from what its replications left, (reps, ...)."""
    if method == "studentised":
        rows = _studentised_limits(rows)
    if method == "bootstrap":
        rows = _percentile_limits(rows)
    if method == "inversion" and name == "ou-noise":
        low, high = np.nanquantile(rows[:, 1], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
        return {"covered": float(((rows[:, 0] >= low) & (rows[:, 0] <= high)).sum()), "failed": np.isnan(rows).sum()}
    if rows.shape[1] == 3:
        return _counted(rows, at)
    lower, upper = rows.T
    bad = np.isnan(lower) | np.isnan(upper)
    inside = (lower <= at.truth) & (at.truth <= upper)
    width = (upper - lower)[~bad] * at.span
    return {
        "covered": float(inside.sum()), "failed": float(bad.sum()), "infinite": float((lower <= 0).mean()),
        "median_width_T": float(np.median(width)) if len(width) else math.nan,
    }  # fmt: skip


def _counted(rows: np.ndarray, at: Setting) -> dict[str, float]:
    """Acceptances at the truth, and widths where limits were made."""
    held, lower, upper = rows.T
    known = ~np.isnan(lower)
    inside = ((lower <= at.truth) & (at.truth <= upper))[known]
    if np.mean(inside != (held[known] > 0)) > 0.02:
        held = inside.astype(float)
    width = float(np.median((upper - lower)[known])) * at.span
    return {
        "replications": len(held), "covered": float(np.nansum(held)), "failed": float(np.isnan(held).sum()),
        "infinite": float((lower[known] <= 0).mean()), "median_width_T": width,
    }  # fmt: skip


def _studentised_limits(rows: np.ndarray) -> np.ndarray:
    estimate, se, t = rows.T
    low, high = np.nanquantile(t, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return np.column_stack([estimate - high * se, estimate - low * se])


def _percentile_limits(rows: np.ndarray) -> np.ndarray:
    """Estimate plus quantiles of (refit - estimate), the pooled form of percentile limits."""
    estimate, _, shift = rows.T
    low, high = np.nanquantile(shift, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return np.column_stack([estimate + low, estimate + high])


def run(row: Row, reps: int, deadline: float) -> list[Row] | None:
    """All cells of one design; None where time ran out."""
    at, began = setting(row), time.perf_counter()
    key = zlib.crc32(",".join(row[k] for k in KEYS).encode())
    kept: dict[str, list[tuple[float, ...]]] = {}
    for seed in np.random.SeedSequence(key).spawn(reps):
        if time.monotonic() > deadline:
            return None
        for method, values in _safe(lambda s=seed: replication(at, row["model"], s), row["model"]).items():
            kept.setdefault(method, []).append(values)
    seconds = time.perf_counter() - began
    return [widened(_cell(row, at, m, np.array(kept[m]), seconds), at, reps) for m in METHODS[row["model"]]]


def widened(cell: Row, at: Setting, reps: int) -> Row:
    """The cell with median width and share of infinite limits where its replications left none."""
    if cell["method"] != "inversion" or cell["model"] != "ou-noise" or cell["median_width_T"]:
        return cell
    key = zlib.crc32(",".join(cell[k] for k in KEYS).encode())
    found = []
    for seed in np.random.SeedSequence(key).spawn(reps)[::HUNDREDTH]:
        first, second, third = seed.spawn(3)
        data = bm.simulate(at.model, at.params, at.times, rng=np.random.default_rng(first))
        fit = bm.fit(at.model, data, starts=3, rng=np.random.default_rng(second))
        made = invert(fit, at.coefficient, LEVEL, rng=np.random.default_rng(third))
        found.append((made.lower, made.upper))
    lower, upper = np.array(found).T
    return {
        **cell, "median_width_T": f"{np.median(upper - lower) * at.span:.4g}", "infinite": f"{np.mean(lower <= 0):.4g}",
    }  # fmt: skip


def _safe(make: Callable[[], Found], name: str) -> Found:
    """A replication, or NaN where the package refuses it."""
    try:
        return make()
    except bm.BasismodelsError:
        width = {"studentised": 3, "bootstrap": 3}
        if name == "two-factor":
            width = {"profile": 3, "inversion": 3}
        return {method: (math.nan,) * width.get(method, 2) for method in METHODS[name]}


def _cell(row: Row, at: Setting, method: str, found: np.ndarray, seconds: float) -> Row:
    made = judged(method, row["model"], at, found)
    reps = int(made.get("replications", len(found)))
    low, high = binomial_band(int(made["covered"]), reps)
    numbers = {
        "coverage": made["covered"] / reps, "band_low": low, "band_high": high,
        "median_width_T": made.get("median_width_T", math.nan), "infinite": made.get("infinite", math.nan),
    }  # fmt: skip
    text = {k: "" if math.isnan(v) else f"{v:.4g}" for k, v in numbers.items()}
    return {
        **row, "coefficient": at.coefficient, "method": method, "replications": str(reps), **text,
        "failed": f"{made['failed']:.0f}", "seconds": f"{seconds:.0f}", "status": "done",
    }  # fmt: skip


def binomial_band(hits: int, trials: int) -> tuple[float, float]:
    """95% interval of a probability from hits in trials (Clopper & Pearson 1934)."""
    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def cells(design: list[Row]) -> Iterator[Row]:
    """An unfinished row for every cell of the design."""
    for row in design:
        for method in METHODS[row["model"]]:
            blank = dict.fromkeys(COLUMNS, "")
            yield {**blank, **row, "coefficient": setting(row).coefficient, "method": method, "status": "unfinished"}


def identity(row: Row) -> tuple[str, ...]:
    return tuple(row[k] for k in (*KEYS, "method"))


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def finished() -> dict[tuple[str, ...], Row]:
    """The cells of the file that are done, by what they are."""
    return {identity(r): r for r in (read(RESULTS) if RESULTS.exists() else []) if r["status"] == "done"}


def write(rows: list[Row]) -> None:
    """All cells at once, by a temporary name."""
    temporary = RESULTS.with_suffix(".part")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, RESULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals of the speed, resumable by cell.")
    parser.add_argument("--cells", default=",".join(METHODS), help="models, separated by commas")
    parser.add_argument("--reps", type=int, default=0, help="replications; default 2,000, switching 500")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this many minutes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    deadline = time.monotonic() + 60.0 * options.minutes
    design = read(DESIGN)
    done = finished()
    table = {identity(c): done.get(identity(c), c) for c in cells(design)}
    for row in design:
        open_cells = [c for c in table.values() if c["status"] != "done" and all(c[k] == row[k] for k in KEYS)]
        if row["model"] not in options.cells.split(","):
            continue
        for key, cell in table.items():
            if cell["status"] == "done" and all(cell[k] == row[k] for k in KEYS):
                table[key] = widened(cell, setting(row), int(cell["replications"]))
        write(list(table.values()))
        if not open_cells:
            continue
        reps = options.reps or (500 if row["model"].startswith("switching") else 2000)
        found = run(row, reps, deadline)
        if found is None:
            break
        # cells that another run has finished meanwhile stay
        table.update(finished())
        table.update({identity(c): c for c in found})
        write(list(table.values()))
        print(*(f"{c['method']} {c['coverage']}" for c in found), row["model"], row["kappa_T"], row["n"], flush=True)
    if not RESULTS.exists():
        write(list(table.values()))


if __name__ == "__main__":
    main()
