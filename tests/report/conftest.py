"""A small simulated market with a regime that fails, and its report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from basismodels.inference.simulate import simulate
from basismodels.presets import preset
from basismodels.report.analysis import Analysis, Settings, analyse
from basismodels.report.html import Report, write_report
from basismodels.series import BasisSeries

MODELS = ("ou", "switching-ou")
COMMAND = "basismodels report market.parquet"
PARAMS = {
    "kappa[0]": 0.8, "kappa[1]": 0.002, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 5.0, "q[0->1]": 0.006, "q[1->0]": 0.015,
}  # fmt: skip


def make_series(rows: int = 700, seed: int = 5) -> BasisSeries:
    """Hours of a calm regime and of one that wanders off without coming back in time."""
    time = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC")
    return simulate(preset("switching-ou"), PARAMS, time, rng=seed)


@pytest.fixture(scope="session")
def series() -> BasisSeries:
    return make_series()


@pytest.fixture(scope="session")
def analysis(series: BasisSeries) -> Analysis:
    return analyse(series, MODELS, Settings(starts=4))


@pytest.fixture(scope="session")
def report(series: BasisSeries, tmp_path_factory: pytest.TempPathFactory) -> Report:
    out: Path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(series, out, models=MODELS, starts=4, command=COMMAND)
