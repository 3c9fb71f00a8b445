"""Speed against other packages: the ratios of one run, same data, one thread each.

Writes benchmarks/results/speed.csv: both times, both log likelihoods, their ratio and what was aimed
at. Times are the least of several; where one call takes longer than a second or so (fits of other
packages), the CPU time of the calling thread. `--quick` is a smoke test on short series that writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peers  # noqa: E402
import series  # noqa: E402

RESULT = HERE / "results" / "speed.csv"


@dataclass(frozen=True)
class Row:
    """One comparison: seconds, log likelihoods, the ratio of the times and the least aimed at."""

    what: str
    n: int
    peer: str
    ours_s: float
    peer_s: float
    ratio: float
    aim: float
    ours_llf: float
    peer_llf: float


def least(call: Callable[[], Any], repeats: int) -> float:
    """Least time of a call over several, and over half a second at least, after one to warm up."""
    call()
    best, began, made = float("inf"), time.perf_counter(), 0
    while made < repeats or (time.perf_counter() - began < 0.5 and made < 100_000):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        made += 1
    return best


def once(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of one call, and what it gave."""
    began = time.thread_time()
    made = call()
    return time.thread_time() - began, made


def versioned(name: str) -> str:
    """A package's name and version."""
    return f"{name} {importlib.metadata.version(name)}"


def isa() -> str:
    """Processor and widest vector instructions."""
    from llvmlite import binding

    found = dict(binding.get_host_cpu_features())
    widest = next((label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if found.get(flag)), "SSE2")
    return f"{binding.get_host_cpu_name()} {widest}"


def plain_ou(n: int) -> Iterator[Row]:
    """Maximum likelihood of OU on an irregular grid."""
    from basismodels.likelihood import ou

    y, dt = series.ou_series(n, 1)
    found = ou.maximise(y, dt, stationary=True)
    ours = least(lambda: ou.maximise(y, dt, stationary=True), 20)
    for name, fit, aim in (("scipy", peers.ou_numpy_fit, 25.0), ("celerite2", peers.celerite_fit, 100.0)):
        fit(y[:300], dt[:299])
        took, value = once(lambda fit=fit: fit(y, dt))
        yield Row("OU fit, irregular grid", n, versioned(name), ours, took, took / ours, aim, found.value, value)


