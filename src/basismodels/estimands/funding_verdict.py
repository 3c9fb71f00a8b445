"""The verdict on funding in words, with the size and power of what it rests on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO
from typing import NamedTuple

import pandas as pd

_LEVEL = 0.05
STATES = ("state space", "state space, premium held", "state space, premium and false clock held")
_WHAT = {
    "level": "the level the basis reverts to",
    "speed": "the speed of reversion",
    "transitions": "the change of regimes",
}


_TOLERATED = 0.1
_SURE = 1.96


class Size(NamedTuple):
    """Share of simulated markets without an effect in which a nominal 5% test rejects; its lower 95% limit."""

    share: float
    low: float
    market: str
    series: int


@cache
def study() -> pd.DataFrame:
    """Counts of the placebo study by market and test (tests/slow/placebo.py writes them)."""
    return pd.read_csv(StringIO((files("basismodels") / "data" / "funding_sizes.csv").read_text("utf-8")))


def worst_size(effect: str, test: str) -> Size | None:
    """The market of the placebo study in which a test is furthest above 5%, by its lower limit; None without one."""
    own = study()
    own = own[(own["kind"] == "size") & (own["test"] == f"{effect} {test}")]
    if own.empty:
        return None
    row = own.iloc[int(own["band_low"].to_numpy(dtype=float).argmax())]
    return Size(float(row["share"]), float(row["band_low"]), str(row["market"]), int(row["series"]))


@dataclass(frozen=True, eq=False)
class Evidence:
    """One effect's part of the tables, and the stated effect power is against."""

    effect: str
    frame: pd.DataFrame
    slopes: pd.DataFrame
    placebos: pd.DataFrame
    kinks: pd.DataFrame
    stated: str

    def row(self, test: str) -> pd.Series[float] | None:
        """The row of a test; None where it was not made."""
        own = self.frame[(self.frame["effect"] == self.effect) & (self.frame["test"] == test)]
        return None if own.empty else own.iloc[0]

    def rejects(self, test: str) -> bool:
        """Whether a test rejects at 5%, by its calibrated p where there is one."""
        row = self.row(test)
        return row is not None and bool(p_of(row) < _LEVEL)

    def slopes_of(self, test: str) -> pd.Series[float]:
        """Slopes of a test by coefficient, a regime each where they differ."""
        own = self.slopes[(self.slopes["effect"] == self.effect) & (self.slopes["test"] == test)]
        return own.set_index("coefficient")["estimate"]

    def sure(self, test: str) -> pd.Series[float]:
        """Those slopes of a test that are more than two standard errors from zero."""
        own = self.slopes[(self.slopes["effect"] == self.effect) & (self.slopes["test"] == test)]
        own = own[own["estimate"].abs() > _SURE * own["se"]]
        return own.set_index("coefficient")["estimate"]

    def signs_agree(self) -> bool:
        """Whether every state-space test has a sure slope, and all sure slopes, whatever the regime, have one sign."""
        found = [self.sure(test) for test in STATES if self.row(test) is not None]
        return all(len(own) for own in found) and len({bool(s > 0) for own in found for s in own}) == 1

    def only_on_its_clock(self) -> bool:
        """Whether the true clock adds to the false one, and more than the false one adds to it."""
        own = self.placebos[self.placebos["effect"] == self.effect] if len(self.placebos) else self.placebos
        false = own.loc[own["placebo"].str.startswith("state space"), "t"] if len(own) else own
        row = self.row(STATES[2])
        less = not len(false) or (row is not None and bool(false.iloc[0] < row["statistic"]))
        return self.rejects(STATES[2]) and less


def p_of(row: pd.Series[float]) -> float:
    """Calibrated p where it was simulated, else the nominal one."""
    return float(row["p_calibrated"] if math.isfinite(row["p_calibrated"]) else row["p"])


def verdict_of(evidence: Evidence) -> str:
    """One word for an effect.

    driver: every state-space test and the controlled regression reject, all slopes that are sure have one sign in all
    of the former and in every regime, the true clock adds more to the false one than the other way round, and the
    placebo study knows no market without an effect in which that last test surely rejects more than one time in ten.
    proxy: the naive regression rejects at its nominal 5% and none of the others does, or what they find is on the
    false clock as well. no relation: not even the naive one rejects. undecided: anything else. Transitions have no
    regression, and no claim of a cause.
    """
    free, held = (evidence.rejects(test) for test in STATES[:2])
    clock = evidence.only_on_its_clock()
    if evidence.effect == "transitions":
        if not held:
            return "proxy" if free else "no relation"
        return "predictor beyond the premium" if clock else "proxy"
    controlled = evidence.rejects("controlled")
    if not (free or held or controlled):
        naive = evidence.row("naive")
        return "proxy" if naive is not None and bool(naive["p"] < _LEVEL) else "no relation"
    if free and held and controlled and clock and evidence.signs_agree():
        size = worst_size(evidence.effect, STATES[2])
        return "undecided" if size is not None and size.low > _TOLERATED else "driver"
    return "proxy" if held and not evidence.rejects(STATES[2]) else "undecided"


