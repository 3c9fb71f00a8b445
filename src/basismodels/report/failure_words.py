"""Failure of convergence in plain language: whether, when, for how long, and how likely now."""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np

from basismodels.report.analysis import Analysis, Failing
from basismodels.report.event import NAME
from basismodels.report.format import around, bps, date, probability, share, span
from basismodels.report.key import failing_now, last_row, no_return_draws, no_return_now
from basismodels.report.spells import Spell, longest, share_of

BARS = 3
_LONG = 20 * 24.0


def event(a: Analysis) -> str:
    """The regime-free event in words."""
    return f"no return into {around(a.event.band, a.event.target)} within {span(a.event.horizon)}"


def verdict(a: Analysis) -> list[str]:
    """Whether convergence failed, when and for how long: by the event that needs no regimes, else by failure regimes.

    It failed where no return within the horizon stayed more likely than not for the horizon and
    three observations at least, or where a failure regime held as long.
    """
    worst = longest(a.lost)
    if _lasted(worst, a):
        return [_failed(a, worst), _sureness(a, worst), *_another(a, worst), *_in_all(a)]
    held = longest(a.failing.spells) if a.failing is not None and a.failing.tells else None
    if _lasted(held, a):
        return [_held(a, held)]
    if worst is None:
        return [f"Convergence did not fail: at no observation was {event(a)} more likely than not.", *_outside(a)]
    text = (
        f"Convergence did not fail for long: {event(a)} was more likely than not at "
        f"{share(share_of(a.fit, a.lost))} of the observations, for {span(worst.hours)} at the longest "
        f"(from {date(worst.start)} UTC)."
    )
    return [text, *_outside(a)]


def _lasted(spell: Spell | None, a: Analysis) -> TypeGuard[Spell]:
    return spell is not None and spell.hours >= a.event.horizon and spell.rows >= BARS


def _held(a: Analysis, held: Spell) -> str:
    """Failure by regimes alone: hindsight sees it, the moment did not."""
    return (
        f"Convergence failed for {span(held.hours)}, {_dates(held)}, as hindsight shows: a failure regime held, with "
        f"the basis between {bps(held.lowest)} and {bps(held.highest)}. At the time the model expected that regime to "
        f"end sooner: {event(a)} was more likely than not at {share(share_of(a.fit, a.lost))} of the observations only."
    )


def _failed(a: Analysis, worst: Spell) -> str:
    return (
        f"Convergence failed for {span(worst.hours)}, {_dates(worst)}: all that time {event(a)} was more likely "
        f"than not, given the data to each moment, with the basis between {bps(worst.lowest)} and {bps(worst.highest)}."
    )


def _sureness(a: Analysis, worst: Spell) -> str:
    """For how much of a spell even the lower limit of P(no return) is above one half."""
    lower = a.no_return.loc[worst.start : worst.end, f"{NAME}_lower"]
    if lower.isna().all():
        return "That probability has no limits here, so how sure this is cannot be told."
    sure = float((lower > 0.5).mean())
    if sure == 0.0:
        return f"But the lower {a.settings.level:.0%} limit of that probability was never above one half."
    said = "throughout" if sure == 1.0 else f"for {share(sure)} of the spell"
    return f"Even the lower {a.settings.level:.0%} limit of that probability was above one half {said}."


def _dates(spell: Spell) -> str:
    clock = spell.hours < _LONG
    return f"from {date(spell.start, clock)} to {date(spell.end, clock)}{' UTC' if clock else ''}"


def _another(a: Analysis, worst: Spell) -> list[str]:
    """The next longest failing spell, where it is a fifth of the longest or more."""
    rest = longest(tuple(s for s in a.lost if s is not worst))
    if rest is None or rest.hours < max(a.event.horizon, 0.2 * worst.hours):
        return []
    when = "before" if rest.start < worst.start else "again"
    between = f"with the basis between {bps(rest.lowest)} and {bps(rest.highest)}"
    return [f"It failed {when} for {span(rest.hours)}, {_dates(rest)}, {between}."]


def _in_all(a: Analysis) -> list[str]:
    count = f"{len(a.lost)} spells" if len(a.lost) > 1 else "one spell"
    out = [f"In all it was failing at {share(share_of(a.fit, a.lost))} of the observations, in {count}."]
    if a.lost[-1].end == a.fit.problem.time[last_row(a.fit)]:
        return [*out, "It has not ended: convergence was still failing at the last observation."]
    return [*out, f"Since {date(a.lost[-1].end)} UTC a return in that time has been more likely than not."]


