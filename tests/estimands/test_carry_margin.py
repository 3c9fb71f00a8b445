"""Margin of a carry trade: spot beside the basis, what closes the position, and what that does to the profit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.carry_paths import funding_paid, payments, walks
from basismodels.estimands.carry_spot import past_spot, spot_moves
from basismodels.inference.simulate import free_vector
from basismodels.problem import bind

TIMES = pd.date_range("2024-01-01", periods=1500, freq="h", tz="UTC")
RULE = bm.funding.rule("binance", "BTCUSDT", at="2024-06-01")
OU = {"kappa": 0.05, "theta": 3.0, "sigma": 4.0}


def market(tie: float | np.ndarray, model=None, params=OU, seed: int = 1) -> bm.results.Fit:
    """A fit held at the truth; spot moves 50 bps an hour, correlated so much with the shock of the state."""
    model = bm.OU() if model is None else model
    data = bm.simulate(model, params, TIMES, rng=seed)
    problem = bind(model, data)
    x = free_vector(problem, params)
    path, rng = data.covariates, np.random.default_rng(seed + 100)
    regime = path["true_regime"].to_numpy().astype(int)[1:]
    kappa, sigma = (
        np.array([params.get(f"{name}[{k}]", params.get(name)) for k in (0, 1)])[regime] for name in ("kappa", "sigma")
    )
    gap, decay = path["true_x"].to_numpy() - params["theta"], np.exp(-kappa)
    shock = (gap[1:] - decay * gap[:-1]) / (sigma * np.sqrt((1 - decay**2) / (2 * kappa)))
    own = np.asarray(tie)[regime] if np.ndim(tie) else tie
    moves = 50e-4 * (own * shock + np.sqrt(1 - np.square(own)) * rng.normal(size=len(shock)))
    spot = pd.Series(100.0 * np.exp(np.r_[0.0, np.cumsum(moves)]), TIMES)
    made = bm.BasisSeries.from_prices(spot, spot * np.exp(np.asarray(data.basis) / 1e4))
    return bm.results.Fit(bind(model, made), x, 1e-12 * np.eye(len(x)), 0.0, (), pd.DataFrame())


def simulated(fit, steps=72, paths=1000):
    made = walks(fit.problem, fit.x, steps, paths, np.random.default_rng(1))
    return made, spot_moves(past_spot(fit), made, 1.0, np.random.default_rng(2))


@pytest.mark.parametrize("tie", [-0.95, 0.0, 0.5])
def test_spot_moves_with_the_basis_as_it_did(tie):
    made, moves = simulated(market(tie))
    changes = np.diff(made.basis, axis=1)
    assert np.corrcoef(changes.ravel(), moves.ravel())[0, 1] == pytest.approx(tie, abs=0.1)


def test_through_noise_it_is_the_state_that_spot_moves_with():
    params = {**OU, "kappa": 0.2, "tau": 4.0}
    made, moves = simulated(market(-0.8, bm.OU() + bm.Noise(), params))
    assert np.corrcoef(made.shock.ravel(), moves.ravel())[0, 1] == pytest.approx(-0.8, abs=0.1)


def test_each_regime_has_a_tie_of_its_own():
    params = {"kappa[0]": 0.3, "kappa[1]": 0.05, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 8.0, "q[0->1]": 0.02,
              "q[1->0]": 0.03}  # fmt: skip
    made, moves = simulated(market(np.array([0.7, -0.7]), bm.Switching(bm.OU(), regimes=2), params))
    for k, tie in enumerate((0.7, -0.7)):
        own = made.regime == k
        assert np.corrcoef(made.shock[own], moves[own])[0, 1] == pytest.approx(tie, abs=0.15)


def test_shocks_are_standard_and_spot_keeps_its_past_returns():
    fit = market(-0.95)
    made, moves = simulated(fit)
    past = 1e4 * np.diff(np.log(fit.data.covariates["reference"]))
    assert made.shock.mean() == pytest.approx(0.0, abs=0.02)
    assert made.shock.std() == pytest.approx(1.0, abs=0.02)
    assert moves.std() == pytest.approx(past.std(), rel=0.03)
    np.testing.assert_allclose(np.quantile(moves, (0.01, 0.5, 0.99)), np.quantile(past, (0.01, 0.5, 0.99)), atol=8.0)


def test_blocks_keep_the_bursts_of_spot():
    """Spot that sleeps and storms by turns of a week: the sizes of neighbouring moves stay alike."""
    fit = market(0.3)
    size = np.where(np.arange(len(TIMES)) // 168 % 2, 5.0, 0.2)
    rng = np.random.default_rng(5)
    spot = pd.Series(100.0 * np.exp(np.cumsum(1e-3 * size * rng.normal(size=len(TIMES)))), TIMES)
    own = bm.BasisSeries.from_prices(spot, spot * np.exp(np.asarray(fit.data.basis) / 1e4))
    _, moves = simulated(replace(fit, problem=bind(bm.OU(), own)))
    sizes = np.abs(moves)
    assert np.corrcoef(sizes[:, :-1].ravel(), sizes[:, 1:].ravel())[0, 1] > 0.3


def test_a_margin_that_is_never_gone_changes_no_figure():
    fit = market(-0.5)
    settings = {"side": "short", "rule": RULE, "draws": 3, "paths": 500, "rng": 4}
    free, safe = bm.carry(fit, 48, **settings), bm.carry(fit, 48, margin=1e7, **settings)
    assert safe.profit.tobytes() == free.profit.tobytes()
    pd.testing.assert_frame_equal(safe.table.loc[free.table.index], free.table, check_exact=True)
    assert set(safe.table.index) - set(free.table.index) == {"P(margin gone)", "P(margin gone before convergence)"}
    assert safe.table.loc["P(margin gone)", "value"] == 0.0


@pytest.mark.parametrize("until", ["horizon", "convergence"])
@pytest.mark.parametrize("side", ["short", "long"])
def test_a_position_ends_where_its_margin_does(until, side):
    """The accounts by a plain walk along the same paths, one by one."""
    fit, paths, steps, sign = market(-0.5), 400, 48, 1.0 if side == "short" else -1.0
    settings = {"side": side, "rule": RULE, "draws": 1, "paths": paths, "rng": 4, "band": 3.0, "until": until}
    tight = bm.carry(fit, steps, margin=300.0, maintenance=100.0, **settings)
    due = payments(fit, RULE, steps)
    made = walks(fit.problem, fit.x, steps, paths, np.random.default_rng(4), due)
    seed = int(np.random.default_rng(4).integers(2**63))
    moves = spot_moves(past_spot(fit), made, 1.0, np.random.default_rng([1, seed]))
    received = sign * funding_paid(made.basis, due)
    profit, gone, early = [], 0, 0
    for basis, spot, paid in zip(made.basis, moves, received, strict=True):
        earned, price, met, out = 0.0, 0.0, False, False
        for i in range(steps):
            earned, price = earned + paid[i], price + spot[i]
            out = 300.0 + earned - sign * (price + basis[i + 1] - basis[0]) <= 100.0
            inside = abs(basis[i + 1]) <= 3.0
            gone += out and not (inside and until == "convergence")
            early += out and not (inside or met)
            met = met or inside
            if out or (met and until == "convergence"):
                break
        profit.append(earned - sign * (basis[i + 1] - basis[0]) - 10.0)
    np.testing.assert_allclose(tight.profit, profit, atol=1e-9)
    value = tight.table["value"]
    assert value["P(margin gone)"] == pytest.approx(gone / paths)
    assert value["P(margin gone before convergence)"] == pytest.approx(early / paths)
    assert (value["P(margin gone)"] > value["P(margin gone before convergence)"]) == (until == "horizon")
    assert 0.0 < early < paths
    free = bm.carry(fit, steps, **settings).table["value"]
    assert value["expected shortfall"] != free["expected shortfall"]


@pytest.mark.parametrize("bad", [{"margin": 50.0}, {"margin": 0.0}, {"margin": -5.0, "maintenance": -10.0}])
def test_a_margin_at_or_below_maintenance_is_refused(bad):
    with pytest.raises(bm.ModelError, match="margin must be above maintenance"):
        bm.carry(market(0.0), 8, rule=RULE, **bad)
