"""Columns a formula may name, from a basis series and a funding rule.

Each is known at the close of its row, the start of the step that follows. One that follows from the
path of the basis says so (`from_path`): whoever simulates the basis has to compute it anew.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.funding.checks import checked_band, checked_data, checked_rule, stale
from basismodels.funding.clock import clock, clock_of
from basismodels.funding.mechanism import Rule
from basismodels.funding.registry import over
from basismodels.funding.settled import Settled, filled, premium_of, settled_of

if TYPE_CHECKING:
    from basismodels.series import BasisSeries

Array = NDArray[np.float64]
BAND = 10.0
FACT = "funding_rule"


class Covariate(NamedTuple):
    """A column: its unit, whether it follows from the path of the basis, and its meaning."""

    unit: str
    from_path: bool
    meaning: str


COVARIATES = {
    "funding_last": Covariate("bps per 8 h", True, "rate last settled"),
    "funding_due": Covariate("bps per 8 h", True, "rate of the next payment, where it is fixed in advance"),
    "funding": Covariate("bps per 8 h", True, "funding_due where the rule fixes it in advance, else funding_last"),
    "funding_gap": Covariate("bps per 8 h", True, "funding less the interest"),
    "funding_pressure": Covariate("bps per 8 h", True, "size of funding_gap"),
    "funding_utilisation": Covariate("", True, "share of the cap in use"),
    "funding_saturated": Covariate("", True, "1 where the rate is at the cap"),
    "in_deadband": Covariate("", True, "1 where the rate is the interest alone"),
    "premium_mean": Covariate(
        "bps", True, "mean of the basis, weighted by the rule, over the interval that set funding"
    ),
    "premium_pressure": Covariate("bps", True, "distance of premium_mean from the interest"),
    "hours_to_settlement": Covariate("h", False, "hours from the close to the next settlement"),
    "settled_just_now": Covariate("", False, "1 where a settlement lies within the bar that closes here"),
    "outside_band": Covariate("", True, "1 where the basis is further from the interest than 10 bps and the damper"),
    "funding_paid": Covariate(
        "bps", True, "rate paid within the bar that closes here, 0 where none: the ex-funding jump"
    ),
}


def attach(data: BasisSeries, rule: Rule, *, band: float = BAND) -> BasisSeries:
    """The series with the columns of `COVARIATES` among its covariates, made under a rule.

    Rates are the settled ones of the data; without any they are computed from the rule and the basis.
    The interval is that of each settlement, else the rule's. Where the data cross eras of the rule, each settlement and
    each row is judged by the one in force, and the warnings say so; what simulates the basis keeps to the attached
    one. `band`: half-width in bps, to which the
    damper is added, of `outside_band`. Where the last settlement is older than ten of its intervals, its rate stays in
    force and the warnings say so. Columns that the rule cannot give (funding_due where nothing is
    fixed in advance, utilisation where the cap is not known) are left out. The rule goes into the
    provenance; what is not certain of it goes into the warnings. Errors: ModelError for what is no series, rule or
    band; DataError where all settlements are that old.
    """
    checked_data(data)
    checked_rule(rule)
    band = checked_band(band)
    old = stale(data)
    premium = premium_of(data)
    settled = settled_of(data, rule)
    frame = _columns(data, rule, settled, premium, band)
    kept = data.covariates.drop(columns=[c for c in COVARIATES if c in data.covariates])
    made = replace(data, covariates=kept.join(frame)).with_provenance(**{FACT: rule.to_json()})
    said = [*(f"funding rule of {rule.venue} {rule.symbol}: {text}" for text in rule.unsure), *old]
    if data.settlements is None:
        said.append(f"no settled rates: funding was computed from the basis by the rule of {rule.venue} {rule.symbol}")
    if len(settled.rules) > 1:
        days = ", ".join(r.start[:10] for r in settled.rules[1:])
        said.append(
            f"the rule of {rule.venue} {rule.symbol} changed within these data ({days}): each settlement is judged by "
            "the rule in force, while simulations keep to the one attached"
        )
    elif rule.end and data.time[-1] >= pd.Timestamp(rule.end):
        said.append(f"the funding rule attached ends on {rule.end[:10]}, before the data do")
    return made.with_warnings(*said)


def rule_of(data: BasisSeries) -> Rule | None:
    """The rule attached to a series; None without one."""
    text = data.provenance.get(FACT)
    return Rule.from_json(text) if isinstance(text, str) else None


def _columns(data: BasisSeries, rule: Rule, settled: Settled, premium: Array, band: float) -> pd.DataFrame:
    time = data.time
    if rule.timing == "continuous":
        return _continuous(data, rule, settled, premium, band)
    last = np.asarray(settled.stamp.searchsorted(time, side="right")) - 1
    due = np.minimum(last + 1, len(settled.rate) - 1)
    known_due = _known_due(settled, time, last, due)
    ahead = (settled.each(lambda r: r.timing == "next") > 0)[due]  # the next payment is fixed, by its own rule
    chosen, known = np.where(ahead, due, last), np.where(ahead, known_due, last >= 0)
    per8 = 8e4 * settled.rate / settled.hours
    columns = {"funding_last": _at(per8, last, last >= 0)}
    if ahead.all():
        columns["funding_due"] = _at(per8, due, known_due)
    at = np.clip(chosen, 0, None)
    rates, hours = _at(settled.rate, chosen, known), _at(settled.hours, chosen, known)
    mean = filled(_at(settled.premium, chosen, known))
    columns |= _chosen([_rates(r, rates, hours) | _controls(r, mean, hours) for r in settled.rules], settled.era[at])
    columns |= clock(time, settled.stamp, settled.hours)
    rules, era = over(rule, time)
    columns |= _chosen([{"outside_band": _outside(r, premium, band)} for r in rules], era)
    columns["funding_paid"] = _paid(settled, last, columns["settled_just_now"])
    return pd.DataFrame(columns, index=time)


def snapshot(
    rule: Rule,
    *,
    last: Array,
    due: Array,
    mean: Array,
    premium: Array,
    since: float,
    bar: float,
    paid: float | Array,
    attached: Rule,
    band: float = BAND,
) -> dict[str, Array]:
    """Columns of `COVARIATES` at one close of many paths, (m,) each.

    last, due: rates paid last and fixed for the next payment, decimal; mean: premium in bps that set the rate in force;
    premium: that of the close, bps; since: hours from the last settlement; bar: hours of the bar; paid: in it, bps;
    attached: the rule that sets the band.
    """
    hours, same = np.full(len(last), rule.interval_hours), np.ones(len(last))
    ahead = rule.timing == "next"
    columns = {"funding_last": 8e4 * last / hours} | ({"funding_due": 8e4 * due / hours} if ahead else {})
    columns |= _rates(rule, due if ahead else last, hours)
    columns |= _controls(rule, premium if rule.timing == "continuous" else mean, hours)
    columns["hours_to_settlement"] = same * (rule.settled_every - since % rule.settled_every)
    columns["settled_just_now"] = same * float(since < bar)
    columns["outside_band"] = _outside(attached, premium, band)
    return columns if rule.timing == "continuous" else columns | {"funding_paid": same * paid}


def _paid(settled: Settled, last: NDArray[np.int64], just: Array) -> Array:
    """Everything paid after the close before and up to each close, bps (n,); at the first close, what its bar held."""
    rate = 1e4 * settled.rate
    so_far = np.concatenate([[0.0], np.cumsum(rate)])[last + 1]
    count, summed = np.diff(last, prepend=last[0]), np.diff(so_far, prepend=so_far[0])
    newest = rate[np.maximum(last, 0)]
    out = np.where(count == 1, newest, np.where(count > 1, summed, 0.0))
    out[0] = just[0] * newest[0]
    return np.asarray(out)


def _known_due(
    settled: Settled, time: pd.DatetimeIndex, last: NDArray[np.int64], due: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the next payment is fixed and on record: its interval has begun."""
    begun = settled.stamp[due] - pd.to_timedelta(settled.hours[due], unit="h")
    return np.asarray((due > last) & (begun <= time))


