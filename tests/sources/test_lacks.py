"""What a download lacks is said: months that are not published, and the days that stand in for them."""

from __future__ import annotations

import pandas as pd
import pytest

from basismodels.sources.binance import fetch_binance

from .conftest import KINDS, klines, paths, prices, zipped

pytest.importorskip("pooch")


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


def test_every_day_of_an_unpublished_month_is_tried_though_the_first_are_absent(archive, tmp_path):
    in_days(archive, KINDS["perp"], "perp", "2025-01", "2025-01-06", "2025-01-20")
    made = fetched(archive, tmp_path)
    assert made.frame["perp"].notna().sum() == (31 + 15) * 24
    days = [name[-10:] for name in made.absent if "daily" in name]
    assert days == [f"2025-01-{day:02}" for day in [*range(1, 6), *range(21, 32)]]


def test_days_before_the_span_are_not_asked_for(archive, tmp_path):
    in_days(archive, KINDS["perp"], "perp", "2025-01", "2025-01-10", "2025-01-12")
    made = fetched(archive, tmp_path, "2025-01-10", "2025-01-12")
    assert not len(made.gaps())
    assert len([name for name in archive.asked if "daily" in name and name.endswith("CHECKSUM")]) == 3
