"""`watch` over many rows: seconds a row early and late, memory, and the last state against one batch filter.

Writes benchmarks/results/watch.csv. `--rows` makes it shorter and writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.estimands.live import Live
from basismodels.problem import bind
from basismodels.sources.tail import Tail

RESULT = Path(__file__).resolve().parent / "results" / "watch.csv"
FITTED, PORTION = 2_000, 5_000
TRUTH = {"kappa[0]": 0.2, "kappa[1]": 0.05, "theta": 1.0, "sigma[0]": 1.0, "sigma[1]": 5.0, "q[0->1]": 0.01,
         "q[1->0]": 0.05}  # fmt: skip


def followed(rows: int) -> list[dict[str, object]]:
    """Rows appended in portions; one record a portion."""
    time_index = pd.date_range("2020-01-01", periods=FITTED + rows, freq="h", tz="UTC")
    model = bm.Switching(bm.OU())
    frame = pd.DataFrame({"basis": bm.simulate(model, TRUTH, time_index, rng=1).basis}, index=time_index)
    fit = bm.fit(model, bm.BasisSeries.from_basis(time_index[:FITTED], frame["basis"].iloc[:FITTED]), starts=5)
    out: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        frame.iloc[:0].rename_axis("time").to_csv(path)
        live, tail = Live.of(fit, band=10.0, target=0.0), Tail(path)
        for first in range(FITTED, FITTED + rows, PORTION):
            frame.iloc[first : first + PORTION].to_csv(path, mode="a", header=False)
            began = time.thread_time()
            count = sum(1 for block in tail.blocks() for _ in live.add(block))
            out.append({
                "rows": first + count - FITTED,
                "microseconds_a_row": 1e6 * (time.thread_time() - began) / count,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            })  # fmt: skip
    whole = replace(fit, problem=bind(model, bm.BasisSeries.from_basis(time_index, frame["basis"]))).filtered
    apart = float(np.abs(live.now.filtered.p[-1] - whole.p[-1]).max())
    return [{**record, "apart_from_batch": apart} for record in out]


def main() -> None:
    """Prints every portion, and writes the full run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    made = followed(rows)
    for record in made:
        print("  ".join(f"{name} {value:.6g}" for name, value in record.items()), flush=True)
    if rows == 100_000:
        with RESULT.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(made[0]))
            writer.writeheader()
            writer.writerows([{k: f"{v:.6g}" for k, v in record.items()} for record in made])


if __name__ == "__main__":
    main()