def noisy_ou(n: int) -> Iterator[Row]:
    """OU and noise: the likelihood at one point, and a whole fit."""
    import pandas as pd

    import basismodels as bm
    from basismodels.likelihood import kalman
    from basismodels.likelihood.kim import Start, Steps

    y = series.noisy_series(n, 2)
    model = peers.sarimax(y)
    took, fitted = once(lambda: peers.quiet_fit(model))
    name, x = versioned("statsmodels"), fitted.params
    intercept, phi, tau2, v = x
    one, zero = np.ones((2, 1)), np.zeros(2)
    steps = Steps(
        np.array([[1.0], [phi]]), np.array([[0.0], [intercept]]), np.array([[0.0], [v]]), np.full((2, 1, 1), tau2),
        one, zero, zero, one[:, :, None],
    )  # fmt: skip
    mean, var = np.array([[intercept / (1 - phi), 0.0]]), np.array([[v / (1 - phi**2), 0.0, 0.0]])
    start = Start(np.ones(1), mean, var, np.zeros(1), 0.0)
    row = np.minimum(np.arange(n), 1)
    ours, theirs = least(lambda: kalman.loglik(y, row, steps, start), 50), least(lambda: model.loglike(x), 5)
    value, peer_value = kalman.loglik(y, row, steps, start), float(model.loglike(x))
    yield Row("OU + noise, log likelihood", n, name, ours, theirs, theirs / ours, 50.0, value, peer_value)
    data = bm.BasisSeries.from_basis(pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC"), y)
    fit = bm.fit(bm.OU() + bm.Noise(), data, starts=1)
    ours = least(lambda: bm.fit(bm.OU() + bm.Noise(), data, starts=1), 3)
    yield Row("OU + noise, bm.fit from one start", n, name, ours, took, took / ours, 0.0, fit.llf, fitted.llf)


def arrays(n: int, setting: tuple[Any, ...] = series.TWO, seed: int = 3) -> tuple[Any, ...]:
    """A switching series and the kernel's arguments at the truth, conditional on the first observation."""
    from basismodels.likelihood.kim import Start, Steps

    y = series.switching_series(n, seed, setting)
    phi, c, v, p = series.coefficients(setting)
    k = len(phi)
    values, vectors = np.linalg.eig(p.T)
    law = np.real(vectors[:, np.argmax(np.real(values))])
    law /= law.sum()
    steps = Steps(
        np.stack([np.ones(k), phi]), np.stack([np.zeros(k), c]), np.stack([np.zeros(k), v]), np.zeros((2, k, 1)),
        np.ones((2, 1)), np.zeros(2), np.zeros(2), np.stack([np.eye(k), p]),
    )  # fmt: skip
    start = Start(law, np.zeros((k, 2)), np.zeros((k, 3)), np.ones(k), 0.0)
    return y, np.minimum(np.arange(n), 1), steps, start


def hamilton_passes(n: int) -> Iterator[Row]:
    """One evaluation of the log likelihood, and of it with its gradient, for two regimes.

    Ours from the parameters of the process, as a fit calls it; the textbook's from the coefficients of a step.
    """
    from basismodels.likelihood import hamilton_ou

    y, law = series.switching_series(n, 3, series.TWO), arrays(2)[3].p
    phi, c, v, p = series.coefficients(series.TWO)
    half_life, theta, sigma, _ = series.TWO
    rates = -np.log(1.0 - p[0, 1] - p[1, 0]) * np.array([p[0, 1], p[1, 0]]) / (p[0, 1] + p[1, 0])
    free = np.concatenate([np.log(np.log(2.0) / half_life), theta, np.log(sigma), np.log(rates)])
    process = ((0, 0), y, 1.0, free, np.arange(8), np.array([True, False, False]), 0.0, 0.0)
    textbook = (y, phi, c, np.sqrt(v), p, law)
    model = peers.markov_regression(y)
    x = np.array([p[0, 0], p[1, 0], *c, *phi, *v])
    value, peer_value = hamilton_ou.loglik(*process), float(model.loglike(x))
    numba, statsmodels = f"textbook, {versioned('numba')}", versioned("statsmodels")
    ours = least(lambda: hamilton_ou.loglik(*process), 50)
    theirs = least(lambda: peers.textbook_filter(*textbook), 20)
    yield Row("log likelihood, K=2", n, numba, ours, theirs, theirs / ours, 20, value, peers.textbook_filter(*textbook))
    theirs = least(lambda: model.loglike(x), 5)
    yield Row("log likelihood, K=2", n, statsmodels, ours, theirs, theirs / ours, 100, value, peer_value)
    what = "forward-backward with gradient, K=2"
    ours = least(lambda: hamilton_ou.loglik_grad(*process), 50)
    theirs = least(lambda: peers.textbook_smoother(*textbook), 20)
    yield Row(what, n, numba, ours, theirs, theirs / ours, 15, value, peers.textbook_smoother(*textbook)[0])
    theirs = (least(peers.hmmlearn_iterations(y, 21), 2) - least(peers.hmmlearn_iterations(y, 1), 2)) / 20
    yield Row(what, n, f"EM iteration, {versioned('hmmlearn')}", ours, theirs, theirs / ours, 25, value, float("nan"))
    theirs = least(lambda: model.smooth(x), 1)
    yield Row(what, n, f"smoother, {statsmodels}", ours, theirs, theirs / ours, 1000, value, peer_value)


def hamilton_fits(n: int) -> Iterator[Row]:
    """Whole fits of two regimes."""
    import pandas as pd

    import basismodels as bm
    from basismodels.likelihood import hamilton_fit

    y, name = series.switching_series(n, 3), versioned("statsmodels")
    took, fitted = once(lambda: peers.quiet_fit(peers.markov_regression(y)))
    for starts, aim in ((1, 3000.0), (20, 200.0)):
        value = hamilton_fit.fit(y, 2, starts).value
        ours = least(lambda starts=starts: hamilton_fit.fit(y, 2, starts), 10)
        yield Row(f"array fit, K=2, starts={starts}", n, name, ours, took, took / ours, aim, value, fitted.llf)
    data = bm.BasisSeries.from_basis(pd.date_range("2020-01-01", periods=n, freq="h", tz="UTC"), y)
    model = bm.Switching(bm.OU(), regimes=2, varies=("kappa", "theta", "sigma"))
    made = bm.fit(model, data, starts=1, initial="conditional")
    ours = least(lambda: bm.fit(model, data, starts=1, initial="conditional"), 3)
    yield Row("bm.fit, K=2, starts=1", n, name, ours, took, took / ours, 100, made.llf, fitted.llf)


def three_regimes(n: int, count: int) -> Iterator[Row]:
    """How many of `count` series of three regimes 30 starts bring to the best maximum known; llf: those counts."""
    from basismodels.likelihood import hamilton_fit

    reached = peer_reached = 0
    ours = theirs = 0.0
    for seed in range(count):
        y = series.switching_series(n, 100 + seed, series.THREE)
        took, fitted = once(lambda y=y: peers.quiet_fit(peers.markov_regression(y, 3)))
        hamilton_fit.fit(y, 3, 30)
        own, made = once(lambda y=y: hamilton_fit.fit(y, 3, 30))
        best = max(fitted.llf, made.value, hamilton_fit.fit(y, 3, 400, rng=1).value)
        reached, peer_reached = reached + (made.value > best - 1e-3), peer_reached + (fitted.llf > best - 1e-3)
        ours, theirs = ours + own, theirs + took
    what = f"array fit, K=3, starts=30, {count} series: how many best maxima in place of log likelihoods"
    yield Row(what, n, versioned("statsmodels"), ours, theirs, theirs / ours, 0.0, reached, peer_reached)


def kim_passes(n: int) -> Iterator[Row]:
    """Regimes, a slow level and noise, against one regime and noise; then the gradient against the likelihood."""
    from basismodels.likelihood import kim

    model = peers.sarimax(series.noisy_series(n, 2))
    x = model.start_params
    theirs = least(lambda: model.loglike(x), 5)
    for k, aim, setting in ((2, 7.0, series.TWO), (3, 3.5, series.THREE)):
        y, row, steps, start = arrays(n, setting)
        y = y + np.random.default_rng(4).normal(size=n)
        slow = np.array([[0.0, 10.0, 0.0, 5.0]] * k)
        steps = steps._replace(tau2=np.ones((2, k, 1)), rho=np.array([1.0, 0.998]), w=np.array([0.0, 0.02]))
        start = start._replace(var=slow[:, 1:], diffuse=np.zeros(k))
        value = kim.loglik(y, row, steps, start)
        ours = least(lambda a=(y, row, steps, start): kim.loglik(*a), 10)
        name = f"one regime, {versioned('statsmodels')}"
        yield Row(f"Kim filter, K={k}, two states", n, name, ours, theirs, theirs / ours, aim, value, float("nan"))
        gradient = least(lambda a=(y, row, steps, start): kim.loglik_grad(*a), 10)
        what = f"Kim filter, K={k}: likelihood over likelihood with gradient"
        yield Row(what, n, "itself", gradient, ours, ours / gradient, 0.2, value, value)


def growth(sizes: tuple[int, ...]) -> Iterator[Row]:
    """Cost an observation relative to the shortest series: 1 means linear."""
    from basismodels.likelihood import hamilton, kim, ou

    first: dict[str, float] = {}
    for n in sizes:
        y, dt = series.ou_series(n, 1)
        a = arrays(n)
        noisy = (*a[:2], a[2]._replace(tau2=np.ones((2, 2, 1))), a[3])
        calls: dict[str, Callable[[], Any]] = {
            "OU profile": lambda y=y, dt=dt: ou.profile(0.05, y, dt, True).value,
            "Hamilton, K=2": lambda a=a: hamilton.loglik(*a),
            "Kim, K=2": lambda a=noisy: kim.loglik(*a),
        }
        for name, call in calls.items():
            each = least(call, 5) / n
            base = first.setdefault(name, each)
            yield Row(f"{name}: cost an observation, growth", n, "itself", each, base, base / each, 0.5, call(), np.nan)


def all_rows(quick: bool) -> Iterator[Row]:
    """Every comparison."""
    short = 2_000
    yield from plain_ou(short if quick else 100_000)
    yield from noisy_ou(short if quick else 8_760)
    yield from kim_passes(short if quick else 8_760)
    for n in (short,) if quick else (8_760, 100_000):
        yield from hamilton_passes(n)
    yield from hamilton_fits(short if quick else 8_760)
    yield from growth((short,) if quick else (10_000, 100_000, 1_000_000))
    if not quick:
        yield from three_regimes(2_049, 20)


def main() -> None:
    """Prints every comparison as it is made, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short series, nothing written")
    quick = parser.parse_args().quick
    machine = isa()
    print(machine)
    rows = []
    for row in all_rows(quick):
        rows.append(row)
        print(
            f"{row.what:<48} n={row.n:<9,} {row.ours_s * 1e3:10.4g} ms  {row.peer_s * 1e3:10.4g} ms  "
            f"{row.ratio:8.4g}x (aim {row.aim:g})  {row.ours_llf:.6f} / {row.peer_llf:.6f}  {row.peer}",
            flush=True,
        )
    if quick:
        return
    RESULT.parent.mkdir(exist_ok=True)
    with RESULT.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(field.name for field in fields(Row)), "isa", "numba"])
        for row in rows:
            cells = [getattr(row, field.name) for field in fields(Row)]
            shown = [f"{cell:.10g}" if isinstance(cell, float) else cell for cell in cells]
            writer.writerow([*shown, machine, importlib.metadata.version("numba")])


if __name__ == "__main__":
    main()
