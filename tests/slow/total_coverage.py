"""Coverage of the 95% interval of the combined half-life: writes total_coverage.csv and its summary.

Designs of coverage_design.csv with two factors, and those of two regimes in which the regime judged has five times
its relaxation time or more. Two factors: the truth is held where the root there lies between the quantiles, as in
interval_coverage.py; limits are made for every tenth series, as a check. Two regimes: `root` is the logarithm of the
estimate over the truth in standard errors and `pivot` that of one refit over the estimate, whose pooled quantiles are
those of the studentised interval (warp-speed: Giacomini, Politis & White 2013). `wald`: by normal draws.

    python tests/slow/total_coverage.py [--series 500] [--minutes 60]
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
from scipy.stats import norm

import basismodels as bm
from basismodels._typical import typical
from basismodels.estimands.convergence import total_half_life
from basismodels.estimands.total_root import TotalRoot
from basismodels.inference.inversion_ou import table_of
from basismodels.inference.starts import bounds, observed, scales
from basismodels.inference.studentised import logged, refit

sys.path.insert(0, str(Path(__file__).resolve().parent))
import interval_coverage as study
from row_study import Row, publish, rows_of

OUT = Path(__file__).with_suffix(".csv")
COLUMNS = ("setting", "series", "half_life", "wald", "profile", "inversion", "checked", "agrees", "root", "pivot")
TAILS = (0.5 - study.LEVEL / 2, 0.5 + study.LEVEL / 2)
DESIGNS = {
    f"{row['model']}, {row['kappa_T']}, {row['other_T']}": row
    for row in study.read(study.DESIGN)
    if row["model"] == "two-factor" or (row["model"].startswith("switching") and float(row["kappa_T"]) >= 5)
}


def one(row: dict[str, str], seed: np.random.SeedSequence) -> Row:
    """Whether each interval of one simulated series holds the truth."""
    warnings.simplefilter("ignore")
    at = study.setting(row)
    first, second = seed.spawn(2)
    data = bm.simulate(at.model, at.params, at.times, rng=np.random.default_rng(first))
    starts = 5 if row["model"].startswith("switching") else 3
    fit = bm.fit(at.model, data, starts=starts, rng=np.random.default_rng(second))
    problem = fit.problem
    truth = total_half_life(problem, problem.spec.to_free(np.array([at.params[n] for n in problem.spec.names])))
    made: Row = {"half_life": truth, "wald": _holds(bm.half_life(fit, method="wald")[0], truth)}
    if problem.layout.regimes > 1:
        here, se = logged(problem, fit.x, fit.cov, total_half_life)
        x, cov = refit(fit, bounds(problem, scales(problem)), fit.smoothed.p, seed.spawn(1)[0])
        there, own = logged(problem, x, cov, total_half_life)
        return made | {"root": (here - math.log(truth)) / se, "pivot": (there - here) / own}
    root = TotalRoot(fit, lambda x: total_half_life(problem, x))
    signed, x = root.root(math.log(2.0) / truth)
    law = table_of(observed(problem)[1])
    low, high = (float(law.quantile(p)(np.array([root.span * typical(problem, x).slow_kappa[0]]))[0]) for p in TAILS)
    made |= {"profile": int(abs(signed) <= norm.ppf(TAILS[1])), "inversion": int(low <= signed <= high)}
    if int(seed.entropy[1]) % study.TENTH == 0:
        held = _holds(bm.half_life(fit, method="inversion")[0], truth)
        made |= {"checked": 1, "agrees": int(held == made["inversion"])}
    return made


def _holds(found: bm.Estimate, truth: float) -> int | str:
    """1 where the interval holds the truth; nothing where there is none."""
    return "" if math.isnan(found.lower) else int(found.lower <= truth <= found.upper)


def summary(path: Path = OUT) -> pd.DataFrame:
    """One row a design and method: coverage, its 95% band, series without an interval, share of checks that agree."""
    rows = []
    for name, part in pd.read_csv(path).groupby("setting", sort=False):
        low, high = part["pivot"].quantile(list(TAILS))
        known = part["root"].dropna()
        part = part.assign(studentised=((known >= low) & (known <= high)).astype(float))
        for method in ("wald", "profile", "inversion", "studentised"):
            own = part[method].dropna()
            if not len(own):
                continue
            low, high = study.binomial_band(int(own.sum()), len(own))
            checks = part["agrees"].dropna() if method == "inversion" else part["agrees"][:0]
            rows.append(
                {
                    "design": name, "half_life": part["half_life"].iloc[0], "method": method, "series": len(own),
                    "coverage": own.mean(), "band_low": low, "band_high": high, "without": len(part) - len(own),
                    "checks": len(checks), "agree": checks.mean(),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> int:
    """Runs until done or out of time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default all cores")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    makers = {name: partial(one, row) for name, row in DESIGNS.items()}
    rows_of(given.out, COLUMNS, makers, given.series, given.minutes, given.jobs)
    publish(given.out, summary(given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
