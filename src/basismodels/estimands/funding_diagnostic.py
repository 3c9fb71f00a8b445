"""Is funding a driver here, or a better-measured copy of the basis?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from basismodels.errors import ModelError
from basismodels.estimands.funding_kink import kinks
from basismodels.estimands.funding_power import PULL, Behaviour, behaviour, power_of_ratio
from basismodels.estimands.funding_regressions import EFFECTS, Estimated, estimate, placebos, sample_of
from basismodels.estimands.funding_states import COLUMNS, OTHER, Tested, ratio_test, start_of, with_false_clock
from basismodels.estimands.funding_verdict import STATES, Evidence, paragraph
from basismodels.funding.checks import checked_data, checked_rule
from basismodels.funding.covariates import attach, rule_of
from basismodels.funding.guess import guessed
from basismodels.funding.mechanism import Rule
from basismodels.inference.tasks import generator_of
from basismodels.series import BasisSeries

ALL = ("level", "speed", "transitions")
SLOPES = ("effect", "test", "coefficient", "estimate", "se", "unit")
TABLE = ("effect", "test", "estimate", "se", "unit", "statistic", "p", "size", "p_calibrated", "power")
_UNITS = {"level": "bps/h per bp", "speed": "1/h per bp"}
_SLOPES = {"level": "bps per bp", "speed": "per bp", "transitions": "log 1/h per unit"}


@dataclass(frozen=True, eq=False)
class FundingDiagnostic:
    """What the tests say.

    frame: one row a test and effect: estimate, se, unit, statistic (t or likelihood ratio), nominal p, size of the
    nominal 5% test and p from simulated markets without an effect, power against the stated effect; NaN where
    not computed; of several slopes the one furthest from zero in standard errors. slopes: all of them, by test and
    coefficient. placebos, kinks: frames. verdicts: by effect "driver", "proxy", "no relation" or "undecided".
    stated: the effects power is against. text: all of it in words.
    """

    frame: pd.DataFrame
    slopes: pd.DataFrame
    placebos: pd.DataFrame
    kinks: pd.DataFrame
    verdicts: dict[str, str]
    stated: dict[str, str]
    rule: Rule
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        said = ", ".join(f"{effect}: {verdict}" for effect, verdict in self.verdicts.items())
        return f"<FundingDiagnostic {said}>"


def funding_diagnostic(
    data: BasisSeries,
    rule: Rule | None = None,
    *,
    effects: Sequence[str] = ALL,
    replications: int = 100,
    permutations: int = 40,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FundingDiagnostic:
    """Judge whether funding drives level, speed and transitions of the basis, or only measures it.

    Beside the naive regression stand one that holds the premium fixed, likelihood ratios in the state-space model
    with and without the premium, placebos, and the bends of the rule. Sizes, calibrated p and power of
    the regressions come from `replications` simulated markets like this one, 0 for none. `rule`: default the
    attached one, else a guess that is said. Errors: ModelError, DataError.
    """
    unknown = [e for e in effects if e not in ALL]
    if unknown or not effects:
        raise ModelError(f"effects are {', '.join(ALL)}", rows=unknown)
    made, own, said = prepared(data, rule)
    generator = generator_of(rng)
    sample = sample_of(made, own)
    closes = with_false_clock(made, own)
    one, two = start_of(closes), start_of(closes, 2)
    null = two if two.bic < one.bic else one
    simulated = behaviour(made, own, null, replications, generator, progress) if replications else None
    regressed = {
        (effect, test): estimate(sample, effect, sample.funding, test == "controlled")
        for effect in EFFECTS if effect in effects for test in ("naive", "controlled")
    }  # fmt: skip
    ratios = {
        (effect, test): ratio_test(closes, effect, _held(effect, test), two if effect == "transitions" else null)
        for effect in effects
        for test in STATES
    }
    stated = simulated.stated if simulated else {}
    frame = pd.DataFrame([*_regression_rows(regressed, simulated), *_ratio_rows(ratios, closes)], columns=list(TABLE))
    slopes = pd.DataFrame(_slope_rows(ratios), columns=list(SLOPES))
    fakes = pd.DataFrame(
        [row for e in EFFECTS if e in effects for row in placebos(made, own, sample, e, generator, permutations)]
    )
    fakes = pd.concat([fakes, pd.DataFrame(_false_rows(closes, ratios))], ignore_index=True)
    bends = _calibrated(kinks(made, own), simulated)
    said.append(f"State-space tests of level and speed in {null.model!r}, the better by BIC of one regime and two.")
    verdicts, text = {}, [*said]
    for effect in effects:
        verdicts[effect], words = paragraph(Evidence(effect, frame, slopes, fakes, bends, stated.get(effect, "")))
        text.append(words)
    return FundingDiagnostic(frame, slopes, fakes, bends, verdicts, stated, own, "\n\n".join(text))


def prepared(data: BasisSeries, rule: Rule | None) -> tuple[BasisSeries, Rule, list[str]]:
    """The series with covariates, from the first row at which they are known; its rule; what to say of it."""
    checked_data(data)
    own, said = rule_of(data) if rule is None else checked_rule(rule), []
    if own is None:
        own, words = guessed(data)
        said.append(words)
    made = data if rule_of(data) == own else attach(data, own)
    frame = made.frame()
    known = np.isfinite(frame[["funding_gap", "premium_mean"]].to_numpy(dtype=float)).all(axis=1)
    if not known.any():
        raise ModelError("no row with funding known", remedy="pass funding= with settled rates")
    span = f"{made.time[0]:%Y-%m-%d} to {made.time[-1]:%Y-%m-%d}"
    head = f"{made.n:,} rows, {span}, rule of {own.venue} {own.symbol}".rstrip()
    return made.cut(start=made.time[int(np.argmax(known))]), own, [head, *said]


def _regression_rows(found: dict[tuple[str, str], Estimated], simulated: Behaviour | None) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for (effect, test), one in found.items():
        name = f"{effect} {test}"
        size = p = power = math.nan
        if simulated is not None:
            size, p, power = simulated.size(name), simulated.p(name, one.t), simulated.power(name)
        rows.append((effect, test, one.estimate, one.se, _UNITS[effect], one.t, one.p, size, p, power))
    return rows


def _held(effect: str, test: str) -> tuple[str, ...]:
    """Columns in both models of a state-space test."""
    funding, premium = COLUMNS[effect]
    return {STATES[0]: (), STATES[1]: (premium,), STATES[2]: (premium, OTHER + funding)}[test]


def _ratio_rows(found: dict[tuple[str, str], Tested], data: BasisSeries) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for (effect, test), one in found.items():
        power = power_of_ratio(_stated_slopes(effect, one, data), one.cov)
        i = _surest(one)
        slope, se = float(one.slopes.iloc[i]), float(one.se[i])
        rows.append((effect, test, slope, se, _SLOPES[effect], one.ratio, one.p, math.nan, math.nan, power))
    return rows


def _surest(one: Tested) -> int:
    """Which slope lies furthest from zero in standard errors; the first where none is known."""
    return int(np.argmax(np.nan_to_num(np.abs(one.slopes.to_numpy()) / one.se, nan=-1.0)))


def _slope_rows(found: dict[tuple[str, str], Tested]) -> list[tuple[object, ...]]:
    return [
        (effect, test, name, float(slope), float(se), _SLOPES[effect])
        for (effect, test), one in found.items()
        for name, slope, se in zip(one.slopes.index, one.slopes, one.se, strict=True)
    ]


def _false_rows(data: BasisSeries, ratios: dict[tuple[str, str], Tested]) -> list[dict[str, object]]:
    """What a rate on the false clock adds once the premium and the true one are held fixed."""
    rows = []
    for (effect, test), one in ratios.items():
        if test == STATES[1]:
            funding, premium = COLUMNS[effect]
            found = ratio_test(data, effect, (premium, funding), one.full, funding=OTHER + funding)
            row = {"effect": effect, "placebo": "state space, false clock with the true one held"}
            note = "likelihood ratio of a rate by the same rule that nobody pays"
            slope = float(found.slopes.iloc[_surest(found)])
            rows.append(row | {"estimate": slope, "t": found.ratio, "p": found.p, "note": note})
    return rows


def _stated_slopes(effect: str, one: Tested, data: BasisSeries) -> np.ndarray:
    """The stated effect as slopes of the state-space model, (k,): every speed doubles, the calm regime is left twice
    as often, the level is pulled at the speed of the calm regime.
    """
    null, k = one.null, len(one.slopes)
    speeds = np.array([null.params[n] for n in null.names if n in ("kappa", *(f"kappa[{s}]" for s in range(9)))])
    if effect == "level":
        return np.full(k, PULL / speeds[0])
    column = "funding_pressure" if effect == "speed" else "funding_utilisation"
    doubling = 1.0 / (2.0 * float(np.nanstd(data.frame()[column])))
    if effect == "transitions":
        return np.where(one.slopes.index.str.startswith("q[0->"), math.log(2.0) * doubling, 0.0)
    return np.full(k, math.log(2.0) * doubling) if null.problem.link == "log" else speeds * doubling


def _calibrated(bends: pd.DataFrame, simulated: Behaviour | None) -> pd.DataFrame:
    if simulated is None:
        return bends
    names = [f"kink {place}" for place in bends["place"]]
    return bends.assign(
        size=[simulated.size(n) for n in names],
        p_calibrated=[simulated.p(n, t) for n, t in zip(names, bends["t"], strict=True)],
        power=[simulated.power(n) for n in names],
    )
