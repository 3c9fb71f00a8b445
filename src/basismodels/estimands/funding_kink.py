"""Regression kinks: the rule's own corners, where funding's response to the premium changes and nothing else does.

Beyond the damper a bp of premium is a bp of funding, inside it is none; at the cap it is none again. A driver
bends the expected change of the basis there; a proxy does not (Card, Lee, Pei & Weber 2015).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.funding.mechanism import Rule
from basismodels.funding.settled import settled_of
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
_FEW = 40


def kinks(data: BasisSeries, rule: Rule, bandwidth: float | None = None) -> pd.DataFrame:
    """Change of slope at each corner of the rule, and at places without a corner, one row each.

    `bandwidth` in bps of mean premium, default the damper's width. Columns: at (bps), bend of the next
    interval's change of the basis per bp of premium, bend of funding, effect = their ratio (bps an interval
    per bp of funding), its se, t, p, intervals in use. Where fewer than 40 lie on a side: NaN.
    """
    mean, rate, now, after = _intervals(data, rule)
    width = bandwidth or max(1e4 * rule.damper, 2.5)
    places = _places(rule, width)
    return pd.DataFrame([_kink(name, at, mean, rate, now, after, width) for name, at in places])


def _places(rule: Rule, width: float) -> list[tuple[str, float]]:
    low, high = (1e4 * edge for edge in rule.deadband)
    found = []
    if rule.damper > 0:
        found = [
            ("damper, lower edge", low),
            ("damper, upper edge", high),
            ("no kink: the interest", 0.5 * (low + high)),
        ]
        found += [("no kink: above", high + 2 * width), ("no kink: below", low - 2 * width)]
    if math.isfinite(rule.premium_at_cap):
        found += [("floor", -1e4 * rule.premium_at_cap), ("cap", 1e4 * rule.premium_at_cap)]
    return found


def _intervals(data: BasisSeries, rule: Rule) -> tuple[Array, Array, Array, Array]:
    """Mean premium (bps), rate (bps per 8 h), basis at the ends of the interval in which the rate is in force (bps)."""
    settled = settled_of(data, rule)
    observed = np.where(data.observed, data.basis, np.nan)
    series = pd.Series(observed, index=data.time)
    lag = settled.each(lambda r: r.timing == "next") * settled.hours  # fixed before it is paid: in force until then
    begin = settled.stamp - pd.to_timedelta(lag, unit="h")
    now = np.asarray(series.reindex(begin))
    after = np.asarray(series.reindex(begin + pd.to_timedelta(settled.hours, unit="h")))
    return settled.premium, 8e4 * settled.rate / settled.hours, now, after


def _kink(name: str, at: float, mean: Array, rate: Array, now: Array, after: Array, width: float) -> dict[str, object]:
    use = np.isfinite(mean) & np.isfinite(now) & np.isfinite(after) & (np.abs(mean - at) <= width)
    x = mean[use] - at
    row: dict[str, object] = {"place": name, "at": at, "intervals": int(use.sum())}
    blank = dict.fromkeys(("bend", "bend_of_funding", "effect", "se", "t", "p"), math.nan)
    if min((x > 0).sum(), (x < 0).sum()) < _FEW:
        return row | blank
    design = np.column_stack([np.maximum(x, 0.0), x, now[use], np.ones(len(x))])
    bend, first = _fit(after[use] - now[use], design), _fit(rate[use], design)
    effect, se = math.nan, math.nan
    if abs(first.params[0]) > 0.2:
        effect, se = bend.params[0] / first.params[0], bend.bse[0] / abs(first.params[0])
    return row | {
        "bend": float(bend.params[0]), "bend_of_funding": float(first.params[0]), "effect": float(effect),
        "se": float(se), "t": float(bend.tvalues[0]), "p": float(bend.pvalues[0]),
    }  # fmt: skip


def _fit(target: Array, design: Array) -> Any:
    import statsmodels.api as sm

    return sm.OLS(target, design).fit(cov_type="HAC", cov_kwds={"maxlags": 3})
