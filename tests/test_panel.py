"""Panels in long form: each unit as `bm.read` reads it, what cannot be used is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm


@pytest.fixture
def table(new_market):
    parts = [new_market(200, seed).assign(venue=v, symbol=s)
             for seed, (v, s) in enumerate([("binance", "BTC"), ("binance", "ETH"), ("okx", "BTC")])]  # fmt: skip
    return pd.concat(parts)


@pytest.mark.parametrize("form", ["frame", "parquet", "csv"])
def test_units_are_read_as_single_files_are(table, tmp_path, form, new_market):
    source = table
    if form == "parquet":
        source = tmp_path / "x.parquet"
        table.to_parquet(source)
    elif form == "csv":
        source = tmp_path / "x.csv"
        table.to_csv(source)
    panel = bm.read_panel(source, start="2024-01-02")
    assert list(panel) == ["binance/BTC", "binance/ETH", "okx/BTC"]
    alone = bm.from_frame(new_market(200, 1), start="2024-01-02")
    np.testing.assert_allclose(panel["binance/ETH"].basis, alone.basis, rtol=1e-9)
    np.testing.assert_array_equal(panel["binance/ETH"].mask, alone.mask)
    assert panel["okx/BTC"].settlements is not None
    assert panel["okx/BTC"].provenance["unit"] == "okx/BTC"
    assert panel.frame().loc["okx/BTC", "rows"] == panel["okx/BTC"].n


def test_a_unit_that_cannot_be_used_is_named_and_stops_nothing(table):
    bad = table.assign(perp=np.where((table.venue == "okx") & (np.arange(len(table)) % 50 == 7), -1.0, table.perp))
    panel = bm.read_panel(bad)
    assert list(panel) == ["binance/BTC", "binance/ETH"]
    assert "perp" in panel.refused["okx/BTC"]
    assert "okx/BTC" not in panel
    with pytest.raises(bm.DataError, match="refused"):
        panel["okx/BTC"]
    assert "1 refused" in repr(panel)


def test_tables_that_name_no_market_are_refused(table):
    with pytest.raises(bm.DataError, match="which market"):
        bm.read_panel(table.drop(columns=["venue", "symbol"]))
    with pytest.raises(bm.DataError, match="no market"):
        bm.read_panel(table.assign(symbol=table.symbol.where(table.symbol != "ETH")))
    with pytest.raises(bm.DataError, match="no unit"):
        bm.read_panel(table.assign(perp=-1.0))


def test_one_name_is_enough(table):
    table = table.assign(unit=table.venue + "-" + table.symbol)
    assert list(bm.read_panel(table.drop(columns="venue"))) == ["binance-BTC", "binance-ETH", "okx-BTC"]
    assert list(bm.read_panel(table[table.venue == "binance"].drop(columns=["venue", "unit"]))) == ["BTC", "ETH"]


def test_a_unit_that_is_not_there_is_named_with_those_that_are(table):
    panel = bm.read_panel(table)
    with pytest.raises(bm.DataError, match=r"no unit 'ZZ'.*binance/BTC"):
        panel["ZZ"]
    assert panel.get("ZZ") is None
    assert panel.get("okx/BTC") is panel["okx/BTC"]
