"""Calibration by simulation: what is right passes, a wrong prior or a wrong likelihood does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.posterior import Run
from basismodels.scoring import calibration, ranks

pytestmark = pytest.mark.long

SIZE, COUNT = 19, 40
PRIORS = {
    "kappa": bm.Prior("LogNormal", (("mu", np.log(0.3)), ("sigma", 0.3))),
    "theta": bm.Prior("Normal", (("mu", 0.0), ("sigma", 3.0))),
    "sigma": bm.Prior("LogNormal", (("mu", 0.0), ("sigma", 0.3))),
}
TIMES = pd.date_range("2024-01-01", periods=40, freq="h", tz="UTC")


@pytest.fixture(scope="module")
def setup():
    return calibration.from_prior(bm.OU(), TIMES, PRIORS)


def p_values(setup, truths):
    """P values of the ranks of kappa, theta and sigma."""
    run = Run(draws=4 * SIZE, tune=150, chains=1, cores=1)
    found = [calibration.ranks_of(setup, x, run, {}, np.random.default_rng([5, i])) for i, x in enumerate(truths)]
    return [ranks.p_value(np.array(found)[:, i], SIZE) for i in range(3)]


def test_what_is_right_passes(setup):
    assert min(p_values(setup, setup.draw(COUNT, np.random.default_rng(1)))) > 0.01


def test_a_wrong_prior_fails(setup):
    shifted = {**PRIORS, "kappa": bm.Prior("LogNormal", (("mu", np.log(0.3) + 0.9), ("sigma", 0.3)))}
    truths = replace(setup, priors=shifted).draw(COUNT, np.random.default_rng(1))
    assert p_values(setup, truths)[0] < 1e-3


def test_a_wrong_likelihood_fails(setup, monkeypatch):
    """The simulator's shocks are a fifth too large for the density: sigma's ranks give it away."""
    honest = calibration.simulate_path

    def loud(problem, x, rng):
        x = x.copy()
        x[2] += np.log(1.25)
        return honest(problem, x, rng)

    monkeypatch.setattr(calibration, "simulate_path", loud)
    assert p_values(setup, setup.draw(COUNT, np.random.default_rng(1)))[2] < 1e-3


def test_the_public_call_makes_a_table(tmp_path):
    found = bm.sbc(bm.OU(), TIMES, simulations=4, size=9, priors=PRIORS, rng=3, n_jobs=1, checkpoint=tmp_path)
    assert list(found.ranks) == ["kappa", "theta", "sigma", "half_life", "no_return", "log_likelihood"]
    assert found.ranks.to_numpy().min() >= 0
    assert found.ranks.to_numpy().max() <= 9
    assert found.priors["kappa"].startswith("LogNormal")
    table, ecdf = found.table(), found.ecdf()
    assert (table["p_holm"] >= table["p"]).all()
    assert (ecdf["lower"] <= ecdf["upper"]).all()
    assert ("NOT" in str(found)) == (not found.ok)
    # half-life falls as kappa rises, so that their ranks mirror each other
    assert (found.ranks["kappa"] + found.ranks["half_life"] == 9).all()
    assert any(tmp_path.iterdir())


def test_around_a_fit(setup):
    post = bm.sample(bm.OU(), bm.load_example(end="2024-01-04"), rng=1, draws=100, tune=200, chains=2)
    found = bm.sbc(post, simulations=3, size=9, rng=3, n_jobs=1)
    assert found.kind == "posterior"
    assert len(found.ranks) == 3
    with pytest.raises(bm.ModelError, match="posterior draws"):
        bm.sbc(bm.fit(bm.OU(), post.data))
    with pytest.raises(bm.ModelError, match="series or times"):
        bm.sbc(bm.OU())


def test_uniform_ranks_stay_within_the_band_as_often_as_they_should():
    rng = np.random.default_rng(7)
    lower, upper = ranks.band(100, 49, 0.95)
    found = ranks.counts(rng.integers(0, 50, (2000, 100)), 49) / 100
    inside = np.all((found >= lower - 1e-12) & (found <= upper + 1e-12), axis=1).mean()
    assert inside == pytest.approx(0.95, abs=0.02)
    p = np.array([ranks.p_value(rng.integers(0, 50, 100), 49) for _ in range(200)])
    assert (p < 0.05).mean() < 0.11
    assert ranks.p_value(np.clip(rng.integers(0, 50, 100) + 12, 0, 49), 49) < 1e-3


def test_holm_raises_in_order():
    assert ranks.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
