"""A small simulated market with a regime that fails, and its report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from basismodels.inference.simulate import simulate
from basismodels.presets import parse_model
from basismodels.report.analysis import Analysis, Settings, analyse
from basismodels.report.html import Report, write_report
from basismodels.series import BasisSeries

FAILING = 'Switching(OU(), regimes=2, varies=("theta", "sigma"))'
MODELS = ("ou", FAILING)
COMMAND = "basismodels report market.parquet"
PARAMS = {
    "kappa": 0.3, "theta[0]": 0.0, "theta[1]": -30.0, "sigma[0]": 1.0, "sigma[1]": 2.0,
    "q[0->1]": 0.004, "q[1->0]": 0.012,
}  # fmt: skip


def make_series(rows: int = 500, seed: int = 2) -> BasisSeries:
    """Hours of a calm regime and of one that holds the basis 30 bps below."""
    time = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC")
    return simulate(parse_model(FAILING), PARAMS, time, rng=seed)


@pytest.fixture(scope="session")
def models() -> tuple[str, ...]:
    return MODELS


@pytest.fixture(scope="session")
def command() -> str:
    return COMMAND


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
