"""Funding in the state-space model: what the basis does without funding is there before funding may claim anything.

The rate is the one the rule makes of the closes. A settled rate averages premiums between the closes too, so
it measures the state beyond what the filter has seen, and would be credited with that; one made of the closes
knows nothing that the filter does not, and the test has its size wherever the model is right.

Level: theta moves with funding. Speed: kappa does, while the volatilities may too, for otherwise a speed stands
in for a variance. Transitions: the rates between two regimes do. Each as a likelihood ratio, without and with the
premium of the same interval in the same place, and then with a rate by the same rule on a clock that nobody pays
by there too: whatever reversion bends like the rule bends on every clock, only what is paid bends on one.
Level and speed are judged in the better of one regime and two, noise and a slow level in it where they are seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from basismodels.funding.covariates import attach
from basismodels.funding.mechanism import Rule
from basismodels.funding.settled import settled_of
from basismodels.inference.closed_loop import PremiumLink, premium_link
from basismodels.inference.mle import fit as fit_model
from basismodels.inference.profile import refit_from
from basismodels.model import Model, as_model
from basismodels.problem import Problem, bind
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
ITSELF = PremiumLink(0.0, 1.0, 0.0)


class Tested(NamedTuple):
    """The slopes added, by name, their covariance (k, k), the likelihood ratio, its p on k degrees, and both fits."""

    slopes: pd.Series[float]
    cov: Array
    ratio: float
    p: float
    null: Fit
    full: Fit

    @property
    def se(self) -> Array:
        """Standard errors of the slopes, (k,); NaN where the information gives none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.diag(self.cov)))


def from_closes(
    data: BasisSeries, rule: Rule, *, shifted: bool = False, link: PremiumLink | None = None
) -> BasisSeries:
    """The series with rates that the rule makes of the mean premium of the closes, at the settlements' stamps.

    `shifted`: on a clock half an interval later, by which nobody pays; `link`: as `link_of` gives, which is asked
    where it is not given.
    """
    settled = settled_of(_half_later(data, rule) if shifted else data, rule)
    offset, slope, _ = link or link_of(data, rule) or ITSELF
    mean = pd.Series(offset + slope * settled.premium).ffill().to_numpy(dtype=float) / 1e4
    rate = np.full(len(mean), np.nan)
    for hours in np.unique(settled.hours):
        ruled = settled.each(lambda r, h=float(hours): r.with_interval(h).rate_of_mean(mean))  # type: ignore[misc]
        rate = np.where(settled.hours == hours, ruled, rate)
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


def models(effect: str, funding: str, held: Sequence[str], like: Model) -> tuple[Model, Model]:
    """Model without and with funding, of the regimes and components of `like`, the columns `held` in both."""
    base = " + ".join(("1", *held))
    more = f"{base} + {funding}"
    if effect == "transitions":
        return replace(like, transition=base), replace(like, transition=more)
    if effect == "level":
        small, large, moved = OU(theta=base), OU(theta=more), "1"
    else:
        small, large, moved = OU(base, sigma=more), OU(more, sigma=more), more
    beside = tuple(SlowOU() if isinstance(part, SlowOU) else Noise(moved) for part in like.parts[1:])
    return replace(like, parts=(small, *beside)), replace(like, parts=(large, *beside))


COLUMNS = {
    "level": ("funding_gap", "premium_mean"),
    "speed": ("funding_pressure", "premium_pressure"),
    "transitions": ("funding_utilisation", "premium_pressure"),
}


OTHER = "false_clock_"
_LOOKS, _NEAR, _GAIN = 3, 0.5, 1e-4


def ratio_test(data: BasisSeries, effect: str, held: Sequence[str], start: Fit, *, funding: str = "") -> Tested:
    """The likelihood-ratio test of one effect in the model of `start`, a fit with no more columns.

    `held`: columns in both models; `funding`: the column tested, default the effect's own. The null is
    searched from `start`; the full model from the null and, where a slope may have more than one local
    maximum, from both sides of zero; then each from the other, so that both stand on one hill.
    Regimes have a slope each where the coefficient differs between them.
    """
    name = funding or COLUMNS[effect][0]
    small, large = models(effect, name, held, start.model)
    narrow, wide = bound_like(small, data, start), bound_like(large, data, start)
    null = reached(narrow, start, {}) if repr(small) != repr(start.model) else start
    added = [n for n in wide.spec.names if n not in null.names]
    unit = float(np.nanstd(data.frame()[name])) or 1.0
    sides = (0.0,) if effect == "level" or start.model.regimes > 1 else (0.0, 0.3, -0.3)

    def highest(near: Fit) -> Fit:
        return max((reached(wide, near, dict.fromkeys(added, s / unit)) for s in sides), key=_llf)

    full = highest(null)
    for _ in range(_LOOKS):
        again = reached(narrow, full, {}) if full.llf > null.llf + _NEAR else null
        if again.llf <= null.llf + _GAIN:
            break
        null, full = again, max(full, highest(again), key=_llf)
    ratio = max(2.0 * (full.llf - null.llf), 0.0)
    own = [full.names.index(n) for n in added]
    return Tested(full.params.iloc[own], full.cov[np.ix_(own, own)], ratio, _tail(ratio, len(added)), null, full)


def _llf(fit: Fit) -> float:
    return fit.llf


def with_false_clock(data: BasisSeries, rule: Rule) -> BasisSeries:
    """`from_closes` with its columns on a clock half an interval later beside them, named `OTHER` + column."""
    link = link_of(data, rule) or ITSELF
    true, false = from_closes(data, rule, link=link), from_closes(data, rule, shifted=True, link=link)
    columns = [funding for funding, _ in COLUMNS.values()]
    beside = false.frame()[columns].add_prefix(OTHER)
    known = beside.notna().all(axis=1).to_numpy()
    joined = replace(true, covariates=true.covariates.join(beside))
    return joined.cut(start=joined.time[int(np.argmax(known))])


def _tail(ratio: float, df: int) -> float:
    from scipy.stats import chi2

    return float(chi2.sf(ratio, df))


def bound_like(model: Model, data: BasisSeries, fit: Fit) -> Problem:
    """A model bound to data as a fit was to its own: start, mask, link and depth."""
    old = fit.problem
    return bind(model, data, initial=old.initial, mask=old.mask, kappa_link=old.link, depth=old.layout.depth)


def reached(problem: Problem, near: Fit, slopes: dict[str, float]) -> Fit:
    """The maximum reached from another model's estimate, coefficient by coefficient, new slopes as given or zero."""
    known = dict(zip(near.names, near.x, strict=True)) | slopes
    x = np.array([known.get(name, 0.0) for name in problem.spec.names])
    return refit_from(replace(near, problem=problem, x=x, cov=np.full((len(x), len(x)), np.nan), llf=-math.inf))


def start_of(data: BasisSeries, regimes: int = 1, starts: int = 6) -> Fit:
    """The fit from which the tests begin: reversion in one regime or two, noise and slow level where BIC asks for them.

    A component that the data do not show has no place, and a likelihood ratio beside it no law to be judged by.
    """
    sums = (as_model(OU()), OU() + Noise(), OU() + SlowOU(), OU() + SlowOU() + Noise())
    best = min((fit_model(model, data, starts=starts) for model in sums), key=lambda f: f.bic)
    return best if regimes == 1 else fit_model(Switching(best.model, regimes), data, starts=starts)
