"""The studies of funding: their markets, their counts, their tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

ROOT = Path(__file__).resolve().parents[2]


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_script", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def placebo() -> ModuleType:
    return module("tests/slow/placebo.py")


def test_nothing_moves_with_funding_in_the_markets_that_measure_size(placebo: ModuleType) -> None:
    for name, market in placebo.markets().items():
        named = {
            word
            for formula in (*market.model.formulas().values(), market.model.transition)
            for word in str(formula).split()
        }
        driven = any(word.startswith("funding") for word in named)
        assert driven == market.kind.startswith("power"), name


def test_one_seed_one_answer_and_every_test_answers(placebo: ModuleType) -> None:
    market = placebo.markets()["ou"]
    one, two = (placebo.rejections(market, np.random.SeedSequence([0, 7]), True, ("level",)) for _ in range(2))
    assert one == two
    assert {
        "level naive",
        "level controlled",
        "speed naive",
        "level state space",
        "level state space, premium held",
    } <= set(one)


def test_the_band_is_exact(placebo: ModuleType) -> None:
    low, high = placebo.band(7, 100)
    assert binom.sf(6, 100, low) == pytest.approx(0.025)
    assert binom.cdf(7, 100, high) == pytest.approx(0.025)
    assert placebo.band(0, 10)[0] == 0.0
    assert placebo.band(10, 10)[1] == 1.0


def test_a_study_goes_on_where_it_stopped(placebo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placebo, "RESULTS", tmp_path / "placebo.csv")
    monkeypatch.setattr(placebo, "TABLE", tmp_path / "table.csv")
    monkeypatch.setattr(placebo, "SHIPPED", tmp_path / "shipped.csv")
    monkeypatch.setattr(placebo, "BATCH", 2)
    few = dict(list(placebo.markets().items())[:1])
    monkeypatch.setattr(placebo, "markets", lambda: few)
    seen: list[int] = []

    def rejected(
        market: object, seed: np.random.SeedSequence, regressions: bool, effects: tuple[str, ...]
    ) -> dict[str, bool]:
        seen.append(seed.entropy[1])  # type: ignore[index]
        return ({"level naive": True} if regressions else {}) | ({"level state space": False} if effects else {})

    monkeypatch.setattr(placebo, "rejections", rejected)
    placebo.main(["--minutes", "0", "--series", "8", "--states", "4", "--jobs", "1"])
    assert placebo.main(["--series", "8", "--states", "4", "--jobs", "1"]) == 0
    assert sorted(seen) == list(range(8))
    counts = placebo.load()
    assert counts[("ou", "level naive")] == [8, 8]
    assert counts[("ou", "level state space")] == [4, 0]
    assert placebo.main(["--series", "8", "--states", "6", "--jobs", "1"]) == 0
    counts = placebo.load()
    assert counts[("ou", "level naive")] == [8, 8], "no seed counts twice"
    assert counts[("ou", "level state space")] == [6, 0]
    assert "100.0% of 8" in (tmp_path / "table.csv").read_text()


def test_settlements_are_judged_by_the_rule_of_their_day() -> None:
    script = module("benchmarks/funding_rules.py")
    stamps = pd.to_datetime(["2022-06-01 00:00", "2022-06-01 08:00", "2024-06-01 00:00", "2024-06-01 08:00"], utc=True)
    rates = pd.DataFrame({"funding_rate": [0.00375, 0.0001, 0.00375, 0.003], "interval_hours": 8.0}, index=stamps)
    found = script.judged(rates, "ETHUSDT")
    assert list(found["at_interest"]) == [False, True, False, False]
    assert list(found["at_cap"]) == [True, False, False, True]
    assert list(found["outside"]) == [False, False, True, False]
    line = script.row("ETHUSDT", rates)
    assert line["outside"] == 1
    assert line["days_outside"] == "2024-06-01"


def test_the_committed_table_of_rules_holds_every_symbol_and_lists_what_lies_outside() -> None:
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "funding_rules.csv")
    assert table["symbol"].is_unique
    assert ((table["outside"] > 0) == table["days_outside"].notna()).all()
    assert (table["settlements"] > 0).all()


def test_the_package_ships_the_counts_of_the_study() -> None:
    from basismodels.estimands.funding_verdict import study

    pd.testing.assert_frame_equal(study(), pd.read_csv(ROOT / "tests" / "slow" / "placebo.csv"))


def test_a_study_by_rows_is_the_same_in_any_number_of_processes(tmp_path: Path) -> None:
    rows = module("tests/slow/row_study.py")
    makers = {scale: lambda seed, scale=scale: {"x": float(scale) * seed.generate_state(1)[0]} for scale in ("1", "2")}
    for jobs, name in ((1, "one"), (2, "two")):
        assert not rows.rows_of(tmp_path / name, ("setting", "series", "x"), makers, 9, -1.0, jobs), "no time at all"
        rows.rows_of(tmp_path / name, ("setting", "series", "x"), makers, 2, 60.0, jobs)
        assert rows.rows_of(tmp_path / name, ("setting", "series", "x"), makers, 9, 60.0, jobs)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert len(pd.read_csv(tmp_path / "one").drop_duplicates()) == 18


def test_the_study_of_a_year_has_every_test_of_two_regimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    year = module("tests/slow/placebo_year.py")
    asked = []

    def rejected(market: Any, seed: object, regressions: bool, effects: object, hours: pd.DatetimeIndex) -> object:
        asked.append((market.model.regimes, regressions, len(hours)))
        return dict.fromkeys(year.TESTS, len(asked) % 2 == 0)

    monkeypatch.setattr(year, "rejections", rejected)
    out = str(tmp_path / "y.csv")
    monkeypatch.setattr("sys.argv", ["placebo_year.py", "--series", "4", "--jobs", "1", "--out", out])
    assert year.main() == 0
    assert asked == [(2, False, 8784)] * 4
    found = pd.read_csv(tmp_path / "y_summary.csv")
    assert list(found["test"]) == list(year.TESTS)
    assert (found["share"] == 0.5).all()
    assert (found["series"] == 4).all()
