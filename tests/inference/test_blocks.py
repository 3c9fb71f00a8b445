"""Bootstrap series made of blocks of the fit's own innovations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.blocks import block_simulator, innovations
from basismodels.likelihood import assemble
from basismodels.likelihood.innovations import rebuilt

TIMES = pd.date_range("2024-01-01", periods=1000, freq="h", tz="UTC")
MODEL = bm.OU() + bm.SlowOU() + bm.Noise()
TRUTH = {"kappa": 0.5, "theta": 1.0, "sigma": 1.0, "slow.kappa": 0.01, "slow.sigma": 0.2, "tau": 0.5}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    data = bm.simulate(MODEL, TRUTH, TIMES, rng=3).basis.copy()
    data[[40, 41, 600]] = np.nan
    return bm.fit(MODEL, bm.BasisSeries.from_basis(TIMES, data))


@pytest.mark.parametrize("model", [bm.OU(), MODEL], ids=repr)
@pytest.mark.parametrize("initial", ["stationary", "conditional"])
def test_innovations_give_the_likelihood_and_the_series_back(fit: bm.Fit, model: bm.Component, initial: str) -> None:
    made = bm.fit(model, fit.data, initial=initial)
    layout = made.problem.layout
    steps, start = assemble.coefficients(layout, made.x)
    z, root, gain = innovations(made.problem, made.x)
    seen = np.isfinite(z)
    llf = float(np.sum(-0.5 * z[seen] ** 2 - np.log(root[seen]) - 0.5 * np.log(2.0 * np.pi)))
    assert llf == pytest.approx(made.llf, abs=1e-6)
    phi, c = np.ascontiguousarray(steps.phi[:, 0]), np.ascontiguousarray(steps.c[:, 0])
    again = rebuilt(z, root, gain, layout.y[0], layout.row, phi, c, steps.rho, start.mean[0])
    np.testing.assert_allclose(again, layout.y, atol=1e-9)


def test_where_the_model_is_right_it_agrees_with_the_parametric_one(fit: bm.Fit) -> None:
    draws = (bm.bootstrap(fit, 100, rng=1, blocks=b).draws for b in (False, True))
    plain, blocks = (np.quantile(part, [0.25, 0.5, 0.75], axis=0) for part in draws)
    spread = plain[2] - plain[0]
    np.testing.assert_allclose(blocks[2] - blocks[0], spread, rtol=0.5)
    assert (np.abs(blocks[1] - plain[1]) < 0.6 * spread).all()


def test_shocks_in_bursts_widen_the_draws_of_sigma() -> None:
    switching = bm.Switching(bm.OU(), 2)
    truth = {"kappa[0]": 0.2, "kappa[1]": 0.2, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 4.0,
             "q[0->1]": 0.01, "q[1->0]": 0.03}  # fmt: skip
    fit = bm.fit(bm.OU(), bm.simulate(switching, truth, TIMES, rng=5))
    plain, blocks = (np.std(bm.bootstrap(fit, 150, rng=1, blocks=b).draws[:, 2]) for b in (False, 72.0))
    assert blocks > 2.0 * plain


def test_missing_rows_stay_missing_and_seeds_decide(fit: bm.Fit) -> None:
    make = block_simulator(fit, 8.0)
    one, same = make(np.random.default_rng(1)), make(np.random.default_rng(1))
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(np.isnan(one), np.isnan(fit.problem.layout.y))


def test_regimes_are_refused_with_what_serves_them() -> None:
    model = bm.Switching(bm.OU(), 2)
    data = bm.load_example(start="2024-01-02", end="2024-01-31")
    fit = bm.fit(model, data, starts=2)
    with pytest.raises(bm.ModelError, match="sandwich"):
        bm.bootstrap(fit, 10, blocks=True)
    with pytest.raises(bm.ModelError, match="positive"):
        bm.bootstrap(bm.fit(bm.OU(), data), 10, blocks=-2.0)
