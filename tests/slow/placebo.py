"""How often tests of funding reject where funding does nothing, and how often where it does: `--minutes 15`.

A market is walked by the minute for 120 days under Binance's rule and seen by the hour. In the markets
without an effect nothing moves with funding, so a test that rejects more than 5% of them credits a proxy.
The two markets with an effect are the two-factor one with a pull of 0.05 bp an hour per bp of funding, and with a
speed that doubles over two bps of funding pressure; power there is at the nominal 5%.
Regressions are made of every series, likelihood ratios of the level for the first `--states` of each market (at most
POWER of one with an effect), of speed and transitions for every second of those. One seed a series, whatever the
order; counts are written after every batch and a later run goes on from them.

placebo.csv: market, kind (size or power), test, series, rejected, share, its 95% band (Clopper & Pearson 1934);
placebo_table.csv: the same, a market a row. The package ships the counts, for the verdicts quote them.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import beta

import basismodels as bm
from basismodels import engine
from basismodels.estimands.funding_diagnostic import prepared
from basismodels.estimands.funding_power import PULL, statistics
from basismodels.estimands.funding_states import COLUMNS, OTHER, ratio_test, start_of, with_false_clock
from basismodels.estimands.funding_verdict import STATES
from basismodels.inference import mle, profile
from basismodels.inference.profile import refit_from
from basismodels.inference.pytensor_op import kind_of
from basismodels.likelihood.compiled_entry import entry
from basismodels.likelihood.packed import data_of, shape_of
from basismodels.likelihood.predictors import Layout
from basismodels.model import Model, as_model
from basismodels.problem import bind

RESULTS = Path(__file__).resolve().parent / "placebo.csv"
TABLE = RESULTS.with_name("placebo_table.csv")
SHIPPED = Path(bm.__file__).resolve().parent / "data" / "funding_sizes.csv"
HEADER = ("market", "kind", "test", "series", "rejected", "share", "band_low", "band_high")
RULE = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
HOURS = pd.date_range("2024-01-01 01:00", periods=24 * 120, freq="h", tz="UTC")
BATCH = 8
POWER = 400
SPREAD = 10.0
BTC = {"kappa": 0.5718, "theta": 0.0485, "sigma": 1.1587, "slow.kappa": 0.0019, "slow.sigma": 0.3181, "tau": 0.7305}
BTC_TWO_REGIMES = {
    "kappa[0]": 0.4995, "kappa[1]": 0.2091, "theta": -0.1826, "sigma[0]": 0.6242, "sigma[1]": 3.1859,
    "slow.kappa": 0.0012, "slow.sigma": 0.2494, "tau[0]": 0.7484, "tau[1]": 1.6425,
    "q[0->1]": 0.0062, "q[1->0]": 0.1079,
}  # fmt: skip


class Market(NamedTuple):
    """What is simulated, and whether funding does something in it ("size": nothing)."""

    model: Model
    params: dict[str, float]
    kind: str = "size"


def _ou(half_life: float, spread: float) -> dict[str, float]:
    """Speed and volatility of an OU process with this half-life (h) and standard deviation (bps)."""
    kappa = math.log(2.0) / half_life
    return {"kappa": kappa, "theta": 0.0, "sigma": spread * math.sqrt(2.0 * kappa)}


def markets() -> dict[str, Market]:
    """Markets by name; the first three are those of the text, the rest those of fits and of other departures."""
    slow, fast = _ou(24.0, 0.8**0.5 * SPREAD), _ou(1 / 6, 0.2**0.5 * SPREAD)
    two = bm.OU() + bm.SlowOU() + bm.Noise()
    pulled = bm.OU(theta="1 + funding_gap") + bm.SlowOU() + bm.Noise()
    driven = bm.OU(kappa="1 + funding_pressure") + bm.SlowOU() + bm.Noise()
    return {
        "ou": Market(as_model(bm.OU()), _ou(8.0, SPREAD)),
        "ou-noise": Market(bm.OU() + bm.Noise(), _ou(8.0, SPREAD) | {"tau": 0.5 * SPREAD}),
        "two-factor": Market(
            bm.OU() + bm.SlowOU(), fast | {"slow.kappa": slow["kappa"], "slow.sigma": slow["sigma"]}
        ),
        "two-factor, BTC 2024": Market(two, BTC),
        "two regimes, BTC 2024": Market(bm.Switching(two, regimes=2), BTC_TWO_REGIMES),
        "faster outside the band": Market(
            bm.OU(kappa="1 + outside_band") + bm.Noise(),
            {"kappa": 0.03, "kappa:outside_band": 2.0, "theta": 0.0, "sigma": 2.5, "tau": 0.7},
        ),
        "pull": Market(pulled, BTC | {"theta:funding_gap": PULL / BTC["kappa"]}, "power of level"),
        "speed": Market(driven, BTC | {"kappa:funding_pressure": math.log(2.0) / 2.0}, "power of speed"),
    }  # fmt: skip


def compiled(own: engine.Engine, layout: Layout) -> engine.Objective:
    """The same objective compiled from end to end: two to four times as fast, after half a minute of compilation."""
    data, shape = data_of(layout), shape_of(layout)
    call, _ = entry(kind_of(own), shape.widths)

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        free, out = np.ascontiguousarray(x), np.empty(len(x))
        value = call(
            free.ctypes.data, len(free), data.y.ctypes.data, len(data.y), data.row.ctypes.data, data.dt.ctypes.data,
            len(data.dt), data.design.ctypes.data, data.design.shape[1], data.settings.ctypes.data,
            shape.constants.ctypes.data, len(shape.constants), shape.places.ctypes.data, len(shape.places),
            shape.table.ctypes.data, shape.flags.ctypes.data, out.ctypes.data,
        )  # fmt: skip
        return -value, -out

    return negative


def rejections(
    market: Market,
    seed: np.random.SeedSequence,
    regressions: bool,
    effects: tuple[str, ...],
    hours: pd.DatetimeIndex = HOURS,
) -> dict[str, bool]:
    """Which tests reject at 5% on one series; a kink with too few intervals is left out."""
    with mock.patch.object(mle, "objective", compiled), mock.patch.object(profile, "objective", compiled):
        return _rejections(market, seed, regressions, effects, hours)


def _rejections(
    market: Market,
    seed: np.random.SeedSequence,
    regressions: bool,
    effects: tuple[str, ...],
    hours: pd.DatetimeIndex,
) -> dict[str, bool]:
    rng = np.random.default_rng(seed)
    made = prepared(bm.funding.simulate(market.model, RULE, market.params, hours, rng=rng), RULE)[0]
    plain = statistics(made, RULE) if regressions else {}
    found = {name: abs(t) > 1.96 for name, t in plain.items() if math.isfinite(t)}
    return found | (_ratios(made, market, effects) if effects else {})


def _ratios(data: bm.BasisSeries, market: Market, effects: tuple[str, ...]) -> dict[str, bool]:
    closes, out = with_false_clock(data, RULE), {}
    null = _switching(closes, market.params) if market.model.regimes > 1 else start_of(closes, starts=2)
    for effect in effects:
        if effect == "transitions" and market.model.regimes == 1:
            continue
        funding, premium = COLUMNS[effect]
        for test, held in zip(STATES, ((), (premium,), (premium, OTHER + funding)), strict=True):
            out[f"{effect} {test}"] = ratio_test(closes, effect, held, null).p < 0.05
    return out


def _switching(data: bm.BasisSeries, params: dict[str, float]) -> bm.Fit:
    """The two-regime fit reached from the truth."""
    model = bm.Switching(bm.OU() + bm.SlowOU() + bm.Noise(), regimes=2)
    problem = bind(model, data)
    x = problem.spec.to_free(np.array([params[name] for name in problem.spec.names]))
    begun = bm.Fit(problem, x, np.full((len(x), len(x)), np.nan), -math.inf, (), pd.DataFrame())
    return refit_from(begun)


Counts = dict[tuple[str, str], list[int]]


def load() -> Counts:
    """Series and rejections so far by market and test; the pseudo-test "series" counts what was begun."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as lines:
        return {(r["market"], r["test"]): [int(r["series"]), int(r["rejected"])] for r in csv.DictReader(lines)}


