"""Does the test of two regimes against three reject a true null one time in twenty: writes lr_size.csv.

Series of 500 and of 2,000 hours from a two-regime OU process; each is fitted by two and by three regimes, and so
is one series simulated from its two-regime fit. The simulated statistics of all series of a length together stand
for the bootstrap law of each (warp-speed: Giacomini, Politis & White 2013).

    python tests/slow/lr_size.py [--series 1000] [--minutes 60]
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.inference.lr_test import one_statistic
from basismodels.inference.mle import fit_problem, optima_of
from basismodels.inference.starts import bounds, scales
from basismodels.inference.warm import curvature
from basismodels.problem import bind

sys.path.insert(0, str(Path(__file__).resolve().parent))
from row_study import Row, publish, rows_of

OUT = Path(__file__).with_suffix(".csv")
COLUMNS = ("setting", "series", "statistic", "simulated")
SETTINGS = {"2 regimes against 3": 500, "2 regimes against 3, 2000 hours": 2000}
TRUTH = {
    "kappa[0]": 0.1, "kappa[1]": 0.3, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 4.0, "q[0->1]": 0.02, "q[1->0]": 0.06,
}  # fmt: skip
STARTS = 4


def one(hours: int, seed: np.random.SeedSequence) -> Row:
    """The statistic of one series, and of one simulated from its fit."""
    first, second = seed.spawn(2)
    times = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC")
    data = bm.simulate(bm.Switching(bm.OU(), 2), TRUTH, times, rng=np.random.default_rng(first))
    null = fit_problem(bind(bm.Switching(bm.OU(), 2), data), starts=STARTS)
    problem = bind(bm.Switching(bm.OU(), 3), data)
    size = scales(problem)
    found = optima_of(problem, size, bounds(problem, size), STARTS, np.random.default_rng(second))
    inverse = curvature(null.problem, null.x, null.cov)
    drawn = one_statistic(null.problem, null.x, inverse, problem, STARTS, int(second.generate_state(1)[0]), 0)
    return {"statistic": max(2.0 * (max(o.llf for o in found) - null.llf), 0.0), "simulated": drawn}


def summary(path: Path = OUT) -> pd.DataFrame:
    """Share rejected at 1, 5 and 10%, with 95% limits."""
    from statsmodels.stats.proportion import proportion_confint

    table = pd.read_csv(path)
    rows = []
    for name, own in table.groupby("setting", sort=False):
        for level in (0.01, 0.05, 0.1):
            hits = int((own["statistic"] > own["simulated"].quantile(1 - level)).sum())
            low, high = proportion_confint(hits, len(own), method="beta")
            where = {"hours": SETTINGS[str(name)], "level": level, "series": len(own)}
            rows.append({**where, "rejected": hits / len(own), "low": low, "high": high})
    return pd.DataFrame(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Size of the test of K against K + 1 regimes")
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default all cores")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    makers = {name: partial(one, hours) for name, hours in SETTINGS.items()}
    rows_of(given.out, COLUMNS, makers, given.series, given.minutes, given.jobs)
    publish(given.out, summary(given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