def _at(values: Array, index: NDArray[np.int64], known: NDArray[np.bool_]) -> Array:
    return np.where(known, values[np.maximum(index, 0)], np.nan)


def _chosen(made: list[dict[str, Array]], era: NDArray[np.int64]) -> dict[str, Array]:
    """Columns that every rule makes, each row from the rule in force."""
    if len(made) == 1:
        return made[0]
    names = [name for name in made[0] if all(name in one for one in made)]
    return {name: np.choose(era, [one[name] for one in made]) for name in names}


def _rates(rule: Rule, rate: Array, hours: Array) -> dict[str, Array]:
    """What follows from the rate in force (decimal per interval of `hours`)."""
    known, long = filled(rate), filled(hours)
    per8 = 8e4 * known / long
    gap = per8 - 1e4 * rule.interest_8h
    out = {"funding": per8, "funding_gap": gap, "funding_pressure": np.abs(gap)}
    if not math.isnan(rule.cap):
        unknown = np.isnan(known)
        out["funding_utilisation"] = rule.utilisation(known)
        out["funding_saturated"] = np.where(unknown, np.nan, rule.at_cap(known))
    exact = np.abs(known - rule.interest_8h * long / 8.0) <= 6e-9
    out["in_deadband"] = np.where(np.isnan(known), np.nan, exact)
    return out


def _controls(rule: Rule, premium: Array, hours: Array) -> dict[str, Array]:
    interest = 1e4 * rule.interest_8h * (rule.premium_hours or filled(hours)) / 8.0
    return {"premium_mean": premium, "premium_pressure": np.abs(premium - interest)}


def _outside(rule: Rule, premium: Array, band: float) -> Array:
    width = band + 1e4 * rule.damper
    known = filled(premium)
    return np.where(np.isnan(known), np.nan, np.abs(known - 1e4 * rule.interest) > width)


def _continuous(data: BasisSeries, rule: Rule, settled: Settled, premium: Array, band: float) -> pd.DataFrame:
    """Funding that follows the premium of the moment: settled rates where given, else the rule at the last basis."""
    time, now = data.time, filled(premium)
    last = np.asarray(settled.stamp.searchsorted(time, side="right")) - 1
    hours = _at(settled.hours, last, last >= 0)
    current = rule.rate_of_mean(now / 1e4)
    rate = np.where(last >= 0, settled.rate[np.maximum(last, 0)] * rule.interval_hours / hours, current)
    if data.settlements is None:
        rate = current
    span = np.full(len(time), rule.interval_hours)
    columns = {"funding_last": filled(8e4 * rate / rule.interval_hours)}
    columns |= _rates(rule, rate, span) | _controls(rule, now, span)
    columns |= clock(time, *clock_of(rule, time, settled.stamp, settled.hours))
    columns["outside_band"] = _outside(rule, premium, band)
    return pd.DataFrame(columns, index=time)
