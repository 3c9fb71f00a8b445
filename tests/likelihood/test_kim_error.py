"""The study of Kim's error: its script, in small, and the table it has made."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STUDY = Path(__file__).resolve().parents[1] / "slow" / "kim_error.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("kim_error", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kim_error"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["kim_error"]


@pytest.mark.long
def test_it_resumes(study, tmp_path, capsys):
    out = tmp_path / "table.csv"
    name = study.settings()[0].name
    command = ["--out", str(out), "--series", "2", "--scores", "40", "--only", name]
    assert study.main(command) == 0
    first = out.read_text(encoding="utf-8")
    assert study.main(command) == 0
    assert out.read_text(encoding="utf-8") == first
    table = pd.read_csv(out)
    assert list(table["setting"]) == [name] * 3
    assert list(table["depth"]) == [1, 2, 3]
    assert table["error"].abs().max() < 0.5
    assert capsys.readouterr().out.count("nats") == 3


def test_the_measure_sees_a_wrong_likelihood(study, monkeypatch):
    """A displacement planted in the score, a fifth of a standard deviation of sigma, is found."""
    setting = study.settings()[0]
    problem, count = setting.problem(1), 400
    x = setting.truth(problem)
    at = problem.spec.names.index("sigma[1]")
    own = study.estimate_shift(problem, x, count, np.random.default_rng(1))
    plain = study.simulate_path
    wrong = x.copy()
    wrong[at] += 0.02

    monkeypatch.setattr(study, "simulate_path", lambda problem, x, rng: plain(problem, wrong, rng))
    moved = study.estimate_shift(problem, x, count, np.random.default_rng(1))
    assert abs(own["shift_sigma_last"]) < 4 * own["shift_se"]
    assert moved["shift_sigma_last"] - own["shift_sigma_last"] > 4 * own["shift_se"]


def test_the_published_table_covers_the_grid(study):
    table = pd.read_csv(STUDY.with_suffix(".csv"))
    assert set(table["setting"]) >= {setting.name for setting in study.settings()}
    shifts = [c for c in table if c.startswith("shift")]
    assert not table.drop(columns=["noise", *shifts]).isna().any().any()
    assert not table.loc[table["source"] == "simulated", shifts].isna().any().any()
    assert (table["error_se"] > 0).all()
