"""The terminal shows the same figures as the page."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from basismodels.report import format as said
from basismodels.report.format import probability
from basismodels.report.html import Report
from basismodels.report.text import _limits, key_rows, show


def printed(report: Report, width: int = 400) -> str:
    target = io.StringIO()
    show(report, Console(file=target, width=width))
    return target.getvalue()


def test_the_key_figures_are_printed_and_the_path_comes_last(report: Report) -> None:
    text = printed(report)
    assert text.rstrip().endswith(str(report.path))
    assert said.hours(report.key["half_life"]) in text
    assert said.probability(report.key["no_return_upper"]) in text
    assert all(label in text for label in report.table.index)
    assert report.paragraph.split() == text.split()[: len(report.paragraph.split())]


def test_the_path_is_not_broken_on_a_narrow_terminal(report: Report) -> None:
    assert str(report.path) in printed(report, width=30)


def test_markup_in_names_is_not_obeyed(report: Report) -> None:
    odd = replace(report, paragraph="[red]loud[/red]", key={**report.key, "model": "[bold]x[/bold]"})
    text = printed(odd)
    assert "[red]loud[/red]" in text
    assert "[bold]x[/bold]" in text


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"failing": math.nan}, ("not known", "no trusted model with regimes")),
        ({"failure_regimes": [], "regimes_tell": False}, ("no failure regime", "")),
        ({"regimes_tell": False}, ("no telling", "every regime counts as failing")),
    ],
)
def test_regimes_without_an_answer_say_why(report: Report, change: dict[str, object], shown: tuple[str, str]) -> None:
    rows = {name: rest for name, *rest in key_rows({**report.key, **change})}
    assert tuple(rows["P(failure regime), now"]) == shown


def test_models_that_were_not_fitted_say_why(report: Report) -> None:
    table = report.table.copy()
    table.loc["broken", ["ok", "note"]] = [False, "too few rows"]
    assert "not fitted: too few rows" in printed(replace(report, table=table))


def test_limits_that_read_the_same_are_said_once() -> None:
    key = {"x_lower": 1e-9, "x_upper": 1e-4, "y_lower": 0.1, "y_upper": 0.2}
    assert _limits(key, "x", probability) == "both under 0.01"
    assert _limits(key, "y", probability) == "0.10 to 0.20"
