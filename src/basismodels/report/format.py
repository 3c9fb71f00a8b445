"""Numbers, durations and dates as a reader wants them."""

from __future__ import annotations

import math

import pandas as pd

from basismodels.results import Estimate

_DAY = 24.0
_YEAR = 24.0 * 365.25

METHODS = {
    "profile": "profile likelihood",
    "wald": "Wald",
    "wald draws": "normal draws",
    "bootstrap": "bootstrap",
    "posterior": "posterior",
}


def number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, thousands separated; "infinite", "not known"."""
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if value == 0.0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size > 8:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    rounded = round(value, digits - 1 - size)
    size = math.floor(math.log10(abs(rounded)))
    text = f"{rounded:,.{max(digits - 1 - size, 0)}f}"
    return text.replace("-", "−") if value < 0 else text


def given(value: float) -> str:
    """A number a person chose, as they would write it."""
    return f"{value:g}"


def around(band: float, target: float) -> str:
    """The band about its level, bps: the level is named where it is not zero."""
    return f"{given(target)} ± {given(band)} bps" if target else f"±{given(band)} bps"


def hours(value: float, *more: str) -> str:
    """A duration given in hours; days or years where it is long, and what else there is to say, in brackets."""
    if math.isfinite(value) and value < 0.1:
        return _aside(f"{number(60.0 * value, 2)} min" if value > 1e-3 else "under a minute", *more)
    return _aside(bare_hours(value), _longer(value), *more)


def _longer(value: float) -> str:
    if not math.isfinite(value) or value < 3.0 * _DAY:
        return ""
    if value >= 2.0 * _YEAR:
        return f"{number(value / _YEAR, 2)} years"
    return f"{number(value / _DAY, 2 if value < 100 * _DAY else 3)} days"


def _aside(text: str, *more: str) -> str:
    said = "; ".join(part for part in more if part)
    return f"{text} ({said})" if said else text


def span(value: float) -> str:
    """A length of time in the unit a person would use."""
    if value == 0.0:
        return "a single observation"
    if value < 48.0:
        return "1 hour" if abs(value - 1.0) < 1e-9 else f"{float(f'{value:.3g}'):g} hours"
    return f"{value / _DAY:,.1f} days" if value < 20 * _DAY else f"{value / _DAY:,.0f} days"


def bare_hours(value: float) -> str:
    """A duration in hours alone."""
    return number(value) if not math.isfinite(value) else f"{number(value)} h"


def probability(value: float) -> str:
    """A probability to two places; what is under 0.005 or over 0.995 as a bound."""
    if math.isnan(value):
        return "not known"
    if value < 0.005:
        return "under 0.01"
    if value > 0.995:
        return "over 0.99"
    return f"{value:.2f}"


def share(value: float) -> str:
    """A fraction in percent."""
    if math.isnan(value):
        return "not known"
    if 0.0 < value < 0.001:
        return "under 0.1%"
    return f"{100.0 * value:.1f}%" if 0.0 < value < 0.0995 or 0.9905 < value < 0.9995 else f"{100.0 * value:.0f}%"


def date(stamp: pd.Timestamp, clock: bool = True) -> str:
    """A stamp in UTC to the minute, or its day."""
    return stamp.strftime("%Y-%m-%d %H:%M" if clock else "%Y-%m-%d")


def bps(value: float, *more: str) -> str:
    """A level in bps; the percentage of the price where it is large, and what else there is to say, in brackets."""
    percent = 100.0 * math.expm1(value / 1e4) if abs(value) >= 200.0 else 0.0
    said = f"{percent:+.{1 if abs(percent) < 10 else 0}f}%".replace("-", "−") if percent else ""
    return _aside(f"{number(value)} bps", said, *more)


def named(method: str) -> str:
    """How an interval was made, in words."""
    return METHODS.get(method, method)


def interval(estimate: Estimate) -> str:
    """The interval of a half-life in words, with its level and method."""
    if estimate.method == "fixed":
        return "fixed by the model"
    if math.isnan(estimate.lower) or math.isnan(estimate.upper):
        return "no interval: the information matrix allows none"
    lower, upper = bare_hours(estimate.lower), bare_hours(estimate.upper)
    return f"{estimate.level:.0%} {named(estimate.method)} interval {lower} to {upper}"


def brief(estimate: Estimate) -> str:
    """The interval of a half-life for a table: limits and method, the level left to the heading."""
    if estimate.method == "fixed" or math.isnan(estimate.lower) or math.isnan(estimate.upper):
        return interval(estimate).split(":")[0]
    return f"{number(estimate.lower)} to {bare_hours(estimate.upper)}, {named(estimate.method)}"


def disagrees(estimate: Estimate) -> bool:
    """Whether the value stands outside its own interval, as it may where two starts of the series are mixed."""
    return bool(estimate.value < estimate.lower * 0.999 or estimate.value > estimate.upper * 1.001)
