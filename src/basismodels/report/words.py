"""The report in plain language: what was found, each number with its interval, nothing beyond it."""

from __future__ import annotations

import math

from basismodels.estimands.convergence import shares
from basismodels.report.analysis import Analysis, Entry
from basismodels.report.failure_words import now, regimes, verdict
from basismodels.report.format import around, bps, date, disagrees, hours, interval, number, share
from basismodels.report.key import level_now, masked, thetas
from basismodels.results import Estimate


def paragraph(a: Analysis) -> str:
    """The summary: data and verdict; speed and level; failure now; cautions. An empty line parts them."""
    parts = [[*_data(a), *verdict(a)], [*_trust(a), *_speed(a), *_level(a)], [*now(a), *regimes(a)], _cautions(a)]
    return "\n\n".join(" ".join(part) for part in parts if part)


def source(a: Analysis) -> str:
    """The last part of the data's source, without its folder."""
    text = str(a.data.provenance.get("source", "frame"))
    return text.replace("\\", "/").rstrip("/").split("/")[-1] or text


def _data(a: Analysis) -> list[str]:
    time = a.fit.problem.time
    out = ["These data are simulated, not a market's."] if a.data.provenance.get("simulated") else []
    dates = f"{date(time[0], clock=False)} to {date(time[-1], clock=False)}"
    return [*out, f"{source(a)}, {dates}, {a.fit.nobs:,} observations."]


def _trust(a: Analysis) -> list[str]:
    fitted = [e for e in a.entries if e.fit is not None]
    if not a.trusted:
        return [
            f"None of the models fitted ({len(fitted)}) is to be trusted: the figures are those of {a.chosen.label}, "
            f"which has the lowest BIC, and are for orientation only ({_why(a.chosen)})."
        ]
    if len(a.entries) == 1:
        return [f"The model is {a.chosen.label}."]
    good = sum(e.ok for e in fitted)
    return [f"Of {len(a.entries)} models {good} can be trusted, and of these {a.chosen.label} has the lowest BIC."]


def _speed(a: Analysis) -> list[str]:
    total, *parts = a.chosen.half_lives
    if math.isinf(total.value):
        out = [f"By it no reversion can be told: the half-life is {valued(total)}."]
    else:
        out = [f"By it half of a typical gap is gone after {valued(total)}."]
    if len(parts) > 1:
        out += _parts(a, parts)
    if any(disagrees(e) for e in a.chosen.half_lives):
        out.append(
            "A half-life stands outside its own interval: the estimate takes the first observation as one of a "
            "stationary series, the interval does not, and here that decides. Neither is to be relied on."
        )
    return out


def _parts(a: Analysis, parts: list[Estimate]) -> list[str]:
    fast, slow = [e for e in parts if e.component != "slow"], [e for e in parts if e.component == "slow"]
    said = _listed([valued(e) + (f" in regime {e.regime}" if e.regime is not None else "") for e in fast])
    if not slow:
        return [f"By regime, from the calmest to the most volatile, the half-life is {said}."]
    text = f"Around its slow level the half-life is {said}; that of the slow level is {valued(slow[0])}."
    swapped = [f"But {d.text}." for d in a.fit.diagnostics if d.code == "factors" and a.fit.problem.layout.regimes > 1]
    weights = shares(a.fit)
    if not weights:
        return [text, *swapped]
    return [
        text,
        *swapped,
        f"The slow level carries {share(weights['slow'])} of the variance of the basis without noise, the rest "
        f"{share(1.0 - weights['slow'])} (at the estimate, without an interval).",
    ]


def valued(e: Estimate) -> str:
    """A half-life with its interval."""
    return hours(e.value, interval(e))


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _level(a: Analysis) -> list[str]:
    if math.isinf(a.chosen.half_lives[0].value) and a.chosen.half_lives[0].method == "fixed":
        return []
    parts = [_theta(a, *found) for found in thetas(a)]
    unsure = any(d.code == "theta" for d in a.fit.diagnostics)
    doubt = "; the data are too short against the speed to identify it" if unsure else ""
    out = [f"It reverts towards {_listed(parts)}{doubt}."] if parts else []
    found = level_now(a)
    if found is not None:
        value, lower, upper = found
        limits = f"{a.settings.level:.0%} filter interval at the estimate {number(lower)} to {number(upper)}"
        out.append(f"At the last observation the slow level it reverts to stands at {bps(value, limits)}.")
    return out


def _theta(a: Analysis, name: str, value: float, lower: float, upper: float) -> str:
    where = f" in regime {name[name.index('[') + 1 : -1]}" if "[" in name else ""
    limits = f"{a.settings.level:.0%} Wald interval {number(lower)} to {number(upper)}"
    return bps(value, "no interval" if math.isnan(lower) else limits) + where


def _passed_over(a: Analysis) -> list[str]:
    """Fits left out of the choice, first of all those that the data would prefer."""
    bad = [e for e in a.entries if e.fit is not None and not e.ok]
    better = [e for e in bad if e.bic < a.chosen.bic]
    out = [
        f"{e.label} has a BIC lower by {number(a.chosen.bic - e.bic)}{_before(e)}, but its fit is not to be trusted "
        f"({_why(e)}): the data may well prefer it to the model used here."
        for e in better
    ]
    rest = [e.label for e in bad if e not in better]
    return [*out, f"Not to be trusted, and out of the choice: {_listed(rest)}; the table says why."] if rest else out


def _before(e: Entry) -> str:
    return " (by moment matching, which mostly overstates)" if e.loglik is not None and math.isnan(e.loglik.se) else ""


def _why(e: Entry) -> str:
    return "; ".join(d.text for d in e.fit.diagnostics if d.fatal) if e.fit is not None else e.error


def _cautions(a: Analysis) -> list[str]:
    out = [f"{note[0].upper()}{note[1:]}." for note in a.notes]
    if a.event.rule:
        out.append(
            f"Level and width of the band, {around(a.event.band, a.event.target)}, follow from the interest and the "
            f"damper of the funding rule of {a.event.rule}."
        )
    rows, kinds = masked(a)
    if rows:
        named = ", ".join(kind.replace("_", " ") for kind in kinds) or "missing"
        out.append(
            f"{rows:,} of {a.data.n:,} rows are missing or left out of the fits ({named}): they count as operational, "
            "neither as converging nor as failing."
        )
    if a.trusted:
        out += _passed_over(a)
    failed = [e.label for e in a.entries if e.fit is None]
    return [*out, f"Not fitted: {_listed(failed)}; the table says why."] if failed else out
