"""One funding rule: what turns a path of the premium into the rate that is paid.

    mean = sum_j w_j premium_j                                 over the interval
    rate = clip(scale (mean + clip(interest - mean, -damper, damper)), -cap, cap)

Premiums and rates are decimals, a rate is per interval. Inside the damper the rate is the interest,
whatever the premium; at the cap it stops following; between the two it moves by `scale` per unit.
"""

from __future__ import annotations

import json
import math
import numbers
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from basismodels.errors import DataError, ModelError

Array = NDArray[np.float64]
Weights = Literal["linear", "equal", "last"]
Timing = Literal["current", "next", "continuous"]
_WEIGHTS = ("linear", "equal", "last")
_TIMINGS = ("current", "next", "continuous")
_AT_CAP = 1e-9
_AT_INTEREST = 6e-9

WHEN = {
    "current": "the rate paid at a stamp is set by the premium of the interval that ends there, and known at the stamp",
    "next": "the rate paid at a stamp was fixed one interval before, so the next payment is known in advance",
    "continuous": "funding accrues all the time and follows the premium of the moment",
}


def _number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _number(value) and math.isfinite(value)


def _none_or_hours(value: Any) -> bool:
    return value is None or (_finite(value) and value > 0)


def _floats(values: ArrayLike, name: str) -> Array:
    """Numbers as an array; DataError for what is none."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be numbers, got {values!r:.60}") from None


def stamp_of(value: Any, name: str) -> pd.Timestamp:
    """A time in UTC, in which one without a zone is read; ModelError for numbers and for what is no time."""
    try:
        stamp = None if isinstance(value, numbers.Number) else pd.Timestamp(value)
    except (TypeError, ValueError):
        stamp = None
    if stamp is None or pd.isna(stamp):
        raise ModelError(f"{name}={value!r} is not a time", remedy=f'{name}="2024-01-01"')
    return stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")


@dataclass(frozen=True)
class Dynamic:
    """When a venue changes the interval by itself.

    A settlement at the cap makes the next interval `at_cap_hours`; `calm_cycles` settlements in a
    row of at most `calm_rate` (decimal) make it `calm_hours` again; zero cycles: never by rule.
    """

    at_cap_hours: float
    calm_rate: float = 0.0
    calm_cycles: int = 0
    calm_hours: float = 4.0


@dataclass(frozen=True, eq=False)
class Rule:
    """The funding rule of one instrument in one era.

    interval_hours: those a rate is for, and between settlements unless settled_hours says otherwise, counted from
    first_hour UTC; interest_8h: decimal per 8 h;
    damper, cap: decimals, the cap per interval, infinite where there is none, NaN where the venue
    sets it at will; premium_hours: hours over which one premium is paid, None for one interval;
    weights of the premium's samples, taken every sample_seconds, and those of an interval of one hour where they are
    others (hourly_weights); timing: which payment is known when;
    start, end (ISO, UTC) of the era, "" where open; confidence: "primary", "secondary" or "unsure";
    unsure: what is not certain of it, in words.
    """

    venue: str
    symbol: str
    interval_hours: float = 8.0
    interest_8h: float = 1e-4
    damper: float = 5e-4
    cap: float = math.inf
    premium_hours: float | None = None
    weights: Weights = "linear"
    hourly_weights: Weights | None = None
    sample_seconds: float = 60.0
    timing: Timing = "current"
    first_hour: float = 0.0
    settled_hours: float | None = None
    premium: str = "impact"
    start: str = ""
    end: str = ""
    source: str = ""
    confidence: str = "primary"
    unsure: tuple[str, ...] = ()
    dynamic: Dynamic | None = None

    def __post_init__(self) -> None:
        wrong = [
            name
            for name, good in (
                ("interval_hours", _finite(self.interval_hours) and self.interval_hours > 0),
                ("interest_8h", _finite(self.interest_8h)),
                ("damper", _finite(self.damper) and self.damper >= 0),
                ("cap", _number(self.cap) and not self.cap <= 0),
                ("premium_hours", _none_or_hours(self.premium_hours)),
                ("settled_hours", _none_or_hours(self.settled_hours)),
                ("sample_seconds", _finite(self.sample_seconds) and self.sample_seconds > 0),
                ("first_hour", _finite(self.first_hour)),
                ("weights", self.weights in _WEIGHTS),
                ("hourly_weights", self.hourly_weights is None or self.hourly_weights in _WEIGHTS),
                ("timing", self.timing in _TIMINGS),
                ("dynamic", self.dynamic is None or isinstance(self.dynamic, Dynamic)),
            )
            if not good
        ]
        if wrong:
            got = ", ".join(f"{name}={getattr(self, name)!r}" for name in wrong)
            raise ModelError(f"a funding rule has values that make no sense: {got}", rows=wrong)

    @property
    def hours_paid(self) -> float:
        """Hours over which one premium is paid in full."""
        return self.premium_hours or self.interval_hours

    @property
    def weighting(self) -> Weights:
        """Weights of the samples at this interval."""
        return self.hourly_weights if self.hourly_weights and self.interval_hours == 1.0 else self.weights

    @property
    def scale(self) -> float:
        """Rate per unit of premium between damper and cap."""
        return self.interval_hours / self.hours_paid

    @property
    def gain(self) -> float:
        """Premium paid per hour and unit of premium between damper and cap, 1/h; zero inside and at the cap."""
        return 1.0 / self.hours_paid

    @property
    def interest(self) -> float:
        """Interest on the scale of the premium, decimal."""
        return self.interest_8h * self.hours_paid / 8.0

    @property
    def rate_at_interest(self) -> float:
        """The rate paid while the premium is inside the damper, decimal per interval."""
        return self.scale * self.interest

    @property
    def deadband(self) -> tuple[float, float]:
        """Premiums between which the rate is the interest; of no width without a damper."""
        return self.interest - self.damper, self.interest + self.damper

    @property
    def premium_at_cap(self) -> float:
        """Size of the mean premium from which the rate stops following; NaN where the cap is not known."""
        return self.cap / self.scale + self.damper

    @property
    def settled_every(self) -> float:
        """Hours between settlements."""
        return self.settled_hours or self.interval_hours

    @property
    def known_hours_ahead(self) -> float:
        """Hours before its stamp at which a payment is fixed."""
        return self.interval_hours if self.timing == "next" else 0.0

    @property
    def known(self) -> str:
        """What is known when, in words."""
        return WHEN[self.timing]

    def premium_mean(self, premium_path: ArrayLike) -> Array:
        """Weighted mean of samples of one interval, oldest first along the last axis; NaN samples carry no weight."""
        path = _floats(premium_path, "a premium path")
        if not path.ndim or not path.shape[-1]:
            raise ModelError("a premium path needs at least one sample")
        if self.weighting == "last":
            return np.asarray(path[..., -1])
        n = path.shape[-1]
        weight = np.where(np.isnan(path), 0.0, np.arange(1.0, n + 1.0) if self.weighting == "linear" else np.ones(n))
        with np.errstate(invalid="ignore"):
            return np.asarray((weight * np.nan_to_num(path)).sum(axis=-1) / weight.sum(axis=-1))

    def rate_of_mean(self, premium_mean: ArrayLike) -> Array:
        """Rate, decimal per interval, at a weighted mean of the premium."""
        mean = _floats(premium_mean, "a mean premium")
        free = self.scale * (mean + np.clip(self.interest - mean, -self.damper, self.damper))
        return np.asarray(free if math.isnan(self.cap) else np.clip(free, -self.cap, self.cap))

    def rate(self, premium_path: ArrayLike) -> Array:
        """Rate, decimal per interval, set by the samples of one interval, oldest first along the last axis."""
        return self.rate_of_mean(self.premium_mean(premium_path))

    def slope(self, premium_mean: ArrayLike) -> Array:
        """Derivative of the rate with respect to the mean premium: scale, or zero in the deadband and at the cap."""
        mean = np.asarray(premium_mean, dtype=float)
        inside = np.abs(mean - self.interest) < self.damper
        return np.where(inside | self.at_cap(self.rate_of_mean(mean)), 0.0, self.scale)

    def at_cap(self, rate: ArrayLike) -> NDArray[np.bool_]:
        """Whether rates are at the cap; never where the cap is not known."""
        return np.asarray(np.abs(np.asarray(rate, dtype=float)) >= self.cap - _AT_CAP)

    def at_interest(self, rate: ArrayLike) -> NDArray[np.bool_]:
        """Whether rates are the interest alone, up to the venue's rounding to eight decimals."""
        return np.asarray(np.abs(np.asarray(rate, dtype=float) - self.rate_at_interest) <= _AT_INTEREST)

    def utilisation(self, rate: ArrayLike) -> Array:
        """Share of the cap in use; zero without a cap, NaN where it is not known."""
        return np.asarray(np.abs(np.asarray(rate, dtype=float)) / self.cap)

    def with_interval(self, hours: float) -> Rule:
        """The same rule settling every so many hours, the cap per interval unchanged."""
        return self if hours == self.interval_hours else replace(self, interval_hours=float(hours))

    def settlements(self, start: Any, end: Any) -> pd.DatetimeIndex:
        """Settlement stamps from start to end, both included, UTC, in which times without a zone are read."""
        return self._stamps(start, end, self.settled_every)

    def interval_ends(self, start: Any, end: Any) -> pd.DatetimeIndex:
        """Stamps at which an interval ends: the settlements, but where what accrues is settled less often."""
        return self._stamps(start, end, self.interval_hours)

    def _stamps(self, start: Any, end: Any, every: float) -> pd.DatetimeIndex:
        first, last = stamp_of(start, "start"), stamp_of(end, "end")
        origin = first.normalize() - pd.Timedelta(days=1) + pd.Timedelta(hours=self.first_hour)
        stamps = pd.date_range(origin, last, freq=pd.Timedelta(hours=every))
        return stamps[stamps >= first]

    def interval_after(self, rates: ArrayLike) -> float:
        """Hours of the interval after these settled rates, oldest first, the newest settled under this rule."""
        settled = np.asarray(rates, dtype=float)
        if self.dynamic is None or not len(settled):
            return self.interval_hours
        if self.at_cap(settled[-1]):
            return min(self.dynamic.at_cap_hours, self.interval_hours)
        calm = settled[-self.dynamic.calm_cycles :] if self.dynamic.calm_cycles else settled[:0]
        quiet = len(calm) >= self.dynamic.calm_cycles > 0 and bool(np.all(np.abs(calm) <= self.dynamic.calm_rate))
        return (
            self.dynamic.calm_hours if quiet and self.interval_hours < self.dynamic.calm_hours else self.interval_hours
        )

    def __eq__(self, other: object) -> bool:
        """Term by term; a cap that is not known (NaN) is like another."""
        return isinstance(other, Rule) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        """The rule as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Rule:
        """The rule of `to_json`."""
        fields = json.loads(text)
        dynamic = fields.pop("dynamic")
        fields["unsure"] = tuple(fields["unsure"])
        return cls(**fields, dynamic=None if dynamic is None else Dynamic(**dynamic))

    def __str__(self) -> str:
        low, high = self.deadband
        era = f", from {self.start}" * bool(self.start) + f", to {self.end}" * bool(self.end)
        cap = "unknown" if math.isnan(self.cap) else "none" if math.isinf(self.cap) else f"{self.cap:.4%}"
        daily = f", settled every {self.settled_hours:g} h" if self.settled_hours else ""
        lines = [
            f"{self.venue} {self.symbol}{era} ({self.confidence})",
            f"every {self.interval_hours:g} h{daily}, interest {self.rate_at_interest:.4%}, "
            f"deadband {low:+.4%} to {high:+.4%}, cap {cap}, gain {self.gain:.4g}/h",
            self.known,
            *(f"unsure: {text}" for text in self.unsure),
        ]
        return "\n".join(lines)
