"""Limits of figures by time over draws of the parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels._limits import draw_limits


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    hours = pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC")
    truth = {"kappa": 0.1, "theta": 0.0, "sigma": 4.0, "tau": 2.0}
    data = bm.simulate(bm.OU() + bm.Noise(), truth, hours, rng=3)
    return bm.fit(bm.OU() + bm.Noise(), data)


def test_limits_of_no_return_are_quantiles_over_draws(fit: bm.Fit) -> None:
    name = "probability_no_return"
    found = bm.convergence_probability(fit, 8.0, 5.0, draws=30, rng=1)
    points = bm.draws_of(fit, 30, rng=1)
    paths = [bm.convergence_probability(replace(fit, x=x), 8.0, 5.0)[name].to_numpy() for x in points]
    low, high = draw_limits(np.array(paths), 0.95)
    assert found[f"{name}_lower"].to_numpy() == pytest.approx(low, abs=2e-3)
    assert found[f"{name}_upper"].to_numpy() == pytest.approx(high, abs=2e-3)
    assert found.attrs["draws"] == 30
    plain = bm.convergence_probability(fit, 8.0, 5.0)
    assert list(plain.columns) == ["probability", name, "operational"]
    pd.testing.assert_series_equal(found[name], plain[name])


def test_limits_of_the_expected_time_hold_it_where_the_basis_is_out(fit: bm.Fit) -> None:
    found = bm.expected_return_time(fit, 5.0, draws=20, rng=1)
    out = found["hours"] > 0.5
    assert out.mean() > 0.2
    assert (found["hours_lower"] <= found["hours"])[out].all()
    assert (found["hours_upper"] >= found["hours"])[out].all()
    assert (found["hours_upper"] > 1.1 * found["hours_lower"])[out].all()


def test_without_draws_the_limits_are_missing_and_the_reason_is_said() -> None:
    hours = pd.date_range("2024-01-01", periods=300, freq="h", tz="UTC")
    walk = bm.BasisSeries.from_basis(hours, np.cumsum(np.random.default_rng(0).standard_normal(300)))
    fit = bm.fit(bm.OU() + bm.Noise(), walk)
    if np.isfinite(fit.cov).all():
        fit = replace(fit, cov=np.full_like(fit.cov, np.nan))
    found = bm.convergence_probability(fit, draws=10)
    assert found["probability_no_return_lower"].isna().all()
    assert "normal draws" in found.attrs["note"]


@pytest.mark.parametrize("wrong", [-1, 2.5, "x"])
def test_draws_are_a_whole_number(fit: bm.Fit, wrong: object) -> None:
    with pytest.raises(bm.ModelError, match="draws"):
        bm.convergence_probability(fit, draws=wrong)  # type: ignore[arg-type]
