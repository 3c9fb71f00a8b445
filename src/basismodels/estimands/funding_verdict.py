"""The verdict on funding in words, with the size and power of what it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

_LEVEL = 0.05
_WHAT = {
    "level": "the level the basis reverts to",
    "speed": "the speed of reversion",
    "transitions": "the change of regimes",
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """One effect's part of the tables, and the stated effect power is against."""

    effect: str
    frame: pd.DataFrame
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

    def fake_is_as_good(self) -> bool:
        """Whether a clock that nobody pays by does at least as well as the true one in the state-space model."""
        row = self.row("state space, controlled")
        if row is None or self.placebos.empty:
            return False
        own = self.placebos[(self.placebos["effect"] == self.effect)]
        shifted = own.loc[own["placebo"] == "state space, shifted clock", "t"]
        return len(shifted) > 0 and bool(shifted.iloc[0] >= row["statistic"])


def p_of(row: pd.Series[float]) -> float:
    """Calibrated p where it was simulated, else the nominal one."""
    return float(row["p_calibrated"] if math.isfinite(row["p_calibrated"]) else row["p"])


def verdict_of(evidence: Evidence) -> str:
    """One word for an effect.

    driver: both state-space tests and the controlled regression reject, and a clock nobody pays by does not do as
    well. proxy: the naive regression rejects at its nominal 5% and none of those three does. no relation: not even
    that one does. undecided: anything else.
    """
    state = evidence.rejects("state space, controlled")
    if evidence.effect == "transitions":
        return (
            "predictor beyond the premium"
            if state
            else "no relation"
            if not evidence.rejects("state space")
            else "proxy"
        )
    naive, controlled = evidence.rejects("naive"), evidence.rejects("controlled")
    if state and controlled and evidence.rejects("state space"):
        return "undecided" if evidence.fake_is_as_good() else "driver"
    if not state and not controlled and not evidence.rejects("state space"):
        nominal = evidence.row("naive")
        loud = nominal is not None and bool(nominal["p"] < _LEVEL)
        return "proxy" if loud or naive else "no relation"
    return "undecided"


def paragraph(evidence: Evidence) -> tuple[str, str]:
    """The verdict, and the sentences it rests on."""
    verdict = verdict_of(evidence)
    lines = [f"Funding and {_WHAT[evidence.effect]}: {verdict.upper()}."]
    for test in ("naive", "controlled", "state space", "state space, controlled"):
        row = evidence.row(test)
        if row is not None:
            lines.append(_sentence(test, row))
    lines.append(_placebo_words(evidence))
    if evidence.effect != "transitions":
        lines.append(_kink_words(evidence))
        if evidence.stated:
            lines.append(f"Power is against {evidence.stated}.")
    lines.append(_MEANING[verdict])
    return verdict, " ".join(line for line in lines if line)


_MEANING = {
    "driver": "Funding predicts beyond noise, slow level and the premium it averages, and only on its own clock.",
    "proxy": "What funding predicts, the state and the premium predict without it.",
    "no relation": "Nothing was found; see the power for what could have been.",
    "undecided": "The tests disagree, or a rate that nobody pays does as well: no claim either way.",
    "predictor beyond the premium": (
        "It predicts changes of regime beyond the premium; a likelihood cannot say that it causes them."
    ),
}


def _sentence(test: str, row: pd.Series[float]) -> str:
    value = f"{row['estimate']:.3g} {row['unit']}"
    kind = "likelihood ratio" if test.startswith("state") else "t"
    text = f"{test.capitalize()}: {value}, {kind} {row['statistic']:.3g}, p {_p(row['p'])}"
    if math.isfinite(row["size"]):
        text += f" (the nominal 5% test rejects {row['size']:.0%} of like markets without an effect"
        text += f"; calibrated p {_p(row['p_calibrated'])}; power {row['power']:.0%})"
    elif math.isfinite(row["power"]):
        text += f" (power {row['power']:.0%})"
    return text + "."


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
