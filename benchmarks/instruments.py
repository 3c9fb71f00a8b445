"""Many instruments: does the cost of `fit_many` grow linearly, and does a cluster on loopback give the same bytes?

`two-factor` on a year of hours of simulated instruments, 20 of them and then `--most`; then two workers of a
cluster, of which one is killed on the way. Writes benchmarks/results/instruments.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd

import basismodels as bm

RESULT = Path(__file__).resolve().parent / "results" / "instruments.csv"
MODEL = bm.preset("two-factor")
TRUTH = {"kappa": 0.4, "theta": 0.0, "sigma": 2.0, "slow.kappa": 0.01, "slow.sigma": 0.3, "tau": 0.5}


def panel(count: int, hours: int) -> dict[str, bm.BasisSeries]:
    """Instruments that differ in speed, volatility and noise."""
    times = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC")
    truths = [{**TRUTH, "kappa": 0.2 + 0.01 * (i % 40), "sigma": 1.0 + 0.05 * (i % 30)} for i in range(count)]
    return {f"{i:03d}": bm.simulate(MODEL, truth, times, rng=i) for i, truth in enumerate(truths)}


def fitted(units: dict[str, bm.BasisSeries]) -> tuple[float, float, bm.Fits]:
    """Seconds of CPU and wall on every core of this machine, and the fits."""
    cpu, wall = time.process_time(), time.perf_counter()
    made = bm.fit_many(MODEL, units)
    return time.process_time() - cpu, time.perf_counter() - wall, made


def on_cluster(units: dict[str, bm.BasisSeries]) -> tuple[float, bm.Fits]:
    """Wall seconds on two processes of a loopback cluster, one of them killed once some fits are done."""
    from distributed import Client, LocalCluster
    from joblib import parallel_config

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        victim, begun = next(iter(client.run(os.getpid).values())), threading.Event()

        def kill() -> None:
            begun.wait()
            os.kill(victim, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        began = time.perf_counter()
        with parallel_config(backend="dask"):
            made = bm.fit_many(MODEL, units, progress=lambda done, total: done >= 3 and begun.set())
        return time.perf_counter() - began, made


def same(a: bm.Fits, b: bm.Fits) -> bool:
    """Whether both hold the same bytes."""
    return set(a) == set(b) and all(
        a[unit].x.tobytes() == b[unit].x.tobytes() and a[unit].cov.tobytes() == b[unit].cov.tobytes() for unit in a
    )


def main() -> None:
    """Prints and writes one row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--hours", type=int, default=8_760)
    args = parser.parse_args()
    units, rows, count = panel(args.most, args.hours), [], 20
    while True:
        some = dict(list(units.items())[:count])
        cpu, wall, made = fitted(some)
        rows.append({
            "instruments": count, "hours": args.hours, "cpu_s": cpu, "wall_s": wall, "cpu_s_each": cpu / count,
            "ok": sum(fit.ok for fit in made.values()), "cluster_wall_s": "", "cluster_same_bytes": "",
        })  # fmt: skip
        if count >= args.most:
            break
        print(rows[-1], flush=True)
        count = args.most
    cluster_wall, spread = on_cluster(units)
    rows[-1] |= {"cluster_wall_s": cluster_wall, "cluster_same_bytes": same(made, spread)}
    print(rows[-1], flush=True)
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])


if __name__ == "__main__":
    main()