def paragraph(evidence: Evidence) -> tuple[str, str]:
    """The verdict, and the sentences it rests on."""
    verdict = verdict_of(evidence)
    lines = [f"Funding and {_WHAT[evidence.effect]}: {verdict.upper()}."]
    for test in ("naive", "controlled", *STATES):
        row = evidence.row(test)
        if row is not None:
            lines.append(_sentence(test, row, evidence))
    lines += [_direction(evidence), _size_words(evidence), _placebo_words(evidence)]
    if evidence.effect != "transitions":
        lines.append(_kink_words(evidence))
        if evidence.stated:
            lines.append(f"Power is against {evidence.stated}.")
    lines.append(_MEANING[verdict])
    return verdict, " ".join(line for line in lines if line)


_MEANING = {
    "driver": "Funding predicts beyond noise, slow level and the premium it averages, and only on its own clock.",
    "proxy": "What funding predicts, the state, the premium or a rate that nobody pays predict without it.",
    "no relation": "Nothing was found; see the power for what could have been.",
    "undecided": "The tests disagree, in size or in sign: no claim either way.",
    "predictor beyond the premium": (
        "It predicts changes of regime beyond the premium; a likelihood cannot say that it causes them."
    ),
}


def _sentence(test: str, row: pd.Series[float], evidence: Evidence) -> str:
    slopes = evidence.slopes_of(test)
    value = f"{row['estimate']:.3g} {row['unit']}"
    if len(slopes) > 1:
        value = ", ".join(f"{name} {slope:.3g}" for name, slope in slopes.items()) + f" {row['unit']}"
    kind = "likelihood ratio" if test.startswith("state") else "t"
    text = f"{test.capitalize()}: {value}, {kind} {row['statistic']:.3g}, p {_p(row['p'])}"
    if math.isfinite(row["size"]):
        text += f" (the nominal 5% test rejects {row['size']:.0%} of like markets without an effect"
        text += f"; calibrated p {_p(row['p_calibrated'])}; power {row['power']:.0%})"
    elif math.isfinite(row["power"]):
        text += f" (power {row['power']:.0%})"
    return text + "."


def _direction(evidence: Evidence) -> str:
    """What the slopes that hold the premium fixed say, in words, where their test rejects and they are sure."""
    slopes = evidence.sure(STATES[1])
    if not evidence.rejects(STATES[1]) or not len(slopes):
        return ""
    parts = [_said(evidence.effect, str(name), bool(slope > 0)) for name, slope in slopes.items()]
    return f"With the premium held, more funding means that {', and '.join(parts)}."


def _said(effect: str, name: str, up: bool) -> str:
    """One slope in words; `name`: such as "kappa[1]:funding_pressure" or "q[0->1]:funding_utilisation"."""
    regime = re.search(r"\[([^]]*)\]", name)
    where = regime.group(1) if regime else ""
    if effect == "transitions":
        left, _, entered = where.partition("->")
        return f"regime {left} is left for regime {entered} {'sooner' if up else 'later'}"
    who = f"regime {where}" if where else "the basis"
    if effect == "level":
        return f"{who} is drawn {'the way funding pays' if up else 'against the side that pays'}"
    return f"{who} reverts {'faster' if up else 'more slowly'}"


def _size_words(evidence: Evidence) -> str:
    size = worst_size(evidence.effect, STATES[2])
    if size is None:
        return ""
    return (
        f"In the placebo study the last of these rejects at most {size.share:.0%} of {size.series} markets without an "
        f"effect, in the market {size.market!r}."
    )


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _placebo_words(evidence: Evidence) -> str:
    own = evidence.placebos[evidence.placebos["effect"] == evidence.effect]
    parts = []
    for row in own.itertuples():
        if str(row.placebo) == "intervals permuted":
            parts.append(f"permuted intervals reject {row.estimate:.0%}")
        elif math.isfinite(float(row.t)):  # type: ignore[arg-type]
            kind = "likelihood ratio" if str(row.placebo).startswith("state") else "t"
            parts.append(f"{row.placebo}, {kind} {row.t:.3g}")
    return f"Placebos: {', '.join(parts)}." if parts else ""


def _kink_words(evidence: Evidence) -> str:
    own = evidence.kinks[evidence.kinks["t"].notna()] if len(evidence.kinks) else evidence.kinks
    parts = [
        f"{row.place} {row.effect:.3g} (t {row.t:.3g})"
        for row in own.itertuples()
        if math.isfinite(float(row.effect))  # type: ignore[arg-type]
    ]
    return f"Bends of the rule, bps an interval per bp of funding: {', '.join(parts)}." if parts else ""
