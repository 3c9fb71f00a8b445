"""The closed loop against the covariates of its own output, the open loop, and rates with known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.closed_loop import PremiumLink, premium_link, simulate
from basismodels.inference.simulate import simulate as open_simulate

BINANCE = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
HOURS = pd.date_range("2024-01-01 03:00", periods=480, freq="h", tz="UTC")
SHARED = [c for c in bm.funding.COVARIATES if c not in ("funding_due",)]
RULES = {
    "binance": BINANCE,
    "four hours": BINANCE.with_interval(4),
    "bitmex": bm.funding.rule("bitmex", "XBTUSD"),
    "hyperliquid": bm.funding.rule("hyperliquid", "BTC"),
    "deribit": bm.funding.rule("deribit", "BTC", cap=0.005),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("name", SHARED)
def test_the_basis_follows_the_covariate_that_attach_computes_from_the_output(rule: bm.funding.Rule, name: str) -> None:
    """Almost without noise, each bar is the exact OU step towards 1 + 2 z, with z of the row before."""
    params = {"kappa": 0.2, "theta": 20.0, f"theta:{name}": -1.5, "sigma": 1e-6}
    data = simulate(bm.OU(theta=f"1 + {name}"), rule, params, HOURS, rng=1)
    if name == "funding_paid" and rule.timing == "continuous":
        assert name not in data.frame()
        return
    z = data.frame()[name].to_numpy()[:-1]
    expected = np.exp(-0.2) * data.basis[:-1] + -np.expm1(-0.2) * (20.0 - 1.5 * z)
    known = np.isfinite(z)
    assert known.sum() > 400
    assert data.basis[1:][known] == pytest.approx(expected[known], abs=1e-3)


def test_without_covariates_it_has_the_moments_of_the_model() -> None:
    model = bm.OU() + bm.SlowOU() + bm.Noise()
    params = {"kappa": 0.5, "theta": 3.0, "sigma": 2.0, "slow.kappa": 0.05, "slow.sigma": 0.5, "tau": 1.0}
    times = pd.date_range("2024-01-01", periods=20000, freq="h", tz="UTC")
    data = simulate(model, BINANCE, params, times, rng=2)
    variance = 4.0 / 1.0 + 0.25 / 0.1 + 1.0
    assert np.mean(data.basis) == pytest.approx(3.0, abs=0.3)
    assert np.var(data.basis) == pytest.approx(variance, rel=0.06)
    fit = bm.fit(model, data.cut(end="2024-12-31"))
    truth = open_simulate(model, params, times[:8000], rng=1)
    assert fit.problem.spec.names == bm.fit(model, truth).problem.spec.names
    assert abs(np.log(fit.params["kappa"] / 0.5)) < 5 * fit.bse["kappa"] / fit.params["kappa"]


def test_regimes_change_at_their_rates() -> None:
    model = bm.Switching(bm.OU(), regimes=2)
    params = {"kappa[0]": 0.3, "kappa[1]": 0.3, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 5.0,
              "q[0->1]": 0.05, "q[1->0]": 0.15}  # fmt: skip
    times = pd.date_range("2024-01-01", periods=20000, freq="h", tz="UTC")
    state = simulate(model, BINANCE, params, times, rng=3).covariates["true_regime"].to_numpy()
    assert state.mean() == pytest.approx(0.25, abs=0.03)
    left = np.mean(state[1:][state[:-1] == 0])
    assert left == pytest.approx(0.25 * -np.expm1(-0.2), rel=0.12)


def test_a_premium_held_still_settles_at_the_rate_of_the_rule() -> None:
    params = {"kappa": 5.0, "theta": 1e4 * np.log1p(16e-4), "sigma": 1e-6}
    data = simulate(bm.OU(), BINANCE, params, HOURS, rng=1)
    assert data.settlements is not None
    assert data.settlements["rate"].to_numpy() == pytest.approx(11e-4, abs=1e-8)
    assert [t.hour % 8 for t in data.settlements.index] == [0] * len(data.settlements)
    high = simulate(bm.OU(), BINANCE, {**params, "theta": 90.0}, HOURS, rng=1)
    assert high.settlements is not None
    assert (high.settlements["rate"] == 0.003).all()


def test_one_seed_one_path() -> None:
    params = {"kappa": 0.5, "theta": 0.0, "sigma": 2.0}
    one, two, three = (simulate(bm.OU(), BINANCE, params, HOURS, rng=seed).basis for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_the_link_is_found_again() -> None:
    link = PremiumLink(3.0, 0.9, 1.5)
    params = {"kappa": 0.05, "theta": 0.0, "sigma": 2.0}
    times = pd.date_range("2024-01-01", periods=8760, freq="h", tz="UTC")
    data = simulate(bm.OU(), BINANCE, params, times, link=link, rng=7)
    found = premium_link(data, BINANCE)
    assert found.offset == pytest.approx(3.0, abs=0.25)
    assert found.slope == pytest.approx(0.9, abs=0.05)
    assert found.sd == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (bm.OU(theta="1 + volume") + bm.Noise(), "volume"),
        (bm.OU() + bm.Noise(outliers=True), "outliers"),
    ],
)
def test_what_it_cannot_do_is_refused(model: bm.Model, said: str) -> None:
    with pytest.raises(bm.ModelError, match=said):
        simulate(model, BINANCE, {"kappa": 1.0}, HOURS)


def test_missing_names_are_listed() -> None:
    with pytest.raises(bm.ModelError, match="kappa, theta, sigma"):
        simulate(bm.OU(), BINANCE, {"kappa": 1.0}, HOURS)
