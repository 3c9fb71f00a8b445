"""What the model said before, during and after known events: writes paper/tables/events.csv.

For each event the model `switching-failure` is fitted to a year that ends a day before it (less where the
file begins later), its parameters are held, and the filter is run over the days around the event: filtered, never
smoothed. `before` (the three days that end a day before it), `during` and `after` (the three days that begin two
days after it) are each the highest probability of no return in that window, with its 95% limits over draws of the
parameters: normal ones, or of a parametric bootstrap where an estimate is at its bound. Two alarms are compared:
the probability of no return to +-10 bps within a day, given data to the hour, and the plain size of the basis. Both
thresholds are set on the training year, where each is passed at the same share of rows (`share_above`). `lead_hours`
is how much earlier the model's alarm came, from a day before the event to its end; a negative figure is a lag.
Controls are hours of stress in which the basis was not reported to have failed; there an alarm is a false one.

    BASISMODELS_DATA=... python paper/events.py
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.estimands import passage
from basismodels.estimands.event import Event
from basismodels.estimands.state import state_of

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("BASISMODELS_DATA", HERE.parents[1] / "shared" / "data"))
OUT = HERE / "tables" / "events.csv"
SHARE_ABOVE = 0.002
HORIZON, BAND = 24.0, 10.0
EVENT = Event(HORIZON, BAND, target=0.0)
DRAWS = 100
DAY = pd.Timedelta("1D")


@dataclass(frozen=True)
class Episode:
    """An event: file, first and last hour (UTC), whether a failure or a control, and what it was."""

    name: str
    file: str
    begin: str
    end: str
    kind: str
    what: str
    read: tuple[tuple[str, str], ...] = ()


EPISODES = (
    Episode("BitMEX, March 2020", "bitmex_xbtusd_8h", "2020-03-12 20:00", "2020-03-14 04:00", "failure",
            "outage and funding at its cap"),
    Episode("Binance BTC, March 2020", "binance_btcusdt_1h", "2020-03-12 10:00", "2020-03-13 12:00", "failure",
            "crash; perpetual 257 bps below spot"),
    Episode("XRP, December 2020", "binance_xrpusdt_1h", "2020-12-11 12:00", "2020-12-12 00:00", "failure",
            "discount before the snapshot of 12 December"),
    Episode("ETH, May 2021", "binance_ethusdt_1h", "2021-05-19 12:00", "2021-05-19 20:00", "failure",
            "crash, exchange outages"),
    Episode("ETH, September 2022", "binance_ethusdt_1h", "2022-09-14 00:00", "2022-09-15 08:00", "failure",
            "fork dividend: a rational, displaced level"),
    Episode("USDC, March 2023", "usdcusdt_1h", "2023-03-11 03:00", "2023-03-13 12:00", "failure",
            "the numeraire broke", (("perp", "spot"), ("reference", "index"))),
    Episode("GBTC discount, March 2021", "gbtc_nav_daily", "2021-03-02 00:00", "2021-04-30 00:00", "failure",
            "no redemption: the discount stayed for years"),
    Episode("FTX, November 2022", "binance_btcusdt_1h", "2022-11-08 10:00", "2022-11-11 14:00", "control",
            "default of another venue, seen from Binance"),
    Episode("Squeeze, February 2024", "binance_btcusdt_1h", "2024-02-26 18:00", "2024-02-27 18:00", "control",
            "premium that corrected itself"),
    Episode("Crash, August 2024", "binance_btcusdt_1h", "2024-08-05 00:00", "2024-08-05 20:00", "control",
            "crash in which arbitrage worked"),
    Episode("BitMEX restart, May 2020", "bitmex_xbtusd_8h", "2020-05-19 12:00", "2020-05-20 04:00", "control",
            "outage in a calm market"),
    Episode("Bybit theft, February 2025", "binance_btcusdt_5m", "2025-02-21 14:10", "2025-02-22 14:00", "control",
            "theft at another venue that kept withdrawals open, seen from Binance"),
)  # fmt: skip


def no_return(fit: bm.Fit, x: np.ndarray | None = None) -> pd.Series:
    """P(no return within the horizon) by time at the fit's parameters, or at another free vector.

    At rows of an outage it is what the filter expects, for the alarm goes on through them.
    """
    found = fit.filtered if x is None else fit.problem.engine.filter(fit.problem.layout, x)
    lost = passage.no_return(fit.problem, fit.x if x is None else x, state_of(fit.problem, found), EVENT)
    return pd.Series(lost, fit.problem.time)


def band_of(fit: bm.Fit) -> tuple[pd.Series, pd.Series, int]:
    """95% limits of `no_return` over draws of the parameters, and how many there were."""
    draws = bm.draws_of(fit, DRAWS, rng=1)
    paths = np.array([no_return(fit, x).to_numpy() for x in draws])
    low, high = np.nanquantile(paths, [0.025, 0.975], axis=0)
    return pd.Series(low, fit.problem.time), pd.Series(high, fit.problem.time), len(draws)


def first_above(values: pd.Series, threshold: float, begin: pd.Timestamp, end: pd.Timestamp) -> pd.Timestamp | None:
    """First time from a day before the event to its end at which the threshold is passed."""
    above = values.loc[begin - DAY : end] > threshold
    return above.index[int(np.argmax(above.to_numpy()))] if above.any() else None


def row_of(episode: Episode) -> dict[str, object]:
    """One row of the table."""
    data = bm.read(DATA / f"{episode.file}.parquet", **dict(episode.read))
    begin, end = (pd.Timestamp(t, tz="UTC") for t in (episode.begin, episode.end))
    train = data.cut(start=begin - 366 * DAY, end=begin - DAY)
    fit = bm.fit(bm.preset("switching-failure"), train, starts=8)
    regimes = bm.failure_regimes(fit, HORIZON, BAND, target=0.0, draws=50)
    around = bm.refilter(drawn(fit), data.cut(start=begin - 30 * DAY, end=end + 30 * DAY))
    now, size = no_return(around), pd.Series(np.abs(around.data.basis), around.data.time)
    low, high, draws = band_of(around)
    quiet = no_return(fit).dropna()
    limits = {
        "probability": min(float(quiet.quantile(1 - SHARE_ABOVE)), 1 - 1e-9),
        "basis": float(np.nanquantile(np.abs(train.basis), 1 - SHARE_ABOVE)),
    }
    by_model = first_above(now, limits["probability"], begin, end)
    by_size = first_above(size, limits["basis"], begin, end)
    windows = {
        "before": (begin - 4 * DAY, begin - DAY), "during": (begin, end), "after": (end + 2 * DAY, end + 5 * DAY),
    }  # fmt: skip
    lead = "" if by_model is None or by_size is None else (by_size - by_model) / pd.Timedelta("1h")
    failing = regimes.index[regimes["fails"]].to_list()
    held = around.regimes["filtered"] if failing else None
    return {
        "event": episode.name, "kind": episode.kind, "what": episode.what, "data": episode.file,
        "trained_from": train.time[0].date(), "rows": fit.nobs, "ok": fit.ok,
        "failure_regimes_in_training": len(failing),
        **{key: v for name, span in windows.items() for key, v in highest(name, now, low, high, span).items()},
        "draws": draws,
        "failure_regime_during": held.loc[begin:end, failing].sum(axis=1).max() if held is not None else 0.0,
        "widest_bps": float(around.data.basis[np.nanargmax(np.where(inside(around, begin, end), size, np.nan))]),
        "share_above": SHARE_ABOVE, "threshold_probability": limits["probability"],
        "threshold_bps": limits["basis"], "alarm_model": by_model or "", "alarm_basis": by_size or "",
        "lead_hours": lead,
    }  # fmt: skip


def drawn(fit: bm.Fit) -> bm.Fit:
    """The fit, with draws of a bootstrap where normal ones are refused."""
    try:
        bm.draws_of(fit, 2, rng=1)
    except bm.ModelError:
        return bm.bootstrap(fit, DRAWS, rng=1)
    return fit


def highest(
    name: str, now: pd.Series, low: pd.Series, high: pd.Series, span: tuple[pd.Timestamp, pd.Timestamp]
) -> dict[str, float]:
    """The highest value in a window, and its limits; NaN where nothing was observed."""
    own = now.loc[span[0] : span[1]].dropna()
    if own.empty:
        return dict.fromkeys((name, f"{name}_lower", f"{name}_upper"), np.nan)
    peak = own.idxmax()
    return {name: float(own[peak]), f"{name}_lower": float(low[peak]), f"{name}_upper": float(high[peak])}


def inside(fit: bm.Fit, begin: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
    """Rows of the event."""
    return np.asarray((fit.data.time >= begin) & (fit.data.time <= end))


def table() -> pd.DataFrame:
    """All events whose file is there."""
    rows = [row_of(one) for one in EPISODES if (DATA / f"{one.file}.parquet").exists()]
    return pd.DataFrame(rows)


def main() -> int:
    made = table()
    if made.empty:
        print(f"no data in {DATA}: set BASISMODELS_DATA; the committed table stays")
        return 0
    OUT.parent.mkdir(exist_ok=True)
    made.to_csv(OUT, index=False, float_format="%.4g", lineterminator="\n")
    print(made.drop(columns=["what", "data"]).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
