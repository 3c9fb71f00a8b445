"""Numbers as a reader wants them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from basismodels.report import format as said
from basismodels.results import Estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.9999, "1.00"),
        (1234.6, "1,230"),
        (-2.345, "−2.35"),
        (321472.0, "321,000"),
        (-1e-7, "−1.00e−07"),
        (math.inf, "infinite"),
        (math.nan, "not known"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert said.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2, "1.20 h"),
        (0.05, "3.0 min"),
        (362.0, "362 h (15 days)"),
        (40000.0, "40,000 h (4.6 years)"),
        (math.inf, "infinite"),
    ],
)
def test_hours(value: float, text: str) -> None:
    assert said.hours(value) == text


def test_one_pair_of_brackets_holds_all() -> None:
    assert said.hours(362.0, "95% Wald interval 1 h to 2 h") == "362 h (15 days; 95% Wald interval 1 h to 2 h)"
    assert said.bps(-6733.0) == "−6,730 bps (−49%)"
    assert said.bps(5.0) == "5.00 bps"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "under 0.01"), (0.25, "0.25"), (1.0, "over 0.99"), (math.nan, "not known")]
)
def test_probability_claims_no_certainty(value: float, text: str) -> None:
    assert said.probability(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0%"), (0.0004, "under 0.1%"), (0.04, "4.0%"), (0.5, "50%"), (1.0, "100%")]
)
def test_share(value: float, text: str) -> None:
    assert said.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "a single observation"), (1.0, "1 hour"), (24.0, "24 hours"), (80.0, "3.3 days"), (27576.0, "1,149 days")],
)
def test_span(value: float, text: str) -> None:
    assert said.span(value) == text


def test_intervals_name_their_method_and_say_when_there_is_none() -> None:
    made = Estimate(10.0, 5.0, math.inf, "h", 0.9, "profile", "total")
    assert said.interval(made) == "90% profile likelihood interval 5.00 h to infinite"
    assert "no interval" in said.interval(Estimate(10.0, math.nan, math.nan, "h", 0.9, "none: no draws", "total"))
    assert said.disagrees(Estimate(10.0, 1.0, 2.0, "h", 0.9, "profile", "total"))
    assert not said.disagrees(made)


def test_dates_are_utc() -> None:
    stamp = pd.Timestamp("2024-01-02 03:04", tz="UTC")
    assert said.date(stamp) == "2024-01-02 03:04"
    assert said.date(stamp, clock=False) == "2024-01-02"
