"""Do the bands on the failure probability hold, and is the probability itself calibrated: writes calibration.csv.

A thousand hours each, simulated from two regimes of which one drifts to -40 bps; the model is fitted from
default starts and judged against the simulation:

- covered: share of hours at which the 95% band of the filtered probability holds the filter at the true
  parameters, failure regimes decided there by the same rule; covered_001: the same to within 0.001, since most hours
  are far from any doubt and the filter says one in a million or one in ten million;
  covered_doubt: over hours at which that filter
  lies between 0.05 and 0.95, doubt of them;
- brier, log_score: of the filtered probability against the true regime, and of the filter at the true parameters;
- bins: hours by tenth of the probability, with the sum of the probabilities and of the outcomes there.

    python tests/slow/calibration.py [--series 300] [--minutes 60]
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
from basismodels.estimands.event import Event
from basismodels.estimands.failure import failing
from basismodels.inference.simulate import free_vector
from basismodels.model import Model

sys.path.insert(0, str(Path(__file__).resolve().parent))
from row_study import Row, publish, rows_of

OUT = Path(__file__).with_suffix(".csv")
HOURS, BINS = 1000, 10
COLUMNS = (
    "setting", "series", "fitted", "draws", "covered", "covered_001", "doubt", "covered_doubt", "brier", "brier_true",
    "log_score", "log_score_true", "hours", "sums", "hits",
)  # fmt: skip
TIMES = pd.date_range("2024-01-01", periods=HOURS, freq="h", tz="UTC")
VARIES = ("kappa", "theta", "sigma")
PARAMS = {
    "kappa[0]": 0.1, "kappa[1]": 0.05, "theta[0]": 0.0, "theta[1]": -40.0, "sigma[0]": 1.2, "sigma[1]": 1.8,
    "q[0->1]": 0.005, "q[1->0]": 0.015,
}  # fmt: skip
SETTINGS: dict[str, tuple[Model, dict[str, float]]] = {
    "switching-ou": (bm.Switching(bm.OU(), 2, varies=VARIES), PARAMS),
    "switching-ou-noise": (bm.Switching(bm.OU() + bm.Noise(), 2, varies=VARIES), {**PARAMS, "tau": 0.8}),
}


def one(model: Model, params: dict[str, float], seed: np.random.SeedSequence) -> Row:
    """One series."""
    rng = np.random.default_rng(seed)
    data = bm.simulate(model, params, TIMES, rng=rng)
    fit = bm.fit(model, data, rng=rng)
    frame = bm.failure_probability(fit, band=10.0, target=0.0, rng=rng)
    true = failing(fit.problem, free_vector(fit.problem, params), Event(24.0, 10.0))
    hit = np.isin(data.covariates["true_regime"].to_numpy(), np.flatnonzero(true.failing)).astype(float)
    p, reference = frame["filtered"].to_numpy(), true.filtered
    inside = ((frame["filtered_lower"] <= reference + 1e-9) & (reference - 1e-9 <= frame["filtered_upper"])).to_numpy()
    lower, upper = frame["filtered_lower"] - 0.001, frame["filtered_upper"] + 0.001
    near = ((lower <= reference) & (reference <= upper)).to_numpy()
    doubt = (reference > 0.05) & (reference < 0.95)
    known = frame.attrs["draws"] > 0
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    return {
        "fitted": int(fit.ok), "draws": frame.attrs["draws"],
        "covered": float(inside.mean()) if known else "", "covered_001": float(near.mean()) if known else "",
        "doubt": int(doubt.sum()),
        "covered_doubt": float(inside[doubt].mean()) if known and doubt.any() else "",
        "brier": float(np.mean((p - hit) ** 2)), "brier_true": float(np.mean((reference - hit) ** 2)),
        "log_score": log_score(p, hit), "log_score_true": log_score(reference, hit),
        **{name: " ".join(f"{v:.6g}" for v in np.bincount(place, weights, BINS))
           for name, weights in (("hours", np.ones(HOURS)), ("sums", p), ("hits", hit))},
    }  # fmt: skip


def log_score(p: np.ndarray, hit: np.ndarray) -> float:
    """Mean log probability of what was; probabilities are kept 1e-6 from the ends."""
    q = np.clip(np.where(hit > 0, p, 1.0 - p), 1e-6, 1.0)
    return float(np.mean(np.log(q)))


def summary(path: Path = OUT) -> pd.DataFrame:
    """One row a setting, means over series with the standard error of the coverage."""
    rows = []
    for name, part in pd.read_csv(path).groupby("setting", sort=False):
        covered = part["covered"].dropna()
        rows.append(
            {
                "setting": name, "series": len(part), "without_band": int(part["covered"].isna().sum()),
                "covered": covered.mean(), "se": covered.std() / math.sqrt(len(covered)),
                "covered_to_0.001": part["covered_001"].mean(), "se_of_that": part["covered_001"].sem(),
                "covered_in_doubt": np.average(
                    part["covered_doubt"].fillna(0), weights=part["doubt"] * part["covered_doubt"].notna()
                ),
                **part[["brier", "brier_true", "log_score", "log_score_true"]].mean().to_dict(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def reliability(path: Path = OUT) -> pd.DataFrame:
    """By setting and tenth of the probability: hours, mean probability, share failing, and 95% limits over series."""
    rows = []
    for name, part in pd.read_csv(path).groupby("setting", sort=False):
        hours, sums, hits = (
            np.array([[float(v) for v in text.split()] for text in part[c]]) for c in ("hours", "sums", "hits")
        )
        rng = np.random.default_rng(1)
        pick = rng.integers(len(part), size=(2000, len(part)))
        with np.errstate(invalid="ignore"):
            shares = (hits - sums)[pick].sum(axis=1) / hours[pick].sum(axis=1)
            low, high = np.nanquantile(shares, [0.025, 0.975], axis=0)
            total = hours.sum(axis=0)
            frame = pd.DataFrame(
                {
                    "setting": name, "bin": np.arange(BINS) / BINS, "hours": total,
                    "mean_probability": sums.sum(axis=0) / total,
                    "share_failing": hits.sum(axis=0) / total, "off_low": low, "off_high": high,
                }
            )  # fmt: skip
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Calibration of the failure probability and its band")
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default all cores")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    makers = {name: partial(one, *made) for name, made in SETTINGS.items()}
    rows_of(given.out, COLUMNS, makers, given.series, given.minutes, given.jobs)
    publish(given.out, summary(given.out))
    publish(given.out.with_name("reliability.csv"), reliability(given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