def _outside(a: Analysis) -> list[str]:
    """The longest observed stretch outside the band where it outlasted the horizon: a fact beside the model's view."""
    out = longest(a.outside)
    if out is None or out.hours <= a.event.horizon:
        return []
    return [
        f"Yet observed closes stayed outside the band for {span(out.hours)}, {_dates(out)}, between "
        f"{bps(out.lowest)} and {bps(out.highest)}: longer than the model expected at any one moment."
    ]


def now(a: Analysis) -> list[str]:
    """P(no return within the horizon) at the last observation, with limits or why there are none."""
    value, lower, upper = no_return_now(a)
    at = date(a.fit.problem.time[last_row(a.fit)])
    head = f"At the last observation ({at} UTC) the probability of {event(a)} is {probability(value)}"
    if np.isnan(lower):
        why = a.no_return.attrs.get("note", "no draw of the parameters gave a finite value")
        return [f"{head}, without limits: {why}."]
    return [f"{head} ({_limits(a, lower, upper, no_return_draws(a))} of the parameters)."]


def _limits(a: Analysis, lower: float, upper: float, draws: int) -> str:
    said = probability(lower), probability(upper)
    if said[0] == said[1]:
        return f"both {a.settings.level:.0%} limits {said[0]}, from {draws} draws"
    return f"{a.settings.level:.0%} limits {said[0]} to {said[1]}, from {draws} draws"


def regimes(a: Analysis) -> list[str]:
    """What the regimes add: which fail, how surely, whether one holds now, or a bound where none fails."""
    f = a.failing
    if f is None:
        tried = any(e.fit is not None and e.fit.problem.layout.regimes > 1 for e in a.entries)
        why = "No model with regimes can be trusted here" if tried else "No model with regimes was fitted"
        return [f"{why}, so nothing is said of failure regimes."]
    if not f.failing:
        return _none(a, f)
    if not f.tells:
        return [
            f"Every regime of {f.entry.label} counts as failing, so its regimes do not tell when convergence failed: "
            "that is left to the probability of no return."
        ]
    return _some(a, f)


def _none(a: Analysis, f: Failing) -> list[str]:
    judged = f.regimes["phi"].dropna()
    head = f"No failure regime was found with {f.entry.label}"
    if judged.empty:
        return [f"{head}, but no regime holds enough observations to be judged."]
    phi = (
        f"{head}: at a typical moment of its worst regime, {judged.idxmax()}, the probability to be outside the "
        f"band and not back in time is {probability(float(judged.max()))}, below the threshold of 0.5."
    )
    return [phi, _bound(a, f)]


def _bound(a: Analysis, f: Failing) -> str:
    """An upper bound on the probability of a failure regime, from the draws."""
    doubt, bound = (float(f.frame.attrs[name]) for name in ("share_of_draws", "upper_bound"))
    if math.isnan(bound):
        return f"There is no bound on that, for there are no draws: {f.frame.attrs.get('note', 'none was finite')}."
    if doubt == 0.0:
        return (
            f"None of {f.draws} draws of its parameters has one either: the probability that a regime fails is below "
            f"{share(bound)} (95% bound, of the doubt about the parameters)."
        )
    upper = failing_now(a)[2]
    return (
        f"Yet {share(doubt)} of {f.draws} draws of its parameters have one (95% bound {share(bound)}); the upper "
        f"{a.settings.level:.0%} limit of the probability that it holds at the last observation is "
        f"{probability(upper)}."
    )


def _some(a: Analysis, f: Failing) -> list[str]:
    value, lower, upper = failing_now(a)
    limits = "without limits: " + str(f.frame.attrs.get("note")) if np.isnan(lower) else (
        f"{_limits(a, lower, upper, f.draws)} of the parameters"
    )  # fmt: skip
    out = [
        f"{_which(f)}; the probability that one holds at the last observation is {probability(value)} ({limits}).",
    ]
    worst = longest(f.spells)
    if worst is not None:
        out.append(
            f"With hindsight a failure regime held at {share(share_of(f.fit, f.spells))} of the observations, for "
            f"{span(worst.hours)} at the longest, {_dates(worst)}."
        )
    return out


def _which(f: Failing) -> str:
    said = []
    for k, phi, doubt in zip(f.regimes.index, f.regimes["phi"], f.regimes["probability_fails"], strict=True):
        if k not in f.failing:
            continue
        sure = "no draws to tell how surely" if math.isnan(doubt) else f"failing in {share(doubt)} of {f.draws} draws"
        said.append(f"regime {k} (typical probability not to return {probability(phi)}, {sure})")
    return f"A failure regime of {f.entry.label} is {' and '.join(said)}"
