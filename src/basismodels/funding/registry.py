"""The rule of a venue for a symbol at a time, from rules.toml."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.funding.mechanism import Dynamic, Rule, stamp_of

ALIASES = {
    "binanceusdm": "binance", "okex": "okx", "krakenfutures": "kraken", "cryptofacilities": "kraken",
    "dydxv4": "dydx",
}  # fmt: skip
_FIRST, _LAST = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_NOT_TERMS = ("eras", "symbols", "untabled", "names", "unsure", "start", "end")
_FLOATS = ("interval_hours", "settled_hours", "interest_8h", "damper", "premium_hours", "sample_seconds", "first_hour")
_TERMS = tuple(f.name for f in fields(Rule))


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = files("basismodels.funding").joinpath("rules.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def venues() -> tuple[str, ...]:
    """Venues with a rule."""
    return tuple(_table())


def rule(venue: str, symbol: str = "BTCUSDT", at: Any = None, **terms: Any) -> Rule:
    """The funding rule of a venue for a symbol at a time (UTC where it has no zone; default: the newest).

    `terms` change it where you know better, e.g. interval_hours=4 or cap=0.02; `rule("custom", "X", ...)`
    is all terms. `Rule.unsure` says what is not certain. Errors: ModelError for a venue that is not
    in the table, a symbol that is no text, a time at which it had no rule, or an unknown term.
    """
    name = _venue(venue)
    if not isinstance(symbol, str):
        raise ModelError(f"symbol must be text, got {symbol!r}", remedy='bm.funding.rule("binance", "BTCUSDT")')
    if name == "custom":
        return custom(symbol, **terms)
    if name not in _table():
        raise ModelError(
            f"no funding rule for {venue!r}; there are {', '.join(venues())}",
            remedy="bm.funding.custom(interval_hours=8, interest_8h=1e-4, damper=5e-4, cap=0.003)",
        )
    found = _assembled(_table()[name], name, symbol, None if at is None else stamp_of(at, "at"))
    return _changed(found, terms)


def custom(symbol: str = "", **terms: Any) -> Rule:
    """A rule of your own: any of the fields of `Rule`, the others as Binance has them."""
    return _changed(Rule("custom", symbol, confidence="unsure", source="given by the user"), terms)


def eras(venue: str, symbol: str = "BTCUSDT") -> tuple[Rule, ...]:
    """All rules a venue has had for a symbol, oldest first; one of your own has none."""
    if _venue(venue) == "custom":
        raise ModelError("a rule of your own has no eras", remedy=f"bm.funding.eras({venues()[0]!r}, symbol)")
    entry = _table()[rule(venue, symbol).venue]
    parts = [*entry.get("eras", [{}]), *(s for s in entry.get("symbols", []) if _fits(s, symbol))]
    starts = sorted({max(_span(entry)[0], _span(part)[0]) for part in parts})
    return tuple(rule(venue, symbol, at=start) for start in starts)


def over(given: Rule, stamps: pd.DatetimeIndex) -> tuple[tuple[Rule, ...], NDArray[np.int64]]:
    """The rules in force at stamps, and which of them at each, (m,).

    A rule whose era ends within them is followed by the next of its venue and symbol, and preceded by those before it,
    at its own interval; one whose terms were changed stands alone.
    """
    alone = (given,), np.zeros(len(stamps), dtype=np.int64)
    if not len(stamps) or _covers(given, stamps[0], stamps[-1]) or given.venue not in _table():
        return alone
    try:
        own = rule(given.venue, given.symbol, at=_before(given.end) if given.end else given.start or None)
    except ModelError:
        return alone
    if own.with_interval(given.interval_hours) != given:
        return alone
    found = tuple(r.with_interval(given.interval_hours) for r in eras(given.venue, given.symbol))
    starts = pd.DatetimeIndex([_FIRST if r.start == "" else pd.Timestamp(r.start) for r in found])
    which = np.clip(np.asarray(starts.searchsorted(stamps, side="right")) - 1, 0, None)
    used = np.unique(which)
    return tuple(found[i] for i in used), np.asarray(np.searchsorted(used, which), dtype=np.int64)


def _covers(given: Rule, first: pd.Timestamp, last: pd.Timestamp) -> bool:
    after = not given.start or pd.Timestamp(given.start) <= first
    return after and (not given.end or last < pd.Timestamp(given.end))


def _before(end: str) -> pd.Timestamp:
    return pd.Timestamp(end) - pd.Timedelta(seconds=1)


def _changed(found: Rule, terms: dict[str, Any]) -> Rule:
    unknown = [name for name in terms if name not in _TERMS]
    if unknown:
        raise ModelError(f"a rule has no such term; it has {', '.join(_TERMS)}", rows=unknown)
    return replace(found, **terms) if terms else found


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text).upper()


def _venue(venue: str) -> str:
    """A venue by the name it has in the table."""
    if not isinstance(venue, str):
        raise ModelError(f"venue must be text, got {venue!r}", remedy=f"one of {', '.join(venues())}")
    name = _plain(venue).lower()
    return ALIASES.get(name, name)


def _fits(entry: dict[str, Any], symbol: str) -> bool:
    return any(fnmatchcase(_plain(symbol), name) for name in entry["names"])


def _span(entry: dict[str, Any]) -> tuple[pd.Timestamp, pd.Timestamp]:
    start, end = entry.get("start"), entry.get("end")
    return (_FIRST if start is None else pd.Timestamp(start)), (_LAST if end is None else pd.Timestamp(end))


def _within(entry: dict[str, Any], at: pd.Timestamp) -> bool:
    start, end = _span(entry)
    return start <= at < end


def _assembled(entry: dict[str, Any], name: str, symbol: str, at: pd.Timestamp | None) -> Rule:
    """What the venue, its era and its symbol say, the later over the earlier; doubts are added up."""
    now = _span(entry)[1] - pd.Timedelta(seconds=1) if at is None else at
    era = next((era for era in entry.get("eras", [{}]) if _within(era, now)), None)
    if era is None or not _within(entry, now):
        raise ModelError(f"no funding rule of {name} at {now}", rows=[symbol])
    fitting = [s for s in entry.get("symbols", []) if _fits(s, symbol)]
    own = [s for s in fitting if _within(s, now)]
    untabled = [] if any("cap" in s for s in fitting) else [entry.get("untabled", {})]
    parts = (entry, *untabled, era, *own[:1])
    terms: dict[str, Any] = {}
    for part in parts:
        terms |= {key: value for key, value in part.items() if key not in _NOT_TERMS}
    starts, ends = zip(*(_span(part) for part in parts), strict=True)
    terms |= {"start": _iso(max(starts)), "end": _iso(min(ends))}
    return _made(terms, name, symbol, tuple(text for part in parts for text in part.get("unsure", ())))


def _iso(stamp: pd.Timestamp) -> str:
    return "" if stamp in (_FIRST, _LAST) else stamp.strftime("%Y-%m-%dT%H:%M:%SZ")


def _made(terms: dict[str, Any], name: str, symbol: str, doubts: tuple[str, ...]) -> Rule:
    cap = float(terms.pop("cap"))
    dynamic = terms.pop("dynamic", None)
    terms |= {key: float(terms[key]) for key in _FLOATS if key in terms}
    return Rule(
        name, symbol, cap=math.inf if cap == 0 else math.nan if cap < 0 else cap,
        dynamic=Dynamic(**dynamic) if dynamic else None, unsure=doubts, **terms,
    )  # fmt: skip