def save(counts: Counts) -> None:
    """Writes the table, whole or not at all."""
    kinds = {name: market.kind for name, market in markets().items()}
    temporary = RESULTS.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for (market, test), (n, k) in counts.items():
            low, high = band(k, n)
            rows.writerow([market, kinds[market], test, n, k, f"{k / n:.4f}", f"{low:.4f}", f"{high:.4f}"])
    os.replace(temporary, RESULTS)
    shutil.copyfile(RESULTS, SHIPPED)
    _summary(counts)


def _summary(counts: Counts) -> None:
    """The same counts, a market a row: share that rejects, and of how many series."""
    tests = [t for t in dict.fromkeys(test for _, test in counts) if not t.startswith("kink no")]
    with TABLE.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["market", "kind", *(t.replace(", ", " ").replace(" ", "_") for t in tests)])
        for name, market in markets().items():
            cells = [counts.get((name, test)) for test in tests]
            rows.writerow(
                [name, market.kind, *(f"{k / n:.1%} of {n}" if n else "-" for n, k in (c or (0, 0) for c in cells))]
            )


def band(k: int, n: int) -> tuple[float, float]:
    """95% limits of a share (Clopper & Pearson 1934)."""
    return (
        float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0,
        float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0,
    )


def batches(counts: Counts, series: int, states: int) -> Iterator[tuple[str, range, bool]]:
    """What is left to do, the market with the least done first: name, seeds, with likelihood ratios or not."""
    while True:
        done = {
            name: (begun(counts, name, "level state space"), begun(counts, name, "level naive")) for name in markets()
        }
        asked = {name: states if market.kind == "size" else min(POWER, states) for name, market in markets().items()}
        behind = min(done, key=lambda name: (done[name][0] >= asked[name], done[name]))
        if done[behind][0] < asked[behind]:
            start = done[behind][0]
            yield behind, range(start, min(start + BATCH, asked[behind])), True
            continue
        name = min(done, key=lambda name: done[name][1])
        if done[name][1] >= series:
            return
        yield name, range(done[name][1], min(done[name][1] + 5 * BATCH, series)), False


