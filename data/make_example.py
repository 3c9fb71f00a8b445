"""Makes src/basismodels/data/example.parquet: a simulated perpetual with one planted failure.

Run from the project's root: `python data/make_example.py`. A test runs it again and
compares. The size of every parameter is that of fits to hourly bitcoin data of 2024;
the planted episode is 72 hours in which the basis is drawn to -60 bps and moves wildly.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import basismodels as bm

HOURS = 24 * 120
EPISODE = slice(1800, 1872)
SEED = 20240101
TARGET = Path(__file__).resolve().parents[1] / "src" / "basismodels" / "data" / "example.parquet"

USUAL = {"kappa": 0.57, "theta": 0.0, "sigma": 1.16, "slow.kappa": 0.004, "slow.sigma": 0.25, "tau": 0.73}
PULL = {
    "theta:episode": -60.0, "sigma": 0.02, "sigma:episode": float(np.log(1.5 / 0.02)),
    "tau": 0.02, "tau:episode": float(np.log(3.0 / 0.02)),
}  # fmt: skip


def funding_rate(premium: np.ndarray) -> np.ndarray:
    """Decimal rate per 8 h from bps of premium: interest 1 bp, damper 5 bps, cap 30 bps, weights rising to the end."""
    weights = np.arange(1, 9) / 36.0
    windows = premium[: len(premium) // 8 * 8].reshape(-1, 8)
    mean = windows @ weights
    return np.clip(mean + np.clip(1.0 - mean, -5.0, 5.0), -30.0, 30.0) / 1e4


def make() -> pa.Table:
    """The example as a table: time, spot, perp, funding_rate, volumes, and the truth."""
    seeds = [np.random.default_rng(s) for s in np.random.SeedSequence(SEED).spawn(4)]
    time = pd.date_range("2024-01-01 01:00", periods=HOURS, freq="h", tz="UTC")
    usual = bm.simulate(bm.OU() + bm.SlowOU() + bm.Noise(), USUAL, time, rng=seeds[0])
    episode = np.zeros(HOURS)
    episode[EPISODE] = 1.0
    shaped = bm.BasisSeries.from_basis(
        time, np.arange(HOURS) % 2.0, covariates=pd.DataFrame({"episode": episode}, index=time)
    )
    shock = bm.OU(kappa=0.06, theta="0 + episode", sigma="1 + episode") + bm.Noise(tau="1 + episode")
    pull = bm.simulate(shock, PULL, shaped, rng=seeds[1])
    basis = usual.basis + pull.basis
    spot = np.round(42000.0 * np.exp(np.cumsum(0.005 * seeds[2].standard_normal(HOURS))), 2)
    perp = np.round(spot * np.exp(basis / 1e4), 2)
    rate = np.full(HOURS, np.nan)
    rate[7::8] = funding_rate(1e4 * np.log(perp / spot))
    volume = np.exp(seeds[3].normal(7.0, 0.5, size=(HOURS, 2))).round(3)
    frame = pd.DataFrame(
        {
            "time": time.as_unit("us"), "spot": spot, "perp": perp, "funding_rate": rate,
            "volume_spot": volume[:, 0], "volume_perp": volume[:, 1],
            "true_failure": episode,
        }
    )  # fmt: skip
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.replace_schema_metadata({"simulated": "true", "made_by": "data/make_example.py"})


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    pq.write_table(make(), out, compression="zstd")
    print(out)
