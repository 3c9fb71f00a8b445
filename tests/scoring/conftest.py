"""A short series and its fits, shared by the scoring tests."""

from __future__ import annotations

import pytest

import basismodels as bm


@pytest.fixture(scope="session")
def short() -> bm.BasisSeries:
    return bm.load_example(end="2024-02-15")


@pytest.fixture(scope="session")
def fits(short: bm.BasisSeries) -> dict[str, bm.Fit]:
    models = {"ou": bm.preset("ou"), "two-factor": bm.preset("two-factor"),
              "switching": bm.Switching(bm.OU() + bm.Noise(), regimes=2)}  # fmt: skip
    return {name: bm.fit(model, short, starts=3) for name, model in models.items()}
