"""Regressions of the next change of the basis on funding, naive and with the premium beside it, and placebos.

Naive: change on basis and funding, or on basis times the size of funding. With noise or a slow level in the
basis, funding predicts without driving: it averages the premium, and so measures the state better than the last
price. The controlled ones hold the mean premium of the same interval fixed. Errors are robust to
autocorrelation (Newey & West 1987) over two intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError
from basismodels.funding.mechanism import Rule
from basismodels.funding.settled import Settled, settled_of
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
EFFECTS = ("level", "speed")


class Regressor(NamedTuple):
    """A rate and the premium beside it at each row, as distances from the interest, bps."""

    gap: Array
    premium: Array


class Sample(NamedTuple):
    """Steps with both ends observed: change and basis (n,) bps, row of the step's start, lags of the errors, rates."""

    change: Array
    basis: Array
    row: NDArray[np.int64]
    lags: int
    funding: Regressor


class Estimated(NamedTuple):
    """A coefficient with its standard error and t; bps per hour and bp for the level, 1/h and bp for the speed."""

    estimate: float
    se: float
    t: float

    @property
    def p(self) -> float:
        """Two-sided, normal."""
        from scipy.stats import norm

        return float(2.0 * norm.sf(abs(self.t)))


def sample_of(data: BasisSeries, rule: Rule) -> Sample:
    """Steps of the commonest length between observed rows at which funding and its premium are known."""
    frame, hours = data.frame(), data.hours
    step = float(np.median(np.diff(hours)))
    gap = frame["funding_gap"].to_numpy(dtype=float)
    premium = frame["premium_mean"].to_numpy(dtype=float) - 1e4 * rule.interest
    usual = np.abs(np.diff(hours) - step) < 1e-6 * step
    use = data.observed[:-1] & data.observed[1:] & usual & np.isfinite(gap[:-1]) & np.isfinite(premium[:-1])
    if use.sum() < 200:
        raise DataError(f"{int(use.sum())} steps with funding known: too few for a regression")
    row = np.flatnonzero(use)
    lags = max(2, round(2.0 * rule.interval_hours / step))
    return Sample(np.diff(data.basis)[row] / step, data.basis[row], row, lags, Regressor(gap, premium))


def estimate(sample: Sample, effect: str, rate: Regressor, controlled: bool, keep: Array | None = None) -> Estimated:
    """The coefficient of a rate in one regression. `keep`: which steps, (n,)."""
    gap, premium = rate.gap[sample.row], rate.premium[sample.row]
    columns = _columns(effect, sample.basis, gap)
    if controlled:
        columns += _columns(effect, sample.basis, premium)[1:]
    use = np.isfinite(gap) & np.isfinite(premium) & (True if keep is None else keep.astype(bool))
    return _ols(sample.change[use], [c[use] for c in columns], sample.lags, 1)


def _columns(effect: str, basis: Array, gap: Array) -> list[Array]:
    """Basis, then what is judged, then the rest."""
    if effect == "level":
        return [basis, gap]
    return [basis, basis * np.abs(gap), np.abs(gap)]


def _ols(change: Array, columns: Sequence[Array], lags: int, which: int) -> Estimated:
    import statsmodels.api as sm

    design = np.column_stack([*columns, np.ones(len(change))])
    if len(change) < 50 or np.linalg.matrix_rank(design) < design.shape[1]:
        return Estimated(np.nan, np.nan, np.nan)
    found: Any = sm.OLS(change, design).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    return Estimated(float(found.params[which]), float(found.bse[which]), float(found.tvalues[which]))


def placebos(
    data: BasisSeries, rule: Rule, sample: Sample, effect: str, rng: np.random.Generator, permutations: int
) -> list[dict[str, object]]:
    """Rates that cannot drive the basis, put in funding's place; one row each."""
    settled = settled_of(data, rule)
    future, shifted = _future(data, rule, settled), _shifted(data, rule)
    dead = data.frame()["in_deadband"].to_numpy(dtype=float)[sample.row] == 1.0
    mean = Regressor(sample.funding.premium, sample.funding.premium)
    rows = [
        _row(effect, "future funding", estimate(sample, effect, future, True), "not settled when the step begins"),
        _row(effect, "clock shifted by half an interval", estimate(sample, effect, shifted, True),
             "a rate by the same rule that nobody pays"),
        _row(effect, "mean premium, deadband only", estimate(sample, effect, mean, False, dead),
             "the rate stands still there, so what predicts is not the rate"),
    ]  # fmt: skip
    share = np.mean([
        estimate(sample, effect, _permuted(data, settled, rule, sample.funding, rng), True).p < 0.05
        for _ in range(permutations)
    ]) if permutations else np.nan  # fmt: skip
    nothing = Estimated(float(share), np.nan, np.nan)
    return [*rows, _row(effect, "intervals permuted", nothing, f"share of {permutations} permutations that reject")]


def _row(effect: str, what: str, found: Estimated, note: str) -> dict[str, object]:
    p = found.p if np.isfinite(found.t) else np.nan
    return {"effect": effect, "placebo": what, "estimate": found.estimate, "t": found.t, "p": p, "note": note}


def _future(data: BasisSeries, rule: Rule, settled: Settled) -> Regressor:
    """The rate in force after the one that is, with the premium that sets it."""
    after = np.asarray(settled.stamp.searchsorted(data.time, side="right")) + (rule.timing == "next")
    return _regressor(rule, settled.rate, settled.premium, settled.hours, after)


def _regressor(rule: Rule, rate: Array, premium: Array, hours: Array, at: NDArray[np.int64]) -> Regressor:
    inside = (at >= 0) & (at < len(rate))
    at = np.clip(at, 0, len(rate) - 1)
    gap = 8e4 * rate[at] / hours[at] - 1e4 * rule.interest_8h
    return Regressor(np.where(inside, gap, np.nan), np.where(inside, premium[at] - 1e4 * rule.interest, np.nan))


def _shifted(data: BasisSeries, rule: Rule) -> Regressor:
    """Rates the rule would set on a clock half an interval away, from the closes; the true premium stays beside."""
    half = pd.Timedelta(hours=rule.interval_hours / 2.0)
    stamp = rule.interval_ends(data.time[0], data.time[-1]) + half
    premium = np.where(data.observed, 1e4 * np.expm1(data.basis / 1e4), np.nan)
    first = data.time.searchsorted(stamp - 2 * half, side="right")
    last = data.time.searchsorted(stamp, side="right")
    mean = np.array([rule.premium_mean(premium[a:b]) if b > a else np.nan for a, b in zip(first, last, strict=True)])
    mean = pd.Series(mean).ffill().to_numpy(dtype=float)
    at = np.asarray(stamp.searchsorted(data.time, side="right")) - 1
    hours = np.full(len(mean), rule.interval_hours)
    return _regressor(rule, rule.rate_of_mean(mean / 1e4), mean, hours, at)


def _permuted(data: BasisSeries, settled: Settled, rule: Rule, own: Regressor, rng: np.random.Generator) -> Regressor:
    """Rates of intervals in random order; the premiums stay where they are."""
    order = rng.permutation(len(settled.rate))
    at = np.asarray(settled.stamp.searchsorted(data.time, side="right")) - 1
    mixed = _regressor(rule, settled.rate[order], settled.premium[order], settled.hours[order], at)
    return Regressor(mixed.gap, own.premium)
