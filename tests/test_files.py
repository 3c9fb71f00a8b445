"""Reading files and frames: one layout, several forms, and one line for each that cannot be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from basismodels.errors import DataError
from basismodels.series import BasisSeries
from basismodels.sources.files import from_frame, read
from basismodels.sources.panel import read_panel


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path)
    return path


def same(one: BasisSeries, other: BasisSeries) -> None:
    assert one.fingerprint == other.fingerprint
    pd.testing.assert_frame_equal(one.frame(), other.frame(), check_freq=False)
    assert np.array_equal(one.mask, other.mask)
    assert one.findings == other.findings


@pytest.fixture
def flawed(market: pd.DataFrame) -> pd.DataFrame:
    """The market with three hours of spot lost."""
    market.loc[market.index[100:103], ["spot", "volume_spot"]] = np.nan
    return market


def test_parquet_csv_and_frames_are_one(flawed: pd.DataFrame, tmp_path: Path) -> None:
    first = read(written(flawed, tmp_path / "a.parquet"))
    flat = flawed.reset_index()
    same(first, read(written(flawed, tmp_path / "a.csv")))
    same(first, read(written(flawed, tmp_path / "a.csv.gz")))
    same(first, from_frame(flawed))
    same(first, from_frame(flat))
    same(first, from_frame(pl.from_pandas(flat)))
    same(first, from_frame(pa.Table.from_pandas(flat)))
    assert np.flatnonzero(first.mask).tolist() == [99, 100, 101, 102]


def test_prices_are_kept_under_their_names(market: pd.DataFrame) -> None:
    columns = from_frame(market).covariates
    assert list(columns.columns) == ["perp", "reference", "spot", "volume_spot", "volume_perp"]
    assert columns["reference"].equals(columns["spot"].rename("reference"))


def test_settled_rates_under_another_name(market: pd.DataFrame, tmp_path: Path) -> None:
    other = market.rename(columns={"funding_rate": "fundingRate"})
    expected = from_frame(market)
    assert expected.settlements is not None
    same(from_frame(other, funding="fundingRate"), expected)
    path = written(other, tmp_path / "a.csv")
    same(read(path, funding="fundingRate"), expected)
    with pytest.raises(DataError, match=r"no column rate of settled rates.*--funding"):
        read(path, funding="rate")
    long = pd.concat([other.assign(symbol="A"), other.assign(symbol="B")]).reset_index()
    panel = read_panel(long, funding="fundingRate")
    assert [one.settlements is not None for one in panel.series.values()] == [True, True]


def test_index_is_the_reference_where_it_exists(market: pd.DataFrame) -> None:
    other = market.assign(index=market["perp"] * np.exp(-5e-4 + 1e-5 * np.sin(np.arange(len(market)))))
    assert np.median(from_frame(other).basis) == pytest.approx(5, abs=0.2)
    assert from_frame(other).provenance["reference"] == "index"
    assert from_frame(other, reference="spot").fingerprint == from_frame(market).fingerprint


def test_columns_can_be_named(market: pd.DataFrame) -> None:
    renamed = market.rename(columns={"perp": "future", "spot": "cash"})
    data = from_frame(renamed, perp="future", reference="cash")
    assert data.fingerprint == from_frame(market).fingerprint
    hidden = from_frame(market.assign(quarter=market["perp"] * 1.001), perp="quarter")
    assert "column perp of the file is left out" in hidden.warnings[0]


def test_a_basis_alone_will_do(market: pd.DataFrame, tmp_path: Path) -> None:
    full = from_frame(market)
    frame = pd.DataFrame({"basis": full.basis, "funding_rate": market["funding_rate"]}, index=market.index)
    data = read(written(frame, tmp_path / "b.csv"))
    assert data.basis == pytest.approx(full.basis)
    assert data.covariates.empty


def test_start_and_end_cut_after_the_check(flawed: pd.DataFrame, tmp_path: Path) -> None:
    path = written(flawed, tmp_path / "a.parquet")
    whole, part = read(path), read(path, start="2024-01-05", end="2024-01-06")
    assert part.n == 48
    assert np.array_equal(part.mask, whole.mask[np.isin(whole.time, part.time)])
    assert {f.kind for f in part.findings} == {"missing", "outage", "stale"}
    assert read(path, end="2024-01-03").findings == ()
    with pytest.raises(DataError, match="the data span 2024-01-01T00:00:00Z"):
        read(path, start="2030-01-01")


def test_csv_columns_may_start_empty(market: pd.DataFrame, tmp_path: Path) -> None:
    time = pd.date_range("2000-01-01", periods=40 * len(market), freq="1h", tz="UTC", name="time")
    long = pd.concat([market] * 40).set_axis(time)
    long.iloc[:-80, long.columns.get_loc("funding_rate")] = np.nan  # far beyond the first block read
    path = written(long, tmp_path / "long.csv")
    assert path.stat().st_size > 2 << 20
    data = read(path)
    assert data.n == len(long)
    assert data.settlements is not None
    assert len(data.settlements) == 10


@pytest.mark.slow
@pytest.mark.long
def test_a_csv_is_not_held_twice(market: pd.DataFrame, tmp_path: Path) -> None:
    """Peak memory of a read, imports apart, against the size of the file."""
    time = pd.date_range("2000-01-01", periods=1_500_000, freq="1min", tz="UTC", name="time")
    long = pd.DataFrame(np.tile(market.to_numpy(), (2500, 1)), columns=market.columns, index=time)
    path = tmp_path / "big.csv"
    csv.write_csv(pa.Table.from_pandas(long), path)
    script = (
        "import resource, sys, pyarrow.csv, pyarrow.parquet, scipy.ndimage\n"
        "from basismodels.sources.files import read\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak(); read(sys.argv[1]); print(peak() - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 2 * path.stat().st_size


def test_stamps_may_be_epochs_and_may_carry_fractions(market: pd.DataFrame, tmp_path: Path) -> None:
    flat = market.reset_index(drop=True)
    flat["time"] = market.index.as_unit("ms").asi8
    flat.to_csv(tmp_path / "epoch.csv", index=False)
    assert read(tmp_path / "epoch.csv").fingerprint == from_frame(market).fingerprint
    late = market.index.to_series().where(np.arange(len(market)) < 500, market.index + pd.Timedelta("250ms"))
    shifted = market.set_axis(pd.DatetimeIndex(late, name="time"))
    text = shifted.index.strftime("%Y-%m-%dT%H:%M:%S.%fZ").str.replace(".000000Z", "Z", regex=False)
    shifted.set_axis(text.rename("time")).to_csv(tmp_path / "fractions.csv")
    assert read(tmp_path / "fractions.csv").hours[550] == pytest.approx(550 + 0.25 / 3600, abs=1e-9)


def test_a_zone_other_than_utc_is_turned_and_reported(market: pd.DataFrame, tmp_path: Path) -> None:
    data = read(written(market.tz_convert("Europe/Berlin"), tmp_path / "z.parquet"))
    assert data.fingerprint == from_frame(market).fingerprint
    assert [(f.kind, f.rows, f.masked) for f in data.findings] == [("zone", 600, False)]
    assert "Europe/Berlin" in data.warnings[0]


def test_identical_rows_are_kept_once_and_reported(market: pd.DataFrame) -> None:
    copied = market.iloc[[0, 1, 2, 2, 2, *range(3, len(market))]].copy()
    data = from_frame(copied)
    assert data.fingerprint == from_frame(market).fingerprint
    assert [(f.kind, f.start, f.rows) for f in data.findings] == [("duplicate", market.index[2], 2)]
    copied.iloc[3, 0] *= 1.001
    with pytest.raises(DataError, match="duplicates"):
        from_frame(copied)


def test_copies_of_neighbouring_rows_are_one_finding(market: pd.DataFrame) -> None:
    data = from_frame(pd.concat([market, market.iloc[[4, 5, 6, 90]]]).sort_index())
    found = [(f.start, f.end, f.rows, f.note) for f in data.findings]
    stamps = market.index
    assert found == [
        (stamps[4], stamps[6], 3, "3 identical copies left out"),
        (stamps[90], stamps[90], 1, "1 identical copy left out"),
    ]


def test_semicolons_are_named(market: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    market.to_csv(path, sep=";", decimal=",")
    with pytest.raises(DataError, match="semicolons") as caught:
        read(path)
    scope = {"pd": pd, "path": path}
    exec(caught.value.remedy.replace("commas.csv", str(tmp_path / "commas.csv")), scope)
    np.testing.assert_allclose(read(tmp_path / "commas.csv").basis, from_frame(market).basis, atol=1e-9)


def test_simulated_data_say_so(market: pd.DataFrame, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(market)
    table = table.replace_schema_metadata({**table.schema.metadata, b"simulated": b"true"})
    pq.write_table(table, tmp_path / "s.parquet")
    assert read(tmp_path / "s.parquet").provenance["simulated"] is True
    assert read(written(market, tmp_path / "r.parquet")).provenance["simulated"] is False


def test_text_columns_are_no_covariates(market: pd.DataFrame, tmp_path: Path) -> None:
    labelled = market.assign(symbol="BTCUSDT", liquid=True)
    for path in (tmp_path / "t.parquet", tmp_path / "t.csv"):
        assert "symbol" not in read(written(labelled, path)).covariates


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def wrong_form(market: pd.DataFrame, folder: Path) -> Path:
    (folder / "x.parquet").write_text("time,spot\n1,2\n")
    return folder / "x.parquet"


def junk(market: pd.DataFrame, folder: Path) -> Path:
    (folder / "x.csv").write_bytes(bytes(range(256)) * 50)
    return folder / "x.csv"


def nothing(market: pd.DataFrame, folder: Path) -> Path:
    (folder / "x.parquet").touch()
    return folder / "x.parquet"


def header_only(market: pd.DataFrame, folder: Path) -> Path:
    return written(market.iloc[:0], folder / "x.csv")


def ragged(market: pd.DataFrame, folder: Path) -> Path:
    path = written(market, folder / "x.csv")
    path.write_text(path.read_text() + "2024-01-26 00:00:00+00:00,40000.0,4000")
    return path


UNREADABLE: dict[str, tuple[Callable[[pd.DataFrame, Path], Path], str]] = {
    "truncated Parquet": (
        lambda m, d: truncated(written(m, d / "x.parquet")),
        "cut short or no Parquet file",
    ),
    "not Parquet": (wrong_form, "is not a Parquet file"),
    "not text": (junk, "cut short or no CSV file"),
    "truncated CSV": (ragged, "cut short or no CSV file"),
    "directory": (lambda m, d: d, "is a directory"),
    "missing": (lambda m, d: d / "none.parquet", "does not exist"),
    "empty": (nothing, "is empty"),
    "no rows": (header_only, "no rows"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_gets_one_line(market: pd.DataFrame, tmp_path: Path, name: str) -> None:
    make, message = UNREADABLE[name]
    with pytest.raises(DataError, match=message) as caught:
        read(make(market, tmp_path))
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("form", ["x.parquet", "x.csv"])
def test_a_file_without_zone_is_refused(market: pd.DataFrame, tmp_path: Path, form: str) -> None:
    with pytest.raises(DataError, match="has no zone") as caught:
        read(written(market.tz_localize(None), tmp_path / form))
    assert caught.value.remedy == 'df.tz_localize("UTC")'
    assert str(caught.value.rows[0]) == "2024-01-01 00:00:00"


def test_absent_columns_are_named_with_those_present(market: pd.DataFrame) -> None:
    with pytest.raises(
        DataError, match="no column perp, and no basis to stand in: the columns are spot,"
    ) as caught:
        from_frame(market.drop(columns="perp"))
    assert "perp=" in caught.value.remedy
    with pytest.raises(DataError, match="no column mid"):
        from_frame(market, reference="mid")
    with pytest.raises(DataError, match="no time"):
        from_frame(market.reset_index(drop=True))


def test_a_column_of_words_is_named_by_its_rows(market: pd.DataFrame, tmp_path: Path) -> None:
    words = market.astype({"spot": object})
    words.iloc[1, 0] = "closed"
    with pytest.raises(DataError, match="spot is not numeric") as caught:
        read(written(words, tmp_path / "w.csv"))
    assert caught.value.rows == (market.index[1],)


@pytest.mark.real
def test_a_year_of_the_real_file_has_its_hours(real: Callable[[str], Path]) -> None:
    data = read(real("binance_btcusdt_1h"), start="2024-01-01", end="2024-12-31")
    assert data.n == 8784
    assert data.observed.all()
    assert data.settlements is not None
    assert len(data.settlements) == 3 * 366
    assert data.frame()["funding_last"].notna().all()


@pytest.mark.real
def test_real_files_without_a_perp_are_refused(real: Callable[[str], Path]) -> None:
    for name in ("deribit_btc_perp_1h", "binance_funding_many", "usdcusdt_1h"):
        with pytest.raises(DataError, match="no column perp"):
            read(real(name))


def test_stamps_given_twice_that_disagree_or_are_empty_are_refused() -> None:
    stamp = pd.Timestamp("2024-01-01", tz="UTC")
    twice = pd.DatetimeIndex([stamp, stamp + pd.Timedelta("1h"), stamp + pd.Timedelta("1h")])
    with pytest.raises(DataError, match=r"duplicates.*01:00"):
        from_frame(pd.DataFrame({"basis": [1.0, 2.0, 3.0]}, index=twice))
    empty = pd.DatetimeIndex([stamp, pd.NaT, pd.NaT])
    with pytest.raises(DataError, match=r"empty in 2 rows.*notna"):
        from_frame(pd.DataFrame({"basis": [1.0, 2.0, 2.0]}, index=empty))