def begun(counts: Counts, name: str, test: str) -> int:
    """Series of a market a test has judged."""
    return counts.get((name, test), [0, 0])[0]


def add(counts: Counts, name: str, found: dict[str, bool]) -> None:
    """Adds one series' rejections."""
    for test, rejected in found.items():
        count = counts.setdefault((name, test), [0, 0])
        count[0] += 1
        count[1] += int(rejected)


def _effects(i: int, states: bool) -> tuple[str, ...]:
    """Effects whose likelihood ratios are made of series i."""
    return ("level", "speed", "transitions") if states and i % 2 == 0 else ("level",) if states else ()


def main(arguments: list[str] | None = None) -> int:
    """Runs until done or out of time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--states", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default all cores")
    asked: Any = parser.parse_args(arguments)
    counts, stop = load(), time.monotonic() + 60 * asked.minutes
    order = list(markets())
    for name, seeds, states in batches(counts, asked.series, asked.states):
        regressed = begun(counts, name, "level naive")
        tasks = (
            delayed(rejections)(
                markets()[name], np.random.SeedSequence([order.index(name), i]), i >= regressed, _effects(i, states)
            )
            for i in seeds
        )
        for found in Parallel(n_jobs=asked.jobs)(tasks):
            add(counts, name, found)
        save(counts)
        if time.monotonic() > stop:
            break
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
