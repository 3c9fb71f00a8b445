"""Funding in the state-space model: reversion, slow level and noise are there before funding may claim anything.

The rate is the one the rule makes of the closes. A settled rate averages premiums between the closes too, so
it measures the state beyond what the filter has seen, and would be credited with that; one made of the closes
knows nothing that the filter does not, and the test has its size wherever the model is right.

Level: theta moves with funding. Speed: kappa does, while the volatilities may too, for otherwise a speed stands
in for a variance. Transitions: the rates between two regimes do. Each as a likelihood ratio, without and with the
premium of the same interval in the same place; level and speed in the better of one regime and two.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.errors import DataError
from basismodels.funding.covariates import attach, settled_of
from basismodels.funding.mechanism import Rule
from basismodels.inference.closed_loop import PremiumLink, premium_link
from basismodels.inference.mle import fit as fit_model
from basismodels.inference.profile import refit_from
from basismodels.model import Model
from basismodels.problem import bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]


class Tested(NamedTuple):
    """A slope with its standard error, the likelihood ratio and its p, and the two log likelihoods."""

    name: str
    estimate: float
    se: float
    ratio: float
    p: float
    null: Fit
    full: Fit


def from_closes(data: BasisSeries, rule: Rule, *, shifted: bool = False) -> BasisSeries:
    """The series with rates that the rule makes of the mean premium of the closes, at the settlements' stamps.

    `shifted`: on a clock half an interval later, by which nobody pays.
    """
    settled = settled_of(_half_later(data, rule) if shifted else data, rule)
    offset, slope, _ = link_of(data, rule) or (0.0, 1.0, 0.0)
    mean = pd.Series(offset + slope * settled.premium).ffill().to_numpy(dtype=float) / 1e4
    rate = np.full(len(mean), np.nan)
    for hours in np.unique(settled.hours):
        own = settled.hours == hours
        rate[own] = rule.with_interval(float(hours)).rate_of_mean(mean[own])
    made = pd.DataFrame(
        {"rate": rate, "interval_hours": settled.hours, "bps_8h": 8e4 * rate / settled.hours}, index=settled.stamp
    )
    return attach(replace(data, settlements=made[np.isfinite(rate)]), rule)


def _half_later(data: BasisSeries, rule: Rule) -> BasisSeries:
    """The series with settlements at stamps half an interval later; their rates mean nothing."""
    found = settled_of(data, rule)
    stamp = found.stamp + pd.to_timedelta(found.hours / 2.0, unit="h")
    made = pd.DataFrame({"rate": found.rate, "interval_hours": found.hours, "bps_8h": 0.0}, index=stamp)
    return replace(data, settlements=made[stamp <= data.time[-1]])


def link_of(data: BasisSeries, rule: Rule) -> PremiumLink | None:
    """The venue's premium given the closes where settled rates tell it, else None: the basis itself."""
    try:
        return premium_link(data, rule)
    except DataError:
        return None


def models(effect: str, funding: str, premium: str | None, regimes: int = 1) -> tuple[Model, Model]:
    """Model without and with funding, the premium in both where it is named; transitions need two regimes."""
    base = "1" if premium is None else f"1 + {premium}"
    more = f"{base} + {funding}"
    if effect == "transitions":
        inner = OU() + SlowOU() + Noise()
        return Switching(inner, transition=base), Switching(inner, transition=more)
    if effect == "level":
        pair = OU(theta=base) + SlowOU() + Noise(), OU(theta=more) + SlowOU() + Noise()
    else:
        pair = OU(base, sigma=more) + SlowOU() + Noise(more), OU(more, sigma=more) + SlowOU() + Noise(more)
    return pair if regimes == 1 else (Switching(pair[0], regimes), Switching(pair[1], regimes))


COLUMNS = {
    "level": ("funding_gap", "premium_mean"),
    "speed": ("funding_pressure", "premium_pressure"),
    "transitions": ("funding_utilisation", "premium_pressure"),
}


def ratio_test(data: BasisSeries, effect: str, controlled: bool, start: Fit, fresh: int = 3) -> Tested:
    """The likelihood-ratio test of one effect in a model of as many regimes as `start`, a fit without covariates.

    The null is searched from `start`; the full model from the null and, where a slope may have more than one
    local maximum, from both sides of zero. `fresh`: starts of its own for a model of one regime, 0 for none.
    The slope reported is the first that was added, that of the calm regime.
    """
    funding, premium = COLUMNS[effect]
    single = start.model.regimes == 1
    small, large = models(effect, funding, premium if controlled else None, start.model.regimes)
    null = reached(small, data, start, {}) if repr(small) != repr(start.model) else start
    if fresh and single:
        null = max(null, fit_model(small, data, starts=fresh), key=lambda f: f.llf)
    added = [name for name in bind(large, data).spec.names if name not in null.names]
    unit = float(np.nanstd(data.frame()[funding])) or 1.0
    begun = (0.0,) if effect == "level" or not single else (0.0, 0.3, -0.3)
    sides = [reached(large, data, null, dict.fromkeys(added, side / unit)) for side in begun]
    if fresh and single:
        sides.append(fit_model(large, data, starts=fresh))
    full = max(sides, key=lambda f: f.llf)
    if full.llf > null.llf + 5.0:  # the null may have stopped on a lower hill
        again = reached(small, data, full, {})
        null = again if again.llf > null.llf else null
    ratio = max(2.0 * (full.llf - null.llf), 0.0)
    i = full.names.index(added[0])
    return Tested(
        added[0], float(full.params.iloc[i]), float(full.bse.iloc[i]), ratio, _tail(ratio, len(added)), null, full
    )


def _tail(ratio: float, df: int) -> float:
    from scipy.stats import chi2

    return float(chi2.sf(ratio, df))


def reached(model: Model, data: BasisSeries, near: Fit, slopes: dict[str, float]) -> Fit:
    """The maximum reached from another model's estimate, coefficient by coefficient, new slopes as given or zero."""
    problem = bind(model, data, initial=near.problem.initial)
    known = dict(zip(near.names, near.x, strict=True)) | slopes
    x = np.array([known.get(name, 0.0) for name in problem.spec.names])
    return refit_from(replace(near, problem=problem, x=x, cov=np.full((len(x), len(x)), np.nan), llf=-math.inf))


def start_of(data: BasisSeries, regimes: int = 1, starts: int = 6) -> Fit:
    """The fit of reversion, slow level and noise from which the tests begin, in one regime or two."""
    inner = OU() + SlowOU() + Noise()
    return fit_model(inner if regimes == 1 else Switching(inner, regimes), data, starts=starts)
