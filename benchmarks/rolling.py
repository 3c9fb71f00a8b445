"""Rolling windows and bootstrap against statsmodels: one run, same data, CPU time of one thread each.

8,041 windows of 30 days over BTC hourly in 2024 (simulated where the file is absent), and 1,000 refits of series
simulated from a two-regime fit at 8,760 observations; statsmodels' time is extrapolated from a few fits. Writes
benchmarks/results/rolling.csv; `--quick` is a smoke test that writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peers  # noqa: E402
import series  # noqa: E402

import basismodels as bm  # noqa: E402
from basismodels.inference.bootstrap import simulator  # noqa: E402

RESULT = HERE / "results" / "rolling.csv"
FREE = ("kappa", "theta", "sigma")


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of CPU for all fits, how many were timed of the peer's, and the ratio of the times."""

    what: str
    fits: int
    n: int
    ours_s: float
    peer: str
    peer_s: float
    peer_timed: int
    ratio: float
    aim: float
    worst_llf_behind: float


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of the process in a call, and what it gave."""
    began = time.process_time()
    made = call()
    return time.process_time() - began, made


def market() -> bm.BasisSeries:
    """BTC hourly 2024, or the example repeated to its length."""
    folder = Path(os.environ.get("BASISMODELS_DATA", HERE.parent.parent / "shared" / "data"))
    file = folder / "binance_btcusdt_1h.parquet"
    if file.exists():
        return bm.read(file, start="2024-01-01", end="2024-12-31", reference="spot")
    times = pd.date_range("2024-01-01", periods=8_784, freq="h", tz="UTC")
    fit = bm.fit(bm.OU() + bm.Noise(), bm.load_example())
    return bm.simulate(fit.model, fit.params, times, rng=1)


def windows(data: bm.BasisSeries, step: str, timed: int) -> Iterator[Row]:
    """Rolling windows of 30 days: one regime against the same likelihood and against least squares, two regimes."""
    name = f"statsmodels {importlib.metadata.version('statsmodels')}"
    two = bm.Switching(bm.OU(), varies=FREE)
    for what, model, peer, fit, initial, aim in (
        ("rolling 30 days, OU", bm.OU(), f"ARIMA(1,0,0), {name}", peers_arima, "stationary", 1000.0),
        ("rolling 30 days, OU", bm.OU(), f"AutoReg (least squares), {name}", peers_autoreg, "conditional", 0.0),
        ("rolling 30 days, 2-regime OU", two, f"MarkovRegression, {name}", peers_switching, "conditional", 1000.0),
    ):
        bm.rolling(model, data.cut(end=data.time[0] + pd.Timedelta("32D")), "30D", "2h", initial=initial, n_jobs=1)

        def roll(model: Any = model, initial: str = initial) -> pd.DataFrame:
            return bm.rolling(model, data, "30D", step, initial=initial, n_jobs=1)

        ours, frame = cpu(roll)
        chosen = frame.index[np.linspace(0, len(frame) - 1, timed).astype(int)]
        parts = [data.cut(start=end - pd.Timedelta("30D") + pd.Timedelta("1s"), end=end).basis for end in chosen]
        fit(parts[0])
        theirs, values = cpu(lambda parts=parts, fit=fit: [fit(y) for y in parts])
        behind = max(value - frame["llf"][end] for value, end in zip(values, chosen, strict=True))
        theirs *= len(frame) / timed
        yield Row(what, len(frame), 720, ours, peer, theirs, timed, theirs / ours, aim, max(float(behind), 0.0))


def peers_arima(y: Any) -> float:
    """Log likelihood of statsmodels' ARIMA(1,0,0) with a mean: the likelihood of a stationary OU on a regular grid."""
    from statsmodels.tsa.arima.model import ARIMA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(ARIMA(y, order=(1, 0, 0)).fit().llf)


def peers_autoreg(y: Any) -> float:
    """Log likelihood of statsmodels' AR(1) with intercept by least squares, conditional on the first observation."""
    from statsmodels.tsa.ar_model import AutoReg

    return float(AutoReg(y, 1).fit().llf)


