"""What a download lacks is said: holes at the ends of the span, columns never found, months that are not published."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.cli import OK, REFUSED, main
from basismodels.sources._gather import Gathered, span_of
from basismodels.sources._lacks import missing_settlements, unpublished
from basismodels.sources.binance import fetch_binance

from .conftest import KINDS, klines, paths, prices, zipped

pytest.importorskip("pooch")
FUNDING = "futures/um|fundingRate"
MONTHS = ("2024-12", "2025-01")


def withdraw(archive, kind, *months):
    """Takes months of one kind out of the archive."""
    for month in months:
        folder, stem = paths(kind, month)
        del archive.files[f"{folder}/{stem}.zip"], archive.files[f"{folder}/{stem}.zip.CHECKSUM"]


def in_days(archive, kind, column, month, first, last):
    """Withdraws a month and publishes some of its days instead."""
    withdraw(archive, kind, month)
    time, close = prices(month)
    for day in pd.period_range(first, last, freq="D"):
        own = time.normalize() == day.start_time.tz_localize("UTC")
        folder, stem = paths(kind, str(day), daily=True)
        archive.put(f"{folder}/{stem}.zip", zipped(f"{stem}.csv", klines(time[own], close[column][own])))


def fetched(archive, tmp_path, start="2024-12", end="2025-01"):
    return fetch_binance("BTCUSDT", start, end, cache=tmp_path / "cache", base=archive.base, wait=0.0)


def command(archive, tmp_path, *more):
    asked = ["fetch", "binance", "BTCUSDT", "--start", "2024-12", "--end", "2025-01", "--base", archive.base]
    return main([*asked, "--out", str(tmp_path / "x.parquet"), "--cache", str(tmp_path / "cache"), *more])


@pytest.mark.parametrize(
    ("month", "start", "end", "remedy"),
    [("2024-12", "2024-12-01 01:00", "2025-01-01 00:00", "--start 2025-01-01"),
     ("2025-01", "2025-01-01 01:00", "2025-02-01 00:00", "--end 2024-12-31")],
)  # fmt: skip
@pytest.mark.parametrize("lost", [("perp",), ("perp", "spot", "index", "mark", "premium")])
def test_a_month_missing_at_an_end_is_a_gap_and_refused(archive, tmp_path, capsys, month, start, end, remedy, lost):
    for column in lost:
        withdraw(archive, KINDS[column], month)
    made = fetched(archive, tmp_path)
    gaps = made.gaps()
    assert gaps["column"].tolist() == list(lost)
    assert set(gaps["rows"]) == {744}
    assert gaps["start"].iloc[0] == pd.Timestamp(start, tz="UTC")
    assert gaps["end"].iloc[0] == pd.Timestamp(end, tz="UTC")
    assert made.share_missing() == 0.5
    with pytest.raises(bm.DataError, match=r"50\.00% of the bars are missing.*--mark.*--tolerance.*" + remedy):
        made.write(tmp_path / "x.parquet", 0.01, False)
    assert command(archive, tmp_path) == REFUSED
    said = capsys.readouterr()
    assert f"not published: futures/um klines: month {month}; of its days {month}-01 to {month}-31" in said.out
    assert remedy in said.err


def test_a_symbol_listed_in_the_span_is_refused_or_marked_and_the_remedy_can_be_followed(archive, tmp_path, capsys):
    withdraw(archive, KINDS["spot"], "2024-12")
    for column in KINDS:
        if column != "spot":
            in_days(archive, KINDS[column], column, "2024-12", "2024-12-11", "2024-12-31")
    with pytest.raises(bm.DataError, match=r"50\.00%.*spot 2024-12-01 01:00.*--start 2025-01-01"):
        fetched(archive, tmp_path).write(tmp_path / "x.parquet", 0.01, False)
    assert not len(fetched(archive, tmp_path, "2025-01-01").gaps())
    assert command(archive, tmp_path, "--mark") == OK
    said = capsys.readouterr().out
    assert "perp 2024-12-01 01:00:00+00:00 2024-12-11 00:00:00+00:00   240" in said
    assert "no gaps" not in said
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert len(frame) == 2 * 744
    assert frame["gap"].sum() == 744
    manifest = json.loads((tmp_path / "x.parquet.manifest.json").read_text())
    assert (manifest["rows"], manifest["columns"]) == (len(frame), list(frame.columns))
    assert manifest["asked"] == ["2024-12-01T00:00:00Z", "2025-02-01T00:00:00Z"]
    data = bm.read(tmp_path / "x.parquet")
    assert np.isfinite(data.basis).sum() == 2 * 744 - 240


def test_without_a_reference_price_a_download_is_refused_unless_marked(archive, tmp_path, capsys):
    for column in ("spot", "index"):
        withdraw(archive, KINDS[column], *MONTHS)
    assert command(archive, tmp_path, "--tolerance", "1") == REFUSED
    said = capsys.readouterr()
    assert "no reference price: neither spot nor index was found between 2024-12-01" in said.err
    assert "--mark" in said.err
    assert "never found: spot, index\n" in said.out
    assert not (tmp_path / "x.parquet").exists()
    assert command(archive, tmp_path, "--mark") == OK
    assert "no gaps in what was found" in capsys.readouterr().out
    assert json.loads((tmp_path / "x.parquet.manifest.json").read_text())["never_found"] == ["spot", "index"]


def test_one_reference_price_is_enough_and_the_other_is_named(archive, tmp_path, capsys):
    withdraw(archive, KINDS["index"], *MONTHS)
    assert command(archive, tmp_path) == OK
    said = capsys.readouterr().out
    assert "never found: index\n" in said
    assert (
        "not published: futures/um indexPriceKlines: months 2024-12 to 2025-01; days 2024-12-01 to 2025-01-31" in said
    )


def test_no_funding_at_all_is_said(archive, tmp_path, capsys):
    withdraw(archive, FUNDING, *MONTHS)
    assert command(archive, tmp_path) == OK
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["no funding rates", "not published: futures/um fundingRate: months 2024-12 to 2025-01"]
    assert said[-1] == "no gaps in what was found"


@pytest.mark.parametrize(
    ("month", "rows", "span"),
    [("2024-12", 92, "2024-12-01 01:00:00+00:00 2025-01-01 00:00:00+00:00"),
     ("2025-01", 93, "2024-12-31 16:00:00+00:00 2025-02-01 00:00:00+00:00")],
)  # fmt: skip
def test_a_funding_month_missing_at_an_end_is_a_gap(archive, tmp_path, capsys, month, rows, span):
    withdraw(archive, FUNDING, month)
    assert command(archive, tmp_path) == OK
    said = capsys.readouterr().out
    assert f"not published: futures/um fundingRate: month {month}\n" in said
    assert f"funding_rate {span}    {rows}" in said


def test_a_month_put_together_from_its_days_is_said(archive, tmp_path, capsys):
    in_days(archive, KINDS["perp"], "perp", "2025-01", "2025-01-01", "2025-01-31")
    assert command(archive, tmp_path) == OK
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "not published: futures/um klines: month 2025-01, put together from days"
    assert said[-1] == "no gaps"


def test_every_day_of_an_unpublished_month_is_tried_though_the_first_are_absent(archive, tmp_path):
    in_days(archive, KINDS["perp"], "perp", "2025-01", "2025-01-06", "2025-01-20")
    made = fetched(archive, tmp_path)
    assert made.frame["perp"].notna().sum() == (31 + 15) * 24
    days = [name[-10:] for name in made.absent if "daily" in name]
    assert days == [f"2025-01-{day:02}" for day in [*range(1, 6), *range(21, 32)]]
    assert made.gaps()["rows"].tolist() == [5 * 24, 11 * 24]


def test_days_before_the_span_are_not_asked_for(archive, tmp_path):
    in_days(archive, KINDS["perp"], "perp", "2025-01", "2025-01-10", "2025-01-12")
    made = fetched(archive, tmp_path, "2025-01-10", "2025-01-12")
    assert not len(made.gaps())
    assert len([name for name in archive.asked if "daily" in name and name.endswith("CHECKSUM")]) == 3


def test_a_span_ends_now_at_the_latest():
    first, last = span_of("2024-12", "2190-01")
    assert first == pd.Timestamp("2024-12-01", tz="UTC")
    assert abs(last - pd.Timestamp.now(tz="UTC")) < pd.Timedelta("1min")


def test_bars_that_close_off_midnight_are_counted_on_their_own_grid():
    first, last = span_of("2024-12-01", "2024-12-10")
    time = pd.date_range("2024-12-02 08:00", periods=8, freq="D", tz="UTC").delete(3)
    frame = pd.DataFrame({"perp": 1.0, "index": 1.0}, index=time)
    made = Gathered(frame, pd.Timedelta("1D"), first, last, {})
    assert made.gaps()["start"].dt.day.tolist() == [5, 10, 5, 10]


def settled(before, after):
    era = pd.date_range("2024-01-01", "2024-02-01", freq=before, tz="UTC", inclusive="left")
    return era.append(pd.date_range("2024-02-01", "2024-03-01", freq=after, tz="UTC"))


def holes(stamps, begin="2024-01-01 01:00", last="2024-03-01", given=None, step="1h"):
    frame = pd.DataFrame({"funding_rate": 1e-4}, index=stamps)
    if given is not None:
        frame["interval_hours"] = given
    begin, last = pd.Timestamp(begin, tz="UTC"), pd.Timestamp(last, tz="UTC")
    frame = frame[(frame.index >= begin) & (frame.index <= last)]
    return [rows for _, _, _, rows in missing_settlements(frame, begin, last, pd.Timedelta(step))]


@pytest.mark.parametrize("stamps", [settled("8h", "4h"), settled("4h", "8h")])
def test_a_change_of_the_interval_is_no_gap_and_one_missing_in_each_era_is_one(stamps):
    assert holes(stamps) == []
    early, late = stamps.searchsorted([pd.Timestamp(t, tz="UTC") for t in ("2024-01-15", "2024-02-15")])
    assert holes(stamps.delete(early)) == [1]
    assert holes(stamps.delete(late)) == [1]
    assert holes(stamps.delete([early, late])) == [1, 1]


@pytest.mark.parametrize("step", ["1min", "1h", "4h", "1D"])
@pytest.mark.parametrize("hours", [1, 4, 8])
def test_settlements_missing_at_the_ends_are_counted(step, hours):
    begin = pd.Timestamp("2024-01-01") + pd.Timedelta(step)
    stamps = pd.date_range("2024-01-01", "2024-03-01", freq=f"{hours}h", tz="UTC", inclusive="left")
    stamps = stamps[stamps >= begin.tz_localize("UTC")]
    assert holes(stamps, begin, step=step) == []
    assert holes(stamps + pd.Timedelta("20s"), begin, step=step) == []
    assert holes(stamps[1:], begin, step=step) == [1]
    assert holes(stamps[:-2], begin, step=step) == [2]
    assert holes(stamps[3:-5], begin, step=step, given=float(hours)) == [3, 5]


def test_files_not_published_are_a_line_for_each_kind():
    days = [f"spot/daily/klines/X/1h/X-1h-2024-{month:02}-{day:02}" for month in range(1, 6) for day in (1, 2, 9)]
    months = [f"spot/monthly/klines/X/1h/X-1h-2024-{month:02}" for month in range(1, 6)]
    assert unpublished([*months, *days, "futures/um/monthly/fundingRate/X/X-fundingRate-2024-03"]) == [
        "not published: spot klines: months 2024-01 to 2024-05; "
        "days 2024-01-01 to 2024-01-02, 2024-01-09, 2024-02-01 to 2024-02-02 and 7 more spans",
        "not published: futures/um fundingRate: month 2024-03",
    ]
