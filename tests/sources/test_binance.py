"""Downloads from an archive on loopback: what is asked comes whole, what is wrong is named, nothing is half written."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.cli import OK, REFUSED, USAGE, main
from basismodels.sources import _archive, _vision
from basismodels.sources.binance import fetch_binance

from .conftest import KINDS, Answer, funding_text, klines, paths, prices, zipped

pytest.importorskip("pooch")
PERP = KINDS["perp"]


def file_of(kind, month, daily=False):
    folder, stem = paths(kind, month, daily)
    return f"{folder}/{stem}.zip", stem


def fetched(archive, tmp_path, start="2024-12", end="2025-01", **options):
    return fetch_binance("BTCUSDT", start, end, cache=tmp_path / "cache", base=archive.base, wait=0.0, **options)


def test_every_price_and_settlement_comes_in_one_table(archive, tmp_path):
    made = fetched(archive, tmp_path)
    frame = made.frame
    assert list(frame.columns) == ["perp", "volume_perp", "spot", "volume_spot", "index", "mark", "premium",
                                   "funding_rate", "interval_hours"]  # fmt: skip
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    time, close = prices("2024-12")
    np.testing.assert_array_equal(frame["perp"].iloc[: len(time)], close["perp"])
    assert frame.index[0] == time[0] + pd.Timedelta("1h")
    # the last bar of January opens at 23:00 and closes on 1 February
    assert frame.index[-1] == pd.Timestamp("2025-02-01", tz="UTC")
    assert frame["spot"].notna().sum() == 2 * 31 * 24
    assert not len(made.gaps())
    hours = frame["interval_hours"].dropna()
    change = hours.index <= pd.Timestamp("2025-01-15", tz="UTC")
    assert set(hours[change]) == {8.0}
    assert set(hours[~change]) == {4.0}
    assert len(made.files) == 12
    assert made.files[0].modified.startswith("Wed, 01 Jan 2025")


def test_the_file_reads_as_a_series(archive, tmp_path):
    out = fetched(archive, tmp_path).write(tmp_path / "x.parquet", 0.0, False)
    data = bm.read(out)
    assert data.n == 2 * 31 * 24
    assert data.provenance["reference"] == "index"
    assert set(data.settlements["interval_hours"]) == {4.0, 8.0}
    manifest = json.loads((tmp_path / "x.parquet.manifest.json").read_text())
    assert manifest["rows"] == data.n
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert [f["sha256"] for f in manifest["files"]] == [
        hashlib.sha256(archive.files[f["url"].split("/data/", 1)[1]]).hexdigest() for f in manifest["files"]
    ]
    assert not list(tmp_path.glob(".x*"))


def test_a_second_run_downloads_no_file_again_and_writes_the_same_bytes(archive, tmp_path):
    first = fetched(archive, tmp_path).write(tmp_path / "a.parquet", 0.0, False).read_bytes()
    archive.asked.clear()
    assert fetched(archive, tmp_path).write(tmp_path / "b.parquet", 0.0, False).read_bytes() == first
    assert {path.rsplit(".", 1)[1] for path in archive.asked} == {"CHECKSUM"}


def test_a_month_that_is_not_published_comes_from_its_days_without_asking_twice(archive, tmp_path):
    path, _ = file_of(PERP, "2025-01")
    del archive.files[path], archive.files[f"{path}.CHECKSUM"]
    time, close = prices("2025-01")
    for day in pd.period_range("2025-01-01", "2025-01-20", freq="D"):
        own = time.normalize() == day.start_time.tz_localize("UTC")
        daily, stem = file_of(PERP, str(day), daily=True)
        archive.put(daily, zipped(f"{stem}.csv", klines(time[own], close["perp"][own])))
    made = fetched(archive, tmp_path)
    assert archive.asked[f"{path}.CHECKSUM"] == 1
    assert path not in archive.asked
    assert made.frame["perp"].notna().sum() == (31 + 20) * 24
    assert any(name.endswith("BTCUSDT-1h-2025-01") for name in made.absent)


def test_prices_that_do_not_exist_are_left_out_but_a_perpetual_must(archive, tmp_path):
    for month in ("2024-12", "2025-01"):
        path, _ = file_of(KINDS["mark"], month)
        del archive.files[f"{path}.CHECKSUM"]
    assert "mark" not in fetched(archive, tmp_path).frame.columns
    with pytest.raises(bm.DataError, match="no bars of BTCUSDT"):
        fetched(archive, tmp_path, "2023-01", "2023-02")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(archive, tmp_path, status):
    path, _ = file_of(PERP, "2024-12")
    archive.first[f"{path}.CHECKSUM"] = Answer(b"busy", status, {"Retry-After": "0"}, times=2)
    archive.first[path] = Answer(b"busy", status, times=1)
    assert not len(fetched(archive, tmp_path).gaps())
    assert archive.asked[f"{path}.CHECKSUM"] == 3


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("where", ["", ".CHECKSUM"])
def test_a_server_that_stays_busy_is_named(archive, tmp_path, status, where):
    path, _ = file_of(PERP, "2024-12")
    archive.first[path + where] = Answer(b"busy", status, {"Retry-After": "0"})
    with pytest.raises(bm.DataError, match=r"busy or refuses.*run the same command again later"):
        fetched(archive, tmp_path)


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(archive, tmp_path):
    path, _ = file_of(PERP, "2024-12")
    archive.put(path, archive.files[path], digest="0" * 64)
    with pytest.raises(bm.DataError, match="does not have the checksum published beside it"):
        fetched(archive, tmp_path)
    assert not [p for p in (tmp_path / "cache").iterdir() if "um_monthly_klines" in p.name or p.name.startswith("tmp")]


def test_a_kept_file_that_was_altered_is_fetched_again(archive, tmp_path):
    fetched(archive, tmp_path)
    kept = next(p for p in (tmp_path / "cache").iterdir() if "um_monthly_klines" in p.name)
    kept.write_bytes(b"damaged")
    assert not len(fetched(archive, tmp_path).gaps())


@pytest.mark.parametrize("where", ["", ".CHECKSUM"])
def test_a_page_of_html_with_status_200_is_refused(archive, tmp_path, where):
    path, _ = file_of(PERP, "2024-12")
    archive.first[path + where] = Answer(b"<html><body>Service under maintenance</body></html>")
    said = "holds no checksum.*<html>" if where else "does not have the checksum"
    with pytest.raises(bm.DataError, match=said):
        fetched(archive, tmp_path)


def test_half_a_file_is_tried_again_and_then_refused(archive, tmp_path):
    path, _ = file_of(PERP, "2024-12")
    archive.first[path] = Answer(archive.files[path], cut=True, times=1)
    assert not len(fetched(archive, tmp_path).gaps())
    archive.first[path] = Answer(archive.files[path], cut=True)
    with pytest.raises(bm.DataError, match="breaks off"):
        fetched(archive, tmp_path / "again")


def test_a_truncated_zip_with_a_checksum_that_fits_is_refused(archive, tmp_path):
    path, _ = file_of(PERP, "2024-12")
    archive.put(path, archive.files[path][:-40])
    with pytest.raises(bm.DataError, match="damaged"):
        fetched(archive, tmp_path)


def test_redirects_are_refused(archive, tmp_path):
    path, _ = file_of(PERP, "2024-12")
    archive.first[path] = Answer(b"", 302, {"Location": "http://example.org/x.zip"})
    with pytest.raises(bm.DataError, match=r"redirects to http://example\.org"):
        fetched(archive, tmp_path)


@pytest.mark.parametrize("base", ["http://data.binance.vision/data", "https://example.org/data", "file:///etc", "x"])
def test_unknown_hosts_are_refused(tmp_path, base):
    with pytest.raises(bm.DataError, match="not a known archive"):
        fetch_binance("BTCUSDT", "2024-12", "2024-12", cache=tmp_path, base=base)


@pytest.mark.parametrize("member", ["../../x.csv", "/etc/x.csv", "other.csv", "sub/BTCUSDT-1h-2024-12.csv"])
def test_members_under_another_name_are_refused(archive, tmp_path, member):
    path, _ = file_of(PERP, "2024-12")
    archive.put(path, zipped(member, "1\n"))
    with pytest.raises(bm.DataError, match=r"should hold BTCUSDT-1h-2024-12\.csv alone"):
        fetched(archive, tmp_path)
    assert not (tmp_path.parent / "x.csv").exists()


def test_zip_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_archive, "_LARGEST", 10_000)
    bomb, liar = tmp_path / "bomb.zip", tmp_path / "liar.zip"
    content = zipped("x.csv", "0" * 20_000)
    bomb.write_bytes(content)
    with pytest.raises(bm.DataError, match="unpacks to 20,000 bytes; that is refused"):
        _archive.only_member(bomb, "x")
    liar.write_bytes(content.replace((20_000).to_bytes(4, "little"), (50).to_bytes(4, "little")))
    with pytest.raises(bm.DataError, match=r"damaged|more than it says"):
        _archive.only_member(liar, "x")


@pytest.mark.parametrize("symbol", ["", "btcusdt", "../BTC", "BTC/USDT", "BTC USDT", "A" * 31, "BTC\n"])
def test_bad_symbols_are_refused(tmp_path, symbol):
    with pytest.raises(bm.ModelError, match="no symbol"):
        fetch_binance(symbol, "2024-12", "2024-12", cache=tmp_path)


@pytest.mark.parametrize(("start", "end"), [("2025-01", "2024-12"), ("soon", "later"), ("2024", "2025"),
                                            ("2010-01", "2010-02"), ("2190-01", "2190-02")])  # fmt: skip
def test_bad_spans_are_refused(tmp_path, start, end):
    with pytest.raises(bm.ModelError):
        fetch_binance("BTCUSDT", start, end, cache=tmp_path)
    with pytest.raises(bm.ModelError, match="interval"):
        fetch_binance("BTCUSDT", "2024-12", "2024-12", interval="7m", cache=tmp_path)


HOUR = pd.Timedelta("1h")


def test_a_renamed_column_is_named():
    time, close = prices("2024-12")
    text = klines(time, close["perp"]).replace("open_time", "start")
    with pytest.raises(bm.DataError, match=r"x has no column open_time: its columns are start, open"):
        _vision.bars(text.encode(), "x", HOUR)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("unit", ["ms", "us"])
def test_stamps_and_headers_of_every_era(header, unit):
    time, close = prices("2025-01")
    made = _vision.bars(klines(time, close["perp"], unit=unit, header=header).encode(), "x", HOUR)
    pd.testing.assert_index_equal(made.index, (time + HOUR).rename("time").as_unit("us"))
    np.testing.assert_array_equal(made["close"], close["perp"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("<html>maintenance</html>", "no column|no CSV"),
        ("1,2,3\n", "3 columns and no header"),
        (klines(pd.date_range("2016-01-01", periods=3, freq="h", tz="UTC"), [1, 2, 3]), "cannot be"),
        (klines(pd.date_range("2190-01-01", periods=3, freq="h", tz="UTC"), [1, 2, 3]), "cannot be"),
        (klines(pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC"), [1, "x", 3]), "close is not a number"),
        (klines(pd.date_range("2024-01-01", periods=2, freq="h", tz="UTC"), [1, 2])
         + klines(pd.date_range("2025-01-01", periods=2, freq="h", tz="UTC"), [1, 2], unit="us", header=False),
         "not all in one unit"),
        (klines(pd.date_range("2024-01-01", periods=1, freq="h", tz="UTC").repeat(2), [1, 2]), "disagree"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_bars_is_named(text, said):
    with pytest.raises(bm.DataError, match=said):
        _vision.bars(text.encode(), "x", HOUR)


def test_rows_given_twice_word_for_word_are_kept_once():
    time = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    assert len(_vision.bars(klines(time.append(time[1:2]), [1, 2, 3, 2]).encode(), "x", HOUR)) == 3


def test_a_funding_interval_that_cannot_be_is_named():
    time = pd.date_range("2024-01-01", periods=3, freq="8h", tz="UTC")
    with pytest.raises(bm.DataError, match="interval is not between"):
        _vision.funding(funding_text(time, [8, 0, 8], [1e-4] * 3).encode(), "x")
    made = _vision.funding(funding_text(time, [8, 8, 4], [1e-4] * 3, header=False).encode(), "x")
    assert list(made["interval_hours"]) == [8.0, 8.0, 4.0]
    assert made.index[1] == time[1]


def test_gaps_are_refused_or_marked_by_tolerance(archive, tmp_path):
    path, stem = file_of(KINDS["spot"], "2025-01")
    time, close = prices("2025-01")
    keep = np.ones(len(time), dtype=bool)
    keep[100:150] = False
    archive.put(path, zipped(f"{stem}.csv", klines(time[keep], close["spot"][keep], unit="us")))
    folder, name = paths("futures/um|fundingRate", "2024-12")
    settled = prices("2024-12")[0][::8]
    settled = settled[np.arange(len(settled)) != 40]
    archive.put(f"{folder}/{name}.zip",
                zipped(f"{name}.csv", funding_text(settled, [8] * len(settled), [1e-4] * len(settled))))  # fmt: skip
    made = fetched(archive, tmp_path)
    gaps = made.gaps()
    assert gaps["column"].tolist() == ["spot", "funding_rate"]
    assert gaps["rows"].tolist() == [50, 1]
    with pytest.raises(bm.DataError, match=r"3\.36% of the bars are missing.*spot 2025-01-05 05:00.*--mark"):
        made.write(tmp_path / "x.parquet", 0.01, False)
    assert not list(tmp_path.glob("*x.parquet*"))
    frame = pd.read_parquet(made.write(tmp_path / "x.parquet", 0.01, True))
    assert frame["gap"].sum() == 50
    made.write(tmp_path / "y.csv", 0.05, False)
    assert json.loads((tmp_path / "y.csv.manifest.json").read_text())["gaps"][0][3] == 50
    with pytest.raises(bm.ModelError, match="tolerance"):
        made.write(tmp_path / "x.parquet", 2.0, False)


def test_a_download_killed_in_the_middle_goes_on_without_loss(archive, tmp_path):
    whole = fetched(archive, tmp_path / "whole").write(tmp_path / "whole.parquet", 0.0, False).read_bytes()
    command = [sys.executable, "-m", "basismodels", "fetch", "binance", "BTCUSDT", "--start", "2024-12",
               "--end", "2025-01", "--out", str(tmp_path / "x.parquet"), "--cache", str(tmp_path / "cache"),
               "--base", archive.base]  # fmt: skip
    reached, go_on = threading.Event(), threading.Event()

    def hang():
        reached.set()
        go_on.wait(20)

    path, _ = file_of(KINDS["index"], "2024-12")
    archive.first[path] = Answer(archive.files[path], wait=hang)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    go_on.set()
    assert not (tmp_path / "x.parquet").exists()
    kept = [p.name for p in (tmp_path / "cache").iterdir() if not p.name.startswith("tmp")]
    assert len(kept) == 4
    archive.first.clear()
    archive.asked.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no gaps" in done.stdout
    assert (tmp_path / "x.parquet").read_bytes() == whole
    assert sum(path.endswith(".zip") for path in archive.asked) == 12 - len(kept)
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith("tmp")]


def test_the_command_says_what_it_did(archive, tmp_path, capsys):
    out = tmp_path / "x.csv"
    asked = ["fetch", "binance", "BTCUSDT", "--start", "2024-12-05", "--end", "2024-12-06", "--out", str(out)]
    assert main([*asked, "--cache", str(tmp_path / "c"), "--base", archive.base]) == OK
    assert "48 rows of BTCUSDT" in capsys.readouterr().out
    assert bm.read(out).n == 48
    assert main(["fetch", "kraken", *asked[2:]]) == USAGE
    assert "no venue" in capsys.readouterr().err
    assert main(["fetch", "binance", "btc", *asked[3:]]) == USAGE
    assert main([*asked, "--base", "https://example.org"]) == REFUSED
    assert main([*asked[:-1], str(tmp_path / "no" / "x.csv"), "--cache", str(tmp_path / "c"),
                 "--base", archive.base]) == USAGE  # fmt: skip
    assert len(capsys.readouterr().err.strip().splitlines()) == 3


def test_a_zip_stays_within_its_folder(archive, tmp_path):
    fetched(archive, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["cache"]
    assert all(zipfile.is_zipfile(p) for p in (tmp_path / "cache").iterdir())
