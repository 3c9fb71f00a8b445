"""How often a failure is found where there is none, and where there is one: writes alarms.csv, alarms_ceiling.csv.

Ninety days of hours each, the model `switching-failure` fitted from default starts, failure probability
at default settings. "Found": the lower 95% limit of the filtered probability above one half for three
bars in a row. `oracle_phi`: the criterion of a failure regime itself (share of the planted hours at which the
basis is out of the band and not coming back within a day, by the true law from the true state): under one half
the planted regime is no failure by the definition. `quarter`: the same with p* = 0.25 in place of 0.5, for what
wanders through the band fails seldom by the definition: alarms_ceiling.csv has the share of such spells that do, of
20,000, by how many times the volatility is multiplied, without end in the last row. `no_return`: the event that
asks for no regime, more likely than not no return to the band within 24 hours, for three bars. Parameters have the size
of the fits to Binance BTC of 2024.

Settings without a failure regime: one regime whose log volatility is itself an Ornstein-Uhlenbeck
process (sd 0.5, half-life a day); two regimes that both converge. With one, three days long, begun
between days 30 and 60: the level at -60 bps; no reversion and five times the volatility.

    python tests/slow/alarms.py [--series 200] [--minutes 60]
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

import basismodels as bm

sys.path.insert(0, str(Path(__file__).resolve().parent))
from row_study import Row, publish, rows_of, seed_of

OUT = Path(__file__).with_suffix(".csv")
HOURS, FAILED = 2160, 72
COLUMNS = (
    "setting", "series", "fitted", "found", "false_bars", "delay_hours", "peak_lower", "oracle_phi",
    "quarter", "quarter_false_bars", "quarter_delay_hours",
    "no_return", "no_return_false_bars", "no_return_delay_hours", "note",
)  # fmt: skip
Made = tuple[np.ndarray, np.ndarray, int]
CALM = {"kappa": 0.5, "sigma": 0.7, "tau": 0.75, "slow_kappa": 0.0012, "slow_sigma": 0.25}
MARKET = {
    "kappa[0]": 0.4995, "kappa[1]": 0.2091, "theta": -0.1826, "sigma[0]": 0.6242, "sigma[1]": 3.1859,
    "tau[0]": 0.7484, "tau[1]": 1.6426, "slow.kappa": 0.001212, "slow.sigma": 0.2494,
    "q[0->1]": 0.006152, "q[1->0]": 0.1079,
}  # fmt: skip
TIMES = pd.date_range("2024-01-01", periods=HOURS, freq="h", tz="UTC")


def walk(
    rng: np.random.Generator, volatility: np.ndarray, kappa: np.ndarray, theta: np.ndarray, begin: int = -1
) -> Made:
    """Basis in bps, with noise and without: volatility, speed and level by hour, and a slow level; and `begin`."""
    x, level, out, latent = 0.0, 0.0, np.empty(HOURS), np.empty(HOURS)
    for i in range(HOURS):
        decay, slow = math.exp(-kappa[i]), math.exp(-CALM["slow_kappa"])
        spread = 1.0 if kappa[i] == 0 else -math.expm1(-2 * kappa[i]) / (2 * kappa[i])
        x = theta[i] + decay * (x - theta[i]) + volatility[i] * math.sqrt(spread) * rng.normal()
        level = slow * level + CALM["slow_sigma"] * rng.normal()
        latent[i] = x + level
        out[i] = latent[i] + CALM["tau"] * rng.normal()
    return out, latent, begin


def constant(value: float) -> np.ndarray:
    return np.full(HOURS, value)


def stochastic_volatility(rng: np.random.Generator) -> Made:
    """One regime; log volatility reverts with a half-life of a day and a sd of one half."""
    decay, log_volatility = 0.5 ** (1 / 24), np.empty(HOURS)
    state = 0.5 * rng.normal()
    for i in range(HOURS):
        state = decay * state + 0.5 * math.sqrt(1 - decay**2) * rng.normal()
        log_volatility[i] = state
    return walk(rng, CALM["sigma"] * np.exp(log_volatility), constant(CALM["kappa"]), constant(0.0))


def both_converge(rng: np.random.Generator) -> Made:
    """Two regimes as fitted to BTC in 2024."""
    model = bm.Switching(bm.OU() + bm.SlowOU() + bm.Noise(), 2)
    y = np.asarray(bm.simulate(model, MARKET, TIMES, rng=rng).basis)
    return y, y, -1


def displaced(rng: np.random.Generator) -> Made:
    """Three days with the level at -60 bps."""
    begin = int(rng.integers(720, 1440))
    theta = constant(0.0)
    theta[begin : begin + FAILED] = -60.0
    return walk(rng, constant(CALM["sigma"]), constant(CALM["kappa"]), theta, begin)


def adrift(rng: np.random.Generator) -> Made:
    """Three days without reversion, at five times the volatility."""
    begin = int(rng.integers(720, 1440))
    kappa, sigma = constant(CALM["kappa"]), constant(CALM["sigma"])
    kappa[begin : begin + FAILED], sigma[begin : begin + FAILED] = 0.0, 5 * CALM["sigma"]
    return walk(rng, sigma, kappa, constant(0.0), begin)


SETTINGS = {
    "one regime, stochastic volatility": stochastic_volatility,
    "two regimes, both converge": both_converge,
    "planted: level at -60 bps": displaced,
    "planted: no reversion, volatility x 5": adrift,
}


def found_at(probability: np.ndarray) -> np.ndarray:
    """Bars at which a probability, or its lower limit, has been above one half for three in a row."""
    above = np.nan_to_num(probability, nan=0.0) > 0.5
    run = above.copy()
    run[1:] &= above[:-1]
    run[2:] &= above[:-2]
    run[:2] = False
    return run


def oracle(make: Callable[[np.random.Generator], Made], latent: np.ndarray) -> float:
    """phi of the planted regime on its own hours: band of 10 bps around 0, 24 hours, the level held."""
    out = np.abs(latent) - 10.0
    if make is displaced:  # reverts to -60 bps with a sd under 1 bp: what is out stays out
        return float((out > 0).mean())
    return float(adrift_for_a_day(out, 5 * CALM["sigma"]).mean())


def adrift_for_a_day(out: np.ndarray, sigma: float) -> np.ndarray:
    """Probability that a random walk (bps/sqrt(h)) stays beyond an edge for 24 hours, by how far out it is, bps."""
    return np.asarray(np.where(out > 0, 2.0 * norm.cdf(out / (sigma * math.sqrt(24.0))) - 1.0, 0.0))


def ceiling(spells: int = 20_000) -> pd.DataFrame:
    """Share of three-day random walks from the middle of the band that are failures by the definition."""
    path = np.random.default_rng(seed_of("ceiling", 0)).standard_normal((spells, FAILED)).cumsum(axis=1)
    rows = []
    for times in (5.0, 10.0, 20.0, math.inf):
        sigma = times * CALM["sigma"]
        if math.isinf(times):  # the band is a point
            phi = adrift_for_a_day(np.abs(path), 1.0).mean(axis=1)
        else:
            phi = adrift_for_a_day(np.abs(sigma * path) - 10.0, sigma).mean(axis=1)
        rows.append({"volatility_times": times, "failures": (phi >= 0.5).mean(), "quarter": (phi >= 0.25).mean()})
    return pd.DataFrame(rows)


def one(make: Callable[[np.random.Generator], Made], seed: np.random.SeedSequence) -> Row:
    """One series: whether a failure was found, where it should not be, and how late."""
    rng = np.random.default_rng(seed)
    y, latent, begin = make(rng)
    data = bm.BasisSeries.from_basis(TIMES, y)
    fit = bm.fit(bm.preset("switching-failure"), data, rng=rng)
    first, second = rng.spawn(2)
    frame = bm.failure_probability(fit, band=10.0, target=0.0, threshold=0.5, rng=first)
    low = bm.failure_probability(fit, band=10.0, target=0.0, threshold=0.25, rng=second)
    free = bm.convergence_probability(fit, horizon=24.0, band=10.0, target=0.0)["probability_no_return"]
    (found, false, delay), (quarter, others, wait), (lost, beside, late) = (
        alarm(one, begin) for one in (frame["filtered_lower"], low["filtered_lower"], free)
    )
    return {
        "fitted": int(fit.ok), "found": found, "false_bars": false, "delay_hours": delay,
        "peak_lower": float(np.nan_to_num(frame["filtered_lower"].to_numpy(), nan=0.0).max()),
        "oracle_phi": oracle(make, latent[begin : begin + FAILED]) if begin >= 0 else "",
        "quarter": quarter, "quarter_false_bars": others, "quarter_delay_hours": wait,
        "no_return": lost, "no_return_false_bars": beside, "no_return_delay_hours": late,
        "note": frame.attrs.get("note", ""),
    }  # fmt: skip


def alarm(probability: pd.Series, begin: int) -> tuple[int, int, int | str]:
    """Whether a failure is found (in the planted spell and a day after, where there is one), bars beside it, delay."""
    run, inside = found_at(probability.to_numpy()), np.zeros(HOURS, dtype=bool)
    if begin >= 0:
        inside[begin : begin + FAILED + 24] = True
    hit = np.flatnonzero(run & inside)
    found = len(hit) > 0 if begin >= 0 else bool(run.any())
    return int(found), int((run & ~inside).sum()), int(hit[0] - begin) if len(hit) else ""


def summary(path: Path = OUT) -> pd.DataFrame:
    """One row a setting: series, share found with its 95% limits, delay's median and 90% point."""
    from statsmodels.stats.proportion import proportion_confint

    rows = []
    for name, part in pd.read_csv(path).groupby("setting", sort=False):
        low, high = proportion_confint(part["found"].sum(), len(part), method="beta")
        failed = part[pd.to_numeric(part["oracle_phi"], errors="coerce") >= 0.5]
        delay = part["delay_hours"].dropna()
        rows.append(
            {
                "setting": name, "series": len(part), "found": part["found"].mean(), "low": low, "high": high,
                "failures": len(failed), "found_of_failures": failed["found"].mean(),
                "false_bars_share": part["false_bars"].sum() / (len(part) * HOURS),
                "delay_median": delay.median(), "delay_90": delay.quantile(0.9) if len(delay) else math.nan,
                **{
                    f"{kind}{ending}": value
                    for kind in ("quarter", "no_return")
                    for ending, value in (
                        ("", part[kind].mean()),
                        ("_false_bars_share", part[f"{kind}_false_bars"].sum() / (len(part) * HOURS)),
                        ("_delay_median", part[f"{kind}_delay_hours"].dropna().median()),
                    )
                },
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="False alarms and detections of a failure regime")
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default all cores")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    makers = {name: partial(one, make) for name, make in SETTINGS.items()}
    rows_of(given.out, COLUMNS, makers, given.series, given.minutes, given.jobs)
    publish(given.out, summary(given.out))
    made = ceiling()
    made.to_csv(given.out.with_name("alarms_ceiling.csv"), index=False, float_format="%.4g", lineterminator="\n")
    print(made.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
