"""The test of no reversion: what it rejects, what it does not, what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm

HOURS = pd.date_range("2024-01-01", periods=900, freq="h", tz="UTC")
RATES = {"q[0->1]": 0.02, "q[1->0]": 0.02, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 4.0}


def two_regimes(kappa: float, seed: int) -> bm.Fit:
    """A fast calm regime, and a volatile one of speed kappa."""
    model = bm.Switching(bm.OU(), regimes=2)
    made = bm.simulate(model, {**RATES, "kappa[0]": 0.3, "kappa[1]": kappa}, HOURS, rng=seed)
    return bm.fit(model, made, starts=4)


def test_a_fast_regime_is_told_from_none_and_a_random_walk_is_not() -> None:
    fast = bm.reversion_test(two_regimes(0.5, 1), 1, draws=39, rng=1, n_jobs=1)
    none = bm.reversion_test(two_regimes(0.0, 2), 1, draws=39, rng=1, n_jobs=1)
    assert fast.name == none.name == "kappa[1]"
    assert fast.p == pytest.approx(1 / 40)
    assert none.p > 0.1
    assert fast.p_lower == 0.0
    assert none.p_lower < none.p < none.p_upper
    assert "told from none" in str(fast)
    assert "cannot be ruled out" in str(none)


def test_of_one_regime_it_is_the_test_of_a_unit_root() -> None:
    """Roots of a random walk with a free level lie where the tables of Dickey and Fuller (1979) say: 5% above 2.86."""
    walk = bm.simulate(bm.OU(kappa=0), {"sigma": 1.0}, HOURS[:300], rng=3)
    found = bm.reversion_test(bm.fit(bm.OU(), walk), draws=400, rng=2, n_jobs=1)
    assert np.mean(found.simulated > 2.86) == pytest.approx(0.05, abs=0.033)
    assert np.mean(found.simulated > 1.57) == pytest.approx(0.50, abs=0.08)
    made = bm.simulate(bm.OU() + bm.Noise(), {"kappa": 0.2, "theta": 1.0, "sigma": 1.0, "tau": 0.5}, HOURS[:400], rng=4)
    assert bm.reversion_test(bm.fit(bm.OU() + bm.Noise(), made), draws=19, rng=1, n_jobs=1).p == pytest.approx(0.05)


def test_by_default_the_regime_nearest_to_failure_and_the_same_for_one_seed(tmp_path) -> None:
    fit = two_regimes(0.02, 5)
    worst = int(bm.failure_regimes(fit, draws=2)["phi"].argmax())
    once = bm.reversion_test(fit, draws=6, rng=9, n_jobs=1, checkpoint=tmp_path)
    again = bm.reversion_test(fit, draws=6, rng=9, n_jobs=2, checkpoint=tmp_path)
    assert once.name == f"kappa[{worst}]"
    assert np.array_equal(once.simulated, again.simulated)


def test_what_is_refused() -> None:
    walk = bm.simulate(bm.OU(kappa=0), {"sigma": 1.0}, HOURS[:300], rng=3)
    with pytest.raises(bm.ModelError, match="fixed or follows covariates"):
        bm.reversion_test(bm.fit(bm.OU(kappa=0), walk))
    slow = bm.fit(bm.OU() + bm.SlowOU(), walk, starts=2)
    with pytest.raises(bm.ModelError, match="slow level stays above zero"):
        bm.reversion_test(slow)
    with pytest.raises(bm.ModelError, match="whole number below 1"):
        bm.reversion_test(slow, 1)
    with pytest.raises(bm.ModelError, match="draws must be"):
        bm.reversion_test(slow, draws=0)


@pytest.mark.long
def test_size_and_power() -> None:
    """Sixty series without reversion in their second regime: 5% rejected, within 3 standard errors; with it, most."""
    rejected = [bm.reversion_test(two_regimes(0.0, seed), 1, draws=19, rng=seed, n_jobs=1).p for seed in range(60)]
    assert np.mean(np.array(rejected) <= 0.05) < 0.05 + 0.085
    assert np.mean(np.array(rejected) <= 0.5) == pytest.approx(0.5, abs=0.2)
    found = [bm.reversion_test(two_regimes(0.1, seed), 1, draws=19, rng=seed, n_jobs=1).p for seed in range(60, 70)]
    assert np.mean(np.array(found) <= 0.05) >= 0.9
