"""Public data and printed figures."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def half_unit(figure: str) -> float:
    """Half a unit of the last digit printed, and a hair."""
    return 0.51 * 10.0 ** int(Decimal(figure).as_tuple().exponent)


@pytest.fixture
def printed() -> Callable[[float, str], None]:
    """Asserts that a value rounds to a printed figure, up to the rounding of a sum of doubles."""

    def check(value: float, figure: str) -> None:
        assert value == pytest.approx(float(figure), abs=half_unit(figure) + 1e-13 * abs(value))

    return check


def pymle(name: str) -> np.ndarray:
    path = "data", f"{name}.csv"
    found = find_spec("pymle")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no pymle-diffusion: `pip install pymle-diffusion` brings the data")
    file = Path(next(iter(found.submodule_search_locations))).joinpath(*path)
    return pd.read_csv(file).iloc[:, 1].to_numpy(dtype=float)


def macrodata(column: str) -> np.ndarray:
    from statsmodels.datasets import macrodata as source

    return source.load_pandas().data[column].to_numpy(dtype=float)


def sunspots() -> np.ndarray:
    from statsmodels.datasets import sunspots as source

    return source.load_pandas().data["SUNACTIVITY"].to_numpy(dtype=float)


def co2() -> tuple[np.ndarray, np.ndarray]:
    """Weeks of the Mauna Loa record in years, and what is left of it after a quadratic."""
    from statsmodels.datasets import co2 as source

    y = source.load_pandas().data["co2"].to_numpy(dtype=float)
    t = np.arange(len(y)) * 7 / 365.25
    seen = np.isfinite(y)
    t, y = t[seen], y[seen]
    trend = np.column_stack([np.ones_like(t), t, t**2])
    return t, y - trend @ np.linalg.lstsq(trend, y, rcond=None)[0]


def thinned() -> tuple[np.ndarray, np.ndarray]:
    """Sunspots with years left out."""
    y = sunspots()
    keep = np.ones(len(y), dtype=bool)
    keep[::7] = False
    keep[100:130] = False
    return np.flatnonzero(keep).astype(float), y[keep]


README = [
    0.8,
    0.58606434,
    0.49098481,
    0.49343492,
    0.54575029,
    0.51207641,
    0.50084814,
    0.52559959,
    0.53000366,
    0.53668143,
]


@pytest.fixture
def regular() -> Callable[[str], np.ndarray]:
    """A regularly sampled series by name."""

    def load(name: str) -> np.ndarray:
        if name == "ouparams":
            return np.array(README)
        if name.startswith("macrodata."):
            return macrodata(name.split(".")[1])
        if name == "sunspots":
            return sunspots()
        return np.log(pymle("VIX")) if name == "log VIX" else pymle(name)

    return load


@pytest.fixture
def irregular() -> Callable[[str], tuple[np.ndarray, np.ndarray]]:
    """Times and values of an irregular series by name."""
    return lambda name: co2() if name == "co2" else thinned()
