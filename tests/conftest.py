"""Shared fixtures: a small clean market, and the real files where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

settings.register_profile("the same examples every time", derandomize=True)
settings.load_profile("the same examples every time")

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("BASISMODELS_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def real() -> Callable[[str], Path]:
    """Path of a real data file by name; skips where BASISMODELS_DATA does not hold it."""

    def path(name: str) -> Path:
        file = REAL / f"{name}.parquet"
        if not file.exists():
            pytest.skip(f"no {file.name}: BASISMODELS_DATA (default ../shared/data) has no such file")
        return file

    return path


def make_market(rows: int = 600, seed: int = 0, step: str = "1h") -> pd.DataFrame:
    """A frame as a file holds it: two moving prices, volumes, funding every eighth row."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2024-01-01", periods=rows, freq=step, tz="UTC", name="time")
    spot = 4e4 * np.exp(np.cumsum(rng.normal(0, 30e-4, rows)))
    gap = np.zeros(rows)
    for i in range(1, rows):
        gap[i] = 0.9 * gap[i - 1] + rng.normal(0, 1.0)
    volume = np.exp(rng.normal(0, 0.4, rows))
    rate = np.where(np.arange(rows) % 8 == 0, 1e-4 + 1e-5 * rng.normal(size=rows), np.nan)
    return pd.DataFrame(
        {
            "spot": spot,
            "perp": spot * np.exp(gap / 1e4),
            "funding_rate": rate,
            "volume_spot": 1e3 * volume,
            "volume_perp": 5e3 * volume * np.exp(rng.normal(0, 0.2, rows)),
        },
        index=time,
    )


@pytest.fixture(scope="session")
def new_market() -> Callable[..., pd.DataFrame]:
    """Makes a market of so many rows, seed and step."""
    return make_market


@pytest.fixture
def market() -> pd.DataFrame:
    """Six hundred clean hours."""
    return make_market()
