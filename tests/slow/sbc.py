"""Simulation-based calibration of each model: `python tests/slow/sbc.py --minutes 30 --simulations 300`.

Appends one row a simulation to sbc_ranks.csv (resuming where it stopped) and writes sbc.csv: by model and
quantity the number of simulations, mean and sd of the relative rank, the p value of the simultaneous test of
uniform ranks, and that adjusted over all models and quantities (Holm). Models through Kim stand twice: as
sampled, and with draws weighted by a particle filter's likelihood.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import zlib
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

import basismodels as bm  # noqa: E402
from basismodels.inference.posterior import Run  # noqa: E402
from basismodels.scoring import calibration, ranks  # noqa: E402

HERE = Path(__file__).resolve().parent
RANKS, TABLE = HERE / "sbc_ranks.csv", HERE / "sbc.csv"
SIZE, HOURS = 99, 240
MODELS = {
    "ou": lambda: bm.OU(),
    "ou-noise": lambda: bm.OU() + bm.Noise(),
    "two-factor": lambda: bm.OU() + bm.SlowOU() + bm.Noise(),
    "funding": lambda: bm.OU(theta="1 + funding", kappa="1 + funding"),
    "switching-ou": lambda: bm.Switching(bm.OU()),
    "switching-ou-noise": lambda: bm.Switching(bm.OU() + bm.Noise()),
    "switching-ou-noise, particles": lambda: bm.Switching(bm.OU() + bm.Noise()),
}


def data(name: str) -> bm.BasisSeries:
    """Hours and funding of the embedded example, where it moves; only grid, covariates and sizes matter."""
    first = "2024-03-15" if name == "funding" else "2024-01-02"
    return bm.load_example(start=first, end=str((pd.Timestamp(first) + pd.Timedelta(days=9)).date()))


def study(name: str, count: int, deadline: float) -> None:
    """Appends the simulations of one model that are not in the file yet."""
    known = done(name)
    if all(i in known for i in range(count)):
        return
    setup = calibration.from_prior(MODELS[name](), data(name), None)
    # truths are drawn in one go, so that a longer study begins with the shorter one's
    truths = setup.draw(1000, np.random.default_rng(zlib.crc32(name.split(",")[0].encode())))
    names = [*setup.problem.spec.names, "half_life", "no_return", "log_likelihood"]
    run = Run(draws=4 * SIZE, tune=300, chains=1, cores=1)
    for i in range(count):
        if i in known:
            continue
        if time.monotonic() > deadline:
            return
        rng = np.random.default_rng(np.random.SeedSequence([zlib.crc32(name.encode()), i]))
        made = calibration.ranks_of(setup, truths[i], run, {}, rng, corrected=name.endswith("particles"))
        append(name, i, " ".join(f"{q}={r}" for q, r in zip(names, made, strict=True)))


def done(name: str) -> set[int]:
    """Simulations of a model in the file."""
    return {int(row["simulation"]) for row in rows() if row["model"] == name}


def rows() -> list[dict[str, str]]:
    """Whole lines of the file."""
    if not RANKS.exists():
        return []
    text = RANKS.read_text(encoding="utf-8")
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))


def append(name: str, number: int, found: str) -> None:
    """Adds one line."""
    if not RANKS.exists():
        RANKS.write_text("model,simulation,ranks\n", encoding="utf-8")
    with RANKS.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerow([name, number, found])


def table() -> list[dict[str, object]]:
    """One line a model and quantity."""
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows():
        for part in row["ranks"].split():
            quantity, rank = part.rsplit("=", 1)
            found.setdefault((row["model"], quantity), []).append(int(rank))
    p = np.array([ranks.p_value(np.array(one), SIZE) for one in found.values()])
    adjusted = ranks.holm(p)
    return [
        {
            "model": model, "quantity": quantity, "simulations": len(one),
            "mean": f"{(np.mean(one) + 0.5) / (SIZE + 1):.3f}", "sd": f"{np.std(one) / (SIZE + 1):.3f}",
            "p": f"{p[i]:.3g}", "p_holm": f"{adjusted[i]:.3g}",
        }
        for i, ((model, quantity), one) in enumerate(found.items())
    ]  # fmt: skip


def main() -> int:
    """Runs what is missing, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--models", default=";".join(MODELS), help="names, separated by semicolons")
    given = parser.parse_args()
    deadline = time.monotonic() + 60.0 * given.minutes
    for name in given.models.split(";"):
        study(name, given.simulations, deadline)
    lines = table()
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
