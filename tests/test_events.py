"""The table of events: how alarms are read off, and that every event is in what was committed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def events():
    spec = importlib.util.spec_from_file_location("events", ROOT / "paper" / "events.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["events"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["events"]


def test_an_alarm_is_looked_for_from_a_day_before_to_the_end(events):
    time = pd.date_range("2024-01-01", periods=100, freq="h", tz="UTC")
    values = pd.Series(0.0, index=time)
    values.iloc[[2, 40, 90]] = 1.0
    begin, end = time[50], time[60]
    assert events.first_above(values, 0.5, begin, end) == time[40]
    assert events.first_above(values, 1.5, begin, end) is None
    assert events.first_above(values, 0.5, time[80], time[85]) is None


def test_the_committed_table_has_every_event(events):
    table = pd.read_csv(events.OUT)
    assert list(table["event"]) == [one.name for one in events.EPISODES]
    known = table["during"].dropna()
    assert known.between(0, 1).all()
    both = table.dropna(subset=["lead_hours"])
    gap = pd.to_datetime(both["alarm_basis"]) - pd.to_datetime(both["alarm_model"])
    assert (gap / pd.Timedelta("1h")).to_list() == pytest.approx(both["lead_hours"].to_list())


@pytest.mark.real
def test_a_row_is_what_the_script_computes(events):
    """The shortest of the files, again."""
    if not events.DATA.exists():
        pytest.skip(f"no market data in {events.DATA}")
    table = pd.read_csv(events.OUT).set_index("event")
    name = "BitMEX restart, May 2020"
    row = events.row_of(next(one for one in events.EPISODES if one.name == name))
    assert row["threshold_bps"] == pytest.approx(table.loc[name, "threshold_bps"], rel=1e-3)
    assert row["rows"] == table.loc[name, "rows"]
