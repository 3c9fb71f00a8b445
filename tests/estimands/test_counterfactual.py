"""Other rules in a closed loop, where the answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

import basismodels as bm
from basismodels.estimands.counterfactual import half_life_of, quantities
from basismodels.inference.closed_loop import Looped

RULE = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
HOURS = pd.date_range("2024-01-01 01:00", periods=2000, freq="h", tz="UTC")
MODEL = bm.OU(theta="1 + funding_gap") + bm.Noise()
PARAMS = {"kappa": 0.1, "theta": 0.0, "theta:funding_gap": -1.0, "sigma": 6.0, "tau": 1.0}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return bm.fit(MODEL, bm.funding.simulate(MODEL, RULE, PARAMS, HOURS, rng=1))


def test_without_a_damper_the_pull_is_felt_at_once_and_the_basis_stays_closer(fit: bm.Fit) -> None:
    rules = {
        "as it is": RULE,
        "no damper": bm.funding.custom("X", damper=0.0, cap=0.003),
        "mute": bm.funding.custom("X", damper=1.0),
    }
    found = bm.funding.counterfactual(fit, rules, draws=12, band=15.0, rng=1)
    assert (found.loc["as it is", ["half_life_change", "outside_change_lower", "failing_change_upper"]] == 0).all()
    assert found.loc["no damper", "outside_change"] < 0
    assert found.loc["mute", "outside_change_lower"] > 0
    assert found.loc["mute", "half_life"] > found.loc["as it is", "half_life"]
    assert (found["outside_lower"] <= found["outside"]).all()
    assert "held fixed" in found.attrs["caution"]
    again = bm.funding.counterfactual(fit, rules, draws=12, band=15.0, rng=1)
    pd.testing.assert_frame_equal(found, again)


def test_where_funding_is_mute_the_half_life_is_that_of_the_model(fit: bm.Fit) -> None:
    found = bm.funding.counterfactual(fit, {"mute": bm.funding.custom("X", damper=1.0)}, draws=30, rng=2)
    expected = np.log(2) / fit.params["kappa"]
    assert found.loc["mute", "half_life_lower"] < expected < found.loc["mute", "half_life_upper"]


def test_the_quantities_by_hand() -> None:
    state = np.array([0, 20, 20, 20, 20, 0, 20, 0, 0, 0.0])
    walked = Looped(state, state, np.zeros(10), np.zeros(10, dtype=np.int64), state, state)
    _, outside, failing = quantities(walked, 1.0, 2.0, 10.0, 0.0)
    assert outside == 0.5
    assert failing == pytest.approx(2 / 8)


def test_half_life_of_an_autoregression() -> None:
    x = lfilter([1.0], [1.0, -0.9], np.random.default_rng(0).standard_normal(200_000))
    assert half_life_of(x, 0.5) == pytest.approx(0.5 * np.log(0.5) / np.log(0.9), rel=0.03)


def test_a_model_without_funding_is_refused() -> None:
    fit = bm.fit(bm.OU(), bm.load_example(end="2024-01-20"))
    with pytest.raises(bm.ModelError, match="nothing in the model depends on funding"):
        bm.funding.counterfactual(fit, {"x": RULE})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rules": [RULE]}, "rules go by name"),
        ({"rules": {}}, "rules go by name"),
        ({"rules": {"x": None}}, "must be a funding rule, got None"),
        ({"draws": 0}, "draws must be"),
        ({"draws": 2.5}, "draws must be"),
        ({"target": np.nan}, "target must be a finite number"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(fit: bm.Fit, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(bm.ModelError, match=said):
        bm.funding.counterfactual(fit, **{"rules": {"x": RULE}, "draws": 2, **arguments})  # type: ignore[arg-type]


def test_a_rule_without_a_known_cap_answers_no_question_of_the_cap(fit: bm.Fit) -> None:
    model = bm.OU(theta="1 + funding_utilisation")
    near = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01", cap=0.0015)
    own = bm.fit(model, bm.funding.attach(bm.funding.simulate(fit, near, rng=2), near))
    unknown = bm.funding.rule("bybit", "BTCUSDT", at="2024-01-01")
    with pytest.raises(bm.ModelError, match="cap of bybit BTCUSDT is not known"):
        bm.funding.counterfactual(own, {"as it is": near, "bybit": unknown}, draws=2)
    assert list(bm.funding.counterfactual(fit, {"bybit": unknown}, draws=2).index) == ["bybit"]


def test_an_interval_that_would_have_changed_is_said_beside_the_table(fit: bm.Fit) -> None:
    dynamic = bm.funding.rule("binance", "BTCUSDT", at="2025-06-01", cap=0.0002)
    said = bm.funding.counterfactual(fit, {"then": RULE, "now": dynamic}, draws=2).attrs["warnings"]
    assert len(said) == 1
    assert "shortens its interval" in said[0]


class TestClosedBootstrap:
    def test_draws_surround_the_estimate_and_repeat_with_the_seed(self, fit: bm.Fit) -> None:
        drawn = bm.funding.closed_bootstrap(fit, 12, rng=3)
        assert drawn.draws is not None
        assert drawn.draws.shape == (12, len(fit.names))
        slope = fit.names.index("theta:funding_gap")
        spread = drawn.draws[:, slope].std()
        assert abs(drawn.draws[:, slope].mean() - fit.x[slope]) < 3 * spread
        assert spread == pytest.approx(fit.bse.iloc[slope], rel=0.8)
        assert np.array_equal(drawn.draws[:3], bm.funding.closed_bootstrap(fit, 3, rng=3).draws)
        assert drawn.draws_kind == "closed-loop bootstrap"

    def test_it_asks_for_a_rule(self) -> None:
        with pytest.raises(bm.ModelError, match="no funding rule"):
            bm.funding.closed_bootstrap(bm.fit(bm.OU(), bm.load_example(end="2024-01-20")), 2)

    def test_what_holds_the_path_fixed_says_so(self, fit: bm.Fit) -> None:
        said = [d.text for d in fit.diagnostics if d.code == "path"]
        assert said
        assert "funding_gap" in said[0]
        assert "closed_bootstrap" in said[0]
