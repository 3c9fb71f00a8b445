"""The summary says what the record holds, with its interval, and no more."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basismodels._finding import Finding
from basismodels.estimands.failure import upper_bound
from basismodels.report import format as said
from basismodels.report.analysis import Analysis, Failing, Settings, analyse
from basismodels.report.event import NAME
from basismodels.report.html import Report, write_report
from basismodels.report.spells import longest, spells
from basismodels.report.words import paragraph
from basismodels.results import Diagnostic, Fit
from basismodels.sources.files import read


def with_event(a: Analysis, high: slice, lower: float = 0.7) -> Analysis:
    """The analysis as if P(no return) were 0.9 on some rows and 0.1 elsewhere."""
    frame = a.no_return.copy()
    frame[NAME], frame[f"{NAME}_lower"], frame[f"{NAME}_upper"] = 0.1, 0.05, 0.2
    frame.iloc[high] = [0.9, lower, 0.95]
    return replace(a, no_return=frame, lost=spells(a.fit, frame[NAME].to_numpy() > 0.5))


def without_regimes(a: Analysis) -> Analysis:
    return replace(a, failing=None)


def failing_with(a: Analysis, phi: list[float], doubt: list[float]) -> Analysis:
    """The analysis as if its regimes had these phi and probabilities to fail."""
    assert a.failing is not None
    fails = [p >= 0.5 for p in phi]
    table = a.failing.regimes.assign(phi=phi, fails=fails, probability_fails=doubt)
    frame = a.failing.frame.copy()
    frame.attrs |= {"share_of_draws": max(doubt), "upper_bound": upper_bound(round(200 * max(doubt)), 200)}
    held: Failing = replace(a.failing, regimes=table, frame=frame)
    return replace(a, failing=held)


def test_the_summary_holds_the_key_figures(report: Report) -> None:
    key, text = report.key, report.paragraph
    assert said.hours(key["half_life"]).split(" (")[0] in text
    for name in ("half_life_lower", "half_life_upper"):
        assert said.bare_hours(key[name]) in text
    for name in ("no_return", "no_return_lower", "no_return_upper", "failing"):
        assert said.probability(key[name]) in text
    assert said.span(key["no_return_longest_hours"]) in text
    assert said.date(key["no_return_longest_start"]) in text
    assert said.share(key["no_return_share"]) in text
    assert key["model"] in text
    assert "95% Wald interval" in text


def test_simulated_data_are_said_to_be_simulated(report: Report, analysis: Analysis) -> None:
    assert report.paragraph.startswith("These data are simulated")
    real_data = replace(analysis.data, provenance={**analysis.data.provenance, "simulated": False})
    assert "simulated, not" not in paragraph(replace(analysis, data=real_data))


def test_a_failure_that_lasts_is_named_with_its_dates_and_its_sureness(analysis: Analysis) -> None:
    time = analysis.fit.problem.time
    text = paragraph(with_event(analysis, slice(100, 200)))
    assert f"Convergence failed for 4.1 days, from {said.date(time[100])} to {said.date(time[199])} UTC" in text
    assert "was above one half throughout" in text
    assert f"Since {said.date(time[199])} UTC a return" in text
    doubtful = paragraph(with_event(analysis, slice(100, 200), lower=0.2))
    assert "was never above one half" in doubtful
    lasting = paragraph(with_event(analysis, slice(300, None)))
    assert "still failing at the last observation" in lasting


def test_a_short_failure_is_not_called_one(analysis: Analysis) -> None:
    short = paragraph(without_regimes(with_event(analysis, slice(100, 105))))
    assert "did not fail for long" in short
    assert "Convergence failed" not in short
    none = paragraph(without_regimes(with_event(analysis, slice(0, 0))))
    assert "Convergence did not fail: at no observation" in none


def test_a_failure_only_regimes_see_is_told_as_hindsight(analysis: Analysis) -> None:
    text = paragraph(with_event(analysis, slice(0, 0)))
    assert analysis.failing is not None
    held = longest(analysis.failing.spells)
    assert held is not None
    assert f"Convergence failed for {said.span(held.hours)}" in text
    assert "as hindsight shows" in text


def test_no_failure_regime_comes_with_a_bound(analysis: Analysis) -> None:
    sure = paragraph(failing_with(analysis, [0.01, 0.2], [0.0, 0.0]))
    assert "No failure regime was found" in sure
    assert "below 1.5% (95% bound" in sure
    unsure = paragraph(failing_with(analysis, [0.01, 0.4], [0.0, 0.3]))
    assert "Yet 30% of 200 draws of its parameters have one (95% bound 36%); the upper 95% limit" in unsure


def test_regimes_that_all_fail_tell_nothing(analysis: Analysis) -> None:
    text = paragraph(failing_with(analysis, [0.9, 0.9], [1.0, 1.0]))
    assert "Every regime of" in text
    assert "do not tell when" in text


def test_absent_limits_are_explained(analysis: Analysis) -> None:
    bare = analysis.no_return.assign(**{f"{NAME}_lower": np.nan, f"{NAME}_upper": np.nan})
    bare.attrs["note"] = "no normal draws: an estimate is at its bound"
    text = paragraph(replace(analysis, no_return=bare))
    assert "without limits: no normal draws: an estimate is at its bound" in text
    assert "how sure this is cannot be told" in text


def untrusted(found: Fit) -> Fit:
    return replace(found, diagnostics=(Diagnostic("flat", "some direction is flat", fatal=True),))


def test_a_fit_not_to_be_trusted_is_said_to_be_so(analysis: Analysis) -> None:
    entries = tuple(replace(e, fit=untrusted(e.fit)) for e in analysis.entries if e.fit is not None)
    chosen = next(e for e in entries if e.label == analysis.chosen.label)
    assert chosen.fit is not None
    text = paragraph(replace(analysis, entries=entries, chosen=chosen, fit=chosen.fit, failing=None))
    assert "None of the models fitted (2) is to be trusted" in text
    assert "some direction is flat" in text
    assert "No model with regimes can be trusted here, so nothing is said of failure regimes" in text
    alone = replace(analysis, entries=tuple(e for e in entries if e.label == "ou"), failing=None)
    assert "No model with regimes was fitted" in paragraph(alone)


def test_a_half_life_outside_its_interval_is_not_relied_on(analysis: Analysis) -> None:
    total = replace(analysis.chosen.half_lives[0], value=290.0, lower=7.9, upper=13.6)
    odd = replace(analysis.chosen, half_lives=(total, *analysis.chosen.half_lives[1:]))
    assert "Neither is to be relied on" in paragraph(replace(analysis, chosen=odd))
    assert "Neither is to be relied on" not in paragraph(analysis)


def test_an_infinite_half_life_is_no_number(analysis: Analysis) -> None:
    total = replace(analysis.chosen.half_lives[0], value=math.inf, lower=50.0, upper=math.inf)
    text = paragraph(replace(analysis, chosen=replace(analysis.chosen, half_lives=(total,))))
    assert "no reversion can be told: the half-life is infinite (95%" in text


def test_rows_left_out_count_as_operational(analysis: Analysis) -> None:
    at, rows = analysis.data.time, np.arange(analysis.data.n)
    data = replace(analysis.data, findings=(Finding("outage", at[10], at[12], 3, True),)).with_mask(
        (rows >= 10) & (rows < 13)
    )
    text = paragraph(replace(analysis, data=data))
    assert "3 of 500 rows are missing or left out of the fits (outage): they count as operational" in text


def test_the_choice_is_the_lowest_bic_among_those_to_be_trusted(analysis: Analysis) -> None:
    assert analysis.chosen.bic == min(e.bic for e in analysis.entries)
    spoilt = analysis.chosen.fit
    assert spoilt is not None
    from basismodels.report.analysis import best

    entries = tuple(replace(e, fit=untrusted(spoilt)) if e is analysis.chosen else e for e in analysis.entries)
    chosen = best(entries)
    assert chosen is not None
    assert chosen.label == "ou"
    assert chosen.fit is not None
    text = paragraph(replace(analysis, entries=entries, chosen=chosen, fit=chosen.fit, failing=None))
    gap = said.number(chosen.bic - analysis.chosen.bic)
    assert f"has a BIC lower by {gap}, but its fit is not to be trusted (some direction is flat)" in text


def test_a_model_that_cannot_be_fitted_is_reported_and_does_not_stop_the_rest(analysis: Analysis) -> None:
    short = analysis.data.cut(end=analysis.data.time[5])
    made = analyse(short, ("ou", "switching-two-factor"), Settings(starts=1))
    assert made.chosen.label == "ou"
    assert "Not fitted: switching-two-factor" in paragraph(made)


@pytest.mark.real
def test_gbtc_failed_and_the_report_says_for_how_long(real: Callable[[str], Path], tmp_path: Path) -> None:
    data = read(real("gbtc_nav_daily"))
    made = write_report(data, tmp_path / "gbtc.html", models=("ou-noise", "two-factor"), starts=4)
    assert "Convergence failed for 1,149 days, from 2018-01-02 to 2021-02-24" in made.paragraph
    assert re.search(r"It failed again for 1,04\d days, from 2021-03-0\d to 2024-01-1\d, ", made.paragraph)
    assert "a return in that time has been more likely than not" in made.paragraph
    assert made.key["no_return_longest_hours"] > 1000 * 24
    assert made.key["no_return_share"] > 0.9
    assert pd.Timestamp("2024-01-20", tz="UTC") > made.key["no_return_longest_end"]
    assert "Convergence failed for 1,149 days" in made.path.read_text(encoding="utf-8")
