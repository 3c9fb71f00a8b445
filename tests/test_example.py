"""The embedded example: made by the script beside it, said to be simulated, with its failure found."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import basismodels as bm

ROOT = Path(__file__).resolve().parents[1]


def test_the_script_makes_the_file_again():
    spec = importlib.util.spec_from_file_location("make_example", ROOT / "data" / "make_example.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.make().to_pandas()
    import pyarrow.parquet as pq

    stored = pq.read_table(ROOT / "src" / "basismodels" / "data" / "example.parquet").to_pandas()
    assert list(made.columns) == list(stored.columns)
    for column in made.columns[1:]:
        np.testing.assert_allclose(made[column], stored[column], rtol=1e-9, atol=1e-9, err_msg=column)


def test_it_is_said_to_be_simulated():
    assert bm.load_example().provenance["simulated"] is True


@pytest.mark.slow
def test_the_planted_failure_is_found_and_nothing_else():
    data = bm.load_example()
    fit = bm.fit(bm.preset("switching-level"), data, starts=6)
    truth = data.covariates["true_failure"].to_numpy() > 0
    frame = bm.failure_probability(fit, draws=50)
    assert fit.ok
    assert frame["filtered"].to_numpy()[truth].mean() > 0.85
    assert frame["filtered"].to_numpy()[~truth].mean() < 0.02
    assert (frame["smoothed_lower"].to_numpy()[truth] > 0.5).mean() > 0.9
    table = bm.failure_regimes(fit, draws=50)
    assert table.loc[1, "flags"] == "displaced"
    assert fit.params["theta[1]"] == pytest.approx(-60.0, abs=8.0)