def peers_switching(y: Any) -> float:
    """Log likelihood of statsmodels' switching regression on the lag; -inf where it fails."""
    try:
        return float(peers.quiet_fit(peers.markov_regression(y)).llf)
    except (RuntimeError, np.linalg.LinAlgError):
        return -np.inf


def slow_windows(data: bm.BasisSeries, step: str) -> Iterator[Row]:
    """Rolling two-factor models with noise; the aim is ten minutes of CPU for 8,000."""
    model = bm.OU() + bm.SlowOU() + bm.Noise()
    ours, frame = cpu(lambda: bm.rolling(model, data, "30D", step, n_jobs=1))
    yield Row("rolling 30 days, two-factor with noise", len(frame), 720, ours, "-", np.nan, 0, np.nan, 0.0, np.nan)


def refits(n: int, draws: int, timed: int) -> Iterator[Row]:
    """Bootstrap refits of two regimes, from the estimate."""
    y = series.switching_series(n, 3)
    data = bm.BasisSeries.from_basis(pd.date_range("2020-01-01", periods=n, freq="h", tz="UTC"), y)
    fit = bm.fit(bm.Switching(bm.OU(), varies=FREE), data, starts=3, initial="conditional")
    bm.bootstrap(fit, 20, n_jobs=1)
    ours, made = cpu(lambda: bm.bootstrap(fit, draws, rng=1, n_jobs=1))
    make = simulator(fit.problem, fit.x)
    simulated = [make(np.random.default_rng(np.random.SeedSequence(1, spawn_key=(i,)))) for i in range(timed)]
    begin = peers.quiet_fit(peers.markov_regression(y)).params
    theirs, values = cpu(lambda: [warm_switching(part, begin) for part in simulated])
    engine, layout = fit.problem.engine, fit.problem.layout
    own = [engine.loglik(layout._replace(y=part), x) for part, x in zip(simulated, made.draws[:timed], strict=True)]
    name, theirs = f"statsmodels {importlib.metadata.version('statsmodels')}", theirs * draws / timed
    behind = max(0.0, float(np.max(np.array(values) - own)))
    yield Row("bootstrap, 2-regime OU", draws, n, ours, name, theirs, timed, theirs / ours, 1000.0, behind)


def warm_switching(y: Any, begin: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(peers.markov_regression(y).fit(start_params=begin, disp=False).llf)


def two_factor_refits(data: bm.BasisSeries, draws: int) -> Iterator[Row]:
    """Bootstrap refits of the two-regime two-factor model on the market; the aim is 200 in ten minutes on two cores."""
    fit = bm.fit(bm.preset("switching-two-factor"), data, starts=6)
    ours, _ = cpu(lambda: bm.bootstrap(fit, draws, rng=1, n_jobs=1))
    yield Row("bootstrap, 2-regime two-factor", draws, data.n, ours, "-", np.nan, 0, np.nan, 0.0, np.nan)


def all_rows(quick: bool) -> Iterator[Row]:
    """Every comparison."""
    data = market()
    part = data.cut(end=data.time[0] + pd.Timedelta("33D")) if quick else data
    yield from windows(part, "3h" if quick else "1h", 2 if quick else 10)
    yield from refits(2_000 if quick else 8_760, 40 if quick else 1_000, 1 if quick else 5)
    yield from two_factor_refits(part, 2 if quick else 10)
    yield from slow_windows(part, "12h" if quick else "1h")


def main() -> None:
    """Prints every comparison as it is made, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short series, nothing written")
    quick = parser.parse_args().quick
    rows = []
    for row in all_rows(quick):
        rows.append(row)
        print(
            f"{row.what:<42} {row.fits:>6,} fits  {row.ours_s:9.3f} s  {row.peer_s:10.1f} s  {row.ratio:9.0f}x  "
            f"behind {row.worst_llf_behind:.3g}  {row.peer}", flush=True,
        )  # fmt: skip
    if quick:
        return
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()})


if __name__ == "__main__":
    main()
