"""Several markets at once: what was simulated comes back, and units borrow from each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.joint import _common, _effective, regime_path

pytestmark = pytest.mark.long

MODEL = bm.Switching(bm.OU(), regimes=2)
TRUTH = {"kappa[0]": 0.4, "kappa[1]": 0.05, "theta": 0.0, "sigma[0]": 0.6, "sigma[1]": 4.0}
RATES = {"q[0->1]": 0.02, "q[1->0]": 0.06}


@pytest.fixture(scope="module")
def panel():
    time = pd.date_range("2024-01-01", periods=260, freq="h", tz="UTC")
    speeds = {"a": 0.3, "b": 0.4, "c": 0.5}
    return {
        unit: bm.simulate(MODEL, {**TRUTH, **RATES, "kappa[0]": kappa}, time, rng=i)
        for i, (unit, kappa) in enumerate(speeds.items())
    }


@pytest.fixture(scope="module")
def fitted(panel):
    return bm.sample_panel(MODEL, panel, rng=1, draws=250, tune=300, chains=2, starts=3)


def test_every_unit_is_a_fit_whose_interval_holds_the_truth(fitted, panel):
    held = 0
    for (unit, one), kappa in zip(fitted.items(), (0.3, 0.4, 0.5), strict=True):
        assert one.data is panel[unit]
        assert one.draws.shape == (500, len(one.names))
        limits = bm.conf_int(one, level=0.99)
        truth = {**TRUTH, **RATES, "kappa[0]": kappa}
        held += sum(limits["lower"][name] <= truth[name] <= limits["upper"][name] for name in one.names)
        assert bm.half_life(one)[0].method == "posterior"
    assert held >= 20


def test_a_unit_is_stored_with_its_link(fitted, tmp_path):
    again = bm.load(bm.save(fitted["a"], tmp_path / "a.fit"))
    assert again.problem.layout.kappa_log
    assert again.params.equals(fitted["a"].params)


def test_units_are_drawn_together(fitted):
    table = fitted.shrinkage()
    assert set(table["name"]) == {"kappa[0]", "kappa[1]", "q[0->1]", "q[1->0]"}
    wild = table[table["name"] == "kappa[1]"]
    assert np.log(wild["panel"]).std() < np.log(wild["alone"].clip(lower=1e-4)).std() + 0.05
    assert list(fitted.pooled.columns.get_level_values(1).unique()) == ["mu", "sd"]


def test_joint_failure_is_told_in_numbers(fitted):
    found = bm.joint_failure(fitted, horizon=8, band=5, draws=20, rng=1)
    table = found.at_least(1)
    assert len(table) == 260
    assert table["probability"].between(0, 1).all()
    assert (found.at_least(2)["probability"] <= table["probability"] + 1e-12).all()
    assert found.share_of_time(3).value <= found.share_of_time(1).value
    spread = found.spreading()
    assert spread.loc["spread", "stuck"] == pytest.approx(spread.loc["one unit", "stuck"], abs=0.05)
    assert spread.loc["spread", "sd"] <= spread.loc["one unit", "sd"] + 1e-9


def test_the_effective_number_is_that_of_independent_units():
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.random((1, 4000, 1)) < 0.3, 4, axis=2)
    apart = rng.random((1, 4000, 4)) < 0.3
    assert _effective(alike)[0] == pytest.approx(1.0)
    assert _effective(apart)[0] == pytest.approx(4.0, rel=0.15)


def test_the_common_state_is_found():
    rng = np.random.default_rng(2)
    bad = np.zeros(600, dtype=bool)
    bad[200:260] = True
    count = rng.binomial(4, np.where(bad, 0.8, 0.03))
    found = _common(count, 4)
    assert found[bad].mean() > 0.95
    assert found[~bad].mean() < 0.05


def test_paths_of_regimes_have_the_smoothed_probabilities(panel):
    fit = bm.fit(MODEL, panel["a"], starts=3)
    rng = np.random.default_rng(3)
    paths = np.array([regime_path(fit.problem, fit.x, rng) for _ in range(300)])
    expected = fit.smoothed.p[:, 1]
    error = np.sqrt(expected * (1 - expected) / 300) + 0.005
    assert np.all(np.abs(paths.mean(axis=0) - expected) < 4.5 * error)


def test_a_panel_of_one_is_refused(panel):
    with pytest.raises(bm.ModelError, match="at least two series"):
        bm.sample_panel(MODEL, {"a": panel["a"]})
    fit = bm.fit(MODEL, panel["a"], starts=2)
    with pytest.raises(bm.ModelError, match="equally many joint draws"):
        bm.joint_failure({"a": fit, "b": fit})
