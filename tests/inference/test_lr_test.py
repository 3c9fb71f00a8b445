"""The bootstrap likelihood-ratio test: power, size in small, the same bytes on any workers, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm

TIMES = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC")


def simulated(params, model, seed):
    return bm.simulate(model, params, TIMES, rng=seed)


@pytest.mark.long
def test_noise_that_is_there_is_found_and_noise_that_is_not_is_not():
    noisy = simulated({"kappa": 0.05, "theta": 0.0, "sigma": 1.0, "tau": 1.5}, bm.OU() + bm.Noise(), 1)
    plain = simulated({"kappa": 0.05, "theta": 0.0, "sigma": 1.0}, bm.OU(), 2)
    found = [
        bm.likelihood_ratio_test(bm.fit(bm.OU(), data), bm.fit(bm.OU() + bm.Noise(), data), draws=39, starts=2, rng=1)
        for data in (noisy, plain)
    ]
    assert found[0].p == pytest.approx(1 / 40)
    assert found[0].p_lower == 0.0
    assert found[0].p_upper < 0.15
    assert found[1].p > 0.1
    assert "p = 0.025" in str(found[0])
    assert (found[1].simulated >= 0).all()


@pytest.mark.long
def test_p_values_under_the_null_are_spread_out():
    """Twelve series from the null: neither all small nor all large (a statistic left unsimulated would be)."""
    p = []
    for seed in range(12):
        data = simulated({"kappa": 0.2, "theta": 0.0, "sigma": 1.0}, bm.OU(), seed)
        other = bm.fit(bm.OU(theta="1 + clock"), clocked(data))
        p.append(bm.likelihood_ratio_test(bm.fit(bm.OU(), clocked(data)), other, draws=19, starts=1, rng=seed).p)
    assert 0.3 < np.mean(p) < 0.75
    assert np.std(p) > 0.15


def clocked(data):
    clock = pd.DataFrame({"clock": np.sin(np.arange(len(TIMES)))}, index=TIMES)
    return bm.BasisSeries.from_basis(TIMES, data.basis, covariates=clock)


def test_the_same_on_any_workers_and_after_a_break(tmp_path):
    data = simulated({"kappa": 0.1, "theta": 0.0, "sigma": 1.0}, bm.OU(), 3)
    null, other = bm.fit(bm.OU(), data), bm.fit(bm.Switching(bm.OU(), 2), data, starts=2)
    one = bm.likelihood_ratio_test(null, other, draws=10, starts=2, rng=5, n_jobs=1, checkpoint=tmp_path)
    for file in sorted(tmp_path.rglob("*.task"))[:1]:
        file.unlink()
    two = bm.likelihood_ratio_test(null, other, draws=10, starts=2, rng=5, n_jobs=2, checkpoint=tmp_path)
    np.testing.assert_array_equal(one.simulated, two.simulated)
    assert one.statistic == two.statistic


def test_what_it_refuses():
    data = simulated({"kappa": 0.1, "theta": 0.0, "sigma": 1.0}, bm.OU(), 3)
    null, other = bm.fit(bm.OU(), data), bm.fit(bm.OU() + bm.Noise(), data)
    with pytest.raises(bm.ModelError, match="must have more"):
        bm.likelihood_ratio_test(other, null)
    moved = bm.fit(bm.OU() + bm.Noise(), bm.BasisSeries.from_basis(TIMES, data.basis + 1.0))
    with pytest.raises(bm.ModelError, match="other data"):
        bm.likelihood_ratio_test(null, moved)


def test_a_larger_model_that_does_not_contain_the_smaller_is_refused():
    truth = {"kappa": 0.05, "theta": 0.0, "sigma": 1.0, "tau": 1.5}
    data = simulated(truth, bm.OU() + bm.Noise(), 2)
    noisy = bm.fit(bm.OU() + bm.Noise(), data)
    waves = pd.DataFrame({"z": np.sin(np.arange(400.0)), "w": np.cos(np.arange(400.0))}, TIMES)
    trends = bm.BasisSeries.from_basis(TIMES, data.basis, covariates=waves)
    null = bm.fit(bm.OU() + bm.Noise(), trends)
    wider = bm.fit(bm.OU(theta="1 + z + w"), trends)
    assert len(wider.x) > len(null.x)
    assert noisy.llf == pytest.approx(null.llf)
    with pytest.raises(bm.ModelError, match="does not contain it"):
        bm.likelihood_ratio_test(null, wider)
